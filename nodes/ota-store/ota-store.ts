/**
 * ota-store: where the tasks of ota-task live. Owns the store and the engines that work on it, one for each
 * service; its settings and nothing else.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { OtaError, toOtaError } from '../lib/protocol';
import { onceAtDeploy } from '../lib/red/deploys';
import { onClose } from '../lib/red/input';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import type { OtaStoreNode } from '../lib/red/store';
import { userFolder } from '../lib/red/user-directory';
import { type StorePlace, TaskHosts } from '../lib/platform';
import { STORE } from '../lib/rules';
import { PostgresStore, SqliteStore, type TaskStore } from '../lib/tasks/database';

interface Config extends NodeDef {
  driver?: unknown;
  file?: unknown;
  schema?: unknown;
  poolSize?: unknown;
}

interface Credentials {
  readonly url?: string;
}

const FILE = 'ota/tasks.db';

module.exports = (RED: NodeAPI): void => {
  function OtaStore(this: Node, config: Config): void {
    RED.nodes.createNode(this, config);
    const node = this as unknown as { -readonly [K in keyof OtaStoreNode]: OtaStoreNode[K] };
    node.problem = null;
    node.users = {};
    node.host = () => {
      throw node.problem ?? new OtaError('OTA_CLOSED', 'The store was stopped.');
    };
    let store: TaskStore;
    let hosts: TaskHosts;
    try {
      const made = makeStore(RED, settingsOf(RED, this, config), this.credentials as Credentials | undefined);
      store = made.store;
      hosts = new TaskHosts(this, store, made.place);
    } catch (error) {
      node.problem = toOtaError(error, 'OTA_BAD_SETTINGS');
      return;
    }
    node.host = (options) => hosts.host(options);
    const endTelling = onceAtDeploy(RED, 'flows:started', () => void warnOfUnused(this, hosts));
    onClose(this, async (removed) => {
      endTelling();
      await hosts.stop(removed);
      await store.close();
    });
  }

  RED.nodes.registerType('ota-store', OtaStore as never, {
    credentials: { url: { type: 'password' } },
  });
};

/** A service that is made anew has another name, and would begin with nothing. */
async function warnOfUnused(node: Node, hosts: TaskHosts): Promise<void> {
  try {
    for (const { fleet, isByWires, tasks } of await hosts.unused()) {
      const name = fleet.length > 80 ? `${fleet.slice(0, 80)}…` : fleet;
      const owner = isByWires ? 'an ota-task with the transport "wires"' : 'the ota-service';
      node.warn(
        `OTA_FLEET_UNUSED: the store has ${tasks} tasks of the fleet "${name}", which no ota-task uses. To take them up, set "Fleet" of ${owner} to that name; else remove the tasks there, or leave them.`,
      );
    }
  } catch (error) {
    // Whoever uses the store is told; nobody else needs it.
    node.debug(toOtaError(error).message);
  }
}

/** @throws OtaError OTA_BAD_SETTINGS */
function makeStore(
  RED: NodeAPI,
  config: Config,
  credentials: Credentials = {},
): { readonly store: TaskStore; readonly place: StorePlace } {
  const read = settingsReader(STORE, { ...config, url: credentials.url });
  if (read('driver') === 'sqlite') {
    const file = userFolder(RED, textSetting(config.file).trim(), FILE);
    return { store: new SqliteStore({ file }), place: { file } };
  }
  const url = read('url');
  if (url === '') {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'The setting "url" is missing: PostgreSQL needs an address such as "postgresql://user:password@host:5432/database".',
    );
  }
  const schema = read('schema');
  const { host, pathname } = new URL(url);
  const store = new PostgresStore({ url, schema, poolSize: read('poolSize') });
  return { store, place: { database: `${host}${pathname} ${schema}` } };
}

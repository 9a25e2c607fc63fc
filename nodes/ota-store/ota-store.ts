/**
 * ota-store: where the tasks of ota-task live. Owns the store and the engines that work on it, one for each
 * service; its settings and nothing else.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { OtaError, toOtaError } from '../lib/protocol';
import { onClose } from '../lib/red/input';
import { migrate } from '../lib/red/migrate';
import { textSetting } from '../lib/red/settings';
import type { OtaStoreNode } from '../lib/red/store';
import { userFolder } from '../lib/red/user-directory';
import { type HostOptions, TaskHost } from '../lib/red/task-host';
import { SqliteStore } from '../lib/tasks/store';

interface Config extends NodeDef {
  driver?: unknown;
  file?: unknown;
}

const FILE = 'ota/tasks.db';

module.exports = (RED: NodeAPI): void => {
  function OtaStore(this: Node, config: Config): void {
    RED.nodes.createNode(this, config);
    const node = this as unknown as { -readonly [K in keyof OtaStoreNode]: OtaStoreNode[K] };
    const hosts = new Map<string, TaskHost>();
    node.problem = null;
    node.users = {};
    node.host = () => {
      throw node.problem ?? new OtaError('OTA_CLOSED', 'The store was stopped.');
    };
    let store: SqliteStore;
    try {
      store = openStore(RED, migrate('ota-store', config));
    } catch (error) {
      node.problem = toOtaError(error, 'OTA_BAD_SETTINGS');
      return;
    }
    node.host = (options) => hostOf(hosts, { ...options, store });
    onClose(this, async (removed) => {
      await Promise.all([...hosts.values()].map((host) => host.stop(removed)));
      store.close();
    });
  }

  RED.nodes.registerType('ota-store', OtaStore as never, {
    credentials: { url: { type: 'password' } },
  });
};

/** One engine for each service; a new one where the last was stopped. */
function hostOf(hosts: Map<string, TaskHost>, options: HostOptions): TaskHost {
  const found = hosts.get(options.service);
  if (found !== undefined && found.serves(options.channel)) return found;
  const host = new TaskHost(options, found);
  hosts.set(options.service, host);
  return host;
}

function openStore(RED: NodeAPI, config: Config): SqliteStore {
  const driver = textSetting(config.driver, 'sqlite');
  if (driver !== 'sqlite') {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'The setting "driver" must be sqlite: this version has no other store.',
    );
  }
  return new SqliteStore({ file: userFolder(RED, textSetting(config.file).trim(), FILE) });
}

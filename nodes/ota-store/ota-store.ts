/**
 * ota-store: where the tasks of ota-task live. Owns the store and the engines that work on it, one for each
 * service; its settings and nothing else.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { OtaError, toOtaError } from '../lib/protocol';
import { onClose } from '../lib/red/input';
import { textSetting, settingsOf } from '../lib/red/settings';
import type { OtaStoreNode } from '../lib/red/store';
import { userFolder } from '../lib/red/user-directory';
import { TaskHosts } from '../lib/platform';
import { SqliteStore } from '../lib/tasks/database';

interface Config extends NodeDef {
  driver?: unknown;
  file?: unknown;
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
    let store: SqliteStore;
    let hosts: TaskHosts;
    try {
      const file = fileOf(RED, settingsOf(RED, this, config));
      store = new SqliteStore({ file });
      hosts = new TaskHosts(this, store, file);
    } catch (error) {
      node.problem = toOtaError(error, 'OTA_BAD_SETTINGS');
      return;
    }
    node.host = (options) => hosts.host(options);
    const tellUnused = (): void => warnOfUnused(this, hosts);
    RED.events.once('flows:started', tellUnused);
    onClose(this, async (removed) => {
      RED.events.removeListener('flows:started', tellUnused);
      await hosts.stop(removed);
      store.close();
    });
  }

  RED.nodes.registerType('ota-store', OtaStore as never, {
    credentials: { url: { type: 'password' } },
  });
};

/** A service that is made anew has another name, and would begin with nothing. */
function warnOfUnused(node: Node, hosts: TaskHosts): void {
  try {
    for (const { fleet, tasks } of hosts.unused()) {
      const name = fleet.length > 80 ? `${fleet.slice(0, 80)}…` : fleet;
      node.warn(
        `OTA_FLEET_UNUSED: the store has ${tasks} tasks of the fleet "${name}", which no ota-task uses. To take them up, set "Fleet" of the ota-service to that name; else remove the tasks there, or leave them.`,
      );
    }
  } catch (error) {
    // Whoever uses the store is told; nobody else needs it.
    node.debug(toOtaError(error).message);
  }
}

/** The database's file. @throws OtaError OTA_BAD_SETTINGS */
function fileOf(RED: NodeAPI, config: Config): string {
  const driver = textSetting(config.driver, 'sqlite');
  if (driver !== 'sqlite') {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'The setting "driver" must be sqlite: this version has no other store.',
    );
  }
  return userFolder(RED, textSetting(config.file).trim(), FILE);
}

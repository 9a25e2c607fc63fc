/**
 * An error of a config node, for the Catch nodes of those who use it. Node-RED would bring it to a Catch
 * node once for each user; owns the choice of users that makes it once.
 */
import type { Node, NodeAPI } from 'node-red';
import type { OtaError } from '../protocol';

/** A config node with the map that Node-RED reads when it reports an error. */
export interface SharedNode extends Node {
  users: Record<string, Node>;
}

interface Catch {
  /** null: all nodes of its tab; `group`: of its group; else the ids it was chosen for. */
  readonly scope: unknown;
  readonly g: unknown;
}

/** Reports with `node.error`: into the log where no Catch node takes it. */
export function tellUsers(RED: NodeAPI, node: SharedNode, error: OtaError): void {
  const { users } = node;
  node.users = audience(users, catchesByTab(RED));
  try {
    node.error(error, {} as never);
  } finally {
    node.users = users;
  }
}

function catchesByTab(RED: NodeAPI): Map<string, Catch[]> {
  const tabs = new Map<string, Catch[]>();
  RED.nodes.eachNode((config) => {
    if (config.type !== 'catch') return;
    const { scope, g } = config as unknown as Catch;
    tabs.set(config.z, [...(tabs.get(config.z) ?? []), { scope, g }]);
  });
  return tabs;
}

/** Users that together reach each Catch node; of a tab without one (a subflow's, say) the first. */
function audience(users: SharedNode['users'], tabs: Map<string, Catch[]>): SharedNode['users'] {
  const chosen: SharedNode['users'] = {};
  const reached = new Set<Catch | string>();
  for (const [id, user] of Object.entries(users)) {
    const catches = tabs.get(user.z);
    const reaches = catches === undefined ? [user.z] : catches.filter((each) => fits(each, user));
    if (reaches.every((each) => reached.has(each))) continue;
    chosen[id] = user;
    for (const each of reaches) reached.add(each);
  }
  return chosen;
}

function fits({ scope, g }: Catch, user: Node): boolean {
  if (Array.isArray(scope)) return scope.includes(user.id);
  const { g: group } = user as { g?: unknown };
  return g === undefined || scope !== 'group' || group === g;
}

/**
 * Examples bring an ota-store each, and "Import copy" gives what isn't there yet a new id: the second example with
 * a store would bring a second one on the same file, and two of them refuse to work on one service. What was imported
 * goes to the store that was there before the import. Owns nothing that was deployed, and leaves a store alone that
 * differs, that came with the same import, or that a person made.
 */

/** A node that has just been imported, with those that use it where it is a config node. */
interface ImportedNode extends EditorNode {
  readonly changed?: boolean;
  users?: EditorNode[];
}

/** What an import can be undone by. */
interface UndoEvent {
  nodes?: unknown[];
  events?: UndoEvent[];
}

const SETTINGS = ['driver', 'file', 'schema', 'z', 'd'];

/** The ids of the stores of the import that is going on. It adds config nodes first, all in one turn of the event loop. */
const imported = new Set<string>();

/** To be called once, when the editor loads. */
export function keepOneStore(): void {
  RED.events.on('nodes:add', (node: ImportedNode) => {
    if (node.changed !== true) return;
    if (node.type === 'ota-store') {
      if (imported.size === 0) setTimeout(() => imported.clear());
      imported.add(node.id);
      return;
    }
    const store = storeOf(node);
    const twin = store === null ? null : twinOf(store);
    if (store === null || twin === null) return;
    node['store'] = twin.id;
    store.users = store.users?.filter(({ id }) => id !== node.id) ?? [];
    twin.users?.push(node);
    // The import ends, and says how it is undone, in this turn of the event loop.
    setTimeout(() => removeUnused(store));
  });
}

/** The store that came with a node; null where it was there before. */
function storeOf(node: EditorNode): ImportedNode | null {
  const store = RED.nodes.node(node['store']) as ImportedNode | null | undefined;
  return store?.type === 'ota-store' && imported.has(store.id) ? store : null;
}

/** A store for the same file that was there before the import, deployed or not. A database's address is a secret that isn't known here. */
function twinOf(store: ImportedNode): ImportedNode | null {
  let twin: ImportedNode | null = null;
  RED.nodes.eachConfig((other: ImportedNode) => {
    const isLike = SETTINGS.every((name) => (other[name] ?? '') === (store[name] ?? ''));
    if (twin === null && other.type === 'ota-store' && !imported.has(other.id) && isLike) twin = other;
  });
  return store['driver'] === 'postgres' ? null : twin;
}

function removeUnused({ id, users = [] }: ImportedNode): void {
  if (users.length > 0 || RED.nodes.node(id) === null) return;
  RED.nodes.remove(id);
  const forget = (event: UndoEvent | undefined): void => {
    if (event?.nodes !== undefined) event.nodes = event.nodes.filter((one) => one !== id);
    event?.events?.forEach(forget);
  };
  forget(RED.history.peek());
}

/**
 * The open dialog: what its fields hold now, before a node has it. A validator asks here, because whether a
 * value is right may depend on another field (the side, the scheme).
 */

type Prefix = 'node-input' | 'node-config-input';

let open: { id: string; prefix: Prefix } | null = null;

/**
 * To be called first in `oneditprepare`. A setting that the flow file doesn't have shows its default: as it
 * counts, and as Done would otherwise not write it.
 */
export function dialogOpened(node: EditorNode, prefix: Prefix = 'node-input'): void {
  open = { id: node.id, prefix };
  for (const [name, { value, type }] of Object.entries(node._def.defaults)) {
    if (node[name] !== undefined || value === undefined || type !== undefined) continue;
    const input = $(`#${prefix}-${name}`);
    if (input.attr('type') === 'checkbox') input.prop('checked', value);
    else input.val(String(value));
  }
}

/** To be called in `oneditsave` and `oneditcancel`. */
export function dialogClosed(): void {
  open = null;
}

/** The value in the open dialog of this node, else the node's own. */
export function current(node: EditorNode, property: string): unknown {
  if (open === null || open.id !== node.id) return node[property];
  const input = $(`#${open.prefix}-${property}`);
  if (input.length === 0) return node[property];
  return input.attr('type') === 'checkbox' ? input.prop('checked') : input.val();
}

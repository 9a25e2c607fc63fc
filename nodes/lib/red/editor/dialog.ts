/**
 * The open dialog: what its fields hold now, before a node has it. A validator asks here, because whether a
 * value is right may depend on another field (the side, the scheme).
 */

import { SETTINGS_VERSION, settingsVersionOf, takeSteps } from '../../rules';

type Prefix = 'node-input' | 'node-config-input';

let open: { id: string; prefix: Prefix } | null = null;

/**
 * To be called first in `oneditprepare`. The settings of an older release show as the runtime reads them, and one
 * that the flow file doesn't have shows its default: as it counts, and as Done would otherwise not write it.
 */
export function dialogOpened(node: EditorNode, prefix: Prefix = 'node-input'): void {
  open = { id: node.id, prefix };
  const version = settingsVersionOf(node);
  const settings = version === null ? node : takeSteps(node.type, node, version);
  for (const [name, { value, type }] of Object.entries(node._def.defaults)) {
    // What stands in the node is in its field already.
    const isShown = node[name] !== undefined && settings[name] === node[name];
    const shown = settings[name] === undefined ? value : (settings[name] as typeof value);
    if (isShown || shown === undefined || type !== undefined) continue;
    const input = $(`#${prefix}-${name}`);
    if (input.attr('type') === 'checkbox') input.prop('checked', shown);
    else input.val(String(shown));
  }
}

/** To be called in `oneditsave`: what the fields hold is of this release. */
export function dialogSaved(node: EditorNode): void {
  dialogClosed();
  const version = settingsVersionOf(node);
  if (version !== null && version < SETTINGS_VERSION) node['settingsVersion'] = String(SETTINGS_VERSION);
}

/** To be called in `oneditcancel`. */
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

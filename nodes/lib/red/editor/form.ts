/** What the nodes' dialogs have in common: rows and ports that follow the side, credentials, the folded part. */
import type { Side } from '../../rules';

export interface Ports {
  readonly inputs: number;
  readonly outputs: number;
}

/**
 * Shows the rows of the chosen side (classes `ota-platform` and `ota-device`) and sets the ports. `inputs`
 * and `outputs` are settings with hidden fields: Node-RED takes wires off that no longer fit.
 */
export function followSide(ports: (side: Side) => Ports, alsoOn = ''): void {
  const update = (): void => {
    const side: Side = $('#node-input-side').val() === 'device' ? 'device' : 'platform';
    $('#dialog-form .ota-platform').toggle(side === 'platform');
    $('#dialog-form .ota-device').toggle(side === 'device');
    const { inputs, outputs } = ports(side);
    $('#node-input-inputs').val(inputs);
    $('#node-input-outputs').val(outputs);
  };
  $(`#node-input-side${alsoOn === '' ? '' : `, ${alsoOn}`}`).on('change', update);
  update();
}

/**
 * Says outright that no credential of this name is stored where none is: else Node-RED takes "unknown" for a
 * change at the first Done, and undo fails.
 */
export function prepareCredential(node: EditorNode, name: string): void {
  const known = node.credentials;
  if (known === undefined) return;
  for (const part of [known, known._]) {
    if (part !== undefined && part[`has_${name}`] === undefined) part[`has_${name}`] = false;
  }
}

/** Opens the folded part where something in it is wrong: nobody should have to search for it. */
export function openWhereWrong(form: string): void {
  setTimeout(() => {
    $(`${form} details`).each((_, details) => {
      if ($(details).find('.input-error').length > 0) $(details).prop('open', true);
    });
  });
}

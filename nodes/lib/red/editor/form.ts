/** What the nodes' dialogs have in common: rows and ports that follow the side, credentials, the folded part. */
import type { Side } from '../../rules';
import type { Texts } from './texts';

/** What Node-RED puts into the field of a credential that is stored. */
export const STORED = '__PWRD__';

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

/**
 * Prepares a credential's field: see `prepareCredential`, and an eye beside it that shows what is typed. What is
 * stored never comes to the browser: there the eye is blind until something new is typed.
 */
export function secretField(node: EditorNode, name: string, texts: Texts, prefix = 'node-input'): void {
  prepareCredential(node, name);
  const input = $(`#${prefix}-${name}`);
  const eye = $('<button type="button" class="red-ui-button ota-eye"><i class="fa fa-eye"></i></button>');
  const update = (): void => {
    const shown = input.attr('type') === 'text';
    const text = texts(shown ? 'common.label.hideSecret' : 'common.label.showSecret');
    eye.attr({ title: text, 'aria-label': text, 'aria-pressed': String(shown) });
    eye.find('i').attr('class', shown ? 'fa fa-eye-slash' : 'fa fa-eye');
    eye.prop('disabled', input.val() === STORED);
  };
  eye.on('click', () => {
    input.attr('type', input.attr('type') === 'text' ? 'password' : 'text');
    update();
  });
  input.addClass('ota-secret').after(eye).on('input change', update);
  update();
}

/** Opens the folded part where something in it is wrong: nobody should have to search for it. */
export function openWhereWrong(form: string): void {
  setTimeout(() => {
    $(`${form} details`).each((_, details) => {
      if ($(details).find('.input-error').length > 0) $(details).prop('open', true);
    });
  });
}

/** Whether a service holds the gateway's own access token: then a device side needs none of its own. */
import { current } from './dialog';
import type { Texts } from './texts';

/** By service: what Node-RED answered. The token itself never comes to the browser. */
const stored = new Map<string, boolean>();

/** True where the service that the node has now holds a token, as far as that is known. */
export function serviceHasToken(node: EditorNode): boolean {
  const id = current(node, 'service');
  const service = RED.nodes.node(id) ?? null;
  if (service === null) return false;
  const { credentials } = service;
  if (credentials !== undefined)
    return !!credentials['accessToken'] || credentials['has_accessToken'] === true;
  return stored.get(service.id) === true;
}

/** To be called in `oneditprepare`: asks Node-RED for each service that is chosen, and checks the token anew. */
export function lookForServiceToken(node: EditorNode, texts: Texts): void {
  const token = $('#node-input-accessToken');
  const update = (): void => {
    const key = serviceHasToken(node) ? 'serviceToken' : 'accessToken';
    token.attr('placeholder', texts(`common.placeholder.${key}`)).trigger('change');
  };
  const look = (): void => {
    const id = String($('#node-input-service').val() ?? '');
    update();
    if (stored.has(id) || (RED.nodes.node(id) ?? null) === null) return;
    void $.getJSON(`credentials/ota-service/${encodeURIComponent(id)}`).then(
      (found: { has_accessToken?: boolean }) => {
        stored.set(id, found.has_accessToken === true);
        update();
      },
    );
  };
  $('#node-input-service').on('change', look);
  look();
}

/** To be called when a service was saved: what it holds may be another now. */
export function forgetServiceToken(id: string): void {
  stored.delete(id);
}

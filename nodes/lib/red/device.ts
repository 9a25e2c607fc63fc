/** The device side: whose token a message goes out with. */
import type { Node } from 'node-red';
import { EVERY_DEVICE, type Identity, OtaError } from '../protocol';
import { isBlankToken } from '../rules';
import type { Message } from './input';
import type { ServiceUse } from './service';

/** The token stored with a node, trimmed; empty where there is none. */
export function storedToken(node: Node): string {
  const credentials = node.credentials as { accessToken?: unknown } | undefined;
  const token = credentials?.accessToken;
  return typeof token === 'string' ? token.trim() : '';
}

/** The node's own token, else the one that its service holds for all of this gateway; empty where there is none. */
export function ownToken(node: Node, service: ServiceUse): string {
  return storedToken(node) || service.accessToken;
}

/** `msg.accessToken`, else the node's own. @throws OtaError OTA_BAD_TOKEN */
export function tokenToSend(msg: Partial<Message>, own: string, identity: Identity): string {
  const given = (msg as { accessToken?: unknown }).accessToken;
  if (given !== undefined && given !== null && given !== '') {
    // Blanks were meant to name a device: another one, the node's own, must not speak for it.
    return identity.check(isBlankToken(given) ? '' : given);
  }
  if (own === EVERY_DEVICE) {
    throw new OtaError(
      'OTA_BAD_TOKEN',
      'The token "+" means every device: set msg.accessToken to say which device this message is from.',
    );
  }
  return identity.check(own);
}

/** The token to listen with: one device's, or `+`. @throws OtaError OTA_BAD_TOKEN */
export function tokenToHear(own: string, identity: Identity): string {
  return own === EVERY_DEVICE ? own : identity.check(own);
}

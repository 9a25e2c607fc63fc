/**
 * The AccessToken: a device's identity and secret. Owns how it is refused and how it is masked; what it may
 * look like is a rule of lib/rules.
 */
import { isToken } from '../rules';
import { OtaError } from './errors';
import { reasonText } from './reasons';

export { isToken };

/** The token, or an OTA_BAD_TOKEN that says what is wrong with it without showing it. */
export function checkToken(value: unknown): string {
  if (isToken(value)) return value;
  if (value === undefined || value === null || value === '') {
    throw new OtaError(
      'OTA_BAD_TOKEN',
      'No access token: set msg.accessToken, or type the token of the device into the node.',
    );
  }
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_TOKEN', `The access token must be text, not ${typeof value}.`);
  }
  const why = reasonText({ key: 'token' });
  throw new OtaError('OTA_BAD_TOKEN', `The access token "${maskToken(value)}" ${why}.`);
}

/** What of a token may be shown in a log, a status or an error: its first four characters at most. */
export function maskToken(token: string): string {
  const shown = Math.min(4, token.length >> 1);
  return token.slice(0, shown).replace(/[\p{Cc}\p{Cs}]/gu, '?') + '…';
}

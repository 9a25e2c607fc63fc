/**
 * The AccessToken: a device's identity and secret. Owns what a token may look like and how it is masked.
 */
import { OtaError } from './errors';

/** 1 to 128 characters without `/`, `+`, `#`, NUL and other control characters, and valid Unicode. */
const TOKEN = /^[^/+#\p{Cc}\p{Cs}]{1,128}$/u;

/** True where the value can stand as one level of a topic. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value);
}

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
  throw new OtaError(
    'OTA_BAD_TOKEN',
    `The access token "${maskToken(value)}" must have 1 to 128 characters, none of them "/", "+", "#" or a control character.`,
  );
}

/** What of a token may be shown in a log, a status or an error: its first four characters at most. */
export function maskToken(token: string): string {
  const shown = Math.min(4, token.length >> 1);
  return token.slice(0, shown).replace(/[\p{Cc}\p{Cs}]/gu, '?') + '…';
}

/**
 * What of a refused input may be logged: its keys and types. Values have brought tokens into logs, and so may keys: a
 * gateway's reports have those of its sub-devices there.
 */
import { isObject, parseBody } from './json';
import { maskToken } from './token';

/** Characters of a shape at most. */
export const SHOWN_CHARACTERS = 200;
/** Names of fields are shorter; tokens, and what was made of them, are longer or have digits in them. */
const MAX_KEY = 16;
const MAX_KEY_WITH_DIGIT = 8;
const MAX_KEYS = 20;
const MAX_LEVELS = 3;

/**
 * `{id: number, params: {version: string}}` of JSON, else how many bytes it is.
 * @param accessToken masked where it stands in a key
 */
export function shapeOf(body: Uint8Array, accessToken: string | null): string {
  let value: unknown;
  try {
    value = parseBody(body).object;
  } catch {
    return `${body.length} bytes that are no JSON object`;
  }
  const secrets =
    accessToken === null ? [] : [accessToken, ...accessToken.split('/')].filter((part) => part !== '');
  const shape = describe(value, secrets, 0);
  const points = Array.from(shape);
  return points.length <= SHOWN_CHARACTERS ? shape : `${points.slice(0, SHOWN_CHARACTERS - 1).join('')}…`;
}

function describe(value: unknown, secrets: readonly string[], level: number): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (!isObject(value)) return typeof value;
  const keys = Object.keys(value);
  if (keys.length === 0) return '{}';
  if (level === MAX_LEVELS) return 'object';
  const shown = keys
    .slice(0, MAX_KEYS)
    .map((key) => `${shownKey(key, secrets)}: ${describe(value[key], secrets, level + 1)}`);
  if (keys.length > MAX_KEYS) shown.push('…');
  return `{${shown.join(', ')}}`;
}

function shownKey(key: string, secrets: readonly string[]): string {
  const limit = /[0-9]/.test(key) ? MAX_KEY_WITH_DIGIT : MAX_KEY;
  const isSecret = secrets.some((secret) => formsOf(secret).some((form) => key.toLowerCase().includes(form)));
  const shown = isSecret || key.length > limit ? maskToken(key) : key;
  return shown.replace(/[\p{Cc}\p{Cs}]/gu, '\uFFFD');
}

/** A secret as it may stand in a text, in lower case. */
function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const forms = [
    secret,
    encodeURIComponent(secret),
    bytes.toString('hex'),
    bytes.toString('base64').replaceAll('=', ''),
    bytes.toString('base64url'),
  ];
  return forms.map((form) => form.toLowerCase());
}

/** What of a refused input may be logged: its keys and types. Values have brought tokens into logs. */
import { isObject, parseBody } from './json';
import { maskToken } from './token';

/** Characters of a shape at most. */
export const SHOWN_CHARACTERS = 200;
const MAX_KEY = 32;
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
  const secrets = accessToken === null || accessToken === '' ? [] : [accessToken, ...accessToken.split('/')];
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
  let shown = key;
  for (const secret of secrets) shown = shown.replaceAll(secret, maskToken(secret));
  if (shown.length > MAX_KEY) shown = `${shown.slice(0, 4)}…`;
  return shown.replace(/[\p{Cc}\p{Cs}]/gu, '\uFFFD');
}

/**
 * JSON from the wire, read defensively. Owns the limits of a message; must never throw anything but OtaError.
 */
import { isUtf8 } from 'node:buffer';
import { OtaError } from './errors';

/** The largest body that is read, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024;
/** The deepest nesting that is kept in extData: cloning deeper values fails in Node-RED. */
export const MAX_DEPTH = 32;
/** Stands for bytes that are no UTF-8. */
export const REPLACEMENT = '\uFFFD';

/** Keys that could reach a prototype when a flow copies an object. */
const UNSAFE_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/** A JSON object whose keys nobody has checked: read own keys with `field`. */
export type JsonObject = { readonly [key: string]: unknown };

/** A body that is a JSON object. */
export interface Body {
  readonly object: JsonObject;
  /** The JSON text: numbers beyond 2^53 stand there whole. */
  readonly text: string;
  /** True where bytes weren't UTF-8 and U+FFFD stands in their place. */
  readonly lossy: boolean;
}

/**
 * Parses a body: at most 64 KiB that are a JSON object. Devices in C send the NUL that ends a string, or a whole
 * buffer padded with them, white space among them; editors on Windows put a byte order mark in front. All are dropped.
 * @throws OtaError OTA_TOO_LARGE, OTA_BAD_MESSAGE
 */
export function parseBody(bytes: Uint8Array): Body {
  if (bytes.length > MAX_BODY_BYTES) {
    throw new OtaError(
      'OTA_TOO_LARGE',
      `A message of ${bytes.length} bytes; at most ${MAX_BODY_BYTES} are read.`,
    );
  }
  const json = withoutPadding(bytes);
  if (json.length === 0) throw new OtaError('OTA_BAD_MESSAGE', 'An empty message.');
  const lossy = !isUtf8(json);
  let text = json.toString('utf8');
  let value = tryParse(text);
  if (value === undefined && lossy) {
    text = withoutDoubleBytes(json);
    value = tryParse(text);
  }
  if (value === undefined) {
    throw new OtaError('OTA_BAD_MESSAGE', `The message is not ${lossy ? 'UTF-8' : 'JSON'}.`);
  }
  if (!isObject(value)) throw new OtaError('OTA_BAD_MESSAGE', 'The message is JSON, but not an object.');
  return { object: value, text, lossy };
}

/** NUL, and JSON's white space: tab, line feed, carriage return, blank. */
const PADDING = new Set<number | undefined>([0, 0x09, 0x0a, 0x0d, 0x20]);

/** The bytes without what stands before and after, in any order: NULs, white space, in front a byte order mark. */
function withoutPadding(bytes: Uint8Array): Buffer {
  let start = 0;
  let end = bytes.length;
  for (;;) {
    if (PADDING.has(bytes[start])) start += 1;
    else if (isByteOrderMark(bytes, start)) start += 3;
    else break;
  }
  while (end > start && PADDING.has(bytes[end - 1])) end -= 1;
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start);
}

function isByteOrderMark(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf;
}

/** undefined where it isn't JSON, which JSON itself can't say. */
function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * Text whose characters of two bytes (GBK) are replaced as a whole: the second byte may be a backslash, which
 * would escape the quotation mark behind it.
 */
function withoutDoubleBytes(json: Buffer): string {
  return new TextDecoder('gbk').decode(json).replace(/[^\0-\x7f]/g, REPLACEMENT);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own field of an object of unknown origin; inherited ones don't count. */
export function field(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

/** False for the keys that could reach a prototype. */
export function isSafeKey(key: string): boolean {
  return !UNSAFE_KEYS.has(key);
}

/**
 * A copy of a JSON value without `__proto__`, `constructor` and `prototype` keys at any level.
 * @throws OtaError OTA_BAD_MESSAGE where it is nested deeper than 32 levels.
 */
export function safeCopy(value: unknown, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) {
    throw new OtaError('OTA_BAD_MESSAGE', `The message is nested deeper than ${MAX_DEPTH} levels.`);
  }
  if (Array.isArray(value)) return value.map((item) => safeCopy(item, depth + 1));
  const copy: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    if (isSafeKey(key)) copy[key] = safeCopy(item, depth + 1);
  }
  return copy;
}

/** A text field: null where absent or null, else text. @throws OtaError OTA_BAD_MESSAGE on another type. */
export function optionalText(object: JsonObject, key: string): string | null {
  const value = field(object, key);
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_MESSAGE', `"${key}" must be text, not ${typeName(value)}.`);
  }
  return value;
}

/** An object field that must be there. @throws OtaError OTA_BAD_MESSAGE */
export function requiredObject(object: JsonObject, key: string): JsonObject {
  const value = field(object, key);
  if (!isObject(value)) throw new OtaError('OTA_BAD_MESSAGE', `"${key}" must be an object.`);
  return value;
}

export function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'an array' : typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}

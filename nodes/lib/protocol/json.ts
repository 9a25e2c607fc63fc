/**
 * JSON from the wire, read defensively. Owns the limits of a message; must never throw anything but OtaError.
 */
import { isUtf8 } from 'node:buffer';
import { OtaError } from './errors';

/** The largest body that is read, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024;
/** The deepest nesting that is kept in extData: cloning deeper values fails in Node-RED. */
export const MAX_DEPTH = 32;

/** Keys that could reach a prototype when a flow copies an object. */
const UNSAFE_KEYS = new Set(['__proto__', 'constructor', 'prototype']);

/** A JSON object whose keys nobody has checked: read own keys with `field`. */
export type JsonObject = { readonly [key: string]: unknown };

/** Parses a body: at most 64 KiB of UTF-8 that is a JSON object; else OTA_TOO_LARGE or OTA_BAD_MESSAGE. */
export function parseObject(body: Uint8Array): JsonObject {
  if (body.length > MAX_BODY_BYTES) {
    throw new OtaError(
      'OTA_TOO_LARGE',
      `A message of ${body.length} bytes; at most ${MAX_BODY_BYTES} are read.`,
    );
  }
  if (body.length === 0) throw new OtaError('OTA_BAD_MESSAGE', 'An empty message.');
  if (!isUtf8(body)) throw new OtaError('OTA_BAD_MESSAGE', 'The message is not UTF-8.');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'));
  } catch {
    throw new OtaError('OTA_BAD_MESSAGE', 'The message is not JSON.');
  }
  if (!isObject(value)) throw new OtaError('OTA_BAD_MESSAGE', 'The message is JSON, but not an object.');
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An own field of an object of unknown origin; inherited ones don't count. */
export function field(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
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
    if (!UNSAFE_KEYS.has(key)) copy[key] = safeCopy(item, depth + 1);
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

/** A text field that must be there and not empty. @throws OtaError OTA_BAD_MESSAGE */
export function requiredText(object: JsonObject, key: string): string {
  const value = optionalText(object, key);
  if (value === null || value === '') throw new OtaError('OTA_BAD_MESSAGE', `"${key}" is missing.`);
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

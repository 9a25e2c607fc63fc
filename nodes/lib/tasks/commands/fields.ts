/**
 * How the fields of a message are read: texts, numbers, lists, times. Pure. What is wrong is an `OtaError`
 * OTA_BAD_INPUT that names the field.
 */
import {
  field,
  isBlank,
  type JsonObject,
  MAX_PAGE,
  MAX_PAGE_SIZE,
  OtaError,
  PAGE_SIZE,
  readFlag,
  readTime,
  readWhole,
  typeName,
} from '../../protocol';
import { MAX_NOTE } from '../../rules';

export function bad(name: string, why: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `"${name}" ${why}.`);
}

/** A text; blank where it is absent. */
export function optional(payload: JsonObject, name: string, max = 1024): string {
  const value = field(payload, name);
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw bad(name, `must be text, not ${typeName(value)}`);
  if (value.length > max) throw bad(name, `must have at most ${max} characters`);
  return storable(value);
}

export function required(payload: JsonObject, name: string, max?: number): string {
  const value = optional(payload, name, max);
  if (value === '') throw bad(name, 'is missing');
  return value;
}

/** A text that is kept with what a person did; null where it is absent. */
export function note(payload: JsonObject, name: string): string | null {
  const value = optional(payload, name, MAX_NOTE);
  return value === '' ? null : value;
}

export function flag(payload: JsonObject, name: string): boolean {
  const value = readFlag(field(payload, name));
  if (value === null) throw bad(name, 'must be true or false');
  return value;
}

/** A whole number from 1 on, also as text. */
export function whole(payload: JsonObject, name: string, byDefault: number, max: number): number {
  const value = readWhole(field(payload, name), byDefault, max);
  if (value === null) throw bad(name, `must be a whole number between 1 and ${max}`);
  return value;
}

export function readPage(payload: JsonObject): { page: number; pageSize: number } {
  return {
    page: whole(payload, 'page', 1, MAX_PAGE),
    pageSize: whole(payload, 'pageSize', PAGE_SIZE, MAX_PAGE_SIZE),
  };
}

/** One of some words; null where it is absent, or "all". */
export function oneOf<T extends string>(payload: JsonObject, name: string, among: readonly T[]): T | null {
  const value = field(payload, name);
  if (isBlank(value) || value === 'all') return null;
  const found = among.find((word) => word === value);
  if (found === undefined) throw bad(name, `must be one of ${among.join(', ')}`);
  return found;
}

/** One word or a list of them; null where it is absent. */
export function someOf<T extends string>(
  payload: JsonObject,
  name: string,
  among: readonly T[],
): readonly T[] | null {
  const value = field(payload, name);
  if (isBlank(value)) return null;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  return list.map((item) => {
    const found = among.find((word) => word === item);
    if (found === undefined) throw bad(name, `must be one of ${among.join(', ')}, or a list of these`);
    return found;
  });
}

/** Texts, also a single one; null where it is absent. */
export function texts(value: unknown, name: string, max = 100): readonly string[] | null {
  if (isBlank(value)) return null;
  const list: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (list.length === 0 || list.length > max)
    throw bad(name, `must be a text, or a list of 1 to ${max} texts`);
  return list.map((item) => {
    if (typeof item !== 'string' || item === '')
      throw bad(name, `must be a text, or a list of 1 to ${max} texts`);
    return storable(item);
  });
}

/** Wall clock, milliseconds; null where it is absent. */
export function time(payload: JsonObject, name: string): number | null {
  const value = field(payload, name);
  if (isBlank(value)) return null;
  const at = typeof value === 'number' ? value : readTime(value);
  if (!Number.isFinite(at) || Math.abs(at) > 8.64e15) {
    throw bad(name, 'must be a time such as "2026-01-31T02:00:00Z"');
  }
  return Math.round(at);
}

/** Databases keep neither NUL nor half a character: in their place stands another that no topic takes. */
export function storable(text: string): string {
  return text.replace(/[\0\p{Cs}]/gu, '\u0001');
}

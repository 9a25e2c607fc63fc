/**
 * Rules of plain values: numbers, words, true or false, lists. A setting is a text, a field of a message has a
 * type: both are taken. Pure; runs in the browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';

export interface NumberLimits {
  readonly min: number;
  /** Absent: no upper limit. */
  readonly max?: number;
  readonly integer?: boolean;
}

/** A number, or its text. */
export function numberRule({ min, max, integer = false }: NumberLimits): Rule<number> {
  const outside = max === undefined ? refused('atLeast', { min }) : refused('between', { min, max });
  return {
    accepts: { kind: 'number', min, max: max ?? null, integer },
    read(value) {
      const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isFinite(number)) return refused('number');
      if (integer && !Number.isInteger(number)) return refused('integer');
      return number < min || number > (max ?? Number.MAX_SAFE_INTEGER) ? outside : taken(number);
    },
  };
}

/** One of a list of words. */
export function choiceRule<const T extends string>(words: readonly T[]): Rule<T> {
  return {
    accepts: { kind: 'choice', words },
    read(value) {
      const found = words.find((word) => word === value);
      return found === undefined ? refused('choice', { words: words.join(', ') }) : taken(found);
    },
  };
}

/** A checkbox; in texts `true`, `false`, `1` and `0`, in any case. */
export const flagRule: Rule<boolean> = {
  accepts: { kind: 'flag' },
  read(value) {
    if (typeof value === 'boolean') return taken(value);
    const text = typeof value === 'string' ? value.trim().toLowerCase() : '';
    if (text === 'true' || text === '1') return taken(true);
    return text === 'false' || text === '0' ? taken(false) : refused('flag');
  },
};

/** The items of a list at most. */
export const MAX_LIST = 100;

/** A list, or its JSON, or texts parted by commas. */
export function readList(value: unknown): Reading<readonly unknown[]> {
  const list = typeof value === 'string' ? parseList(value.trim()) : value;
  return Array.isArray(list) && list.length <= MAX_LIST
    ? taken(list as unknown[])
    : refused('list', { max: MAX_LIST });
}

function parseList(text: string): unknown {
  if (text.startsWith('[')) return parseJson(text);
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** What a JSON text says; undefined where it isn't one. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

export function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

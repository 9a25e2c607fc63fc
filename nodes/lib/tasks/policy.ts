/**
 * The policy of a task: its defaults, its ranges, and how it is read from a message. Pure.
 */
import { isObject, type JsonObject, OtaError, typeName } from '../protocol';
import { DAYS, type Day, FAIL_REASONS, type FailReason, type Policy, type TimeWindow } from './types';

/** Trying these again would end the same way, until a person has looked at them. */
const NOT_RETRIED: readonly string[] = ['refused', 'incompatible', 'version-mismatch', 'rolled-back'];

export const DEFAULT_POLICY: Policy = {
  success: 'progress',
  offline: 'fail',
  waitLimit: 7 * 24 * 3600,
  seenWithin: 30 * 24 * 3600,
  repush: 3,
  noResponse: 300,
  stalled: 1800,
  confirm: 600,
  retries: 0,
  retryDelay: 60,
  perMinute: 1000,
  concurrency: 0,
  waves: [100],
  successThreshold: 100,
  failureThreshold: 0,
  minExecuted: 10,
  onFailure: 'pause',
  window: null,
  skipCurrent: true,
  fromVersions: [],
  waveAdvance: 'ended',
  soak: 0,
  afterWave: 'next',
  maxWaiting: 50,
  supersede: false,
  retryOn: FAIL_REASONS.filter((reason) => !NOT_RETRIED.includes(reason)),
  retryBackoff: 'fixed',
};

/** Ten years: beyond it a limit is a mistake, and times would leave the safe range. */
const MAX_SECONDS = 10 * 365 * 24 * 3600;
const MAX_LIST = 100;

type Reader<T> = (value: unknown, name: string) => T;

const READERS: { readonly [K in keyof Policy]: Reader<Policy[K]> } = {
  success: oneOf(['progress', 'version']),
  offline: oneOf(['fail', 'wait']),
  waitLimit: number(1, MAX_SECONDS),
  seenWithin: number(1, MAX_SECONDS),
  repush: integer(0, 1000),
  noResponse: number(0.1, MAX_SECONDS),
  stalled: number(0.1, MAX_SECONDS),
  confirm: number(0, MAX_SECONDS),
  retries: integer(0, 1000),
  retryDelay: number(0, MAX_SECONDS),
  perMinute: number(0, 10_000_000),
  concurrency: integer(0, 100_000_000),
  waves: readWaves,
  successThreshold: number(0, 100),
  failureThreshold: number(0, 100),
  minExecuted: integer(1, 100_000_000),
  onFailure: oneOf(['pause', 'cancel']),
  window: readWindow,
  skipCurrent: boolean,
  fromVersions: texts,
  waveAdvance: oneOf(['ended', 'threshold']),
  soak: number(0, MAX_SECONDS),
  afterWave: oneOf(['next', 'pause']),
  maxWaiting: number(0, 100),
  supersede: boolean,
  retryOn: readReasons,
  retryBackoff: oneOf(['fixed', 'exponential']),
};

export const POLICY_FIELDS = Object.keys(READERS) as (keyof Policy)[];

/**
 * A whole policy: what `input` says, else `defaults`. Numbers and lists may be texts, as settings are.
 * @param prefix stands before the field's name in an error, e.g. `policy.`
 * @throws OtaError OTA_BAD_INPUT naming the field
 */
export function readPolicy(input: unknown, defaults: Policy = DEFAULT_POLICY, prefix = 'policy.'): Policy {
  if (input === undefined || input === null) return defaults;
  if (!isObject(input)) throw bad('policy', `must be an object, not ${typeName(input)}`);
  checkNames(input, prefix);
  const entries = POLICY_FIELDS.map((name) => [name, readField(input, name, defaults, prefix)] as const);
  return Object.fromEntries(entries) as unknown as Policy;
}

/**
 * Those fields of a policy that `input` has: a part of one. A blank field stands for its default.
 * @throws OtaError OTA_BAD_INPUT naming the field
 */
export function readPolicyPart(input: JsonObject, prefix = 'policy.'): Partial<Policy> {
  checkNames(input, prefix);
  const names = POLICY_FIELDS.filter((name) => Object.hasOwn(input, name) && input[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, readField(input, name, DEFAULT_POLICY, prefix)]));
}

function checkNames(input: JsonObject, prefix: string): void {
  for (const name of Object.keys(input)) {
    if (!Object.hasOwn(READERS, name)) throw bad(prefix + name, 'is no field of a policy');
  }
}

function readField(input: JsonObject, name: keyof Policy, defaults: Policy, prefix: string): unknown {
  const value = Object.hasOwn(input, name) ? input[name] : undefined;
  if (value === undefined || value === '' || (value === null && name !== 'window')) return defaults[name];
  return READERS[name](value, prefix + name);
}

function oneOf<T extends string>(words: readonly T[]): Reader<T> {
  return (value, name) => {
    const found = words.find((word) => word === value);
    if (found === undefined) throw bad(name, `must be one of ${words.join(', ')}`);
    return found;
  };
}

function number(min: number, max: number): Reader<number> {
  return (value, name) => {
    const read = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
    if (typeof read !== 'number' || !Number.isFinite(read) || read < min || read > max) {
      throw bad(name, `must be a number between ${min} and ${max}`);
    }
    return read;
  };
}

function integer(min: number, max: number): Reader<number> {
  const read = number(min, max);
  return (value, name) => {
    const found = read(value, name);
    if (!Number.isInteger(found)) throw bad(name, `must be a whole number between ${min} and ${max}`);
    return found;
  };
}

function boolean(value: unknown, name: string): boolean {
  if (value === true || value === 'true') return true;
  if (value === false || value === 'false') return false;
  throw bad(name, 'must be true or false');
}

/** A list, or its JSON, or texts parted by commas. */
function asList(value: unknown, name: string): readonly unknown[] {
  const list = typeof value === 'string' ? parseList(value) : value;
  if (!Array.isArray(list) || list.length > MAX_LIST) {
    throw bad(name, `must be a list of at most ${MAX_LIST}`);
  }
  return list;
}

function parseList(value: string): unknown {
  const trimmed = value.trim();
  if (!trimmed.startsWith('[')) {
    return trimmed
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }
  return parseJson(trimmed);
}

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return undefined;
  }
}

function readWaves(value: unknown, name: string): readonly number[] {
  const read = number(0, 100);
  const waves = asList(value, name).map((item) => read(item, name));
  const rising = waves.every((wave, i) => wave > (waves[i - 1] ?? 0));
  if (!rising || waves.at(-1) !== 100) {
    throw bad(name, 'must be rising percentages, the last of them 100, e.g. [1, 10, 50, 100]');
  }
  return waves;
}

function texts(value: unknown, name: string): readonly string[] {
  return asList(value, name).map((item) => {
    if (typeof item !== 'string' || item === '') throw bad(name, 'must be a list of versions (texts)');
    return item;
  });
}

function readReasons(value: unknown, name: string): readonly FailReason[] {
  return asList(value, name).map((item) => {
    const found = FAIL_REASONS.find((reason) => reason === item);
    if (found === undefined) throw bad(name, `must be a list of reasons: ${FAIL_REASONS.join(', ')}`);
    return found;
  });
}

const WINDOW_FIELDS: readonly string[] = ['from', 'to', 'timeZone', 'days'];
const TIME = /^([01][0-9]|2[0-3]):[0-5][0-9]$/;

function readWindow(value: unknown, name: string): TimeWindow | null {
  if (value === null) return null;
  const read = typeof value === 'string' ? parseWindow(value) : value;
  if (read === null) return null;
  if (!isObject(read))
    throw bad(name, 'must be null, {from: "01:00", to: "05:00", timeZone}, or "01:00-05:00 Europe/Berlin"');
  const extra = Object.keys(read).find((key) => !WINDOW_FIELDS.includes(key));
  if (extra !== undefined)
    throw bad(`${name}.${extra}`, 'is no field of a window: use {from, to, timeZone, days}');
  const time = (key: 'from' | 'to'): string => {
    const text = read[key];
    if (typeof text !== 'string' || !TIME.test(text))
      throw bad(`${name}.${key}`, 'must be a time such as "01:00"');
    return text;
  };
  const from = time('from');
  const to = time('to');
  if (from === to) throw bad(name, 'must not begin and end at the same time');
  const zone = read['timeZone'];
  const timeZone =
    zone === undefined || zone === null || zone === ''
      ? new Intl.DateTimeFormat().resolvedOptions().timeZone
      : zone;
  if (typeof timeZone !== 'string' || !isTimeZone(timeZone)) {
    throw bad(`${name}.timeZone`, 'must be the name of a time zone such as "Europe/Berlin"');
  }
  const days = readDays(read['days'], `${name}.days`);
  return days === null ? { from, to, timeZone } : { from, to, timeZone, days };
}

/** The days of a window in their order, each once; null for every day. */
function readDays(value: unknown, name: string): readonly Day[] | null {
  if (value === undefined || value === null || value === '') return null;
  const given = asList(value, name);
  const wrong = given.find((day) => !DAYS.some((known) => known === day));
  if (wrong !== undefined || given.length === 0) {
    throw bad(name, `must be a list of days, of ${DAYS.join(', ')}`);
  }
  const days = DAYS.filter((day) => given.includes(day));
  return days.length === DAYS.length ? null : days;
}

/** `01:00-05:00 Europe/Berlin mon,tue`, as a setting has it; or JSON. Zone and days may be left out. */
function parseWindow(value: string): unknown {
  const found =
    /^\s*([0-9:]{5})\s*-\s*([0-9:]{5})(?:\s+(?!(?:mon|tue|wed|thu|fri|sat|sun)\b)(\S+))?(?:\s+([a-z,]+))?\s*$/.exec(
      value,
    );
  if (found === null) return parseJson(value);
  return { from: found[1], to: found[2], timeZone: found[3], days: found[4] };
}

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function bad(field: string, why: string): OtaError {
  return new OtaError('OTA_BAD_INPUT', `"${field}" ${why}.`);
}

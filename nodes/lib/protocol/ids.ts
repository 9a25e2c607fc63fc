/**
 * Message ids: a decimal string of exactly 10 digits, at most 4294967295 (devices keep it in 32 bits),
 * unique per device, also across restarts and instances: from the time in tenths of a second, a counter, and a
 * random number of each process.
 */
import { randomInt } from 'node:crypto';
import { OtaError } from './errors';
import { field, type JsonObject, typeName } from './json';

const FIRST = 1_000_000_000;
const RANGE = 4_294_967_296 - FIRST;
/**
 * Ids of one device in a tenth of a second; more run ahead of the time. So a burst of a thousand is behind the time
 * again after two seconds; in exchange the range begins anew after two months.
 */
const EACH_TENTH = 64;

/** Gives the next id for one device. */
export type IdSource = (accessToken: string) => string;

/**
 * Makes a source of ids. Two devices may get the same id, one device never does from one source: a counter for
 * each device runs ahead of the time. Another source, of another instance or after a restart, begins elsewhere in
 * the range, also where its clock says the same or went back: one of its ids is a given one once in three thousand
 * million.
 * @param tenths the time in tenths of a second; must never go backwards.
 * @param start where in the range the ids begin
 */
export function createIdSource(
  tenths: () => number = monotonicTenths(),
  start: number = randomInt(RANGE),
): IdSource {
  const last = new Map<string, number>();
  let first = -1;
  let highest = -1;
  return (accessToken) => {
    const now = tenths() * EACH_TENTH;
    if (now > first) {
      first = now;
      // A device whose last id lies in the past needs no counter: this keeps the map small.
      if (highest < now) last.clear();
      else for (const [token, used] of last) if (used < now) last.delete(token);
    }
    const used = last.get(accessToken);
    const next = used === undefined ? first : Math.max(first, used + 1);
    last.set(accessToken, next);
    highest = Math.max(highest, next);
    return String(FIRST + (((next % RANGE) + start) % RANGE));
  };
}

/** Wall-clock time at the start, a steady clock from then on: a jump of the clock repeats no id. */
function monotonicTenths(): () => number {
  const start = Date.now() - performance.now();
  return () => Math.floor((start + performance.now()) / 100);
}

/** The source that everything in this process shares, so that a redeploy repeats no id. */
export const nextId: IdSource = createIdSource();

/** Ids that are unique over all devices of this process: where an answer names nothing but the id. */
export const nextSharedId: IdSource = () => nextId(SHARED);
/** The name of no device. */
const SHARED = '';

/** The longest id that is read. It is kept to know a repeat: a device must not choose how much memory. */
export const MAX_ID = 128;

/** A key `id` with an integer that a number of JavaScript can't hold. */
const LONG_ID = /"id"\s*:\s*(-?[0-9]{16,128})(?![0-9.eE])/g;

/**
 * Reads an id: text or a number, kept as text; null where absent or empty.
 * @param text the JSON that the object comes from: an integer beyond 2^53 is taken from there, digit by digit.
 * @throws OtaError OTA_BAD_MESSAGE
 */
export function readId(object: JsonObject, text: string): string | null {
  const value = field(object, 'id');
  // Two empty ids are no repeat of each other: they are no ids.
  if (value === undefined || value === null || value === '') return null;
  if (typeof value === 'string') {
    if (value.length <= MAX_ID) return value;
    throw new OtaError('OTA_BAD_MESSAGE', `"id" has ${value.length} characters; at most ${MAX_ID} are read.`);
  }
  if (typeof value === 'number') {
    if (Math.abs(value) <= Number.MAX_SAFE_INTEGER) return String(value);
    // Beyond 2^53 two ids could become one, and the second upgrade would be dropped as a repeat.
    for (const [, digits] of text.matchAll(LONG_ID)) if (Number(digits) === value) return digits ?? null;
  }
  const what = typeof value === 'number' ? 'a number beyond 2^53' : typeName(value);
  throw new OtaError('OTA_BAD_MESSAGE', `"id" must be text or a number, not ${what}.`);
}

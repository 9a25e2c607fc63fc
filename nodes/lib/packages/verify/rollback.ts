/** The rollback guard: is a version lower than the device's own? Pure. */
import { OtaError } from '../../protocol';

/** Something in front (`v`, `fw-`), then numbers with dots, dashes or underscores between, then the rest. */
const VERSION = /^[^0-9]*([0-9]+(?:[._-][0-9]+)*)(.*)$/su;

interface Version {
  readonly numbers: readonly bigint[];
  /** What follows the numbers; build information (`+…`) doesn't count. */
  readonly rest: string;
}

/**
 * Refuses a version that is lower than `current`, or that can't be compared with it.
 * @throws OtaError OTA_ROLLBACK
 */
export function refuseRollback(version: string, current: unknown): void {
  if (typeof current !== 'string' || current === '') {
    throw new OtaError('OTA_ROLLBACK', 'The rollback guard needs the running version in msg.currentVersion.');
  }
  const order = compareVersions(version, current);
  if (order === null) {
    throw new OtaError('OTA_ROLLBACK', `Version ${cut(version)} can't be compared with ${cut(current)}.`);
  }
  if (order < 0) {
    throw new OtaError('OTA_ROLLBACK', `Version ${cut(version)} is lower than the running ${cut(current)}.`);
  }
}

/**
 * Negative, 0 or positive as `a` is lower, the same or higher; null where nobody can tell. `1.10` is higher
 * than `1.9`, `1.0` is `1.0.0`, `1.0-rc1` is lower than `1.0`.
 */
export function compareVersions(a: string, b: string): number | null {
  const left = parse(a);
  const right = parse(b);
  if (left === null || right === null) return null;
  const length = Math.max(left.numbers.length, right.numbers.length);
  for (let index = 0; index < length; index += 1) {
    const order = compare(left.numbers[index] ?? 0n, right.numbers[index] ?? 0n);
    if (order !== 0) return order;
  }
  return compareRest(left.rest, right.rest);
}

/**
 * Only a pre-release, written as `-rc1`, has a known place: below the release. Anything else can be compared
 * where it differs in its numbers only, as `b3` and `b4` do.
 */
function compareRest(a: string, b: string): number | null {
  if (a === b) return 0;
  const early = (rest: string): boolean => /^-[a-z]/i.test(rest);
  if (a === '') return early(b) ? 1 : null;
  if (b === '') return early(a) ? -1 : null;
  const words = (rest: string): string => rest.toLowerCase().replace(/[0-9]+/g, '0');
  return (early(a) && early(b)) || words(a) === words(b) ? comparePieces(a, b) : null;
}

/** Piece by piece: numbers as numbers, words as words. */
function comparePieces(a: string, b: string): number | null {
  const left = a.match(/[0-9]+|[^0-9]+/g) ?? [];
  const right = b.match(/[0-9]+|[^0-9]+/g) ?? [];
  for (let index = 0; index < Math.max(left.length, right.length); index += 1) {
    const one = left[index];
    const other = right[index];
    if (one === undefined || other === undefined) return one === undefined ? -1 : 1;
    if (one === other) continue;
    const numeric = isNumber(one) && isNumber(other);
    const order = numeric
      ? compare(BigInt(one), BigInt(other))
      : compare(one.toLowerCase(), other.toLowerCase());
    if (order !== 0) return order;
  }
  return 0;
}

function parse(text: string): Version | null {
  const match = text.length > 256 ? null : VERSION.exec(text.trim());
  if (match === null) return null;
  const [, numbers = '', rest = ''] = match;
  return { numbers: numbers.split(/[._-]/).map(BigInt), rest: rest.split('+', 1)[0] ?? '' };
}

function isNumber(text: string): boolean {
  return /^[0-9]+$/.test(text);
}

function compare<T extends bigint | string>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function cut(version: string): string {
  return version.length > 30 ? `${version.slice(0, 29)}…` : version;
}

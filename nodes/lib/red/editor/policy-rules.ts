/** What the settings of a task's policy may be, as the editor checks it. Pure, like rules.ts. */
import { isVariable, type Reason, textOf } from './rules';

/** Ten years. */
export const MAX_SECONDS = 315_360_000;
const MAX_LIST = 100;

/** Cumulative percentages: `1, 10, 50, 100`, or JSON. */
export function wavesReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  if (text === '' || isVariable(text)) return null;
  const waves = readList(text)?.map(toNumber);
  if (waves === undefined || waves.length > MAX_LIST) return { key: 'waves' };
  const rising = waves.every((wave, i) => wave > (waves[i - 1] ?? 0));
  return rising && waves[waves.length - 1] === 100 ? null : { key: 'waves' };
}

/** Versions parted by commas, or JSON. */
export function versionsReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  if (text === '' || isVariable(text)) return null;
  const versions = readList(text);
  const fine =
    versions !== undefined &&
    versions.length <= MAX_LIST &&
    versions.every((version) => typeof version === 'string' && version !== '');
  return fine ? null : { key: 'versions' };
}

/** A time of day, e.g. `01:00-05:00 Europe/Berlin`, or `{"from":…,"to":…,"timeZone":…}`. */
export function windowReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  if (text === '' || isVariable(text)) return null;
  const found = /^([0-9:]{5})\s*-\s*([0-9:]{5})(?:\s+(\S+))?$/.exec(text);
  const read = found === null ? parseJson(text) : { from: found[1], to: found[2], timeZone: found[3] };
  return read === null || isWindow(read) ? null : { key: 'window' };
}

function isWindow(read: unknown): boolean {
  if (typeof read !== 'object' || read === null || Array.isArray(read)) return false;
  const { from, to, timeZone, ...more } = read as Record<string, unknown>;
  if (Object.keys(more).length > 0 || !isTime(from) || !isTime(to) || from === to) return false;
  return timeZone === undefined || timeZone === null || timeZone === '' || isTimeZone(timeZone);
}

function isTime(value: unknown): boolean {
  return typeof value === 'string' && /^([01][0-9]|2[0-3]):[0-5][0-9]$/.test(value);
}

function isTimeZone(name: unknown): boolean {
  if (typeof name !== 'string') return false;
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

function readList(text: string): unknown[] | undefined {
  if (text.startsWith('[')) {
    const read = parseJson(text);
    return Array.isArray(read) ? (read as unknown[]) : undefined;
  }
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** NaN, which is never rising, for what is no number up to 100. */
function toNumber(item: unknown): number {
  const read = typeof item === 'string' && item.trim() !== '' ? Number(item) : item;
  return typeof read === 'number' && read <= 100 ? read : Number.NaN;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

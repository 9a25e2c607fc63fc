/**
 * When a task may push: a time of the day, on some days or on all. Pure; runs in the browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';
import { isPlainObject, parseJson, readList } from './values';

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];

export interface TimeWindow {
  /** `HH:MM`; a window may go over midnight. */
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
  /** The days on which the window begins; absent: every day. */
  readonly days?: readonly Day[];
}

const FIELDS: readonly string[] = ['from', 'to', 'timeZone', 'days'];
const TIME = /^([01][0-9]|2[0-3]):[0-5][0-9]$/;

/** `01:00-05:00`, then a time zone or none, then days (a list with commas) or none. */
const TEXT =
  /^\s*([0-9:]{5})\s*-\s*([0-9:]{5})(?:\s+(?!(?:mon|tue|wed|thu|fri|sat|sun)\b)(\S+))?(?:\s+([a-z,]+))?\s*$/;

/** null (always), `{from, to, timeZone, days}`, its JSON, or `01:00-05:00 Europe/Berlin mon,tue`. */
export const windowRule: Rule<TimeWindow | null> = {
  accepts: { kind: 'window' },
  read(value) {
    const read = typeof value === 'string' ? parse(value) : value;
    if (read === null) return taken(null);
    return isPlainObject(read) ? readFields(read) : refused('windowForm');
  },
};

function parse(text: string): unknown {
  const found = TEXT.exec(text);
  if (found === null) return parseJson(text);
  return { from: found[1], to: found[2], timeZone: found[3], days: found[4] };
}

function readFields(read: Readonly<Record<string, unknown>>): Reading<TimeWindow> {
  const extra = Object.keys(read).find((name) => !FIELDS.includes(name));
  if (extra !== undefined) return refused('unknownField', { fields: FIELDS.join(', ') }, extra);
  const { from, to } = read;
  if (!isTime(from)) return refused('time', undefined, 'from');
  if (!isTime(to)) return refused('time', undefined, 'to');
  if (from === to) return refused('windowEmpty');
  const zone = isAbsent(read['timeZone']) ? localTimeZone() : read['timeZone'];
  if (!isTimeZone(zone)) return refused('timeZone', undefined, 'timeZone');
  const days = readDays(read['days']);
  if (days.reason !== null) return days;
  return taken({ from, to, timeZone: zone, ...(days.value === null ? {} : { days: days.value }) });
}

/** In their order, each once; null for every day. */
function readDays(value: unknown): Reading<readonly Day[] | null> {
  if (isAbsent(value)) return taken(null);
  const given = readList(value).value ?? [];
  const known: readonly unknown[] = DAYS;
  if (given.length === 0 || !given.every((day) => known.includes(day))) {
    return refused('days', { days: DAYS.join(', ') }, 'days');
  }
  const days = DAYS.filter((day) => given.includes(day));
  return taken(days.length === DAYS.length ? null : days);
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null || value === '';

function isTime(value: unknown): value is string {
  return typeof value === 'string' && TIME.test(value);
}

/** The one of this machine: Node-RED's, where a task is read. */
function localTimeZone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function isTimeZone(name: unknown): name is string {
  if (typeof name !== 'string') return false;
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

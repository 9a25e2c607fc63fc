/** Times that a flow says, wherever it says one. */
import { isDate } from 'node:util/types';

const ISO_TIME = /^(\d{4}-\d{2}-\d{2})(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

let shownAt = NaN;
let shown = '';

/** Now, as ISO 8601 text: made once a millisecond, in which a push to many comes dozens of times. */
export function isoNow(): string {
  const now = Date.now();
  if (now !== shownAt) {
    shownAt = now;
    shown = new Date(now).toISOString();
  }
  return shown;
}

/**
 * Milliseconds since 1970 of ISO 8601 text or a Date, else NaN. JavaScript reads much else as some time, "5" and
 * 30 February among it; and a Date of a function node is none by `instanceof`.
 */
export function readTime(value: unknown): number {
  if (isDate(value)) return value.getTime();
  if (typeof value !== 'string') return NaN;
  const text = value.trim();
  const day = ISO_TIME.exec(text)?.[1];
  if (day === undefined || Number.isNaN(Date.parse(day))) return NaN;
  return new Date(day).toISOString().startsWith(day) ? Date.parse(text) : NaN;
}

/**
 * Pages of filters that no index serves alone: the rows of one index are held against the other conditions in slices,
 * and the event loop has its other work done in between. Owns where a look ends. Reads only.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Page } from '../database';

/** Rows of an index in the order of tokens. */
export interface Scan<Row> {
  /** Rows of a slice, where they are looked at quicker than usual. */
  readonly size?: number;
  /** The token that ends the slice behind another one; null where that is the last slice. */
  endOf(after: string, size: number): string | null;
  count(slice: Slice): number;
  /** What fits, in the order of tokens. */
  rows(slice: Slice, part: { readonly limit: number; readonly offset: number }): readonly Row[];
}

/** Behind a token, up to and with another one; null: the end. */
export interface Slice {
  readonly after: string;
  readonly upTo: string | null;
}

/** Rows of an index that are looked at in one turn: some milliseconds. */
const SLICE = 2000;
/** So many rows are looked at to count what fits. A page further behind looks on until it has its rows. */
const MAX_ROWS = 20_000;

/**
 * The rows of a page, and how many fit. Where there are too many to be counted, the total is of those that were
 * looked at, and is larger than the end of the page as long as more follow.
 */
export async function scanPage<Row>(
  scan: Scan<Row>,
  { page, pageSize }: Page,
  { size, most } = { size: scan.size ?? SLICE, most: MAX_ROWS / (scan.size ?? SLICE) },
): Promise<{ readonly total: number; readonly rows: readonly Row[] }> {
  const first = (page - 1) * pageSize;
  const end = first + pageSize;
  const found: Row[] = [];
  let total = 0;
  for (let after = '', slices = 1; ; slices += 1) {
    const slice = { after, upTo: scan.endOf(after, size) };
    const n = scan.count(slice);
    if (total + n > first && total < end) {
      const offset = Math.max(0, first - total);
      found.push(...scan.rows(slice, { limit: pageSize - found.length, offset }));
    }
    total += n;
    if (slice.upTo === null || (slices >= most && total > end)) return { total, rows: found };
    after = slice.upTo;
    await nextTurn();
  }
}

/** A slice as a condition, with its values. */
export function within(
  token: string,
  { after, upTo }: Slice,
): { readonly text: string; readonly values: string[] } {
  return upTo === null
    ? { text: `${token} > ?`, values: [after] }
    : { text: `${token} > ? AND ${token} <= ?`, values: [after, upTo] };
}

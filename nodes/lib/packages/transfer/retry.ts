/** When a download is tried again: the waits between the tries, and what counts as getting further. Pure. */

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A server that asks for a longer wait is asked again after this all the same. */
export const LONGEST_ASKED_MS = 60 * 60 * 1000;
const MOST_GAIN_BYTES = 1024 * 1024;

/** Anything between nothing and 0.5, 1, 2… 30 s: a fleet that was cut off together doesn't come back as one. */
export function fullJitter(retry: number, random: () => number = Math.random): number {
  return random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(retry - 1, 10));
}

/**
 * Bytes that a try must bring for the count of tries to begin anew: a hundredth of the file, at most 1 MiB. A bad
 * line needs many tries for a large file, and none of them was in vain; the total time limit ends them.
 */
export function gainBytes(total: number | null): number {
  return total === null ? MOST_GAIN_BYTES : Math.max(1, Math.min(MOST_GAIN_BYTES, Math.ceil(total / 100)));
}

/** Milliseconds to wait: our own back-off, or what the server asked for where that is longer. */
export function waitBefore(backoff: number, asked: number | null): number {
  return Math.max(backoff, asked ?? 0);
}

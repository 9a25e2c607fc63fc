/**
 * How often a node may tell what others cause: once a second, and after a thousand times once a minute, so that the log
 * of a day has a bound whatever comes in. Pure: the time is an argument.
 */

/** Between two lines, in milliseconds. */
const INTERVAL = 1000;
/** Lines that may be so close; with each `REFILL` one more. */
export const BURST = 1000;
/** Milliseconds. */
export const REFILL = 60_000;

export class LogBudget {
  #left = BURST;
  #countedTo: number;

  /** @param now milliseconds, of any clock that never goes back */
  constructor(now: number) {
    this.#countedTo = now;
  }

  /** A line was told: for so many milliseconds none may be. */
  pause(now: number): number {
    const more = Math.floor((now - this.#countedTo) / REFILL);
    this.#countedTo += more * REFILL;
    this.#left = Math.max(0, Math.min(BURST, this.#left + more) - 1);
    return this.#left > 0 ? INTERVAL : REFILL;
  }
}

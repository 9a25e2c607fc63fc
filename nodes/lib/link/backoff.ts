/** How long to wait before the next try: doubling with jitter, so that a fleet doesn't come back as one. */

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
/** A login or certificate that was refused won't be right a second later. */
const REFUSED_MS = 5000;

export class Backoff {
  #tries = 0;

  /** Milliseconds to wait now: between half and the whole of 1, 2, 4… 30 s. */
  next(refused = false, random: () => number = Math.random): number {
    const step = Math.min(LONGEST_MS, (refused ? REFUSED_MS : FIRST_MS) * 2 ** Math.min(this.#tries, 10));
    this.#tries += 1;
    return Math.round(step / 2 + (random() * step) / 2);
  }

  /** The connection stood long enough to count. */
  reset(): void {
    this.#tries = 0;
  }
}

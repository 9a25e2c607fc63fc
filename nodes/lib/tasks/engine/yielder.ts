/** Long work in slices, which lets the event loop have its other work done in between. */

/** How long one piece of work may hold the event loop up. */
const SLICE_MS = 10;

/** Devices in one transaction: with a million rows each of them touches pages all over a file. */
export const SLICE = 200;

export class EventLoopYielder {
  #began = performance.now();

  /** Between two slices: resolves at once, or, after 10 ms of work, in a later turn of the event loop. */
  async next(): Promise<void> {
    if (performance.now() - this.#began < SLICE_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#began = performance.now();
  }
}

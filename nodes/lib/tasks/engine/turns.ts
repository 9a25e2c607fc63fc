/** Lets others have their turn of the event loop, when this one has had enough of it. */
const TURN_MS = 10;

/** Devices in one transaction: with a million rows each of them touches pages all over the file. */
export const SLICE = 200;

export class Turns {
  #began = performance.now();

  /** Resolves at once, or, after 10 ms of work, in the next turn. */
  async next(): Promise<void> {
    if (performance.now() - this.#began < TURN_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#began = performance.now();
  }
}

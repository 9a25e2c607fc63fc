/** Runs what concerns one key one after the other, in the order in which it was asked for; other keys at once. */
export class KeyedQueue<K> {
  readonly #last = new Map<K, Promise<unknown>>();

  /** @returns what `work` answers, or its rejection; neither stops what waits behind it */
  async run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const mine = (this.#last.get(key) ?? Promise.resolve()).then(work, work);
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}

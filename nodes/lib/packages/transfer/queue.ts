/**
 * Who works now and who waits: so many jobs at once, the others in order, and never two with the same key.
 * Knows nothing of what the jobs do.
 */
export class Queue {
  readonly #atOnce: number;
  readonly #waiting: { key: string; start: () => Promise<void> }[] = [];
  readonly #active = new Set<string>();

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Jobs that have not begun. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Runs a job when its turn comes; settles as the job does. */
  add<T>(key: string, job: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, start: () => job().then(resolve, reject) });
      this.#next();
    });
  }

  #next(): void {
    while (this.#active.size < this.#atOnce) {
      const index = this.#waiting.findIndex(({ key }) => !this.#active.has(key));
      const [entry] = index === -1 ? [] : this.#waiting.splice(index, 1);
      if (entry === undefined) return;
      this.#active.add(entry.key);
      void entry.start().finally(() => {
        this.#active.delete(entry.key);
        this.#next();
      });
    }
  }
}

/**
 * One upgrade to many devices. Owns the pace: a bounded number unacknowledged, `rate` a second at most, jobs
 * in turn, and never long enough in one go to hold the event loop up. Knows nothing of MQTT or Node-RED.
 */

export interface PumpOptions {
  /** Pushes under way at most. */
  readonly window: number;
  /** Pushes a second at most; 0 for no limit. */
  readonly rate: number;
}

/** An array of tokens and what to do with each. */
export interface Job {
  readonly tokens: readonly unknown[];
  /** Begins one push; `done` is to be called once, later. Must not throw. */
  readonly push: (token: unknown, done: () => void) => void;
  /** A token came again: no push. */
  readonly repeated?: () => void;
}

/** How a job ended. */
export interface Ended {
  /** The devices of the array: a token twice in it counts once. */
  readonly devices: number;
  /** Those that a close left out. */
  readonly left: number;
}

interface Running {
  readonly job: Job;
  readonly seen: Set<unknown>;
  next: number;
  open: number;
  readonly finish: (ended: Ended) => void;
}

/** Work of one go, in milliseconds; the event loop gets its turn in between. */
const SLICE_MS = 8;
const JOBS_LIMIT = 100;
/** A timer may be so many milliseconds late. */
const LATE_MS = 25;
/** A timer of more is one of a millisecond to Node.js. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Pump {
  readonly #options: PumpOptions;
  readonly #jobs: Running[] = [];
  #turn = 0;
  #open = 0;
  #nextAt = -Infinity;
  #timer: NodeJS.Timeout | null = null;
  #immediate: NodeJS.Immediate | null = null;
  #closed = false;

  constructor(options: PumpOptions) {
    this.#options = options;
  }

  /** True where as many arrays wait as are taken. */
  get full(): boolean {
    return this.#jobs.length >= JOBS_LIMIT;
  }

  /**
   * Takes a job; a token twice in it is one push. The array isn't copied.
   * Resolves when each push is through, at once where there is none.
   */
  run(job: Job): Promise<Ended> {
    if (job.tokens.length === 0) return Promise.resolve({ devices: 0, left: 0 });
    return new Promise((finish) => {
      const running: Running = { job, seen: new Set(), next: 0, open: 0, finish };
      if (this.#closed) return void finishEarly([running]);
      this.#jobs.push(running);
      this.#schedule();
    });
  }

  /** Begins no more pushes; jobs end with what they left out. */
  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#immediate !== null) clearImmediate(this.#immediate);
    void finishEarly(this.#jobs.splice(0));
  }

  #schedule(): void {
    if (this.#closed || this.#immediate !== null) return;
    this.#immediate = setImmediate(() => {
      this.#immediate = null;
      this.#go();
    });
  }

  /** Begins pushes until the window is full, the rate is used up or the time is over. */
  #go(): void {
    const until = performance.now() + SLICE_MS;
    for (let i = 0; this.#open < this.#options.window; i += 1) {
      if (i % 16 === 15 && performance.now() > until) {
        this.#schedule();
        return;
      }
      const running = this.#pick();
      if (running === null) return;
      if (!this.#mayGo()) return;
      this.#begin(running);
    }
  }

  /** The next job in turn that still has tokens. One may have lost them: the array isn't ours. */
  #pick(): Running | null {
    for (let unseen = this.#jobs.length; unseen > 0; unseen -= 1) {
      this.#turn = (this.#turn + 1) % this.#jobs.length;
      const running = this.#jobs[this.#turn] as Running;
      if (running.next < running.job.tokens.length) return running;
      this.#end(running);
    }
    return null;
  }

  /** The rate: the pushes are spread evenly, and what was missed isn't caught up. */
  #mayGo(): boolean {
    const { rate } = this.#options;
    if (rate <= 0) return true;
    const now = performance.now();
    const wait = this.#nextAt - now;
    if (wait > 0) {
      this.#timer ??= setTimeout(
        () => {
          this.#timer = null;
          this.#go();
        },
        Math.min(Math.ceil(wait), LONGEST_TIMER_MS),
      );
      return false;
    }
    // A timer is late by some milliseconds; more than that is a pause, and isn't made up for.
    const last = wait > -LATE_MS ? this.#nextAt : now;
    this.#nextAt = last + 1000 / rate;
    return true;
  }

  #begin(running: Running): void {
    const token = running.job.tokens[running.next];
    running.next += 1;
    if (running.seen.has(token)) {
      // No push, so it takes nothing of the rate.
      if (this.#options.rate > 0) this.#nextAt -= 1000 / this.#options.rate;
      running.job.repeated?.();
      this.#end(running);
      return;
    }
    running.seen.add(token);
    running.open += 1;
    this.#open += 1;
    running.job.push(token, () => {
      running.open -= 1;
      this.#open -= 1;
      this.#end(running);
      // One for one: waiting for more of the window stalls on delayed TCP acknowledgements.
      if (this.#immediate === null && !this.#closed) this.#go();
    });
  }

  #end(running: Running): void {
    if (running.open > 0 || running.next < running.job.tokens.length) return;
    const at = this.#jobs.indexOf(running);
    if (at < 0) return;
    this.#jobs.splice(at, 1);
    // The one after it takes its place: none is passed over.
    if (at <= this.#turn) this.#turn -= 1;
    running.finish({ devices: running.seen.size, left: 0 });
  }
}

/** Counts what each job leaves out, repeats once. In slices: an array may hold a million tokens. */
async function finishEarly(jobs: readonly Running[]): Promise<void> {
  let until = performance.now() + SLICE_MS;
  for (const { job, seen, next, finish } of jobs) {
    const begun = seen.size;
    for (let i = next; i < job.tokens.length; i += 1) {
      seen.add(job.tokens[i]);
      if (i % 256 !== 255 || performance.now() <= until) continue;
      await new Promise((resolve) => setImmediate(resolve));
      until = performance.now() + SLICE_MS;
    }
    finish({ devices: seen.size, left: seen.size - begun });
  }
}

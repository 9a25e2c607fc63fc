/**
 * The time limits of a download: the whole of it, and each request of it. Time is that of a clock that nobody
 * sets. Knows nothing of HTTP.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OtaError } from '../../protocol';

/** Bytes a second, over one stall limit: less is a stall too, or one byte now and then would never end. */
export const LEAST_RATE = 128;

/** Aborted by a stop from outside or by a limit; the reason is the error to tell. */
export class Watch {
  readonly #abort = new AbortController();
  readonly #stop: AbortSignal;
  readonly #onStop = (): void => this.#abort.abort(this.#stop.reason);
  readonly #timer: NodeJS.Timeout;
  readonly #ends: number;
  readonly #stallMs: number;

  /** @param limits milliseconds */
  constructor(stop: AbortSignal, limits: { totalMs: number; stallMs: number }) {
    this.#stop = stop;
    this.#stallMs = limits.stallMs;
    this.#ends = performance.now() + limits.totalMs;
    const seconds = Math.round(limits.totalMs / 100) / 10;
    const error = new OtaError('OTA_TOTAL_TIMEOUT', `The download took longer than ${seconds} s.`);
    this.#timer = setTimeout(() => this.#abort.abort(error), limits.totalMs);
    if (stop.aborted) this.#onStop();
    else stop.addEventListener('abort', this.#onStop);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Milliseconds until the total limit. */
  get left(): number {
    return this.#ends - performance.now();
  }

  /** Waits; rejects with the reason where it is aborted meanwhile. */
  async wait(ms: number): Promise<void> {
    try {
      await delay(ms, undefined, { signal: this.signal });
    } catch {
      throw this.signal.reason;
    }
  }

  /** Begins to watch one request. @param stalled makes the reason of its abort */
  request(stalled: (why: string) => Error): RequestWatch {
    return new RequestWatch(this.signal, this.#stallMs, stalled);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#stop.removeEventListener('abort', this.#onStop);
  }
}

/** One request: something must come within each stall limit, and enough of it. */
export class RequestWatch {
  readonly #abort = new AbortController();
  readonly #parent: AbortSignal;
  readonly #onParent = (): void => this.#abort.abort(this.#parent.reason);
  readonly #idle: NodeJS.Timeout;
  readonly #rate: NodeJS.Timeout;
  #signs = 0;
  /** Bytes of this window; null until the body has begun. */
  #bytes: number | null = null;

  constructor(parent: AbortSignal, stallMs: number, stalled: (why: string) => Error) {
    this.#parent = parent;
    const seconds = Math.round(stallMs / 100) / 10;
    this.#idle = setTimeout(() => {
      // Where the process itself stood still, what came meanwhile is read first.
      const signs = this.#signs;
      setImmediate(() => {
        if (this.#signs === signs)
          this.#abort.abort(stalled(`Nothing came from the server for ${seconds} s.`));
      });
    }, stallMs);
    this.#rate = setInterval(() => {
      const bytes = this.#bytes;
      if (bytes !== null && bytes < (LEAST_RATE * stallMs) / 1000) {
        this.#abort.abort(stalled(`Less than ${LEAST_RATE} bytes a second came for ${seconds} s.`));
      }
      if (bytes !== null) this.#bytes = 0;
    }, stallMs);
    if (parent.aborted) this.#onParent();
    else parent.addEventListener('abort', this.#onParent);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The answer has begun. */
  answered(): void {
    this.#alive();
    this.#bytes = 0;
    this.#rate.refresh();
  }

  got(bytes: number): void {
    this.#alive();
    this.#bytes = (this.#bytes ?? 0) + bytes;
  }

  end(): void {
    clearTimeout(this.#idle);
    clearInterval(this.#rate);
    this.#parent.removeEventListener('abort', this.#onParent);
  }

  #alive(): void {
    this.#signs += 1;
    this.#idle.refresh();
  }
}

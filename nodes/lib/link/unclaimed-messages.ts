/**
 * Messages that nobody listens to. Owns how long they are held after a change, for a listener that is being
 * redeployed; later they come from a filter that the broker had kept: told once, and the filter is ended.
 */
import { OtaError } from '../protocol';
import { LINGER_MS } from './filters';
import type { Taken } from './inbox';

export interface UnclaimedOptions {
  /** The time of grace is over: what is held is to be offered again. */
  readonly onOver: () => void;
  /** Ends a filter at the broker. */
  readonly onStale: (filter: string) => void;
  readonly onFault: (error: OtaError) => void;
}

/** Filters that are remembered as ended. */
const REMEMBERED = 1000;

export class UnclaimedMessages {
  readonly #options: UnclaimedOptions;
  readonly #ended = new Set<string>();
  #graceUntil = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: UnclaimedOptions) {
    this.#options = options;
  }

  /** A listener left or the connection came up: somebody may come for what nobody wants now. */
  beginGrace(): void {
    this.#graceUntil = performance.now() + LINGER_MS;
    // A broker that goes on all the same is told again after a reconnect, not for each message.
    this.#ended.clear();
  }

  /** A message on `shown` (tokens masked), which any of `filters` may have brought. `up`: told as connected. */
  take(shown: string, filters: readonly string[], up: boolean): Taken {
    // A kept session may send before the connection is told as up, and with it the time of grace begun.
    const wait = up ? this.#graceUntil - performance.now() : LINGER_MS;
    if (wait > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = null;
        this.#options.onOver();
      }, wait + 1);
      return 'hold';
    }
    const stale = filters.filter((filter) => !this.#ended.has(filter));
    if (this.#ended.size > REMEMBERED) this.#ended.clear();
    for (const filter of stale) {
      this.#ended.add(filter);
      this.#options.onStale(filter);
    }
    if (stale.length > 0) {
      const text = `A message on ${shown}, where no node listens any more, was dropped: the broker had kept an old subscription, which is ended now.`;
      this.#options.onFault(new OtaError('OTA_BAD_TOPIC', text));
    }
    return 'taken';
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}

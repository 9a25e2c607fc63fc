/**
 * How many downloads run at once: of one client, and of all. Owns who has to wait, and for how long; knows nothing
 * of HTTP. Each download holds a socket, an open file and a buffer: without limits one client with hundreds of slow
 * connections would leave none of them to others.
 */

export interface TurnLimits {
  /** Downloads of one client at once. */
  readonly perClient: number;
  /** Downloads at once. */
  readonly total: number;
  /** Downloads that wait, of all clients. */
  readonly waiting: number;
  /** Milliseconds that one waits at most. */
  readonly waitMs: number;
}

interface Waiting {
  readonly client: string;
  readonly begin: (mayGo: boolean) => void;
  readonly timer: NodeJS.Timeout;
}

export class Turns {
  readonly #limits: TurnLimits;
  readonly #running = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
  #total = 0;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** Downloads that run. */
  get running(): number {
    return this.#total;
  }

  /** True where a download waits that the end of one of this client's would let go. */
  isWanted(client: string): boolean {
    if (this.#total >= this.#limits.total) return this.#waiting.size > 0;
    return [...this.#waiting].some((one) => one.client === client);
  }

  /**
   * Resolves with true when a download of the client may begin, in the order in which they came; `leave` is to be
   * called at its end. With false where too many wait, or it took too long.
   * @param gone aborts where the client went away: resolves with false
   */
  async enter(client: string, gone: AbortSignal): Promise<boolean> {
    if (gone.aborted) return false;
    if (this.#mayGo(client)) {
      this.#begin(client);
      return true;
    }
    if (this.#waiting.size >= this.#limits.waiting) return false;
    return new Promise((resolve) => {
      const end = (mayGo: boolean): void => {
        clearTimeout(one.timer);
        gone.removeEventListener('abort', giveUp);
        if (this.#waiting.delete(one)) resolve(mayGo);
      };
      const giveUp = (): void => end(false);
      const timer = setTimeout(giveUp, this.#limits.waitMs).unref();
      const one: Waiting = { client, begin: end, timer };
      this.#waiting.add(one);
      gone.addEventListener('abort', giveUp, { once: true });
    });
  }

  leave(client: string): void {
    const left = (this.#running.get(client) ?? 1) - 1;
    if (left > 0) this.#running.set(client, left);
    else this.#running.delete(client);
    this.#total -= 1;
    for (const one of this.#waiting) {
      if (this.#total >= this.#limits.total) break;
      if (!this.#mayGo(one.client)) continue;
      this.#begin(one.client);
      one.begin(true);
      break;
    }
  }

  #mayGo(client: string): boolean {
    const { perClient, total } = this.#limits;
    return this.#total < total && (this.#running.get(client) ?? 0) < perClient;
  }

  #begin(client: string): void {
    this.#running.set(client, (this.#running.get(client) ?? 0) + 1);
    this.#total += 1;
  }
}

/**
 * Two clients with one client id, as one of them sees it where the broker doesn't say so (MQTT 3.1.1): its
 * connections are closed without a reason, again and again, each time the other one comes back.
 */

/** So many in a row are no accident. */
const ROUNDS = 3;
/** The other one comes back sooner than this: a core MQTT node after 15 s. */
const ROUND_MS = 60_000;

/** How a connection ended. */
export interface Ended {
  /** Milliseconds that it stood; null where it never came up. */
  readonly stoodMs: number | null;
  /** True where an error or a reason came with it. */
  readonly explained: boolean;
}

export class ClientIdConflictDetector {
  #rounds = 0;

  /** Takes note of an end. True where it looks like a conflict. */
  ended({ stoodMs, explained }: Ended): boolean {
    // A broker that is away, or a connection that stood long, ends the row; an error (a reset by traffic) may be
    // part of it.
    if (stoodMs === null || stoodMs >= ROUND_MS) this.#rounds = 0;
    else if (!explained) this.#rounds += 1;
    return this.#rounds >= ROUNDS;
  }
}

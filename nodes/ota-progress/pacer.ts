/**
 * Progress reports of any number of devices and modules, paced. Owns what waits: at most one report for each
 * (token, module), at most one of them unacknowledged; a newer one takes its place. Memory is bounded.
 */
import { dueAt, type Intervals, isFinal, type LastSent, type Step } from './pacing';

/** What became of a report: sent (its own promise tells how), or a newer one took its place. */
export type Paced = 'sent' | 'merged';

/** Sends a report. `isLast` tells, while it is being sent, whether no later one of its upgrade has gone out. */
export type SendReport = (isLast: () => boolean) => Promise<void>;

interface Waiting {
  readonly report: Step;
  readonly send: SendReport;
  readonly resolve: (paced: Paced) => void;
  readonly reject: (error: unknown) => void;
}

interface Upgrade {
  last: LastSent | null;
  waiting: Waiting | null;
  /** Reports that aren't acknowledged yet. */
  sending: number;
}

/** Upgrades that are remembered; beyond it the ones that were quiet for longest begin anew. */
const MAX_UPGRADES = 10_000;
const SWEEP_MS = 100;

export class Pacer {
  readonly #intervals: Intervals;
  readonly #upgrades = new Map<string, Upgrade>();
  readonly #waiting = new Set<Upgrade>();
  readonly #now: () => number;
  /** Reports of all upgrades that aren't acknowledged yet. */
  #open = 0;
  #whenIdle: (() => void)[] = [];
  #sweeper: NodeJS.Timeout | null = null;

  constructor(intervals: Intervals, now: () => number = () => performance.now()) {
    this.#intervals = intervals;
    this.#now = now;
  }

  /**
   * Hands a report in. `send` is called when it may go out, or never where a newer one takes its place.
   * Resolves with what became of it; rejects with what `send` rejects with.
   */
  hand(key: string, report: Step, send: SendReport): Promise<Paced> {
    const upgrade = this.#upgrade(key);
    return new Promise((resolve, reject) => {
      this.#drop(upgrade);
      upgrade.waiting = { report, send, resolve, reject };
      this.#waiting.add(upgrade);
      this.#tryToSend(upgrade);
      if (this.#waiting.size > 0) this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS);
    });
  }

  /** Sends all that waits, now. Resolves when all of it is through. */
  async flush(): Promise<void> {
    const open = [...this.#waiting].map((upgrade) => this.#sendNow(upgrade));
    await Promise.all(open);
    this.close();
  }

  /** Resolves when nothing is on its way. */
  async idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  close(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#sweeper = null;
    for (const upgrade of this.#waiting) this.#drop(upgrade);
  }

  #upgrade(key: string): Upgrade {
    const known = this.#upgrades.get(key);
    // Put at the end again: the map's order is the order of use.
    this.#upgrades.delete(key);
    const upgrade = known ?? { last: null, waiting: null, sending: 0 };
    this.#upgrades.set(key, upgrade);
    if (this.#upgrades.size > MAX_UPGRADES) this.#forgetOldest();
    return upgrade;
  }

  #forgetOldest(): void {
    for (const [key, upgrade] of this.#upgrades) {
      if (upgrade.waiting !== null || upgrade.sending > 0) continue;
      this.#upgrades.delete(key);
      return;
    }
  }

  /** A newer report takes the place of the one that waits. */
  #drop(upgrade: Upgrade): void {
    upgrade.waiting?.resolve('merged');
    upgrade.waiting = null;
    this.#waiting.delete(upgrade);
  }

  #tryToSend(upgrade: Upgrade): void {
    const { waiting } = upgrade;
    if (waiting === null) return;
    const due = dueAt(waiting.report, upgrade.last, this.#intervals);
    if (due === null) this.#drop(upgrade);
    else if (due === -Infinity || (upgrade.sending === 0 && due <= this.#now())) void this.#sendNow(upgrade);
  }

  async #sendNow(upgrade: Upgrade): Promise<void> {
    const { waiting } = upgrade;
    if (waiting === null) return;
    const before = upgrade.last;
    const sent: LastSent = { ...waiting.report, at: this.#now() };
    upgrade.waiting = null;
    upgrade.last = sent;
    upgrade.sending += 1;
    this.#open += 1;
    this.#waiting.delete(upgrade);
    try {
      await waiting.send(() => upgrade.last === sent);
      waiting.resolve('sent');
    } catch (error) {
      // It didn't arrive: the next one needn't wait for its interval.
      if (upgrade.last === sent) upgrade.last = before === null || isFinal(before) ? null : before;
      waiting.reject(error);
    }
    upgrade.sending -= 1;
    this.#open -= 1;
    this.#tryToSend(upgrade);
    if (this.#open === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #sweep(): void {
    for (const upgrade of this.#waiting) this.#tryToSend(upgrade);
    if (this.#waiting.size > 0 || this.#sweeper === null) return;
    clearInterval(this.#sweeper);
    this.#sweeper = null;
  }
}

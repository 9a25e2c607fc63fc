/**
 * Pushes on the wire, and what became of them. Owns how many are out, and the answers that aren't in the store
 * yet. Never chooses a device: what it sends was committed before.
 */
import {
  type Delivery,
  type Outcome,
  type PreparedUpgrade,
  toOtaError,
  type UpgradeOut,
} from '../../protocol';
import type { EventName } from '../machine';
import type { Answer, Awaitable, Change, Push, TaskStore } from '../store';
import type { TaskPlan } from '../types';
import type { PlatformClock, Time } from './clock';
import { SLICE, Turns } from './turns';

/** What the engine needs of the connection. */
export interface EngineLink {
  /** Writes an upgrade once, for all its devices. @throws OtaError where the devices can't take it */
  prepare(upgrade: UpgradeOut): PreparedUpgrade;
  /** `settled` is called once, never before this returns. */
  publish(
    accessToken: string,
    push: { readonly id: string; readonly upgrade: PreparedUpgrade },
    settled: (outcome: Outcome) => void,
  ): void;
}

/** What pushes need of their engine. */
export interface PushEngine {
  readonly store: TaskStore;
  readonly clock: PlatformClock;
  readonly time: Time;
  readonly stopped: boolean;
  tell(changes: readonly Change[]): void;
  kick(): void;
}

/** Pushes without an answer at most: the link queues what its window doesn't take. */
const MAX_OPEN = 2000;
/** Devices have this long to come back after a connection that was lost: until then none of them is offline. */
const RETURN_MS = 10_000;
const MAX_PREPARED = 1000;

export class Pushes {
  readonly #engine: PushEngine;
  readonly #link: EngineLink;
  readonly #prepared = new Map<number, PreparedUpgrade>();
  #answers: Answer[] = [];
  #open = 0;
  /** When the connection was there again after it was lost. */
  #returned = -Infinity;
  #left = false;

  constructor(engine: PushEngine, link: EngineLink) {
    this.#engine = engine;
    this.#link = link;
  }

  /** How many more may go out. */
  get room(): number {
    return MAX_OPEN - this.#open;
  }

  /** The connection is there or not; before the clock hears of it. */
  setHere(here: boolean): void {
    const { clock, time } = this.#engine;
    if (here && this.#left) this.#returned = time.steady();
    this.#left = !here && (this.#left || clock.here);
  }

  send(pushes: readonly Push[]): void {
    const { clock, time } = this.#engine;
    for (const { plan, device } of pushes) {
      const id = device.pushId ?? '';
      const sent = time.steady();
      this.#open += 1;
      this.#publish(plan, device.accessToken, id, ({ delivery, error }) => {
        this.#open -= 1;
        if (this.#open === MAX_OPEN >> 1) this.#engine.kick();
        // What was under way is sent again before the connection counts as made.
        const returning = this.#left || sent < this.#returned + RETURN_MS;
        const isAway = returning && delivery === 'offline' && plan.policy.offline === 'fail';
        const on: EventName | null = isAway ? 'offline-after-reconnect' : ANSWERS[delivery];
        // After the end nobody can tell any more; the next start repeats what may be lost.
        if (on === null || this.#engine.stopped) return;
        const event = { on, now: clock.now(), id, push: device.pushes, desc: error?.message ?? '' };
        this.#answers.push({ device: device.id, event });
        this.#engine.kick();
      });
    }
  }

  /** An upgrade that the service's devices can't take is refused like one that the broker refuses. */
  #publish(plan: TaskPlan, accessToken: string, id: string, settled: (outcome: Outcome) => void): void {
    let upgrade: PreparedUpgrade;
    try {
      upgrade = this.#prepare(plan);
    } catch (error) {
      const refused = toOtaError(error);
      queueMicrotask(() => settled({ delivery: 'refused', error: refused }));
      return;
    }
    this.#link.publish(accessToken, { id, upgrade }, settled);
  }

  #prepare(plan: TaskPlan): PreparedUpgrade {
    const found = this.#prepared.get(plan.id);
    if (found !== undefined) return found;
    if (this.#prepared.size > MAX_PREPARED) this.#prepared.clear();
    const prepared = this.#link.prepare(plan.upgrade);
    this.#prepared.set(plan.id, prepared);
    return prepared;
  }

  /** Stores the answers that came, in slices. */
  async settle(): Promise<void> {
    const turns = new Turns();
    while (this.#answers.length > 0) {
      await this.#settle(SLICE);
      await turns.next();
    }
  }

  /** Stores all of them, in this turn where the store answers in it. */
  settleNow(): Awaitable<void> {
    if (this.#answers.length > 0) return this.#settle(this.#answers.length);
  }

  #settle(limit: number): Awaitable<void> {
    const { store, time } = this.#engine;
    const slice = this.#answers.splice(0, limit);
    // What couldn't be written is tried again.
    const again = (error: unknown): never => {
      this.#answers = [...slice, ...this.#answers];
      throw error;
    };
    try {
      const changes = store.answer(slice, time.wall());
      if (changes instanceof Promise) return changes.then((all) => this.#engine.tell(all), again);
      return this.#engine.tell(changes);
    } catch (error) {
      return again(error);
    }
  }
}

/** What of a push's outcome matters to its device; a push that was taken is no news. */
const ANSWERS: Readonly<Record<Delivery, 'offline' | 'refused' | 'push-timeout' | null>> = {
  accepted: null,
  unknown: null,
  offline: 'offline',
  refused: 'refused',
  timeout: 'push-timeout',
};

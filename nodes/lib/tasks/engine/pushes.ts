/**
 * Pushes on the wire, and what became of them. Owns how many are out, and hands each outcome to the lane. Never
 * chooses a device: what it sends was committed before.
 */
import {
  type Delivery,
  type Outcome,
  type PreparedUpgrade,
  toOtaError,
  type UpgradeOut,
} from '../../protocol';
import { type EventName, RETURN } from '../machine';
import type { Push } from '../transactions';
import type { Device, TaskPlan } from '../types';
import type { PlatformClock, Time } from './clock';
import type { Lane } from './lane';

/** What the engine needs of the connection. */
export interface EngineLink {
  /** True for what can be a device's identity. */
  isDevice(identity: string): boolean;
  /** Writes an upgrade once, for all its devices. @throws OtaError where the devices can't take it */
  prepare(upgrade: UpgradeOut): PreparedUpgrade;
  /**
   * `settled` is called once, never before this returns.
   * @param options `expiry`: seconds after which the push must not reach the device any more
   */
  publish(
    accessToken: string,
    push: { readonly id: string; readonly upgrade: PreparedUpgrade; readonly of: Push },
    settled: (outcome: Outcome) => void,
    options: { readonly expiry: number },
  ): void;
}

/** A device's question: how it is answered only the connection knows. */
export interface Question {
  readonly accessToken: string;
  /** null where the device named none. */
  readonly module: string | null;
  /** Called once. `upgrade` null: there is nothing to do. `settled` and `expiry` as with a push. */
  readonly reply: (
    upgrade: PreparedUpgrade | null,
    settled: (outcome: Outcome) => void,
    options: { readonly expiry?: number },
  ) => void;
}

export interface PushesParts {
  readonly link: EngineLink;
  readonly lane: Lane;
  readonly clock: PlatformClock;
  readonly time: Time;
}

/** Pushes without an answer at most: the link queues what its window doesn't take. */
const MAX_OPEN = 2000;
const MAX_PREPARED = 1000;

export class Pushes {
  readonly #parts: PushesParts;
  readonly #prepared = new Map<string, PreparedUpgrade>();
  #onOutcome: () => void = () => undefined;
  #open = 0;
  #stopped = false;
  /** When the connection was there again after it was lost. */
  #returned = -Infinity;
  #left = false;

  constructor(parts: PushesParts) {
    this.#parts = parts;
  }

  /** Calls back after each outcome that is to be written, and when there is room again. */
  onOutcome(call: () => void): void {
    this.#onOutcome = call;
  }

  /** How many more may go out. */
  get room(): number {
    return MAX_OPEN - this.#open;
  }

  /** True once the connection was lost and made anew. */
  get returned(): boolean {
    return this.#returned > -Infinity;
  }

  /** The connection is there or not; before the clock hears of it. */
  setConnected(connected: boolean): void {
    const { clock, time } = this.#parts;
    if (connected && this.#left) this.#returned = time.steady();
    this.#left = !connected && (this.#left || clock.connected);
  }

  /** After it nobody can tell any more what became of a push; the next start repeats what may be lost. */
  stop(): void {
    this.#stopped = true;
  }

  send(pushes: readonly Push[]): void {
    for (const push of pushes) {
      const sent = this.#parts.time.steady();
      this.#open += 1;
      this.#publish(push, (outcome) => this.#settled(push, sent, outcome));
    }
  }

  /** Answers a question with a push, or with nothing. */
  answer({ reply }: Question, push: Push | null): void {
    if (push === null) {
      reply(null, () => undefined, {});
      return;
    }
    const { plan, device } = push;
    const sent = this.#parts.time.steady();
    this.#open += 1;
    const settled = (outcome: Outcome): void => this.#settled(push, sent, outcome);
    const upgrade = this.#prepareOr(push, settled);
    reply(upgrade, upgrade === null ? () => undefined : settled, { expiry: this.#meantFor(plan, device) });
  }

  #settled({ device }: Push, sent: number, { delivery, error }: Outcome): void {
    this.#open -= 1;
    // What was under way is sent again before the connection counts as made.
    const returning = this.#left || sent < this.#returned + RETURN;
    const isAway = returning && delivery === 'offline';
    // Taken is no news but of a device that was asked again, because the broker hadn't known it.
    const isBack = delivery === 'accepted' && device.asked > 0;
    const on: EventName | null = isAway
      ? 'offline-after-reconnect'
      : isBack
        ? 'accepted'
        : OUTCOMES[delivery];
    if (on !== null && !this.#stopped) this.#enqueue(device, on, error?.message ?? '');
    if (on !== null || this.#open === MAX_OPEN >> 1) this.#onOutcome();
  }

  /** An outcome that somebody tells, whatever the link said of the push before. */
  outcome({ device }: Push, delivery: Delivery): void {
    const on = delivery === 'accepted' ? 'accepted' : OUTCOMES[delivery];
    if (on !== null && !this.#stopped) this.#enqueue(device, on, '', true);
  }

  /** @param certain whoever tells it knows: it isn't asked again before it counts */
  #enqueue(device: Device, on: EventName, desc: string, certain = false): void {
    const { lane, clock, time } = this.#parts;
    const event = { on, now: clock.now(), id: device.pushId ?? '', push: device.pushes, desc, certain };
    const { accessToken, id } = device;
    lane.enqueueOutcome({ kind: 'outcome', accessToken, device: id, event, wall: time.wall() });
  }

  #publish({ plan, device }: Push, settled: (outcome: Outcome) => void): void {
    const upgrade = this.#prepareOr({ plan, device }, settled);
    if (upgrade === null) return;
    const push = { id: device.pushId ?? '', upgrade, of: { plan, device } };
    this.#parts.link.publish(device.accessToken, push, settled, { expiry: this.#meantFor(plan, device) });
  }

  /** An upgrade that the service's devices can't take is refused like one that the broker refuses: null. */
  #prepareOr({ plan, device }: Push, settled: (outcome: Outcome) => void): PreparedUpgrade | null {
    try {
      return this.#prepare(plan, device.variant);
    } catch (error) {
      const refused = toOtaError(error);
      queueMicrotask(() => settled({ delivery: 'refused', error: refused }));
      return null;
    }
  }

  /** Seconds for which the platform waits for an answer to this push, rounded up. */
  #meantFor({ policy }: TaskPlan, { status, since }: Device): number {
    const passed = status === 'pushed' ? this.#parts.clock.now() - since : 0;
    return Math.max(1, Math.ceil(policy.noResponse - passed / 1000));
  }

  /** @param variant which of the task's packages */
  #prepare(plan: TaskPlan, variant: number): PreparedUpgrade {
    const key = `${plan.id} ${variant}`;
    const found = this.#prepared.get(key);
    if (found !== undefined) return found;
    if (this.#prepared.size > MAX_PREPARED) this.#prepared.clear();
    const prepared = this.#parts.link.prepare(plan.packages[variant]?.upgrade ?? plan.upgrade);
    this.#prepared.set(key, prepared);
    return prepared;
  }
}

/** What of a push's outcome matters to its device; a push that was taken is no news. */
const OUTCOMES: Readonly<Record<Delivery, 'offline' | 'refused' | 'push-timeout' | null>> = {
  accepted: null,
  unknown: null,
  offline: 'offline',
  refused: 'refused',
  timeout: 'push-timeout',
};

/**
 * The platform's own time. It runs only while the platform can hear its devices: connected, subscribed, and
 * through with what the broker had kept. A device never fails for the platform's own absence, and a jump of
 * the wall clock moves no limit.
 */
import type { Kept } from '../../protocol';
import type { Ticks } from '../types';

/** Times of the outside world, in milliseconds; `steady` never jumps. */
export interface Time {
  wall(): number;
  steady(): number;
}

export const SYSTEM_TIME: Time = { wall: () => Date.now(), steady: () => performance.now() };

/** The broker is through with what it kept after this long without a report… */
const QUIET_MS = 2000;
/** …or after this long, in a fleet that is never quiet, … */
const DRAIN_LIMIT_MS = 60_000;
/** …and this long in all within so much time: a link that flaps must not stop the limits. */
const DRAIN_WINDOW_MS = 5 * 60_000;
/** Pushes wait less: a device that was pushed in vain drops it, one that fails doesn't come back. */
const PUSH_QUIET_MS = 250;
const PUSH_LIMIT_MS = 3000;
/** So much at once is no time of ours: the process was stopped, or the machine slept. */
const LONGEST_STEP_MS = 5000;

export class PlatformClock {
  readonly #time: Time;
  #ticks: Ticks = 0;
  #last: number;
  /** Since when it is connected and subscribed; null while it isn't. */
  #connectedSince: number | null = null;
  #lastReport = -Infinity;
  #drained = false;
  #kept: Kept = 'unknown';
  /** The time that all instances share, as it was told last; null where this clock is the only one. */
  #followed: Ticks | null = null;
  /** How long it drained in each second that has passed lately; `at` is of `steady`. */
  #drains: { readonly at: number; ms: number }[] = [];

  constructor(time: Time) {
    this.#time = time;
    this.#last = time.steady();
  }

  /** Goes on from a time that was saved. */
  resume(ticks: Ticks): void {
    this.#ticks = Math.max(this.#ticks, ticks);
  }

  /** From now on the time is told from outside; only whether this instance hears its devices is its own. */
  follow(ticks: Ticks): void {
    this.#followed = Math.max(this.#followed ?? 0, ticks);
  }

  /** Connected, and through with what the broker had kept. */
  get hears(): boolean {
    this.now();
    return this.#drained;
  }

  get connected(): boolean {
    return this.#connectedSince !== null;
  }

  /** @param kept what the connection knows of the messages that the broker had kept; `unknown`: silence tells */
  setConnected(connected: boolean, kept: Kept = 'unknown'): void {
    this.now();
    this.#kept = kept;
    if (connected !== this.connected) {
      this.#drained = false;
      this.#connectedSince = connected ? this.#time.steady() : null;
    }
    if (connected && kept === 'read') this.#drained = true;
  }

  heard(): void {
    this.#lastReport = this.#time.steady();
  }

  now(): Ticks {
    const steady = this.#time.steady();
    const passed = Math.min(Math.max(0, steady - this.#last), LONGEST_STEP_MS);
    this.#last = steady;
    if (this.#drained) this.#ticks += passed;
    else if (this.connected) this.#drain(steady, passed);
    return this.#followed ?? Math.round(this.#ticks);
  }

  #drain(steady: number, passed: number): void {
    this.#drains = this.#drains.filter(({ at }) => at > steady - DRAIN_WINDOW_MS);
    const last = this.#drains.at(-1);
    if (last !== undefined && steady < last.at + 1000) last.ms += passed;
    else this.#drains.push({ at: steady, ms: passed });
    const drained = this.#drains.reduce((sum, { ms }) => sum + ms, 0);
    const isQuiet = this.#kept !== 'reading' && this.#isOver(steady, QUIET_MS, DRAIN_LIMIT_MS);
    this.#drained = isQuiet || drained >= DRAIN_LIMIT_MS;
  }

  /** True where pushes may go out. */
  get mayPush(): boolean {
    return this.#isOver(this.#time.steady(), PUSH_QUIET_MS, PUSH_LIMIT_MS);
  }

  #isOver(steady: number, quiet: number, limit: number): boolean {
    const since = this.#connectedSince;
    if (since === null) return false;
    return steady - since >= limit || steady - Math.max(since, this.#lastReport) >= quiet;
  }
}

/**
 * A wall clock that was wrong and then set: what was stamped by it goes with it. A board without a battery boots in
 * 1970 or a month back, hears devices, and gets its time from the network later; without this nobody would have been
 * seen lately, and history would be as old as it looks. Owns which stamps are this clock's, and whether it may be
 * believed where something is deleted for its age. Moves no limit: those are counted in ticks.
 */
import type { ClockJump, Stamps as StoredStamps, StampStore } from '../database';
import type { Time } from './clock';

/** A clock that is set by less than this is only kept right. */
const JUMP_MS = 60_000;
/** Two jumps of about the same size, one forth and one back. */
const SAME_MS = 5 * 60_000;
/** No clock of a machine that runs this can be right before it. */
const SANE = Date.UTC(2026, 0, 1);
/** For so long after a jump, or a start after a long time, nothing is deleted for its age. */
const DOUBT_MS = 24 * 3600_000;
/** What a process that was killed may have stamped since it wrote down its clock. */
const UNSAVED_MS = 2 * 60_000;
const LONG_AWAY_MS = 30 * 24 * 3600_000;

export class Stamps {
  readonly #time: Time;
  readonly #store: StampStore | null;
  /** What this clock has stamped since it counts so; wall clock. */
  #from = 0;
  #newest: number = -Infinity;
  /** How far it was set back since the start, at most 0: forward again is right again. */
  #back = 0;
  /** A jump forward that may have been a sleep of the machine: stamps from `at` on are of the new clock. */
  #ahead: { readonly at: number; readonly by: number } | null = null;
  #last: { wall: number; steady: number };
  #believedFrom = -Infinity;
  readonly #jumps: ClockJump[] = [];

  constructor(time: Time, store: StampStore | undefined) {
    this.#time = time;
    this.#store = store ?? null;
    this.#last = { wall: time.wall(), steady: time.steady() };
    this.#from = this.#last.wall;
  }

  /** Compares the clock with what it was when the process before this one ended. @returns stamps that must be moved */
  async start(): Promise<ClockJump | null> {
    const now = this.#time.wall();
    const stored = (await this.#store?.read()) ?? null;
    this.#last = { wall: now, steady: this.#time.steady() };
    this.#from = now;
    if (stored === null) return null;
    const { from, to, newest } = stored;
    this.#newest = newest;
    if (newest < to - JUMP_MS) return this.#resumeAhead(stored, now);
    const wasWrong = to < newest - JUMP_MS || to < SANE;
    if (now - to > LONG_AWAY_MS) this.#ahead = { at: now, by: now - to };
    if (this.#ahead !== null || now < newest - JUMP_MS) this.#doubt();
    if (!wasWrong) {
      // It went back before this start: maybe already while the process before was still at work.
      if (now < newest - JUMP_MS) this.#from = now - UNSAVED_MS;
      return null;
    }
    // The clock is as wrong as it was: what it stamped then is still to be put right.
    if (now >= to - JUMP_MS && (now < newest - JUMP_MS || now < SANE)) {
      this.#from = from;
      return null;
    }
    return now > to ? { from, to, by: now - to } : null;
  }

  /** The time to stamp with. Each look at the clock notices whether it was set since the one before. */
  wall(): number {
    const wall = this.#time.wall();
    const steady = this.#time.steady();
    const expected = this.#last.wall + (steady - this.#last.steady);
    this.#last = { wall, steady };
    const by = wall - expected;
    if (Math.abs(by) < JUMP_MS) {
      if (!this.#isAhead) this.#newest = Math.max(this.#newest, wall);
      return wall;
    }
    this.#doubt();
    const jump = by < 0 ? this.#setBack(expected, by) : this.#setForward(expected, by);
    if (jump !== null) this.#jumps.push(jump);
    return wall;
  }

  /** Stamps that must be moved next; null where all are right. */
  get jump(): ClockJump | null {
    return this.#jumps[0] ?? null;
  }

  /** The stamps of `jump` were moved. */
  async moved(): Promise<void> {
    this.#jumps.shift();
    await this.save();
  }

  /** True where what looks old is old. */
  get believed(): boolean {
    const { wall } = this.#last;
    return wall >= SANE && wall >= this.#newest - JUMP_MS && this.#time.steady() >= this.#believedFrom;
  }

  async save(): Promise<void> {
    const { wall } = this.#last;
    const ahead = this.#isAhead ? this.#ahead : null;
    const newest = ahead === null ? Math.max(this.#newest, wall) : this.#newest;
    await this.#store?.save({ from: ahead?.at ?? this.#from, to: wall, newest });
  }

  /** True while nobody knows whether the clock is ahead, or time went by. Such a clock is saved as newer than `newest`. */
  get #isAhead(): boolean {
    return this.#ahead !== null && this.#time.steady() < this.#believedFrom;
  }

  /** The process before this one had a clock that jumped forward: a deploy doesn't make it right. */
  #resumeAhead({ from, to, newest }: StoredStamps, now: number): ClockJump | null {
    this.#doubt();
    if (now < to - JUMP_MS) return { from, to, by: now - to };
    if (now - from < DOUBT_MS) this.#ahead = { at: from, by: from - newest };
    else this.#newest = to;
    return null;
  }

  #setBack(expected: number, by: number): ClockJump {
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead !== null && Math.abs(ahead.by + by) < SAME_MS) {
      // What was ahead is right again.
      this.#newest = Math.min(this.#newest, expected + by);
      return { from: ahead.at, to: expected, by };
    }
    this.#back += by;
    return this.#move(expected, by);
  }

  #setForward(expected: number, by: number): ClockJump | null {
    const wasWrong = this.#back < 0 || expected < SANE || expected < this.#newest - JUMP_MS;
    if (!wasWrong) {
      this.#ahead = { at: expected + by, by };
      return null;
    }
    this.#back = Math.min(0, this.#back + by);
    return this.#move(expected, by);
  }

  #move(expected: number, by: number): ClockJump {
    const jump = { from: this.#from, to: expected, by };
    this.#from += by;
    return jump;
  }

  #doubt(): void {
    this.#believedFrom = this.#time.steady() + DOUBT_MS;
  }
}

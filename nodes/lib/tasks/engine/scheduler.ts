/**
 * Everything that time brings to tasks: starts, limits, the next pushes, what the counts make of a task, what is left
 * to delete. Owns when it is looked at, one look at a time, and which tasks need one. Never works on a task that a
 * command has locked.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type IdSource, nextId } from '../../protocol';
import { isActive, isPastEnd, mayPush, soakEnd } from '../machine';
import {
  claim,
  type Claimed,
  claimNeed,
  due,
  type Due,
  dueNeed,
  NOBODY,
  probeNeed,
  probeSoon,
  repeat,
  type Repeated,
  repeatNeed,
} from '../transactions';
import { type Change, HISTORY_DAYS } from '../database';
import type { Task, Ticks } from '../types';
import type { PlatformClock, Time } from './clock';
import type { TaskEvents } from './events';
import type { Intents } from './intents';
import type { Lane } from './lane';
import type { Pushes } from './pushes';
import type { Stamps } from './stamps';
import type { TaskWrites } from './task-writes';
import { EventLoopYielder, SLICE } from './yielder';

export interface SchedulerOptions {
  readonly nextId?: IdSource;
  /** Milliseconds between runs; 0: only `run()` runs. */
  readonly everyMs?: number;
  /** Other instances work on the same tasks: each looks at all of them, for whoever touched one may be gone. */
  readonly shared?: boolean;
}

export interface SchedulerParts {
  readonly lane: Lane;
  readonly pushes: Pushes;
  readonly writes: TaskWrites;
  readonly intents: Intents;
  readonly events: TaskEvents;
  readonly clock: PlatformClock;
  readonly time: Time;
  readonly stamps: Stamps;
}

const EVERY_MS = 250;
const EVERY_SHARED_MS = 1000;
/** After something happened the next run comes sooner. */
const WAKE_MS = 20;
const SAVE_CLOCK_MS = 10_000;
const SAVE_STAMPS_MS = 60_000;
const PRUNE_MS = 10_000;
const PRUNE_SLICES = 5;
/** All waiting devices are looked for out of their turn once in this time at most. */
const PROBE_ALL_MS = 5 * 60_000;
/** A full table is looked through once in this time at most, … */
const ROOM_MS = 10 * 60_000;
/** …and so many slices of it in one run. */
const ROOM_SLICES = 20;
/** Limits that stood still are looked for again after this time, … */
const RECOUNT_MS = 3_600_000;
/** …so many slices of them in one run. */
const RESUME_SLICES = 10;
/** Work that was put off and fails again is tried after this time, and after more the next time. */
const LATER_MS = 60_000;
const DAY_MS = 24 * 3600 * 1000;
/** Every push is answered within this time; a younger one may not have left before a kill. */
const UNSURE_MS = 40_000;
/** An instance that was killed counts as alive for some seconds: by now it doesn't. */
const GONE_MS = 7000;
/** The line of a task's log that tells that its devices were taken out of older tasks. */
const SUPERSEDED = 'older-superseded';
/** A task whose making took longer than this was broken off. */
const MAKING_MS = 10 * 60_000;

interface CountedLimits {
  /** For which run of the task. */
  readonly since: Ticks;
  /** Steady time. */
  readonly at: number;
  /** The token after which it goes on; null: all are counted. */
  readonly after: string | null;
}

export class Scheduler {
  readonly #parts: SchedulerParts;
  readonly #nextId: IdSource;
  readonly #everyMs: number;
  readonly #shared: boolean;
  #lookedAtAll = -Infinity;
  /** Tasks with a claim of which nobody knows whether it was committed. */
  readonly #unsure = new Set<number>();
  /** Tasks that were live at the start, with the ticks from which on their pushes may not have left. */
  readonly #begun = new Map<number, Ticks>();
  #startedAt = -Infinity;
  /** Those were repeated once, and will be again: an earlier life of this instance may still have counted as alive. */
  #repeatsAgain = false;
  /** Tasks whose devices changed: what does that make of them? */
  readonly #dirty = new Set<number>();
  /** Tasks with `supersede` that have taken their devices out of older ones, as far as this process has looked. */
  readonly #superseded = new Set<number>();
  /** Tasks that a command works on. */
  readonly #locked = new Set<number>();
  /** Commands that wait for the run which is under way. */
  #waiting = 0;
  /** By task, the limits that had stood still and were counted. */
  readonly #counted = new Map<number, CountedLimits>();
  readonly #later: (() => Promise<void>)[] = [];
  #laterFailed = 0;
  #laterFrom = -Infinity;
  #stopped = true;
  #underWay: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #wake: NodeJS.Timeout | null = null;
  #savedClock = -Infinity;
  #pruned = -Infinity;
  /** Stamps that are being put right. */
  #moving: Promise<void> | null = null;
  #stamped = -Infinity;
  #needsCleanup = true;
  #probed = -Infinity;
  #makesRoom = false;
  #madeRoom = -Infinity;
  #probesAll = false;

  constructor(parts: SchedulerParts, options: SchedulerOptions) {
    this.#parts = parts;
    this.#nextId = options.nextId ?? nextId;
    this.#everyMs = options.everyMs ?? (options.shared === true ? EVERY_SHARED_MS : EVERY_MS);
    this.#shared = options.shared === true;
    parts.events.listen({ onChange: (change) => this.#changed(change) });
    parts.pushes.onOutcome(() => this.wake());
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** @param live the tasks whose pushes may not have left before a kill: the first run repeats them */
  start(live: readonly number[]): void {
    this.#stopped = false;
    const since = this.#parts.clock.now() - UNSURE_MS;
    for (const task of live) this.#begun.set(task, since);
    this.#startedAt = this.#parts.time.steady();
    this.#repeatsAgain = false;
    if (this.#everyMs > 0) this.#timer = setInterval(() => void this.run(), this.#everyMs);
  }

  /** No more runs; the one under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#wake !== null) clearTimeout(this.#wake);
    await this.#underWay;
  }

  /** The next run comes soon. */
  wake(): void {
    if (this.#stopped || this.#wake !== null || this.#everyMs === 0) return;
    this.#wake = setTimeout(() => {
      this.#wake = null;
      void this.run();
    }, WAKE_MS);
  }

  /** Looks at everything. One run at a time; never rejects. */
  run(): Promise<void> {
    if (this.#underWay !== null) {
      this.#again = true;
      return this.#underWay;
    }
    this.#underWay = this.#run().finally(() => {
      this.#underWay = null;
      if (!this.#again || this.#stopped) return;
      this.#again = false;
      this.wake();
    });
    return this.#underWay;
  }

  /** A run leaves what takes long to the next one. */
  #isBrokenOff(): boolean {
    if (this.#waiting > 0) this.#again = true;
    return this.#stopped || this.#waiting > 0;
  }

  /** What a task's counts make of it is looked at soon. */
  markDirty(task: number): void {
    this.#dirty.add(task);
    this.wake();
  }

  /** Keeps away from a task while a command works on it. */
  async whileLocked<T>(task: number, work: () => Promise<T>): Promise<T> {
    this.#locked.add(task);
    try {
      // A run that is under way may have looked at it already; it makes way.
      this.#waiting += 1;
      await this.#underWay;
      this.#waiting -= 1;
      return await work();
    } finally {
      this.#locked.delete(task);
      this.markDirty(task);
    }
  }

  /** The connection is there again after it was lost: devices that wait may be, too. */
  reconnected(): void {
    const now = this.#parts.time.steady();
    // A link that flaps must not have them all written again and again.
    if (now - this.#probed < PROBE_ALL_MS) return;
    this.#probed = now;
    this.#probesAll = true;
    this.wake();
  }

  /** What a command could not do for the store's sake is done when it can be. Lost with the process. */
  later(work: () => Promise<void>): void {
    this.#later.push(work);
    this.wake();
  }

  /** Something is left to delete. */
  scheduleCleanup(): void {
    this.#needsCleanup = true;
    this.wake();
  }

  #changed({ plan, before, after }: Change): void {
    if (before.status === after.status && before.hold === after.hold) return;
    this.#dirty.add(plan.id);
    if (isActive(before) || after.status === 'pending') this.wake();
  }

  async #run(): Promise<void> {
    const { lane, clock, events, writes } = this.#parts;
    await readWhatCame();
    try {
      // Reading goes well on a full disk: only a write tells that it is over.
      if (events.problem !== null) await lane.write((database) => database.saveClock(clock.now()));
      await lane.flush();
      await this.rightStamps();
      const tasks = await this.#begin(await this.#finishIntents(await lane.database.live()));
      if (this.#shared) this.#lookAtAll(tasks);
      await this.#end(tasks);
      await this.#supersede(tasks);
      this.#markSoaked(tasks);
      if (clock.connected) {
        // Before any limit is looked at: a push that never left is no silence of its device.
        await this.#repeatBegun();
        await this.#resumeLimits(tasks);
        await this.#due();
        if (this.#probesAll) await this.#probeAll(tasks);
        const yielder = new EventLoopYielder();
        const pushes = clock.mayPush;
        for (const task of tasks) {
          const mayHave = hasPushes(task) || this.#dirty.has(task.id);
          if (pushes && mayHave && this.#mayPush(task)) await this.#claim(task, yielder);
        }
      }
      await this.#decideDirty();
      for (const task of tasks) {
        if (task.status === 'cancelled' && !this.#locked.has(task.id)) await writes.cancelOpen(task);
      }
      await this.#doLater();
      await events.emitCounts(lane.database);
      await this.#tidy(tasks.length > 0);
      events.schedulerDone();
    } catch (error) {
      events.schedulerFailed(error);
    }
  }

  /** Where the wall clock was set, stamps are put right before anybody judges by them. @throws OtaError */
  rightStamps(): Promise<void> {
    const { stamps, time } = this.#parts;
    time.wall();
    if (stamps.jump === null) return Promise.resolve();
    this.#moving ??= this.#moveStamps().finally(() => {
      this.#moving = null;
    });
    return this.#moving;
  }

  async #moveStamps(): Promise<void> {
    const { stamps, writes } = this.#parts;
    for (let { jump } = stamps; jump !== null; jump = stamps.jump) {
      await writes.moveStamps(jump);
      await stamps.moved();
    }
  }

  /** Once a second: what other instances made of the tasks, or left undone. */
  #lookAtAll(tasks: readonly Task[]): void {
    const now = this.#parts.time.steady();
    if (now - this.#lookedAtAll < EVERY_SHARED_MS * 0.9) return;
    this.#lookedAtAll = now;
    for (const { id } of tasks) this.#dirty.add(id);
    this.#parts.events.markNew();
  }

  /** Goes on with commands that were broken off. */
  async #finishIntents(tasks: readonly Task[]): Promise<readonly Task[]> {
    const { lane, intents } = this.#parts;
    const left = tasks.filter(({ id, intent }) => intent !== null && !this.#locked.has(id));
    if (left.length === 0) return tasks;
    for (const task of left) {
      await intents.finishLeft(task);
      this.#dirty.add(task.id);
    }
    return lane.database.live();
  }

  /** What fails again waits for a minute more each time, and holds nothing else up. */
  async #doLater(): Promise<void> {
    const { events, time } = this.#parts;
    for (let work = this.#later[0]; work !== undefined; work = this.#later[0]) {
      if (time.steady() < this.#laterFrom) return;
      try {
        await work();
      } catch (error) {
        this.#laterFailed += 1;
        this.#laterFrom = time.steady() + this.#laterFailed * LATER_MS;
        events.fail(error);
        return;
      }
      this.#laterFailed = 0;
      this.#later.shift();
    }
  }

  /** Starts what was planned for now. */
  async #begin(tasks: readonly Task[]): Promise<readonly Task[]> {
    const { lane, writes, time } = this.#parts;
    const wall = time.wall();
    const starts = tasks.filter((task) => task.status === 'scheduled' && (task.startAt ?? 0) <= wall);
    if (starts.length === 0) return tasks;
    for (const { id } of starts) {
      await writes.decide(id, ({ status, wave }) =>
        status === 'scheduled' ? { status: 'running', reason: null, wave } : null,
      );
    }
    return lane.database.live();
  }

  /** Ends what has an end, and devices that are left then. */
  async #end(tasks: readonly Task[]): Promise<void> {
    const { writes, time } = this.#parts;
    for (const task of tasks) {
      const isOver = task.status === 'cancelled' || task.status === 'ended' || this.#locked.has(task.id);
      if (!isOver && isPastEnd(task, time.wall())) await writes.endOpen(task);
    }
  }

  /**
   * Once for each task, whichever instance does it: its log says that it was done, and no restart takes out again what
   * a person has taken back since. A pass that was broken off begins again.
   */
  async #supersede(tasks: readonly Task[]): Promise<void> {
    const { lane, writes } = this.#parts;
    for (const task of tasks) {
      const isDue = task.status === 'running' && task.policy.supersede && !this.#superseded.has(task.id);
      if (!isDue || this.#locked.has(task.id)) continue;
      const log = await lane.database.log(task.id);
      if (!log.some(({ event }) => event === SUPERSEDED)) {
        await writes.supersede(task);
        await writes.note(task, SUPERSEDED, NOBODY);
      }
      this.#superseded.add(task.id);
    }
  }

  /** A soak time that is over changes a task although no device changes. */
  #markSoaked(tasks: readonly Task[]): void {
    const now = this.#parts.clock.now();
    for (const task of tasks) {
      const end = task.status === 'running' ? soakEnd(task) : null;
      if (end !== null && end <= now) this.#dirty.add(task.id);
    }
  }

  #mayPush(task: Task): boolean {
    const isFree = task.status === 'running' && !this.#locked.has(task.id);
    return isFree && mayPush(task, this.#parts.time.wall());
  }

  /**
   * Once for each time that a task runs on, some slices in each run; with several instances once an hour besides, for
   * what another one wrote meanwhile.
   */
  async #resumeLimits(tasks: readonly Task[]): Promise<void> {
    const steady = this.#parts.time.steady();
    const running = new Map(
      tasks.flatMap(({ id, running: { since } }) => (since === null ? [] : [[id, since]])),
    );
    for (const id of this.#counted.keys()) if (!running.has(id)) this.#counted.delete(id);
    for (const task of tasks) {
      const since = running.get(task.id);
      if (since === undefined || this.#locked.has(task.id)) continue;
      const last = this.#counted.get(task.id);
      const isSame = last?.since === since;
      const isOld = this.#shared && last !== undefined && steady - last.at >= RECOUNT_MS;
      if (isSame && last.after === null && !isOld) continue;
      const from = isSame && last.after !== null ? last.after : '';
      const after = task.waiting > 0 ? await this.#resumeSlices(task, from) : null;
      this.#counted.set(task.id, { since, at: steady, after });
    }
  }

  /** @returns the token after which the next run goes on; null where all are done */
  async #resumeSlices(task: Task, from: string): Promise<string | null> {
    const yielder = new EventLoopYielder();
    let after: string | null = from;
    for (let n = 0; after !== null && n < RESUME_SLICES && !this.#locked.has(task.id); n += 1) {
      after = await this.#parts.writes.resumeLimits(task, after);
      await yielder.next();
      if (this.#isBrokenOff()) break;
    }
    if (after !== null) this.#again = true;
    return after;
  }

  async #due(): Promise<void> {
    const { lane, events } = this.#parts;
    const yielder = new EventLoopYielder();
    const until = lane.now().ticks;
    for (let more = !this.#stopped; more;) {
      const over: Due = await lane.transact(
        (at) => dueNeed(at, SLICE, until),
        (rows) => due(rows, SLICE, until),
      );
      events.emitChanges(over.changes);
      await yielder.next();
      // A slice in each run, however many commands wait.
      more = over.more && !this.#isBrokenOff();
    }
  }

  async #probeAll(tasks: readonly Task[]): Promise<void> {
    this.#probesAll = false;
    const yielder = new EventLoopYielder();
    for (const { id } of tasks.filter(({ waiting }) => waiting > 0)) {
      for (let more = true; more && !this.#stopped;) {
        more = await this.#parts.lane.transact<boolean>(
          (at) => probeNeed(id, SLICE, at),
          (rows) => probeSoon(SLICE, rows),
        );
        await yielder.next();
      }
    }
  }

  async #claim({ id }: Task, yielder: EventLoopYielder): Promise<void> {
    const { lane, pushes, events } = this.#parts;
    for (let more = true; more && !this.#stopped && !this.#locked.has(id);) {
      const rules = { task: id, limit: Math.min(SLICE, pushes.room), nextId: this.#nextId };
      if (rules.limit <= 0) return;
      if (this.#unsure.has(id)) await this.repeatUnsure(id, { own: true });
      this.#unsure.delete(id);
      let claimed: Claimed;
      try {
        claimed = await lane.transact(
          (at) => claimNeed(rules, at),
          (rows) => claim(rules, rows),
        );
      } catch (error) {
        // It may have been committed all the same: its pushes go out before the next ones.
        if (this.#shared) this.#unsure.add(id);
        throw error;
      }
      pushes.send(claimed.pushes);
      events.emitChanges(claimed.changes);
      more = claimed.more && (claimed.changes.length > 0 || claimed.pushes.length > 0);
      await yielder.next();
      if (this.#isBrokenOff()) return;
    }
  }

  /**
   * Pushes of a task that may not have left are repeated soon: those of an instance that is gone, and with `own` this
   * one's.
   */
  async repeatUnsure(task: number, { own = false }: { readonly own?: boolean } = {}): Promise<void> {
    const since = this.#parts.clock.now() - UNSURE_MS;
    await this.#repeatSince(task, { since, own }, () => false);
  }

  async #repeatBegun(): Promise<void> {
    const isLast = !this.#shared || this.#parts.time.steady() - this.#startedAt >= GONE_MS;
    if (this.#repeatsAgain && !isLast) return;
    for (const [task, since] of this.#begun) {
      await this.#repeatSince(task, { since, own: false }, () => this.#stopped);
      if (isLast && !this.#stopped) this.#begun.delete(task);
    }
    this.#repeatsAgain = true;
  }

  async #repeatSince(
    task: number,
    unsure: { readonly since: Ticks; readonly own: boolean },
    isBrokenOff: () => boolean,
  ): Promise<void> {
    const yielder = new EventLoopYielder();
    for (let after: string | null = ''; after !== null && !isBrokenOff();) {
      const slice = { ...unsure, after, limit: SLICE };
      const repeated: Repeated = await this.#parts.lane.transact(
        (at) => repeatNeed(task, slice, at),
        (rows) => repeat(SLICE, rows),
      );
      after = repeated.next;
      await yielder.next();
    }
  }

  async #decideDirty(): Promise<void> {
    const yielder = new EventLoopYielder();
    for (const id of [...this.#dirty]) {
      if (this.#locked.has(id)) continue;
      this.#dirty.delete(id);
      try {
        await yielder.next();
        const changed = await this.#parts.writes.decideByCounts(id);
        if (changed !== null) this.wake();
      } catch (error) {
        this.#dirty.add(id);
        throw error;
      }
    }
  }

  async #tidy(busy: boolean): Promise<void> {
    const { lane, clock, time, stamps } = this.#parts;
    const steady = time.steady();
    if (busy && steady - this.#savedClock >= SAVE_CLOCK_MS) {
      this.#savedClock = steady;
      await lane.write((database) => database.saveClock(clock.now()));
    }
    const yielder = new EventLoopYielder();
    while (this.#needsCleanup && !this.#stopped) {
      const madeBefore = time.wall() - MAKING_MS;
      this.#needsCleanup = await lane.write((database) => database.deleteSlice(SLICE, madeBefore));
      await yielder.next();
    }
    if (steady - this.#stamped >= SAVE_STAMPS_MS) {
      this.#stamped = steady;
      await stamps.save();
    }
    if (!stamps.believed) return;
    await this.#makeRoom(yielder);
    if (steady - this.#pruned < PRUNE_MS) return;
    this.#pruned = steady;
    this.#needsCleanup = true;
    const before = time.wall() - HISTORY_DAYS * DAY_MS;
    for (let slice = 0, more = true; more && slice < PRUNE_SLICES && !this.#stopped; slice += 1) {
      more = await lane.write((database) => database.prune(before));
      await yielder.next();
    }
  }

  /** Where new devices found no room, old ones that nobody misses go: a part of them in each run. */
  async #makeRoom(yielder: EventLoopYielder): Promise<void> {
    const { lane, events, time } = this.#parts;
    const steady = time.steady();
    if (!this.#makesRoom && steady - this.#madeRoom >= ROOM_MS && events.takeFull()) {
      this.#makesRoom = true;
      this.#madeRoom = steady;
    }
    for (let slice = 0; this.#makesRoom && slice < ROOM_SLICES && !this.#stopped; slice += 1) {
      const before = time.wall() - HISTORY_DAYS * DAY_MS;
      this.#makesRoom = await lane.write((database) => database.makeRoom(before));
      await yielder.next();
    }
  }
}

/** True where a device of the task may have a push that is due: a first one, a repeat, a probe. */
function hasPushes({ counts }: Task): boolean {
  return counts.pending + counts.pushed > 0;
}

/**
 * Where the process had no processor for a while, its timers come first, and what the broker sent meanwhile still
 * lies in the socket: no push may go out, and no limit strike, before that was read and committed.
 */
async function readWhatCame(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await nextTurn();
}

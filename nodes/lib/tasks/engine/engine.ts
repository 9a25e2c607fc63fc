/**
 * The engine of one service's tasks: reports in, pushes out, one sweep for everything that time brings.
 * Joins the store, the machine and the clock; knows neither MQTT nor Node-RED. Whatever it does is in the
 * store first: killed at any moment and started again, it goes on where it was.
 */
import {
  type IdSource,
  nextId,
  OtaError,
  type SignMethodCase,
  toOtaError,
  upgradeWriter,
} from '../../protocol';
import {
  allowance,
  decide,
  type EventName,
  isActive,
  isWindowOpen,
  openDevices,
  type Report,
  spend,
} from '../machine';
import type { Answer, Awaitable, Change, Push, Reported, TaskStore } from '../store';
import { HISTORY_DAYS } from '../store';
import type { DeviceStatus, Task, TaskPlan } from '../types';
import { PlatformClock, SYSTEM_TIME, type Time } from './clock';
import { InTurn } from './in-turn';
import { Turns } from './turns';

/** What became of a push; the link's own words. */
export interface PushOutcome {
  readonly delivery: 'accepted' | 'unknown' | 'offline' | 'refused' | 'timeout';
  readonly error: OtaError | null;
}

/** What the engine needs of the connection. */
export interface EngineLink {
  /** `settled` is called once, never before this returns. */
  publish(accessToken: string, body: string, settled: (outcome: PushOutcome) => void): void;
}

/** Something that must be committed before its reports are acknowledged. */
export interface EngineBatch {
  join(committer: { commit(): void | Promise<void> }): boolean;
}

export interface EngineListener {
  /** Each change of a device, after it was committed. */
  readonly onChange?: (change: Change) => void;
  /** Each change of a task; changes of its counts at most once a second. */
  readonly onTask?: (task: Task) => void;
  /** The tasks that aren't over, whenever they were looked at and something was new. */
  readonly onTasks?: (tasks: readonly Task[]) => void;
  /** A problem (once for each change of state), or null when it is over. */
  readonly onProblem?: (error: OtaError | null) => void;
}

export interface EngineOptions {
  readonly store: TaskStore;
  readonly link: EngineLink;
  readonly signMethodCase?: SignMethodCase;
  readonly time?: Time;
  readonly nextId?: IdSource;
  /** Milliseconds between sweeps; 0: only `sweep()` sweeps. */
  readonly sweepMs?: number;
}

const SWEEP_MS = 250;
/** After something happened the next sweep comes sooner. */
const KICK_MS = 20;
/** Devices in one transaction: a few milliseconds. */
const SLICE = 200;
/** Pushes without an answer at most: the link queues what its window doesn't take. */
const MAX_OPEN = 2000;
const SAVE_CLOCK_MS = 10_000;
const PRUNE_MS = 10_000;
const COUNTS_MS = 1000;
/** Every push is answered within this time; a younger one may not have left before a kill. */
const UNSURE_MS = 40_000;
/** Devices have this long to come back after a connection that was lost: until then none of them is offline. */
const RETURN_MS = 10_000;
/** Reports that could not be stored come again within this time, or not at all. */
const UNHEARD_MS = 60_000;
const DAY_MS = 24 * 3600 * 1000;
const MAX_WRITERS = 1000;

export class Engine {
  readonly store: TaskStore;
  readonly clock: PlatformClock;
  readonly time: Time;
  /** Commands, by the task that they change. */
  readonly commands = new InTurn<number>();
  readonly #options: EngineOptions;
  readonly #listeners = new Set<EngineListener>();
  readonly #writers = new Map<number, (id: string) => string>();
  /** Tasks whose devices changed: what does that make of them? */
  readonly #touched = new Set<number>();
  /** Tasks whose counts changed since they were told, and when that was. */
  readonly #untold = new Set<string>();
  readonly #toldAt = new Map<string, number>();
  /** Tasks that a command works on: the sweep leaves them alone. */
  readonly #held = new Set<number>();
  readonly #committer = { commit: (): void | Promise<void> => this.#commit() };
  #reports: Report[] = [];
  #answers: Answer[] = [];
  #open = 0;
  #sweeping: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #kick: NodeJS.Timeout | null = null;
  #problem: OtaError | null = null;
  #full = false;
  #stopped = true;
  /** When the connection was there again after it was lost. */
  #returned = -Infinity;
  #left = false;
  /** When reports could not be stored; they come again. */
  #unheard = -Infinity;
  #savedClock = -Infinity;
  #pruned = -Infinity;
  #hidden = true;
  #news = true;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.store = options.store;
    this.time = options.time ?? SYSTEM_TIME;
    this.clock = new PlatformClock(this.time);
  }

  /** Goes on where the store says that it was. @throws OtaError where the store can't be used */
  async start(): Promise<void> {
    const ticks = await this.store.clock();
    this.clock.resume(ticks);
    await this.store.recover(ticks - UNSURE_MS, ticks);
    for (const task of await this.store.live()) this.#touched.add(task.id);
    this.#stopped = false;
    const every = this.#options.sweepMs ?? SWEEP_MS;
    if (every > 0) this.#timer = setInterval(() => void this.sweep(), every);
  }

  /** Ends the sweep; a transaction under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#kick !== null) clearTimeout(this.#kick);
    this.clock.setHere(false);
    await this.#sweeping;
    try {
      await this.store.saveClock(this.clock.now());
    } catch (error) {
      this.#fail(error);
    }
  }

  listen(listener: EngineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get problem(): OtaError | null {
    return this.#problem;
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  /** Connected, and both subscriptions granted. */
  setHere(here: boolean): void {
    if (here && this.#left) this.#returned = this.time.steady();
    this.#left = !here && (this.#left || this.clock.here);
    this.clock.setHere(here);
    if (here) this.kick();
  }

  /** A report; it is committed, with the others of its batch, before the broker hears of it. */
  hear(report: Report, batch: EngineBatch): void {
    this.#reports.push(report);
    batch.join(this.#committer);
  }

  /** The next sweep comes soon. */
  kick(): void {
    if (this.#stopped || this.#kick !== null || this.#options.sweepMs === 0) return;
    this.#kick = setTimeout(() => {
      this.#kick = null;
      void this.sweep();
    }, KICK_MS);
  }

  /** Looks at everything that time brings. One at a time; never rejects. */
  sweep(): Promise<void> {
    if (this.#sweeping !== null) {
      this.#again = true;
      return this.#sweeping;
    }
    this.#sweeping = this.#sweepAll().finally(() => {
      this.#sweeping = null;
      if (this.#again && !this.#stopped) {
        this.#again = false;
        this.kick();
      }
    });
    return this.#sweeping;
  }

  /** Keeps the sweep away from a task while a command works on it. */
  async holding<T>(task: Task, work: () => Promise<T>): Promise<T> {
    // A sweep that is under way may have looked at it already.
    await this.#sweeping;
    this.#held.add(task.id);
    try {
      return await work();
    } finally {
      this.#held.delete(task.id);
      this.touch(task.id);
    }
  }

  touch(task: number): void {
    this.#touched.add(task);
    this.kick();
  }

  /** Something is left to delete. */
  wipe(): void {
    this.#hidden = true;
    this.kick();
  }

  /** Tells the changes that were committed, and what they touch. */
  tell(changes: readonly Change[]): void {
    for (const change of changes) {
      const { before, after, plan } = change;
      for (const listener of this.#listeners) listener.onChange?.(change);
      if (before.status === after.status) continue;
      this.#touched.add(plan.id);
      this.#untold.add(plan.taskId);
      if (isActive(before) || after.status === 'pending') this.kick();
    }
  }

  tellTask(task: Task): void {
    this.#untold.delete(task.taskId);
    if (this.#toldAt.size > MAX_WRITERS) this.#toldAt.clear();
    this.#toldAt.set(task.taskId, this.time.steady());
    this.#news = true;
    for (const listener of this.#listeners) listener.onTask?.(task);
  }

  /** What a task's counts make of it; told where it changed. */
  async settle(id: number): Promise<void> {
    const changed = await this.store.decide(id, decide, this.time.wall());
    if (changed === null) return;
    this.tellTask(changed);
    this.kick();
  }

  /** Cancels what a cancelled task still has, in slices. */
  async clear(task: Task): Promise<void> {
    await this.moveAll(task, ['pending', 'pushed', 'upgrading'], 'cancel');
    const settled = await this.store.decide(
      task.id,
      ({ status, reason, wave, counts }) =>
        status === 'cancelled' && openDevices(counts) === 0 ? { status, reason, wave, settled: true } : null,
      this.time.wall(),
    );
    if (settled !== null) this.tellTask(settled);
  }

  /** Moves all devices in some states, in slices. Returns how many. */
  async moveAll(task: Task, statuses: readonly DeviceStatus[], on: 'cancel' | 'retry'): Promise<number> {
    const turns = new Turns();
    let moved = 0;
    for (const status of statuses) {
      for (let after: string | null = ''; after !== null;) {
        const event = { on, now: this.clock.now() };
        const slice: Awaited<ReturnType<TaskStore['move']>> = await this.store.move(
          task.id,
          { status, after, limit: SLICE },
          event,
          this.time.wall(),
        );
        this.tell(slice.changes);
        moved += slice.changes.length;
        after = slice.next;
        await turns.next();
      }
    }
    return moved;
  }

  // Reports

  #commit(): void | Promise<void> {
    const reports = this.#reports;
    this.#reports = [];
    if (reports.length === 0) return;
    this.clock.heard();
    let done: Awaitable<Reported>;
    try {
      const report = (): Awaitable<Reported> => this.store.report(reports, this.clock.now());
      // In the order of the wire: a device may report right after its push found nobody.
      const answered = this.#answers.length === 0 ? undefined : this.#answer(this.#answers.length);
      done = answered instanceof Promise ? answered.then(report) : report();
    } catch (error) {
      throw this.#notStored(error);
    }
    if (!(done instanceof Promise)) return this.#reported(done);
    return done.then(
      (result) => this.#reported(result),
      (error: unknown) => {
        throw this.#notStored(error);
      },
    );
  }

  /** The broker sends them again: until then a sweep, which writes less, can't tell that all is well. */
  #notStored(error: unknown): OtaError {
    this.#unheard = this.time.steady();
    return this.#fail(error);
  }

  #reported({ changes, leftOut }: Reported): void {
    this.#unheard = -Infinity;
    this.#recovered();
    this.tell(changes);
    if (leftOut === 0 || this.#full) return;
    this.#full = true;
    const text =
      'The table of devices is full: versions of new devices are not remembered any more. Tasks for named devices go on; somebody may be inventing tokens.';
    for (const listener of this.#listeners) listener.onProblem?.(new OtaError('OTA_STORE_FULL', text));
  }

  // The sweep

  async #sweepAll(): Promise<void> {
    try {
      // Reading goes well on a full disk: only a write tells that it is over.
      if (this.#problem !== null) await this.store.saveClock(this.clock.now());
      await this.#answered();
      const tasks = await this.#begin(await this.store.live());
      if (this.clock.here) {
        const mayPush = this.clock.mayPush;
        const allowed = new Set(tasks.filter((task) => mayPush && this.#pushes(task)).map((task) => task.id));
        await this.#due(tasks, allowed);
        for (const task of tasks) if (allowed.has(task.id)) await this.#claim(task);
      }
      await this.#settleTouched();
      for (const task of tasks)
        if (task.status === 'cancelled' && !this.#held.has(task.id)) await this.clear(task);
      await this.#tellCounts();
      await this.#tidy(tasks.length > 0);
      if (this.time.steady() - this.#unheard >= UNHEARD_MS) this.#recovered();
    } catch (error) {
      this.#unheard = -Infinity;
      this.#fail(error);
    }
  }

  /** Starts what was planned for now. */
  async #begin(tasks: readonly Task[]): Promise<readonly Task[]> {
    const wall = this.time.wall();
    const due = tasks.filter((task) => task.status === 'scheduled' && (task.startAt ?? 0) <= wall);
    if (due.length === 0) return tasks;
    for (const { id } of due) {
      const started = await this.store.decide(
        id,
        ({ status, wave }) => (status === 'scheduled' ? { status: 'running', reason: null, wave } : null),
        wall,
      );
      if (started !== null) this.tellTask(started);
    }
    return this.store.live();
  }

  #pushes(task: Task): boolean {
    return (
      task.status === 'running' &&
      !this.#held.has(task.id) &&
      isWindowOpen(task.policy.window, this.time.wall())
    );
  }

  async #due(tasks: readonly Task[], allowed: ReadonlySet<number>): Promise<void> {
    const turns = new Turns();
    const left = new Map(tasks.map((task) => [task.id, this.#allowance(task)]));
    const mayPush = (plan: TaskPlan): boolean => {
      const room = left.get(plan.id) ?? 0;
      if (!allowed.has(plan.id) || room <= 0 || this.#open >= MAX_OPEN) return false;
      left.set(plan.id, room - 1);
      return true;
    };
    for (let more = true; more && !this.#stopped;) {
      const now = this.clock.now();
      const due = await this.store.due({ now, wall: this.time.wall(), limit: SLICE, mayPush });
      this.tell(due.changes);
      this.#push(due.pushes);
      await this.#paceRepeats(due.pushes);
      more = due.more;
      await turns.next();
    }
  }

  /** Repeats count in the rate as well. */
  async #paceRepeats(pushes: readonly Push[]): Promise<void> {
    const counts = new Map<TaskPlan, number>();
    for (const { plan } of pushes) counts.set(plan, (counts.get(plan) ?? 0) + 1);
    for (const [plan, n] of counts) {
      if (plan.policy.perMinute === 0) continue;
      await this.store.addPace(plan.id, (task) =>
        spend(plan.policy.perMinute, task.pace, this.time.wall(), n),
      );
    }
  }

  async #claim({ id }: Task): Promise<void> {
    const turns = new Turns();
    for (let more = true; more && !this.#stopped && !this.#held.has(id);) {
      const now = this.clock.now();
      const room = (task: Task): number => this.#room(task);
      const claimed = await this.store.claim(id, {
        now,
        wall: this.time.wall(),
        room,
        pace: (task, pushes) => spend(task.policy.perMinute, task.pace, this.time.wall(), pushes),
        nextId: this.#options.nextId ?? nextId,
      });
      this.tell(claimed.changes);
      this.#push(claimed.pushes);
      more = claimed.more && claimed.changes.length > 0;
      await turns.next();
    }
  }

  #allowance(task: Task): number {
    return allowance(task.policy.perMinute, task.pace, this.time.wall());
  }

  #room(task: Task): number {
    const { concurrency } = task.policy;
    const active = task.counts.pushed + task.counts.upgrading;
    const free = concurrency === 0 ? SLICE : concurrency - active;
    return Math.min(free, this.#allowance(task), MAX_OPEN - this.#open, SLICE);
  }

  // Pushes

  #push(pushes: readonly Push[]): void {
    for (const { plan, device } of pushes) {
      const id = device.pushId ?? '';
      const sent = this.time.steady();
      this.#open += 1;
      this.#options.link.publish(device.accessToken, this.#writer(plan)(id), ({ delivery, error }) => {
        this.#open -= 1;
        if (this.#open === MAX_OPEN >> 1) this.kick();
        // What was under way is sent again before the connection counts as made.
        const returning = this.#left || sent < this.#returned + RETURN_MS;
        const isAway = returning && delivery === 'offline' && plan.policy.offline === 'fail';
        const on: EventName | null = isAway ? 'away' : ANSWERS[delivery];
        // After the end nobody can tell any more; the next start repeats what may be lost.
        if (on === null || this.#stopped) return;
        const event = { on, now: this.clock.now(), id, push: device.pushes, desc: error?.message ?? '' };
        this.#answers.push({ device: device.id, event });
        this.kick();
      });
    }
  }

  #writer(plan: TaskPlan): (id: string) => string {
    const found = this.#writers.get(plan.id);
    if (found !== undefined) return found;
    if (this.#writers.size > MAX_WRITERS) this.#writers.clear();
    const writer = upgradeWriter(plan.upgrade, this.#options.signMethodCase);
    this.#writers.set(plan.id, writer);
    return writer;
  }

  async #answered(): Promise<void> {
    const turns = new Turns();
    while (this.#answers.length > 0) {
      await this.#answer(SLICE);
      await turns.next();
    }
  }

  #answer(limit: number): Awaitable<void> {
    const slice = this.#answers.splice(0, limit);
    // What couldn't be written is tried again.
    const again = (error: unknown): never => {
      this.#answers = [...slice, ...this.#answers];
      throw error;
    };
    try {
      const changes = this.store.answer(slice, this.time.wall());
      if (changes instanceof Promise) return changes.then((all) => this.tell(all), again);
      return this.tell(changes);
    } catch (error) {
      return again(error);
    }
  }

  // Tasks

  async #settleTouched(): Promise<void> {
    for (const id of [...this.#touched]) {
      if (this.#held.has(id)) continue;
      this.#touched.delete(id);
      try {
        await this.settle(id);
      } catch (error) {
        this.#touched.add(id);
        throw error;
      }
    }
  }

  async #tellCounts(): Promise<void> {
    const now = this.time.steady();
    for (const taskId of [...this.#untold]) {
      if (now - (this.#toldAt.get(taskId) ?? -Infinity) < COUNTS_MS) continue;
      const task = await this.store.task(taskId);
      if (task === null) this.#untold.delete(taskId);
      else this.tellTask(task);
    }
    if (!this.#news) return;
    this.#news = false;
    const tasks = await this.store.live();
    for (const listener of this.#listeners) listener.onTasks?.(tasks);
  }

  async #tidy(busy: boolean): Promise<void> {
    const steady = this.time.steady();
    if (busy && steady - this.#savedClock >= SAVE_CLOCK_MS) {
      this.#savedClock = steady;
      await this.store.saveClock(this.clock.now());
    }
    const turns = new Turns();
    while (this.#hidden && !this.#stopped) {
      this.#hidden = await this.store.deleteSlice(SLICE, this.time.wall());
      await turns.next();
    }
    if (steady - this.#pruned < PRUNE_MS) return;
    this.#pruned = steady;
    this.#hidden = true;
    await this.store.prune(this.time.wall() - HISTORY_DAYS * DAY_MS);
  }

  // Problems

  #fail(error: unknown): OtaError {
    const problem = toOtaError(error);
    if (this.#problem?.code !== problem.code || this.#problem.message !== problem.message) {
      this.#problem = problem;
      for (const listener of this.#listeners) listener.onProblem?.(problem);
    }
    return problem;
  }

  #recovered(): void {
    if (this.#problem === null) return;
    this.#problem = null;
    for (const listener of this.#listeners) listener.onProblem?.(null);
  }
}

/** What of a push's outcome matters to its device; a push that was taken is no news. */
const ANSWERS: Readonly<Record<PushOutcome['delivery'], 'offline' | 'refused' | 'lost' | null>> = {
  accepted: null,
  unknown: null,
  offline: 'offline',
  refused: 'refused',
  timeout: 'lost',
};

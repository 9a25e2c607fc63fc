/**
 * The engine of one service's tasks: joins the store, the machine, the clock, the pushes and the sweep, and is
 * what commands work with. Owns the reports that come in. Knows neither MQTT nor Node-RED. Whatever it does is
 * in the store first: killed at any moment and started again, it goes on where it was.
 */
import type { Batch, OtaError } from '../../protocol';
import { decide, isActive, type Moment, openDevices, type Report } from '../machine';
import type { Awaitable, Change, Reported, TaskStore } from '../store';
import type { DeviceStatus, Task } from '../types';
import { PlatformClock, SYSTEM_TIME, type Time } from './clock';
import { InTurn } from './in-turn';
import { type EngineListener, News } from './news';
import { type EngineLink, Pushes } from './pushes';
import { Sweep, type SweepEngine, type SweepOptions } from './sweep';
import { Turns } from './turns';

export interface EngineOptions extends SweepOptions {
  readonly store: TaskStore;
  readonly link: EngineLink;
  readonly time?: Time;
}

/** Every push is answered within this time; a younger one may not have left before a kill. */
const UNSURE_MS = 40_000;
/** Devices moved in one transaction: neighbours share pages and a sync of the disk, and each is still short. */
const MOVE_SLICE = 400;

export class Engine implements SweepEngine {
  readonly store: TaskStore;
  readonly clock: PlatformClock;
  readonly time: Time;
  /** Commands, by the task that they change. */
  readonly commands = new InTurn<number>();
  readonly #news: News;
  readonly #pushes: Pushes;
  readonly #sweep: Sweep;
  readonly #committer = { commit: (): void | Promise<void> => this.#commit() };
  #reports: Report[] = [];
  #stopped = true;

  constructor(options: EngineOptions) {
    this.store = options.store;
    this.time = options.time ?? SYSTEM_TIME;
    this.clock = new PlatformClock(this.time);
    this.#news = new News(this.time);
    this.#pushes = new Pushes(this, options.link);
    this.#sweep = new Sweep(this, this.#pushes, this.#news, options);
  }

  /** Goes on where the store says that it was. @throws OtaError where the store can't be used */
  async start(): Promise<void> {
    const ticks = await this.store.clock();
    this.clock.resume(ticks);
    await this.store.recover(ticks - UNSURE_MS, ticks);
    for (const task of await this.store.live()) this.#sweep.touch(task.id);
    this.#stopped = false;
    this.#sweep.start();
  }

  /** Ends the sweep; a transaction under way is waited for. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#sweep.stop();
    this.clock.setHere(false);
    await this.#sweep.rest();
    try {
      await this.store.saveClock(this.clock.now());
    } catch (error) {
      this.#news.fail(error);
    }
  }

  get stopped(): boolean {
    return this.#stopped;
  }

  get problem(): OtaError | null {
    return this.#news.problem;
  }

  listen(listener: EngineListener): () => void {
    return this.#news.listen(listener);
  }

  /** Connected, and both subscriptions granted. */
  setHere(here: boolean): void {
    this.#pushes.setHere(here);
    this.clock.setHere(here);
    if (here) this.kick();
  }

  /** The next sweep comes soon. */
  kick(): void {
    this.#sweep.kick();
  }

  /** Looks at everything that time brings. One at a time; never rejects. */
  sweep(): Promise<void> {
    return this.#sweep.run();
  }

  // Reports

  /** A report; it is committed, with the others of its batch, before the broker hears of it. */
  hear(report: Report, batch: Batch): void {
    this.#reports.push(report);
    batch.join(this.#committer);
  }

  #commit(): void | Promise<void> {
    const reports = this.#reports;
    this.#reports = [];
    if (reports.length === 0) return;
    this.clock.heard();
    let done: Awaitable<Reported>;
    try {
      const report = (): Awaitable<Reported> => this.store.report(reports, this.clock.now());
      // In the order of the wire: a device may report right after its push found nobody.
      const answered = this.#pushes.settleNow();
      done = answered instanceof Promise ? answered.then(report) : report();
    } catch (error) {
      throw this.#news.notStored(error);
    }
    if (!(done instanceof Promise)) return this.#reported(done);
    return done.then(
      (result) => this.#reported(result),
      (error: unknown) => {
        throw this.#news.notStored(error);
      },
    );
  }

  #reported({ changes, leftOut }: Reported): void {
    this.#news.stored();
    this.tell(changes);
    if (leftOut > 0) this.#news.tellFull();
  }

  // What commands do, and the sweep

  /** Keeps the sweep away from a task while a command works on it. */
  async holding<T>(task: Task, work: () => Promise<T>): Promise<T> {
    await this.#sweep.hold(task.id);
    try {
      return await work();
    } finally {
      this.#sweep.letGo(task.id);
      this.touch(task.id);
    }
  }

  /** What a task's counts make of it is looked at soon. */
  touch(task: number): void {
    this.#sweep.touch(task);
    this.kick();
  }

  /** Something is left to delete. */
  wipe(): void {
    this.#sweep.wipe();
  }

  /** Tells the changes that were committed, and what they touch. */
  tell(changes: readonly Change[]): void {
    for (const change of changes) {
      const { before, after, plan } = change;
      this.#news.tellChange(change);
      if (before.status === after.status) continue;
      this.#sweep.touch(plan.id);
      if (isActive(before) || after.status === 'pending') this.kick();
    }
  }

  /** Both clocks. */
  moment(): Moment {
    return { now: this.clock.now(), wall: this.time.wall() };
  }

  tellTask(task: Task): void {
    this.#news.tellTask(task);
  }

  /** What a task's counts make of it; told where it changed. */
  async settle(id: number): Promise<void> {
    const changed = await this.store.decide(
      id,
      (task, waveCounts) => decide(task, waveCounts, this.moment()),
      this.time.wall(),
    );
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
          { status, after, limit: MOVE_SLICE },
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
}

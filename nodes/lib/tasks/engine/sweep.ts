/**
 * Everything that time brings to tasks: starts, limits, repeats, the next devices, what the counts make of a
 * task, what is left to delete. Owns when it is looked at, one look at a time, and which tasks need one. Never
 * works on a task that a command holds.
 */
import { type IdSource, nextId } from '../../protocol';
import { allowance, isWindowOpen, spend } from '../machine';
import type { Push } from '../store';
import { HISTORY_DAYS } from '../store';
import type { Task, TaskPlan } from '../types';
import type { News } from './news';
import type { PushEngine, Pushes } from './pushes';
import { SLICE, Turns } from './turns';

/** What the sweep needs of its engine. */
export interface SweepEngine extends PushEngine {
  tellTask(task: Task): void;
  settle(id: number): Promise<void>;
  clear(task: Task): Promise<void>;
}

export interface SweepOptions {
  readonly nextId?: IdSource;
  /** Milliseconds between sweeps; 0: only `sweep()` sweeps. */
  readonly sweepMs?: number;
}

const SWEEP_MS = 250;
/** After something happened the next sweep comes sooner. */
const KICK_MS = 20;
const SAVE_CLOCK_MS = 10_000;
const PRUNE_MS = 10_000;
const DAY_MS = 24 * 3600 * 1000;

export class Sweep {
  readonly #engine: SweepEngine;
  readonly #pushes: Pushes;
  readonly #news: News;
  readonly #nextId: IdSource;
  readonly #everyMs: number;
  /** Tasks whose devices changed: what does that make of them? */
  readonly #touched = new Set<number>();
  /** Tasks that a command works on. */
  readonly #held = new Set<number>();
  #underWay: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #kick: NodeJS.Timeout | null = null;
  #savedClock = -Infinity;
  #pruned = -Infinity;
  /** Something may be left to delete. */
  #hidden = true;

  constructor(engine: SweepEngine, pushes: Pushes, news: News, options: SweepOptions) {
    this.#engine = engine;
    this.#pushes = pushes;
    this.#news = news;
    this.#nextId = options.nextId ?? nextId;
    this.#everyMs = options.sweepMs ?? SWEEP_MS;
  }

  start(): void {
    if (this.#everyMs > 0) this.#timer = setInterval(() => void this.run(), this.#everyMs);
  }

  /** No more of them; the one under way is waited for with `rest`. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    if (this.#kick !== null) clearTimeout(this.#kick);
  }

  /** Resolves when none is under way. */
  async rest(): Promise<void> {
    await this.#underWay;
  }

  /** The next one comes soon. */
  kick(): void {
    if (this.#engine.stopped || this.#kick !== null || this.#everyMs === 0) return;
    this.#kick = setTimeout(() => {
      this.#kick = null;
      void this.run();
    }, KICK_MS);
  }

  /** Looks at everything. One at a time; never rejects. */
  run(): Promise<void> {
    if (this.#underWay !== null) {
      this.#again = true;
      return this.#underWay;
    }
    this.#underWay = this.#run().finally(() => {
      this.#underWay = null;
      if (this.#again && !this.#engine.stopped) {
        this.#again = false;
        this.kick();
      }
    });
    return this.#underWay;
  }

  /** What a task's counts make of it is looked at next time. */
  touch(task: number): void {
    this.#touched.add(task);
  }

  /** Leaves a task alone, until `letGo`. */
  async hold(task: number): Promise<void> {
    // A sweep that is under way may have looked at it already.
    await this.#underWay;
    this.#held.add(task);
  }

  letGo(task: number): void {
    this.#held.delete(task);
  }

  /** Something is left to delete. */
  wipe(): void {
    this.#hidden = true;
    this.kick();
  }

  async #run(): Promise<void> {
    const { store, clock } = this.#engine;
    try {
      // Reading goes well on a full disk: only a write tells that it is over.
      if (this.#news.problem !== null) await store.saveClock(clock.now());
      await this.#pushes.settle();
      const tasks = await this.#begin(await store.live());
      if (clock.here) {
        const mayPush = clock.mayPush;
        const allowed = new Set(
          tasks.filter((task) => mayPush && this.#mayPush(task)).map((task) => task.id),
        );
        await this.#due(tasks, allowed);
        for (const task of tasks) if (allowed.has(task.id)) await this.#claim(task);
      }
      await this.#settleTouched();
      for (const task of tasks)
        if (task.status === 'cancelled' && !this.#held.has(task.id)) await this.#engine.clear(task);
      await this.#news.tellCounts(store);
      await this.#tidy(tasks.length > 0);
      this.#news.swept();
    } catch (error) {
      this.#news.notSwept(error);
    }
  }

  /** Starts what was planned for now. */
  async #begin(tasks: readonly Task[]): Promise<readonly Task[]> {
    const { store, time } = this.#engine;
    const wall = time.wall();
    const due = tasks.filter((task) => task.status === 'scheduled' && (task.startAt ?? 0) <= wall);
    if (due.length === 0) return tasks;
    for (const { id } of due) {
      const started = await store.decide(
        id,
        ({ status, wave }) => (status === 'scheduled' ? { status: 'running', reason: null, wave } : null),
        wall,
      );
      if (started !== null) this.#engine.tellTask(started);
    }
    return store.live();
  }

  #mayPush(task: Task): boolean {
    return (
      task.status === 'running' &&
      !this.#held.has(task.id) &&
      isWindowOpen(task.policy.window, this.#engine.time.wall())
    );
  }

  async #due(tasks: readonly Task[], allowed: ReadonlySet<number>): Promise<void> {
    const { store, clock, time } = this.#engine;
    const turns = new Turns();
    const left = new Map(tasks.map((task) => [task.id, this.#allowance(task)]));
    const mayPush = (plan: TaskPlan): boolean => {
      const room = left.get(plan.id) ?? 0;
      if (!allowed.has(plan.id) || room <= 0 || this.#pushes.room <= 0) return false;
      left.set(plan.id, room - 1);
      return true;
    };
    for (let more = true; more && !this.#engine.stopped;) {
      const due = await store.due({ now: clock.now(), wall: time.wall(), limit: SLICE, mayPush });
      this.#engine.tell(due.changes);
      this.#pushes.send(due.pushes);
      await this.#paceRepeats(due.pushes);
      more = due.more;
      await turns.next();
    }
  }

  /** Repeats count in the rate as well. */
  async #paceRepeats(pushes: readonly Push[]): Promise<void> {
    const { store, time } = this.#engine;
    const counts = new Map<TaskPlan, number>();
    for (const { plan } of pushes) counts.set(plan, (counts.get(plan) ?? 0) + 1);
    for (const [plan, n] of counts) {
      const { perMinute } = plan.policy;
      if (perMinute === 0) continue;
      await store.addPace(plan.id, (task) => spend(perMinute, task.pace, time.wall(), n));
    }
  }

  async #claim({ id }: Task): Promise<void> {
    const { store, clock, time } = this.#engine;
    const turns = new Turns();
    for (let more = true; more && !this.#engine.stopped && !this.#held.has(id);) {
      const claimed = await store.claim(id, {
        now: clock.now(),
        wall: time.wall(),
        room: (task) => this.#room(task),
        pace: (task, pushes) => spend(task.policy.perMinute, task.pace, time.wall(), pushes),
        nextId: this.#nextId,
      });
      this.#engine.tell(claimed.changes);
      this.#pushes.send(claimed.pushes);
      more = claimed.more && claimed.changes.length > 0;
      await turns.next();
    }
  }

  #allowance(task: Task): number {
    return allowance(task.policy.perMinute, task.pace, this.#engine.time.wall());
  }

  #room(task: Task): number {
    const { concurrency } = task.policy;
    const active = task.counts.pushed + task.counts.upgrading;
    const free = concurrency === 0 ? SLICE : concurrency - active;
    return Math.min(free, this.#allowance(task), this.#pushes.room, SLICE);
  }

  async #settleTouched(): Promise<void> {
    for (const id of [...this.#touched]) {
      if (this.#held.has(id)) continue;
      this.#touched.delete(id);
      try {
        await this.#engine.settle(id);
      } catch (error) {
        this.#touched.add(id);
        throw error;
      }
    }
  }

  async #tidy(busy: boolean): Promise<void> {
    const { store, clock, time } = this.#engine;
    const steady = time.steady();
    if (busy && steady - this.#savedClock >= SAVE_CLOCK_MS) {
      this.#savedClock = steady;
      await store.saveClock(clock.now());
    }
    const turns = new Turns();
    while (this.#hidden && !this.#engine.stopped) {
      this.#hidden = await store.deleteSlice(SLICE, time.wall());
      await turns.next();
    }
    if (steady - this.#pruned < PRUNE_MS) return;
    this.#pruned = steady;
    this.#hidden = true;
    await store.prune(time.wall() - HISTORY_DAYS * DAY_MS);
  }
}

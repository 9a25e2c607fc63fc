/**
 * The writes that commands and the scheduler have in common: what becomes of a whole task, and of its devices in
 * slices. Each is in the database before anybody hears of it.
 */
import type { DeviceStatus, Task } from '../types';
import { decide, openDevices } from '../machine';
import {
  decideTask,
  move,
  type Moved,
  moveNeed,
  type Selection,
  taskNeed,
  type TaskRule,
} from '../transactions';
import type { TaskEvents } from './events';
import type { Lane } from './lane';
import { EventLoopYielder } from './yielder';

/** Devices moved in one transaction: neighbours share pages and a sync of the disk, and each is still short. */
const MOVE_SLICE = 400;

export class TaskWrites {
  readonly #lane: Lane;
  readonly #events: TaskEvents;

  constructor(lane: Lane, events: TaskEvents) {
    this.#lane = lane;
    this.#events = events;
  }

  /** Lets a rule decide what becomes of a task. Answers the task if it was changed; listeners hear of it. */
  async decide(id: number, rule: TaskRule): Promise<Task | null> {
    const changed = await this.#lane.transact(
      (at) => taskNeed(id, at),
      (rows) => decideTask(rule, rows),
    );
    if (changed !== null) this.#events.emitTask(changed);
    return changed;
  }

  /** What a task's counts make of it. */
  async decideByCounts(id: number): Promise<Task | null> {
    return this.decide(id, (task, wave, { ticks, wall }) => decide(task, wave, { now: ticks, wall }));
  }

  /** Cancels what a cancelled task still has, in slices. */
  async cancelOpen(task: Task): Promise<void> {
    await this.moveAll(task, ['pending', 'pushed', 'upgrading'], 'cancel');
    await this.decide(task.id, ({ status, reason, wave, counts }) =>
      status === 'cancelled' && openDevices(counts) === 0 ? { status, reason, wave, done: true } : null,
    );
  }

  /** Moves all devices in some states, in slices. Returns how many. */
  async moveAll(task: Task, statuses: readonly DeviceStatus[], on: 'cancel' | 'retry'): Promise<number> {
    let moved = 0;
    for (const status of statuses) {
      const slice = (after: string): Selection => ({ in: 'task', status, after, limit: MOVE_SLICE });
      moved += await this.#moveSlices(task, slice, on);
    }
    return moved;
  }

  /** Moves those that were named, in slices. Returns how many. */
  async moveNamed(task: Task, on: 'cancel' | 'retry'): Promise<number> {
    return this.#moveSlices(task, () => ({ in: 'names', limit: MOVE_SLICE }), on);
  }

  async #moveSlices(
    task: Task,
    slice: (after: string) => Selection,
    on: 'cancel' | 'retry',
  ): Promise<number> {
    const yielder = new EventLoopYielder();
    let moved = 0;
    for (let after: string | null = ''; after !== null;) {
      const selection = slice(after);
      const done: Moved = await this.#lane.transact(
        (at) => moveNeed(task.id, selection, at),
        (rows) => move(on, selection, rows),
      );
      this.#events.emitChanges(done.changes);
      moved += done.changes.length;
      after = done.next;
      await yielder.next();
    }
    return moved;
  }
}

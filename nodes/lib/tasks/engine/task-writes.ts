/**
 * The writes that commands and the scheduler have in common: what becomes of a whole task, and of its devices in
 * slices. Each is in the database before anybody hears of it.
 */
import type { ClockJump, Decision, Rows } from '../database';
import type { DeviceStatus, Intent, Task } from '../types';
import { decide, openDevices } from '../machine';
import {
  decideTask,
  lineFor,
  type LimitSelection,
  move,
  type Moved,
  moveNeed,
  type Notes,
  recount,
  recountNeed,
  type Selection,
  supersede,
  type Superseded,
  supersedeNeed,
  taskNeed,
  type TaskRule,
} from '../transactions';
import type { TaskEvents } from './events';
import type { Lane } from './lane';
import { EventLoopYielder } from './yielder';

/** Devices moved in one transaction: neighbours share pages and a sync of the disk, and each is still short. */
const MOVE_SLICE = 400;

/** Devices with limits of one kind. */
type Limited =
  | Omit<Extract<LimitSelection, { in: 'task' }>, 'after' | 'limit'>
  | Omit<Extract<LimitSelection, { in: 'hold' }>, 'after' | 'limit'>;

/** How many devices a command moved, and how many of those that it was for it left as they were. */
export interface MovedDevices {
  readonly moved: number;
  readonly skipped: number;
  /** Somebody else has taken the intent over, or ended it. */
  readonly lost: boolean;
}

export class TaskWrites {
  readonly #lane: Lane;
  readonly #events: TaskEvents;
  /** Where the moving of stamps stands. */
  #movedUpTo: string | null = null;

  constructor(lane: Lane, events: TaskEvents) {
    this.#lane = lane;
    this.#events = events;
  }

  /** Adds a line to a task's log for what a person did. */
  async note(task: Task, event: string, notes: Notes): Promise<void> {
    await this.#lane.transact(
      (at) => ({ at, task: task.id }),
      ({ at }) => ({ result: undefined, log: [lineFor(event, task, at.wall, notes)] }),
    );
  }

  /** Lets a rule decide what becomes of a task. Answers the task if it was changed; listeners hear of it. */
  async decide(id: number, rule: TaskRule, notes?: Notes): Promise<Task | null> {
    const changed = await this.#lane.transact(
      (at) => taskNeed(id, at),
      (rows) => decideTask(rule, rows, notes),
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
    await this.move(task, CANCEL_OPEN, ({ status }) => status === 'cancelled');
    await this.decide(task.id, ({ status, reason, wave, counts, intent }) =>
      status === 'cancelled' && intent === null && openDevices(counts) === 0
        ? { status, reason, wave, done: true }
        : null,
    );
  }

  /**
   * The task's time is over: what is pending is cancelled, in slices, and with `endBehavior: cancel` what is active,
   * too. Done again where it was broken off: nothing becomes pending after the end any more.
   */
  async endOpen(task: Task): Promise<void> {
    const { pending, pushed, upgrading } = task.counts;
    const all = task.endBehavior === 'cancel';
    if (pending + (all ? pushed + upgrading : 0) > 0) {
      const statuses: readonly DeviceStatus[] = all ? ['pending', 'pushed', 'upgrading'] : ['pending'];
      await this.move(task, { ...CANCEL_OPEN, statuses, reason: 'ended' });
    }
    await this.decideByCounts(task.id);
  }

  /** Takes the pending devices of a task with `supersede` out of older tasks, in slices. */
  async supersede(task: Task): Promise<void> {
    const yielder = new EventLoopYielder();
    for (let after: string | null = ''; after !== null;) {
      const slice = { task: task.id, after, limit: MOVE_SLICE };
      const done: Superseded = await this.#lane.transact(
        (at) => supersedeNeed(slice, at),
        (rows) => supersede(slice, rows),
      );
      this.#events.emitChanges(done.changes);
      after = done.next;
      await yielder.next();
    }
  }

  /** The wall clock was set: what it had stamped goes with it, in slices. */
  async moveStamps(jump: ClockJump): Promise<void> {
    const yielder = new EventLoopYielder();
    do {
      // What can't be written now goes on from here.
      const after = this.#movedUpTo;
      this.#movedUpTo = await this.#lane.write((database) => database.stamps?.move(jump, after) ?? null);
      await yielder.next();
    } while (this.#movedUpTo !== null);
  }

  /**
   * Moves devices as a person asked, in slices.
   * @param isWanted of what no person asked: whether the task is still as that needs it
   */
  async move(task: Task, intent: Intent, isWanted?: (task: Task) => boolean): Promise<MovedDevices> {
    if (intent.on === 'recount') return this.#recountAll(task, intent);
    if (intent.statuses === null)
      return this.#moveSlices(task, intent, () => ({ in: 'names', limit: MOVE_SLICE }), isWanted);
    let all: MovedDevices = { moved: 0, skipped: 0, lost: false };
    for (const status of intent.statuses) {
      const slice = (after: string): Selection => ({ in: 'task', status, after, limit: MOVE_SLICE });
      const { moved, skipped, lost } = await this.#moveSlices(task, intent, slice, isWanted);
      all = { moved: all.moved + moved, skipped: all.skipped + skipped, lost };
      if (lost) break;
    }
    return all;
  }

  /**
   * Limits that stood still with a task run on, a slice of them after a token.
   * @returns the token after which the next slice begins; null after the last
   */
  async resumeLimits({ id }: Task, after: string): Promise<string | null> {
    const slice: LimitSelection = { in: 'hold', hold: 'wait', after, limit: MOVE_SLICE };
    return this.#lane.transact(
      (at) => recountNeed(id, slice, at),
      (rows) => recount(slice, rows),
    );
  }

  async #recountAll({ id }: Task, intent: Intent): Promise<MovedDevices> {
    const { statuses, holds = [] } = intent;
    const isOwn = ({ task }: Rows): boolean => task?.intent?.id === intent.id;
    const limited: readonly Limited[] = [
      ...(statuses ?? []).map((status) => ({ in: 'task', status }) as const),
      ...holds.map((hold) => ({ in: 'hold', hold }) as const),
    ];
    for (const of of limited) {
      if (!(await this.#recount(id, of, isOwn))) return { moved: 0, skipped: 0, lost: true };
    }
    return { moved: 0, skipped: 0, lost: false };
  }

  /** @returns false where it isn't wanted any more */
  async #recount(id: number, of: Limited, isWanted: (rows: Rows) => boolean): Promise<boolean> {
    const yielder = new EventLoopYielder();
    for (let after: string | null = ''; after !== null;) {
      const slice: LimitSelection = { ...of, after, limit: MOVE_SLICE };
      const done: { readonly next: string | null; readonly isDone: boolean } = await this.#lane.transact(
        (at) => recountNeed(id, slice, at),
        (rows): Decision<{ readonly next: string | null; readonly isDone: boolean }> => {
          if (!isWanted(rows)) return { result: { next: null, isDone: false } };
          const { result: next, effects } = recount(slice, rows);
          return { result: { next, isDone: true }, effects };
        },
      );
      if (!done.isDone) return false;
      after = done.next;
      await yielder.next();
    }
    return true;
  }

  async #moveSlices(
    task: Task,
    intent: Intent,
    slice: (after: string) => Selection,
    isWanted?: (task: Task) => boolean,
  ): Promise<MovedDevices> {
    const yielder = new EventLoopYielder();
    let moved = 0;
    let skipped = 0;
    let lost = false;
    for (let after: string | null = ''; after !== null;) {
      const selection = slice(after);
      const done: Moved = await this.#lane.transact(
        (at) => moveNeed(task.id, selection, at),
        (rows) => move(intent, selection, rows, isWanted),
      );
      this.#events.emitChanges(done.changes);
      moved += done.changes.length;
      skipped += done.skipped;
      after = done.next;
      lost = done.lost;
      await yielder.next();
    }
    return { moved, skipped, lost };
  }
}

const CANCEL_OPEN: Intent = {
  on: 'cancel',
  statuses: ['pending', 'pushed', 'upgrading'],
  reasons: null,
  byName: false,
};

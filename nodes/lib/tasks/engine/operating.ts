/** What all commands share: the parts of the engine that they work with, the task that they name, who comes first. */
import { OtaError } from '../../protocol';
import type { Moment } from '../machine';
import type { TaskDatabase } from '../database';
import { type TaskShape, taskShape } from '../shapes';
import type { Notes, TaskRule } from '../transactions';
import type { Task } from '../types';
import type { Time } from './clock';
import type { TaskEvents } from './events';
import type { KeyedQueue } from './keyed-queue';
import type { Intents } from './intents';
import type { Lane } from './lane';
import type { EngineLink } from './pushes';
import type { Scheduler } from './scheduler';
import type { TaskWrites } from './task-writes';

/** What commands work with. */
export interface Operating {
  readonly database: TaskDatabase;
  readonly lane: Lane;
  readonly writes: TaskWrites;
  readonly intents: Intents;
  readonly scheduler: Scheduler;
  readonly events: TaskEvents;
  readonly time: Time;
  readonly link: Pick<EngineLink, 'isDevice'>;
  /** Commands, by the task that they change. */
  readonly commands: KeyedQueue<number>;
}

/** Commands that change a task wait for each other: a cancel of many devices is over before a retry begins. */
export async function inTurn(
  engine: Operating,
  taskId: string,
  work: (task: Task) => Promise<object>,
): Promise<object> {
  const { id } = await find(engine, taskId);
  return engine.commands.run(id, async () => {
    const task = await find(engine, taskId);
    if (task.intent === null) return work(task);
    // An earlier command was broken off, or another instance is at it: it comes first.
    await engine.scheduler.whileLocked(id, () => engine.intents.clear(task));
    return work(await find(engine, taskId));
  });
}

export function momentOf({ lane }: Operating): Moment {
  const { wall, ticks } = lane.now();
  return { wall, now: ticks };
}

/** A command that moves a task: answers the task as it is then. @throws OtaError what the rule throws */
export async function decideOn(
  engine: Operating,
  task: Task,
  { by, remark }: Notes,
  rule: TaskRule,
): Promise<TaskShape> {
  return changedShape(engine, task, await engine.writes.decide(task.id, rule, { by, remark }));
}

/** What a command answers that may have changed a task; null: it is as it was. */
export function changedShape(engine: Operating, task: Task, changed: Task | null): TaskShape {
  engine.scheduler.markDirty(task.id);
  return taskShape(changed ?? task, momentOf(engine));
}

/** @throws OtaError OTA_UNKNOWN_TASK */
export async function find(engine: Operating, taskId: string): Promise<Task> {
  const task = await engine.database.task(taskId);
  if (task !== null) return task;
  throw new OtaError(
    'OTA_UNKNOWN_TASK',
    `There is no task ${JSON.stringify(taskId.slice(0, 64))}: "list" answers those there are.`,
  );
}

/** What to do instead, by the action that isn't possible. */
const CURES: { readonly [action: string]: string } = {
  remove: 'cancel it first',
  start: 'only a draft is started',
  advance: 'there is no next wave to open',
};

export function wrongState({ status }: Task, action: string): OtaError {
  const over =
    status === 'draft' ? '"start" begins it' : 'it is over; "retry" takes its failed devices in again';
  return new OtaError(
    'OTA_TASK_STATE',
    `A task that is ${status} can not do "${action}": ${CURES[action] ?? over}.`,
  );
}

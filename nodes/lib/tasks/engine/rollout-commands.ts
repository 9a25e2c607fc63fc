/** Commands on a rollout: a draft begins, the next wave opens, what may change changes; its numbers, log and curve. */
import { randomUUID } from 'node:crypto';
import type { CommandOf } from '../commands';
import { advanced, baseOf, started, timeline } from '../machine';
import { logShape, pointShape, taskDetails, type TaskDetails, type TaskShape } from '../shapes';
import { updateNeed, updateTask } from '../transactions';
import type { Task } from '../types';
import { changedShape, decideOn, find, momentOf, type Operating, wrongState } from './operating';

/** A draft begins: now, or at its time. @throws OtaError OTA_TASK_STATE for any other task */
export function start(engine: Operating, task: Task, notes: CommandOf<'start'>): Promise<TaskShape> {
  return decideOn(engine, task, notes, (now, _wave, { wall }) => {
    const move = started(now, wall);
    if (move === null) throw wrongState(now, 'start');
    return move;
  });
}

/** Opens the next wave now. Whoever does so has seen the failures so far. @throws OtaError OTA_TASK_STATE */
export function advance(engine: Operating, task: Task, notes: CommandOf<'advance'>): Promise<TaskShape> {
  return decideOn(engine, task, notes, (now) => {
    const move = advanced(now);
    if (move === null) throw wrongState(now, 'advance');
    return { ...move, base: now.status === 'paused' && now.reason !== null ? baseOf(now) : now.base };
  });
}

/** @throws OtaError OTA_TASK_STATE where it is over, OTA_BAD_INPUT */
export async function update(
  engine: Operating,
  task: Task,
  { update: changes, by, remark }: CommandOf<'update'>,
): Promise<TaskShape> {
  const id = randomUUID();
  const work = async (): Promise<Task | null> => {
    for (;;) {
      const changed = await engine.lane.transact(
        (at) => updateNeed(task.id, at),
        (rows) => updateTask(changes, { by, remark }, rows, id),
      );
      if (changed === 'occupied') {
        await engine.intents.clear(task);
        continue;
      }
      // With its intent done it is told, too.
      if (changed?.intent?.id === id) await engine.intents.finish(changed, changed.intent);
      else if (changed !== null) engine.events.emitTask(changed);
      return changed;
    }
  };
  const isLimited = changes.policy !== undefined;
  const changed = await (isLimited ? engine.scheduler.whileLocked(task.id, work) : work());
  return changedShape(engine, task, changed);
}

export async function details(engine: Operating, taskId: string): Promise<TaskDetails> {
  const task = await find(engine, taskId);
  return taskDetails(task, momentOf(engine), await engine.database.numbers(task.id));
}

export async function log(engine: Operating, taskId: string): Promise<object> {
  const { id } = await find(engine, taskId);
  return { taskId, events: (await engine.database.log(id)).map(logShape) };
}

/** From the start of the task to its end, or now. */
export async function timelineOf(
  engine: Operating,
  { taskId, buckets }: CommandOf<'timeline'>,
): Promise<object> {
  const task = await find(engine, taskId);
  const from = task.startedAt ?? task.createdAt;
  const to = Math.max(from, task.endedAt ?? engine.time.wall());
  const points = timeline(await engine.database.ends(task.id), from, to, buckets).map(pointShape);
  return { taskId, from: new Date(from).toISOString(), to: new Date(to).toISOString(), points };
}

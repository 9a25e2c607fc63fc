/** `update`: what a person changes of a task that isn't over. Pure. */
import { OtaError } from '../../protocol';
import { limitedAnew } from '../machine';
import type { Decision, Instant, Need, Rows } from '../database/database';
import type { Task, TaskPlan } from '../types';
import { stateOf } from './decide';
import { lineFor, type Notes } from './log';

/** Absent fields stay as they are. */
export type PlanUpdate = Partial<Pick<TaskPlan, 'name' | 'description' | 'endAt' | 'endBehavior'>> & {
  readonly policy?: Partial<TaskPlan['policy']>;
};

export function updateNeed(task: number, at: Instant): Need {
  return { at, task };
}

/**
 * Answers the task as it is from now on; null where there is none, 'occupied' where a command on its devices isn't
 * finished. Limits that run are counted anew from their start: where they changed its intent says so.
 * @param id the id that the intent gets
 * @throws OtaError OTA_TASK_STATE where it is over, OTA_BAD_INPUT for an end that is over already
 */
export function updateTask(
  update: PlanUpdate,
  notes: Notes,
  rows: Rows,
  id?: string,
): Decision<Task | 'occupied' | null> {
  const { task, at } = rows;
  if (task === null) return { result: null };
  if (task.status === 'ended' || task.status === 'cancelled') {
    throw new OtaError('OTA_TASK_STATE', `A task that is ${task.status} can not do "update": it is over.`);
  }
  const { name, description, endAt, endBehavior } = { ...task, ...update };
  if (update.endAt !== undefined && endAt !== null && endAt <= Math.max(task.startAt ?? 0, at.wall)) {
    throw new OtaError('OTA_BAD_INPUT', '"endAt" must be after "startAt" and after now.');
  }
  const plan = { name, description, endAt, endBehavior, policy: { ...task.policy, ...update.policy } };
  const limited = limitedAnew(task.policy, plan.policy);
  if (limited !== null && task.intent !== null) return { result: 'occupied' };
  const changed: Task = { ...task, ...plan, ...(limited !== null && { intent: { ...limited, id } }) };
  return {
    result: changed,
    plan,
    ...(limited !== null && { task: stateOf(changed) }),
    log: [lineFor('updated', task, at.wall, notes)],
  };
}

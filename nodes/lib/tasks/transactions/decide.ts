/** What becomes of a whole task: by its counts, by time, by a person. */
import { runningAfter, type TaskMove } from '../machine';
import { linesOf, NOBODY, type Notes } from './log';
import type { Decision, Instant, Need, Rows, TaskState } from '../database/database';
import type { Task, WaveCounts } from '../types';

/** What a rule makes of a task. */
export interface TaskChange extends Omit<TaskMove, 'soakFrom'> {
  /** Absent: none. */
  readonly soakFrom?: TaskMove['soakFrom'];
  /** Thresholds look at what ended beyond these; as it was where absent. */
  readonly base?: Task['base'];
  /** Nothing is left to do for it. */
  readonly done?: boolean;
  /** As it was where absent. */
  readonly intent?: Task['intent'];
}

/** Null: nothing. It may throw an `OtaError`: then nothing is changed. */
export type TaskRule = (task: Task, wave: (number: number) => WaveCounts, at: Instant) => TaskChange | null;

export function taskNeed(task: number, at: Instant): Need {
  return { at, task, waves: true };
}

/** Answers the task if it was changed. */
export function decideTask(rule: TaskRule, rows: Rows, notes: Notes = NOBODY): Decision<Task | null> {
  const { task, at } = rows;
  const change = task === null ? null : rule(task, (number) => rows.wave(number), at);
  if (task === null || change === null) return { result: null };
  const {
    status,
    reason,
    wave,
    soakFrom = null,
    base = task.base,
    done = false,
    intent = task.intent,
  } = change;
  const over = status === 'ended' || status === 'cancelled';
  const changed: Task = {
    ...task,
    status,
    reason,
    wave,
    soakFrom,
    intent,
    base,
    running: runningAfter(task.running, status === 'running', at.ticks),
    startedAt: task.startedAt ?? (status === 'running' ? at.wall : null),
    endedAt: over ? (task.endedAt ?? at.wall) : null,
  };
  return {
    result: changed,
    task: { ...stateOf(changed), live: intent !== null || (!done && status !== 'ended') },
    log: linesOf(task, changed, at.wall, notes),
  };
}

/** What is written of a task; still live. */
export function stateOf(task: Task): TaskState {
  const { status, reason, wave, startedAt, endedAt, pace, base, running, soakFrom, intent } = task;
  return { status, reason, wave, startedAt, endedAt, pace, base, running, soakFrom, intent, live: true };
}

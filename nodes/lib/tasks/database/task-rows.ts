/**
 * What stands in a task's row, in either database: of a task that is made, and of what its work changes. Beside it
 * `rows` reads them. Decides nothing.
 */
import type { Ticks } from '../types';
import type { NewTask, TaskState } from './database';
import type { SqlRow, SqlValue } from './rows';

/** The columns of a task that is made, in the order of `newTaskValues`; its id comes besides. */
export const NEW_TASK_COLUMNS = [
  ...[
    'key',
    'service',
    'scope',
    'status',
    'created_at',
    'start_at',
    'started_at',
    'name',
    'policy',
    'upgrade',
  ],
  ...['package', 'description', 'packages', 'end_at', 'end_behavior', 'joining', 'running_since'],
];

/** @param now in ticks: a running task runs from then on */
export function newTaskValues(service: number, module: number, task: NewTask, now: Ticks): SqlValue[] {
  const isRunning = task.status === 'running';
  return [
    task.taskId,
    service,
    module,
    task.status,
    task.createdAt,
    task.startAt,
    isRunning ? task.createdAt : null,
    task.name,
    JSON.stringify(task.policy),
    JSON.stringify(task.upgrade),
    JSON.stringify(task.package),
    task.description,
    JSON.stringify(task.packages),
    task.endAt,
    task.endBehavior,
    jsonOrNull(task.joining),
    isRunning ? now : null,
  ];
}

/** status, reason, wave, live, started_at, ended_at, pace, base_succeeded, base_failed, soak_from, running_before, running_since, intent */
export function taskStateValues({ base, running, ...state }: TaskState): SqlValue[] {
  return [
    state.status,
    state.reason,
    state.wave,
    Number(state.live),
    state.startedAt,
    state.endedAt,
    state.pace,
    base.succeeded,
    base.failed,
    state.soakFrom,
    running.before,
    running.since,
    jsonOrNull(state.intent),
  ];
}

/** True where a database's `lower` may not find all that a person means: SQLite folds the letters of ASCII only. */
export function needsFolding(search: string): boolean {
  return /[^\0-\x7f]/.test(search);
}

/** The numbers of the tasks whose name has the text in it, in any case; in the order of the rows (`id`, `name`). */
export function foundByName(rows: readonly SqlRow[], search: string): number[] {
  const folded = search.toLowerCase();
  return rows.flatMap(({ id, name }) => (String(name).toLowerCase().includes(folded) ? [Number(id)] : []));
}

function jsonOrNull(value: object | null): string | null {
  return value === null ? null : JSON.stringify(value);
}

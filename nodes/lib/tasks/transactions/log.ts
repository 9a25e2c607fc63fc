/** What a task's log tells of a change. Pure. */
import type { Task, TaskEvent } from '../types';

/** Who asked, and what they say about it; both null where nobody did. */
export interface Notes {
  readonly by: string | null;
  readonly remark: string | null;
}

export const NOBODY: Notes = { by: null, remark: null };

type State = Pick<Task, 'status' | 'reason' | 'wave'>;

/** The lines that a change of a task adds to its log; none where people see no difference. */
export function linesOf(before: State, after: State, at: number, notes: Notes = NOBODY): TaskEvent[] {
  const line = (event: string): TaskEvent => ({
    at,
    event,
    ...notes,
    reason: after.reason,
    wave: after.wave,
  });
  const lines: TaskEvent[] = [];
  const opens = after.wave > before.wave && after.status !== 'ended';
  if (before.status !== after.status) lines.push(line(eventOf(before, after)));
  if (opens) lines.push(line('wave-opened'));
  return lines;
}

/** One line for what a person did, where the task's state says nothing of it. */
export function lineFor(event: string, task: State, at: number, notes: Notes): TaskEvent {
  return { at, event, ...notes, reason: null, wave: task.wave };
}

function eventOf(before: State, after: State): string {
  switch (after.status) {
    case 'running':
      return before.status === 'draft' || before.status === 'scheduled' ? 'started' : 'resumed';
    default:
      return after.status;
  }
}

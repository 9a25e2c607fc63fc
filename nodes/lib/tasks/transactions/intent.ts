/**
 * How what a person decided stands in its task: taken, with the devices that were named for it, and taken over from
 * whoever is gone. One at a time for each task, whichever instances ask. Pure.
 */
import type { Decision, Instant, Need, Rows } from '../database/database';
import type { Intent } from '../types';
import { stateOf } from './decide';

export function intentNeed(task: number, at: Instant): Need {
  return { at, task };
}

/** Takes an intent, unless the task has one. @param tokens the first of those that are named; null: none are */
export function takeIntent(
  intent: Intent,
  tokens: readonly string[] | null,
  { task }: Rows,
): Decision<'taken' | 'occupied' | 'gone'> {
  if (task === null) return { result: 'gone' };
  if (task.intent !== null) return { result: 'occupied' };
  const state = { ...stateOf(task), intent };
  if (tokens === null) return { result: 'taken', task: state };
  return { result: 'taken', task: state, names: { tokens, anew: true } };
}

/** More names for an intent. @returns false where it was taken over, or dropped, meanwhile: nothing is written then */
export function addNames(intent: Intent, tokens: readonly string[], { task }: Rows): Decision<boolean> {
  if (task?.intent?.id !== intent.id || task === null) return { result: false };
  return { result: true, task: { ...stateOf(task), intent }, names: { tokens, anew: false } };
}

export interface Left {
  /** Another instance that lives carries it out. */
  readonly elsewhere: boolean;
  /** What there is to finish, under its new id; null: nothing. */
  readonly intent: Intent | null;
}

/**
 * Takes over what was left of a command. One whose devices weren't all named yet was never accepted: it is dropped.
 * @param id whoever had it before knows by this that it is theirs no more
 */
export function takeOverIntent(id: string, { task, commandElsewhere }: Rows): Decision<Left> {
  if (task?.intent === undefined || task.intent === null) {
    return { result: { elsewhere: false, intent: null } };
  }
  if (commandElsewhere) return { result: { elsewhere: true, intent: null } };
  if (task.intent.naming === true) {
    return {
      result: { elsewhere: false, intent: null },
      task: { ...stateOf(task), intent: null, live: task.status !== 'ended' },
      names: { tokens: [], anew: true },
    };
  }
  const intent = { ...task.intent, id };
  return { result: { elsewhere: false, intent }, task: { ...stateOf(task), intent } };
}

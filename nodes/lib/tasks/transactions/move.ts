/** What people make of the devices of a task, and what a start makes of pushes that may not have left. */
import { RETURN, transition } from '../machine';
import type { Change, Decision, Instant, Need, Rows, Search } from '../database/database';
import type { Device, Intent, Task } from '../types';
import { WorkingSet } from './working-set';

/** Devices of one task: those in one state after a token, or the next of those that were named. */
export type Selection = Extract<Search, { in: 'task' | 'names' }>;

type PushedSince = Extract<Search, { in: 'pushed' }>;

export interface Moved {
  readonly changes: readonly Change[];
  /** The token after which the next slice begins; null after the last. */
  readonly next: string | null;
  /** Tokens that aren't in the task, or can't be moved this way. */
  readonly skipped: number;
  /** Somebody else has taken the intent over, or ended it: nothing was moved. */
  readonly lost: boolean;
}

export function moveNeed(task: number, search: Selection, at: Instant): Need {
  return { at, task, search };
}

/**
 * Moves devices as a person asked. What no person asked, and so has no id, comes after what one did: nothing is moved
 * while an intent isn't finished.
 * @param isWanted of such a move: whether the task is still as that needs it
 */
export function move(
  intent: Intent,
  { limit }: Selection,
  rows: Rows,
  isWanted: (task: Task) => boolean = () => true,
): Decision<Moved> {
  const { task } = rows;
  const { on, statuses, reason } = intent;
  const isOurs =
    intent.id === undefined
      ? task === null || (task.intent === null && isWanted(task))
      : task?.intent?.id === intent.id;
  // Limits are counted anew by `recount`, which moves nothing.
  if (!isOurs || on === 'recount') {
    return { result: { changes: [], next: null, skipped: 0, lost: true }, keepsNames: true };
  }
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  let skipped = rows.unknown;
  for (const found of rows.found) {
    const { device, plan } = set.current(found);
    const event = {
      on,
      now: ticks,
      named: statuses === null,
      ...(reason === undefined ? {} : { reason }),
    };
    const moved = isMeant(device, intent) ? transition(device, plan, event, wall) : null;
    if (moved === null) skipped += 1;
    set.add([moved], wall);
  }
  const { effects } = set;
  return {
    result: { changes: effects.changes, next: nextSlice(limit, rows), skipped, lost: false },
    effects,
  };
}

/** The token after which the next slice of a search in a task begins; null after the last. */
export function nextSlice(limit: number, { searched }: Rows): string | null {
  return searched.count < limit ? null : searched.last;
}

/** Whoever is named is meant in any state. */
function isMeant(
  { status, reason, cancelledByName }: Device,
  { statuses, reasons, byName }: Intent,
): boolean {
  if (statuses === null) return true;
  if (status === 'cancelled' && cancelledByName && !byName) return false;
  return status !== 'failed' || reasons === null || reasons.some((name) => name === reason);
}

export interface Repeated {
  /** The token after which the next slice begins; null after the last. */
  readonly next: string | null;
}

/** Pushes of a task that were begun after `since` may not have left before a kill: they are repeated soon. */
export function repeatNeed(task: number, slice: Omit<PushedSince, 'in'>, at: Instant): Need {
  return { at, task, search: { in: 'pushed', ...slice } };
}

export function repeat(limit: number, rows: Rows): Decision<Repeated> {
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  for (const found of rows.found) {
    const { device, plan } = set.current(found);
    set.add([transition(device, plan, { on: 'restarted', now: ticks }, wall)], wall);
  }
  return { result: { next: nextSlice(limit, rows) }, effects: set.effects };
}

/**
 * Devices of a task that wait, and are not looked for soon: after the platform's own connection was lost they are, for
 * theirs may have been lost with it.
 */
export function probeNeed(task: number, limit: number, at: Instant): Need {
  return { at, task, search: { in: 'waiting', after: at.ticks + RETURN, limit } };
}

/** @returns whether there may be more of them */
export function probeSoon(limit: number, rows: Rows): Decision<boolean> {
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  for (const found of rows.found) {
    const { device, plan } = set.current(found);
    set.add([transition(device, plan, { on: 'reconnected', now: ticks }, wall)], wall);
  }
  // Where all of them are locked whoever has them is waited for no longer: they are looked for at their time.
  return { result: rows.found.length > 0 && rows.searched.count === limit, effects: set.effects };
}

/** The limits of devices that are over. */
import { isOccupied, limitEvent, lookAgain, type Member, transition } from '../machine';
import type { Change, Decision, Instant, Need, Rows } from '../database/database';
import type { Transition } from '../types';
import { WorkingSet } from './working-set';

export interface Due {
  readonly changes: readonly Change[];
  /** True where more of them may be over. */
  readonly more: boolean;
}

export function dueNeed(at: Instant, limit: number): Need {
  return { at, search: { in: 'due', until: at.ticks, limit } };
}

export function due(rows: Rows, limit: number): Decision<Due> {
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  for (const found of rows.found) {
    const member = set.current(found);
    const { device, plan } = member;
    const event = limitEvent(device, plan, ticks, wall);
    const move = event === null ? freed(member, set, wall) : transition(device, plan, event, wall);
    // A report has moved the limit on, or it stands still; only the look at it was due.
    if (move === null) set.effects.looks.set(device.id, lookAgain(device, plan, ticks));
    else set.add([move], wall);
  }
  const { effects } = set;
  return { result: { changes: effects.changes, more: rows.found.length === limit }, effects };
}

/** A device that waits for another task goes on where that one was removed. */
function freed({ device, plan }: Member, set: WorkingSet, wall: number): Transition | null {
  if (device.hold !== 'busy') return null;
  const isBusy = set
    .open(device.accessToken)
    .some((other) => other.plan.upgrade.module === plan.upgrade.module && isOccupied(other.device));
  return isBusy ? null : transition(device, plan, { on: 'unblocked', now: device.since }, wall);
}

/** The limits of devices that are over. */
import { isOccupied, limitEvent, lookAgain, type Member, transition } from '../machine';
import type { Change, Decision, Instant, Need, Rows } from '../database/database';
import type { Ticks, Transition } from '../types';
import { WorkingSet } from './working-set';

export interface Due {
  readonly changes: readonly Change[];
  /** True where more of them may be over. */
  readonly more: boolean;
}

/** @param until what becomes due later, by a look at it too, is left to the next pass: one pass comes to an end */
export function dueNeed(at: Instant, limit: number, until: Ticks = at.ticks): Need {
  return { at, search: { in: 'due', until, limit } };
}

export function due(rows: Rows, limit: number, until: Ticks = rows.at.ticks): Decision<Due> {
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  for (const found of rows.found) {
    const member = set.current(found);
    const { device, plan } = member;
    const event = limitEvent(device, plan, ticks, wall);
    const move = event === null ? freed(member, set, wall) : transition(device, plan, event, wall);
    // A report has moved the limit on, or it stands still; only the look at it was due.
    if (move === null) set.effects.looks.set(device.id, lookAgain(device, plan, Math.max(ticks, until)));
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

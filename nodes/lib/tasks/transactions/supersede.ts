/** A task with `supersede` starts: its pending devices are taken out of older tasks of the module. Pure. */
import { takeOver } from '../machine';
import type { Change, Decision, Instant, Need, Rows } from '../database/database';
import { nextSlice } from './move';
import { WorkingSet } from './working-set';

export interface Superseded {
  readonly changes: readonly Change[];
  /** The token after which the next slice begins; null after the last. */
  readonly next: string | null;
}

export interface SupersedeSlice {
  readonly task: number;
  readonly after: string;
  readonly limit: number;
}

export function supersedeNeed({ task, after, limit }: SupersedeSlice, at: Instant): Need {
  return { at, task, search: { in: 'task', status: 'pending', after, limit } };
}

export function supersede({ limit }: SupersedeSlice, rows: Rows): Decision<Superseded> {
  const set = new WorkingSet(rows);
  const { ticks, wall } = rows.at;
  for (const { device, plan } of rows.found) {
    set.add(takeOver(plan, set.open(device.accessToken), { now: ticks, wall }), wall);
  }
  const { effects } = set;
  return { result: { changes: effects.changes, next: nextSlice(limit, rows) }, effects };
}

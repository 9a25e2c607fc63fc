/**
 * When the limits of a task's devices are over, counted anew: an `update` changed them, or those that stood still with
 * the task run on. Moves no device. Pure.
 */
import { dueOf } from '../machine';
import type { Decision, Instant, Need, Rows, Search } from '../database/database';
import { Effects } from '../database/effects';
import { nextSlice } from './move';

/** Devices of one task, those with limits of one kind, after a token. */
export type LimitSelection = Extract<Search, { in: 'task' | 'hold' }>;

export function recountNeed(task: number, search: LimitSelection, at: Instant): Need {
  return { at, task, search };
}

/** @returns the token after which the next slice begins; null after the last */
export function recount({ limit }: LimitSelection, rows: Rows): Decision<string | null> {
  const effects = new Effects();
  for (const { device, plan, due } of rows.found) {
    const counted = dueOf(device, plan);
    // A device without a limit may be looked at for something else: for the task that it waits for.
    if (counted !== null && counted !== due) effects.looks.set(device.id, counted);
  }
  return { result: nextSlice(limit, rows), effects };
}

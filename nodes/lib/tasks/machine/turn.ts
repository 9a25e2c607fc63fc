/** What becomes of a device whose turn in the queue of a task has come. Pure. */
import type { IdSource } from '../../protocol';
import type { Ticks, Transition } from '../types';
import type { Member } from './reports';
import { transition } from './machine';
import { fitsVersion } from './fit';

/** What is known of a device when its turn comes, beside its row. */
export interface TurnFacts {
  /** The version that it reported last for the task's module; null where it never did. */
  readonly knownVersion: string | null;
  /** Another task has this device and module in work. */
  readonly occupied: boolean;
  /**
   * Until when a 100 of an earlier upgrade of this device and module may still come, because it ended without the
   * device's last word; null where none did, or its end was since.
   */
  readonly lateReportUntil: Ticks | null;
}

/** The push, or why there is none. Null where nothing becomes of it. */
export function takeTurn(
  { device, plan: { policy, upgrade } }: Member,
  { knownVersion, occupied, lateReportUntil }: TurnFacts,
  { now, wall, nextId }: { readonly now: Ticks; readonly wall: number; readonly nextId: IdSource },
): Transition | null {
  if (occupied) return transition(device, policy, { on: 'busy', now }, wall);
  const known = knownVersion ?? device.source;
  if (known === upgrade.version && policy.skipCurrent) {
    return transition(device, policy, { on: 'target', now, version: known }, wall);
  }
  if (!fitsVersion(policy, known)) return transition(device, policy, { on: 'unfit', now }, wall);
  const from = { ...device, source: known === upgrade.version ? null : known };
  const id = nextId(device.accessToken);
  const moved = transition(from, policy, { on: 'push', now, id, lateReportUntil }, wall);
  return moved === null ? null : { ...moved, before: device };
}

/** What people say of devices whatever tasks they are in: labels, signs of life, devices to be forgotten. Pure. */
import { effectiveLabels, lifeTransitions, relabelled, sameLabels } from '../machine';
import type { Change, Decision, Instant, Need, Rows } from '../database/database';
import { joinsOf } from './join';
import { WorkingSet } from './working-set';

export interface FleetChanged {
  readonly changed: number;
  /** Devices of which nothing is known. */
  readonly unknown: number;
  /** Devices that were left as they are. */
  readonly left: number;
}

export function fleetNeed(tokens: readonly string[], at: Instant): Need {
  return { at, tokens };
}

/** Sets labels, or takes them away (null). Left: devices that would have too many. */
export function label(
  tokens: readonly string[],
  changes: Readonly<Record<string, string | null>>,
  rows: Rows,
): Decision<FleetChanged> {
  const counts = { changed: 0, unknown: 0, left: 0 };
  const labels: { accessToken: string; labels: NonNullable<ReturnType<typeof relabelled>> }[] = [];
  const set = new WorkingSet(rows);
  const joins = joinsOf(rows, set);
  for (const accessToken of new Set(tokens)) {
    const modules = rows.modules(accessToken);
    if (modules.length === 0 && !rows.isInWork(accessToken)) {
      counts.unknown += 1;
      continue;
    }
    const before = rows.labels(accessToken);
    const after = relabelled(before, changes);
    if (after === null) {
      counts.left += 1;
      continue;
    }
    counts.changed += 1;
    labels.push({ accessToken, labels: after });
    if (sameLabels(effectiveLabels(before), effectiveLabels(after))) continue;
    for (const { module, version } of modules)
      joins.look({ accessToken, module, version, labels: effectiveLabels(after) });
  }
  return { result: counts, effects: set.effects, labels, joins: joins.joins };
}

/** Forgets devices. Left: those that a task still has open. */
export function forget(tokens: readonly string[], rows: Rows): Decision<FleetChanged> {
  const counts = { changed: 0, unknown: 0, left: 0 };
  const forgotten: string[] = [];
  for (const accessToken of new Set(tokens)) {
    if (rows.isInWork(accessToken)) counts.left += 1;
    else if (rows.modules(accessToken).length === 0) counts.unknown += 1;
    else {
      counts.changed += 1;
      forgotten.push(accessToken);
    }
  }
  return { result: counts, forget: forgotten };
}

export interface Seen extends FleetChanged {
  readonly changes: readonly Change[];
}

/** Signs of life that came another way than by a report: devices that wait are woken by them. */
export function seen(tokens: readonly string[], rows: Rows): Decision<Seen> {
  const counts = { changed: 0, unknown: 0, left: 0 };
  const found: { accessToken: string; at: number }[] = [];
  const set = new WorkingSet(rows);
  const { wall, ticks } = rows.at;
  for (const accessToken of new Set(tokens)) {
    if (rows.modules(accessToken).length === 0 && !rows.isInWork(accessToken)) {
      counts.unknown += 1;
      continue;
    }
    counts.changed += 1;
    found.push({ accessToken, at: wall });
    set.add(lifeTransitions({ kind: 'alive', accessToken, wall }, set.open(accessToken), ticks), wall);
  }
  const { effects } = set;
  return { result: { ...counts, changes: effects.changes }, effects, seen: found };
}

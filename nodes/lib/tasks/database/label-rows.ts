/**
 * The rows by which devices are found by their labels. Only devices that have reported have any, so that they can be
 * counted and paged without a look at the devices. Pure.
 */
import { effectiveLabels, NO_LABELS, type OwnLabels } from '../machine';
import type { Labels } from '../types';
import type { Decision, Rows } from './database';

export interface LabelRow {
  readonly name: string;
  readonly value: string;
  readonly accessToken: string;
}

export interface LabelRowChanges {
  readonly gone: readonly LabelRow[];
  readonly made: readonly LabelRow[];
}

/** @param rows as they were before the decision is written */
export function labelRowChanges(
  rows: Rows,
  { labels = [], known = [], forget = [] }: Decision<unknown>,
): LabelRowChanges {
  const gone: LabelRow[] = [];
  const made: LabelRow[] = [];
  const changed = new Map<string, OwnLabels>(forget.map((accessToken) => [accessToken, NO_LABELS]));
  for (const change of labels) changed.set(change.accessToken, change.labels);
  const reported = new Set(known.map(({ accessToken }) => accessToken));
  const first = known.flatMap(({ accessToken, before }) => (before === null ? [accessToken] : []));
  for (const accessToken of new Set([...changed.keys(), ...first])) {
    const own = rows.labels(accessToken);
    const wasKnown = rows.modules(accessToken).length > 0;
    const before = wasKnown ? effectiveLabels(own) : {};
    const after =
      wasKnown || reported.has(accessToken) ? effectiveLabels(changed.get(accessToken) ?? own) : {};
    gone.push(...missing(before, after, accessToken));
    made.push(...missing(after, before, accessToken));
  }
  return { gone, made };
}

/** The labels of `one` that `other` doesn't have, or has otherwise. */
function missing(one: Labels, other: Labels, accessToken: string): LabelRow[] {
  return Object.entries(one).flatMap(([name, value]) =>
    Object.hasOwn(other, name) && other[name] === value ? [] : [{ name, value, accessToken }],
  );
}

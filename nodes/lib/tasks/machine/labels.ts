/**
 * The labels of a device: those that an operator gave it, and those that it reports itself. Pure. Both are kept
 * apart, so that a report never undoes what a person set.
 */
import { isLabelName, MAX_LABEL_VALUE, MAX_LABELS } from '../../rules';
import type { Labels } from '../types';

/** The labels of a device by their origin. */
export interface OwnLabels {
  readonly operator: Labels;
  readonly device: Labels;
}

export const NO_LABELS: OwnLabels = { operator: {}, device: {} };

/** What filters and people see: an operator's label beats the device's of the same name. */
export function effectiveLabels({ operator, device }: OwnLabels): Labels {
  if (Object.keys(device).length === 0) return operator;
  return { ...device, ...operator };
}

/**
 * The operator's labels after a change; null takes a label away.
 * @returns null where they would be too many: nothing is changed then
 */
export function relabelled(
  labels: OwnLabels,
  changes: Readonly<Record<string, string | null>>,
): OwnLabels | null {
  const operator = new Map(Object.entries(labels.operator));
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) operator.delete(name);
    else operator.set(name, value);
  }
  if (operator.size > MAX_LABELS) return null;
  return { operator: Object.fromEntries(operator), device: fitting(operator, labels.device) };
}

/** The labels after a report that has these ones; those that it doesn't have any more are gone. */
export function reported(labels: OwnLabels, device: Labels): OwnLabels {
  return { operator: labels.operator, device: fitting(new Map(Object.entries(labels.operator)), device) };
}

/** As many of the device's labels as there is room for, in the order of their names. */
function fitting(operator: ReadonlyMap<string, string>, device: Labels): Labels {
  const own = Object.entries(device)
    .filter(([name]) => isLabelName(name))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  let room = MAX_LABELS - operator.size;
  const kept = own.filter(([name]) => operator.has(name) || room-- > 0);
  return Object.fromEntries(kept.map(([name, value]) => [name, value.slice(0, MAX_LABEL_VALUE)]));
}

export function sameLabels(a: Labels, b: Labels): boolean {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => Object.hasOwn(b, name) && a[name] === b[name])
  );
}

/**
 * Labels from the fields of a version report.
 * @param params flat values as the device sent them
 * @param fields the names that are taken as labels
 */
export function labelsFrom(params: Readonly<Record<string, unknown>>, fields: readonly string[]): Labels {
  const found = fields.flatMap((name): [string, string][] => {
    const value = Object.hasOwn(params, name) ? params[name] : undefined;
    if (typeof value === 'string') return [[name, value.slice(0, MAX_LABEL_VALUE)]];
    return typeof value === 'number' || typeof value === 'boolean' ? [[name, String(value)]] : [];
  });
  return Object.fromEntries(found);
}

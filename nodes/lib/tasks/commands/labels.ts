/** Labels of devices, and filters over them, as messages have them. Pure. */
import { isObject, typeName } from '../../protocol';
import { MAX_LABEL_NAME, MAX_LABELS } from '../../rules';
import { isLabelName, MAX_LABEL_VALUE } from '../machine';
import type { LabelFilter } from '../types';
import { bad, storable } from './fields';

const MAX_VALUES = 100;

/** What `label` sets; null takes a label away. */
export type LabelChanges = Readonly<Record<string, string | null>>;

export function readLabelChanges(value: unknown): LabelChanges {
  const entries = entriesOf(value, 'labels').map(([name, item]): [string, string | null] => {
    if (item === null) return [name, null];
    return [name, labelValue(item, `labels.${name}`)];
  });
  if (entries.length === 0) throw bad('labels', 'must name at least one label, e.g. {site: "hall 3"}');
  return Object.fromEntries(entries);
}

/** `{name: value or [values]}`. */
export function readLabelFilter(value: unknown, field: string): LabelFilter {
  const entries = entriesOf(value, field).map(([name, item]): [string, readonly string[]] => {
    const values: readonly unknown[] = Array.isArray(item) ? item : [item];
    if (values.length === 0 || values.length > MAX_VALUES) {
      throw bad(`${field}.${name}`, `must be a text, or a list of 1 to ${MAX_VALUES} texts`);
    }
    return [name, values.map((one) => labelValue(one, `${field}.${name}`))];
  });
  return Object.fromEntries(entries);
}

function entriesOf(value: unknown, field: string): [string, unknown][] {
  if (!isObject(value) || Array.isArray(value)) {
    throw bad(field, `must be an object {name: value}, not ${typeName(value)}`);
  }
  const entries = Object.entries(value);
  if (entries.length > MAX_LABELS) throw bad(field, `must have at most ${MAX_LABELS} names`);
  for (const [name] of entries) {
    if (!isLabelName(name)) {
      throw bad(field, `has a name that no label can have: names have 1 to ${MAX_LABEL_NAME} characters`);
    }
  }
  return entries.map(([name, item]) => [storable(name), item]);
}

/** Numbers and yes or no become text, as a device's own fields do. */
function labelValue(value: unknown, field: string): string {
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  if (typeof text !== 'string' || text.length > MAX_LABEL_VALUE) {
    throw bad(field, `must be a text of at most ${MAX_LABEL_VALUE} characters`);
  }
  return storable(text);
}

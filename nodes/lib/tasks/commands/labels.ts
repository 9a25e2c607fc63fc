/** Labels of devices, and filters over them, as messages have them. Pure. */
import { isObject, reasonText, typeName } from '../../protocol';
import {
  isLabelName,
  labelFilterRule,
  labelValueOf,
  MAX_LABEL_NAME,
  MAX_LABEL_VALUE,
  MAX_LABELS,
} from '../../rules';
import type { LabelFilter } from '../types';
import { bad, storable } from './fields';

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
  const { value: filter, reason } = labelFilterRule.read(value);
  if (reason !== null) {
    throw bad(reason.part === undefined ? field : `${field}.${reason.part}`, reasonText(reason));
  }
  return Object.fromEntries(
    Object.entries(filter).map(([name, values]) => [storable(name), values.map(storable)]),
  );
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

function labelValue(value: unknown, field: string): string {
  const text = labelValueOf(value);
  if (text === null) throw bad(field, `must be a text of at most ${MAX_LABEL_VALUE} characters`);
  return storable(text);
}

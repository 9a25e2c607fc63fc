/**
 * Labels of devices, and which of them a package or a task asks for. Pure; runs in the browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';

/** Names that a device may have at most. */
export const MAX_LABELS = 16;
/** Characters. */
export const MAX_LABEL_NAME = 64;
export const MAX_LABEL_VALUE = 128;
/** Values of one label in a filter at most. */
export const MAX_LABEL_VALUES = 100;

/** Labels that a device must have: for each name the values that fit. */
export type LabelFilter = Readonly<Record<string, readonly string[]>>;

export function isLabelName(name: string): boolean {
  const reserved = name === '__proto__' || name === 'constructor' || name === 'prototype';
  return name !== '' && name.length <= MAX_LABEL_NAME && !reserved;
}

/** The text of a label's value; numbers and yes or no become text, as a device's own fields do. null: none. */
export function labelValueOf(value: unknown): string | null {
  const text = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value;
  return typeof text === 'string' && text.length <= MAX_LABEL_VALUE ? text : null;
}

/** `{name: value or [values]}`; a reason's part is the name that it is about. */
export const labelFilterRule: Rule<LabelFilter> = {
  accepts: { kind: 'list' },
  read(value): Reading<LabelFilter> {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return noLabels();
    const entries = Object.entries(value);
    if (entries.length > MAX_LABELS || !entries.every(([name]) => isLabelName(name))) return noLabels();
    const filter: [string, readonly string[]][] = [];
    for (const [name, item] of entries) {
      const values = (Array.isArray(item) ? (item as unknown[]) : [item]).map(labelValueOf);
      const known = values.filter((text) => text !== null);
      if (known.length < values.length || known.length === 0 || known.length > MAX_LABEL_VALUES) {
        return refused('labelValues', { max: MAX_LABEL_VALUES, length: MAX_LABEL_VALUE }, name);
      }
      filter.push([name, known]);
    }
    return taken(Object.fromEntries(filter));
  },
};

function noLabels(): Reading<never> {
  return refused('labels', { max: MAX_LABELS, length: MAX_LABEL_NAME });
}

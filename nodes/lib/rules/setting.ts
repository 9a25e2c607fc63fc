/**
 * A setting: a rule with a default. Settings stand in a flow file as texts, so that `${NAME}` works; one that
 * is absent or blank has its default. Pure; runs in the browser too.
 */
import type { Reading, Reason, Rule } from './reason';
import { refused, taken } from './reason';

export interface Setting<T> extends Rule<T> {
  readonly byDefault: T;
}

/** What a node's settings are: the key is the name in the flow file. */
export type Settings = Readonly<Record<string, Setting<unknown>>>;

export function setting<T>(rule: Rule<T>, byDefault: T): Setting<T> {
  return { ...rule, byDefault };
}

/** The text of a setting as it stands in a flow file; absent is blank, and so is what is no text. */
export function textOf(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : '';
}

/** The name in a whole `${NAME}` or `$(NAME)`, which Node-RED replaces where the flow runs; else null. */
export function variableIn(text: string): string | null {
  const found = /^\$(?:\{([^}]+)\}|\((\S+)\))$/.exec(text.trim());
  return found?.[1] ?? found?.[2] ?? null;
}

export function isVariable(value: unknown): boolean {
  return typeof value === 'string' && variableIn(value) !== null;
}

/**
 * What a rule says of a typed text. A list that was typed and has no item, e.g. separators alone, is refused: it
 * would else mean "off" or the default. Who means an empty list writes `[]`, where JSON is taken.
 */
export function readTyped<T>(rule: Rule<T>, text: string): Reading<T> {
  const reading = rule.read(text);
  const isEmpty = Array.isArray(reading.value) && reading.value.length === 0;
  return isEmpty && !/^\s*(\[|$)/.test(text) ? refused('separators') : reading;
}

/** The value of a setting, its default where it is blank, or why it can't be used. */
export function readSetting<T>(of: Setting<T>, value: unknown): Reading<T> {
  if (typeof value === 'object' && value !== null) return of.read(value);
  const text = textOf(value);
  return text.trim() === '' ? taken(of.byDefault) : readTyped(of, text);
}

/**
 * Why a setting can't be used, as far as the editor can tell; null where it can. A whole variable is taken for
 * anything: its value is known only where the flow runs.
 */
export function settingReason(rule: Rule<unknown>, value: unknown): Reason | null {
  if (typeof value === 'object' && value !== null) return rule.read(value).reason;
  const text = textOf(value);
  return text.trim() === '' || isVariable(text) ? null : readTyped(rule, text).reason;
}

/** A default as the form has it: a checkbox stays true or false, anything else is a text; no limit is blank. */
export function defaultInForm(byDefault: unknown): string | boolean {
  if (typeof byDefault === 'boolean') return byDefault;
  if (byDefault === Infinity) return '';
  return Array.isArray(byDefault) ? byDefault.join(', ') : textOf(byDefault);
}

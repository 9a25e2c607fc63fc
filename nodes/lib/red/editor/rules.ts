/**
 * What a setting may be, as the editor checks it: pure functions that give the key of a reason
 * (`common.reason.…`), or null. The runtime checks for itself; a test holds the two against each other.
 */

/** A reason's locale key, and what fills it. */
export interface Reason {
  readonly key: string;
  readonly values?: Readonly<Record<string, string | number>>;
}

export interface NumberRule {
  readonly min: number;
  readonly max?: number;
  readonly integer?: boolean;
}

/** True for a whole `${NAME}`: known only where the flow runs. */
export function isVariable(value: unknown): boolean {
  return typeof value === 'string' && /^\$\{[^}]+\}$/.test(value);
}

/** The text of a setting; absent is blank. */
export function textOf(value: unknown): string {
  return value === undefined || value === null ? '' : String(value as string | number | boolean);
}

/** A number as text; blank means the default. */
export function numberReason(value: unknown, { min, max, integer }: NumberRule): Reason | null {
  const text = textOf(value).trim();
  if (text === '' || isVariable(text)) return null;
  const number = Number(text);
  if (!Number.isFinite(number)) return { key: 'number' };
  if (integer === true && !Number.isInteger(number)) return { key: 'integer' };
  if (max !== undefined && (number < min || number > max)) return { key: 'between', values: { min, max } };
  return number < min ? { key: 'atLeast', values: { min } } : null;
}

/** An access token; blank and `+` are the caller's to judge. */
export function tokenReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  if (isVariable(text)) return null;
  return /^[^/+#\p{Cc}\p{Cs}]{1,128}$/u.test(text) ? null : { key: 'token' };
}

export const PLACEHOLDER = '{accessToken}';

/** A topic template of the custom scheme. */
export function templateReason(value: unknown): Reason | null {
  const text = textOf(value);
  if (isVariable(text)) return null;
  if (text === '') return { key: 'missing' };
  if (/[+#\p{Cc}\p{Cs}]/u.test(text)) return { key: 'templateCharacters' };
  if (/^\$(share|sys)\//i.test(text)) return { key: 'templateStart' };
  const levels = text.split('/').filter((level) => level === PLACEHOLDER).length;
  if (levels !== 1 || text.split(PLACEHOLDER).length !== 2) return { key: 'templateToken' };
  return new TextEncoder().encode(text).length > 1024 ? { key: 'templateLength' } : null;
}

/** True where one topic could be of both templates. */
export function templatesOverlap(a: string, b: string): boolean {
  const left = a.split('/');
  const right = b.split('/');
  if (left.length !== right.length) return false;
  return left.every((level, i) => level === right[i] || level === PLACEHOLDER || right[i] === PLACEHOLDER);
}

/** An MQTT shared-subscription group. */
export function shareGroupReason(value: unknown): Reason | null {
  const text = textOf(value).trim();
  return !isVariable(text) && /[/+#\p{Cc}\p{Cs}]/u.test(text) ? { key: 'level' } : null;
}

/**
 * What a rule is, and why a value is refused. Pure; runs in the browser too.
 *
 * A rule never makes a text of its own: it gives a key and the values that belong to it. The runtime turns
 * them into an error (`reasonText` in lib/protocol), the editor into a text in the user's language
 * (`common.reason.<key>` in the locales).
 */

/** Each key has a text in lib/protocol/reasons.ts and in every language's common.json. */
export const REASON_KEYS = [
  'missing',
  'text',
  'token',
  'pair',
  'templateCharacters',
  'templateStart',
  'templateToken',
  'templateLength',
  'templateMixed',
  'templateSame',
] as const;

export type ReasonKey = (typeof REASON_KEYS)[number];

/** Why a value can't be used. `values` fill the places of the text, written `__name__`. */
export interface Reason {
  readonly key: ReasonKey;
  readonly values?: Readonly<Record<string, string | number>>;
}

/** What a rule says of a value: what it means, or why it can't be used. */
export type Reading<T> =
  { readonly value: T; readonly reason: null } | { readonly value: null; readonly reason: Reason };

/** What a value may be. `read` takes anything and never throws. */
export interface Rule<T> {
  readonly read: (value: unknown) => Reading<T>;
}

export function taken<T>(value: T): Reading<T> {
  return { value, reason: null };
}

export function refused(key: ReasonKey, values?: Reason['values']): Reading<never> {
  return { value: null as never, reason: values === undefined ? { key } : { key, values } };
}

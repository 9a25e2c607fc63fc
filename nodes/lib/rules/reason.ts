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
  'number',
  'integer',
  'atLeast',
  'between',
  'choice',
  'flag',
  'list',
  'separators',
  'unknownField',
  'level',
  'token',
  'pair',
  'name',
  'labelNames',
  'templateCharacters',
  'templateStart',
  'templateToken',
  'templateLength',
  'templateMixed',
  'templateSame',
  'waves',
  'versions',
  'reasons',
  'windowForm',
  'windowEmpty',
  'time',
  'timeZone',
  'days',
  'hosts',
  'baseUrl',
  'baseUrlQuery',
  'versionAtStart',
  'privateKey',
  'keyCut',
  'keyForm',
  'keyKind',
  'keysMissing',
  'proxy',
  'labels',
  'labelValues',
  'postgresUrl',
  'schema',
] as const;

export type ReasonKey = (typeof REASON_KEYS)[number];

/** Why a value can't be used. `values` fill the places of the text, written `__name__`. */
export interface Reason {
  readonly key: ReasonKey;
  /** Which part of the value it is about, e.g. `timeZone`; absent for the whole. */
  readonly part?: string;
  readonly values?: Readonly<Record<string, string | number>>;
}

/** What a rule says of a value: what it means, or why it can't be used. */
export type Reading<T> =
  { readonly value: T; readonly reason: null } | { readonly value: null; readonly reason: Reason };

/** What a rule accepts, as data: for forms, documents and whoever lists the settings. */
export type Accepts =
  | { readonly kind: 'number'; readonly min: number; readonly max: number | null; readonly integer: boolean }
  | { readonly kind: 'choice'; readonly words: readonly string[] }
  | { readonly kind: 'flag' | 'text' | 'list' | 'window' };

/** What a value may be. `read` takes anything and never throws. */
export interface Rule<T> {
  readonly accepts: Accepts;
  readonly read: (value: unknown) => Reading<T>;
}

export function taken<T>(value: T): Reading<T> {
  return { value, reason: null };
}

export function refused(key: ReasonKey, values?: Reason['values'], part?: string): Reading<never> {
  const reason: Reason = {
    key,
    ...(values === undefined ? {} : { values }),
    ...(part === undefined ? {} : { part }),
  };
  return { value: null as never, reason };
}

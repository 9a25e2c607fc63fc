/**
 * What a device's identity may be: one level of a topic (the access token), or two levels written as
 * `productKey/deviceName`. Pure; runs in the browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';
import { NEVER_IN_TOPICS } from './topics';

/** `token`: one level. `pair`: two levels with a slash between them. `none`: nothing in the topic. */
export type IdentityForm = 'token' | 'pair' | 'none';

/** Stands for every device, where a filter allows it. */
export const EVERY_DEVICE = '+';

/** Characters of a whole identity, counted as code points. */
export const MAX_IDENTITY = 128;

/** No separator, no wildcard, nothing that a topic can't hold. */
const CHARACTER = `[^/+#${NEVER_IN_TOPICS}]`;

const TOKEN = new RegExp(`^${CHARACTER}{1,${MAX_IDENTITY}}$`, 'u');
const PAIR = new RegExp(`^(?=.{3,${MAX_IDENTITY}}$)${CHARACTER}+/${CHARACTER}+$`, 'su');

/** True where the value can stand as one level of a topic, in at most 128 characters. */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && TOKEN.test(value);
}

/** True for `productKey/deviceName`: two levels, in at most 128 characters together. */
export function isPair(value: unknown): value is string {
  return typeof value === 'string' && PAIR.test(value);
}

/** True for blanks alone: a topic takes them, but in a flow they are a field that was left empty. */
export function isBlankToken(value: unknown): boolean {
  return typeof value === 'string' && value.trim() === '';
}

export const tokenRule: Rule<string> = {
  accepts: { kind: 'text' },
  read: (value) => readIdentity(value, isToken, 'token'),
};

export const pairRule: Rule<string> = {
  accepts: { kind: 'text' },
  read: (value) => readIdentity(value, isPair, 'pair'),
};

function readIdentity(
  value: unknown,
  fits: (value: unknown) => value is string,
  key: 'token' | 'pair',
): Reading<string> {
  if (value === undefined || value === null || value === '') return refused('missing');
  if (typeof value !== 'string') return refused('text');
  return fits(value) ? taken(value) : refused(key);
}

/**
 * What MQTT lets a topic hold. Pure; runs in the browser too.
 */

/**
 * For a class of a regular expression with the flag `u`: control characters (NUL is one), halves of surrogate pairs
 * and Unicode's noncharacters, such as U+FFFF. A broker may end the connection of a client that sends one of them.
 */
export const NEVER_IN_TOPICS = String.raw`\p{Cc}\p{Cs}\p{Noncharacter_Code_Point}`;

const UNSENDABLE = new RegExp(`[+#${NEVER_IN_TOPICS}]`, 'u');

/** True where a text can't be published to, nor be a part of a topic: a wildcard, or what MQTT forbids. */
export function isUnsendable(text: string): boolean {
  return UNSENDABLE.test(text);
}

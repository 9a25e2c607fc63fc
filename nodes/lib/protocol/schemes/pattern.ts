/** A topic template: builds the topic of a device, and finds the device in a topic. */
import { PLACEHOLDERS } from '../../rules';
import { OtaError } from '../errors';
import { EVERY_DEVICE } from './identity';

export interface Pattern {
  /** The text before, between and after the placeholders: one text more than there are placeholders. */
  readonly texts: readonly string[];
  /** True where the device's name stands before the product's key. */
  readonly swapped: boolean;
}

export function toPattern(template: string): Pattern {
  const [productKey = '', deviceName = ''] = PLACEHOLDERS.pair;
  return {
    texts: template.split(/\{(?:accessToken|productKey|deviceName)\}/),
    swapped: template.indexOf(deviceName) < template.indexOf(productKey),
  };
}

/** True where no device is named in the topic. */
export function isUnaddressed({ texts }: Pattern): boolean {
  return texts.length === 1;
}

/** The topic of a device, or with `+` the filter for every device. @throws OtaError OTA_BAD_TOKEN */
export function buildTopic(pattern: Pattern, identity: string): string {
  const [first = '', second = '', third = ''] = pattern.texts;
  // Brokers keep topics that begin with $ to themselves: no wildcard matches them.
  if (first === '' && pattern.texts.length > 1 && identity.startsWith('$')) {
    throw new OtaError('OTA_BAD_TOKEN', 'With this topic template an access token must not begin with "$".');
  }
  if (pattern.texts.length === 1) return first;
  if (pattern.texts.length === 2) return first + identity + second;
  const slash = identity.indexOf('/');
  const key = identity === EVERY_DEVICE ? identity : identity.slice(0, slash);
  const name = identity === EVERY_DEVICE ? identity : identity.slice(slash + 1);
  return first + (pattern.swapped ? name : key) + second + (pattern.swapped ? key : name) + third;
}

/**
 * What stands where the identity belongs; blank where the topic names no device, null where it isn't of this
 * pattern.
 */
export function identityIn(pattern: Pattern, topic: string): string | null {
  const { texts } = pattern;
  const prefix = texts[0] ?? '';
  if (texts.length === 1) return topic === prefix ? '' : null;
  const suffix = texts[texts.length - 1] ?? '';
  if (topic.length < prefix.length + suffix.length) return null;
  if (!topic.startsWith(prefix) || !topic.endsWith(suffix)) return null;
  const rest = topic.slice(prefix.length, topic.length - suffix.length);
  if (texts.length === 2) return rest.includes('/') ? null : rest;
  const slash = rest.indexOf('/');
  const between = texts[1] ?? '';
  if (slash < 0 || !rest.startsWith(between, slash)) return null;
  const left = rest.slice(0, slash);
  const right = rest.slice(slash + between.length);
  if (right.includes('/')) return null;
  return pattern.swapped ? `${right}/${left}` : `${left}/${right}`;
}

/** The topic with what stands for the identity masked, or null where it isn't of this pattern. */
export function maskTopic(pattern: Pattern, topic: string, mask: (token: string) => string): string | null {
  const found = identityIn(pattern, topic);
  if (found === null || pattern.texts.length === 1) return found === null ? null : topic;
  const { texts, swapped } = pattern;
  const [first = '', second = '', third = ''] = texts;
  if (texts.length === 2) return first + mask(found) + second;
  const [key = '', name = ''] = found.split('/');
  return first + mask(swapped ? name : key) + second + mask(swapped ? key : name) + third;
}

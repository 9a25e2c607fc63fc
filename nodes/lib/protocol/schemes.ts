/**
 * Topic schemes: how the three topics are built. Another scheme is one entry of SCHEMES.
 */
import { isToken, PLACEHOLDER, readTemplate, togetherReason } from '../rules';
import { OtaError } from './errors';
import { reasonText } from './reasons';
import { checkToken } from './token';

export type MessageKind = 'inform' | 'upgrade' | 'progress';
export const KINDS: readonly MessageKind[] = ['inform', 'upgrade', 'progress'];

/** Every device, where a filter allows it. */
export const EVERY_DEVICE = '+';

export type Templates = Readonly<Record<MessageKind, string>>;

interface SchemeEntry {
  /** null: the user's own templates. */
  readonly templates: Templates | null;
}

/** The table. A scheme is documented in the README's protocol table. */
const SCHEMES: ReadonlyMap<string, SchemeEntry> = new Map([
  [
    'thingspanel',
    {
      templates: {
        inform: `/ota/device/inform/${PLACEHOLDER}`,
        upgrade: `/ota/device/upgrade/${PLACEHOLDER}`,
        progress: `/ota/device/progress/${PLACEHOLDER}`,
      },
    },
  ],
  ['custom', { templates: null }],
]);

export const DEFAULT_SCHEME = 'thingspanel';
export const SCHEME_NAMES: readonly string[] = [...SCHEMES.keys()];

/** Builds and reads the topics of one scheme. */
export interface TopicScheme {
  /** The topic of one device. @throws OtaError OTA_BAD_TOKEN */
  topic(kind: MessageKind, accessToken: string): string;
  /** The same, or blank where there is none: for what is told about a bad token. */
  topicIfAny(kind: MessageKind, accessToken: unknown): string;
  /** The filter of one device, or of every device with `+`. @throws OtaError OTA_BAD_TOKEN */
  filter(kind: MessageKind, accessToken: string): string;
  /** Whose topic it is; null where it fits no template or holds a token that can't be one. */
  match(topic: string): { kind: MessageKind; accessToken: string } | null;
  /** Which message a topic carries, whatever stands where the token belongs; null where it fits none. */
  kindOf(topic: string): MessageKind | null;
  /** The topic as it may be shown: the token masked, and where it fits no template all that could be one. */
  mask(topic: string, maskToken: (token: string) => string): string;
}

interface Pattern {
  readonly kind: MessageKind;
  readonly prefix: string;
  readonly suffix: string;
}

/**
 * Makes a scheme from its name and, for `custom`, the user's templates.
 * @throws OtaError OTA_BAD_TEMPLATE naming the template
 */
export function createScheme(name: string, custom?: Partial<Templates>): TopicScheme {
  const entry = SCHEMES.get(name === '' ? DEFAULT_SCHEME : name);
  if (entry === undefined) {
    throw new OtaError(
      'OTA_BAD_TEMPLATE',
      `Unknown topic scheme "${name}": use ${SCHEME_NAMES.join(' or ')}.`,
    );
  }
  const templates = entry.templates ?? checkTemplates(custom ?? {});
  const patterns = KINDS.map((kind) => toPattern(kind, templates[kind]));
  const plainLevels = new Set(KINDS.flatMap((kind) => templates[kind].split('/')).concat(''));
  const byKind = new Map(patterns.map((pattern) => [pattern.kind, pattern]));
  const build = (kind: MessageKind, level: string): string => {
    const pattern = byKind.get(kind) as Pattern;
    // Brokers keep topics that begin with $ to themselves: no wildcard matches them.
    if (pattern.prefix === '' && level.startsWith('$')) {
      throw new OtaError(
        'OTA_BAD_TOKEN',
        'With this topic template an access token must not begin with "$".',
      );
    }
    return pattern.prefix + level + pattern.suffix;
  };
  const find = (topic: string): { pattern: Pattern; level: string } | null => {
    for (const pattern of patterns) {
      const level = levelOf(pattern, topic);
      if (level !== null) return { pattern, level };
    }
    return null;
  };
  return {
    topic: (kind, accessToken) => build(kind, checkToken(accessToken)),
    topicIfAny(kind, accessToken) {
      try {
        return build(kind, checkToken(accessToken));
      } catch {
        return '';
      }
    },
    filter: (kind, accessToken) =>
      build(kind, accessToken === EVERY_DEVICE ? EVERY_DEVICE : checkToken(accessToken)),
    match(topic) {
      const found = find(topic);
      return found !== null && isToken(found.level)
        ? { kind: found.pattern.kind, accessToken: found.level }
        : null;
    },
    kindOf: (topic) => find(topic)?.pattern.kind ?? null,
    mask(topic, maskToken) {
      const found = find(topic);
      if (found !== null) return found.pattern.prefix + maskToken(found.level) + found.pattern.suffix;
      return topic
        .split('/')
        .map((level) => (plainLevels.has(level) ? level : maskToken(level)))
        .join('/');
    },
  };
}

function toPattern(kind: MessageKind, template: string): Pattern {
  const at = template.indexOf(PLACEHOLDER);
  return { kind, prefix: template.slice(0, at), suffix: template.slice(at + PLACEHOLDER.length) };
}

/** The level where the identity stands; null where the topic isn't of this pattern. */
function levelOf(pattern: Pattern, topic: string): string | null {
  const { prefix, suffix } = pattern;
  if (topic.length < prefix.length + suffix.length) return null;
  if (!topic.startsWith(prefix) || !topic.endsWith(suffix)) return null;
  const level = topic.slice(prefix.length, topic.length - suffix.length);
  return level.includes('/') ? null : level;
}

function checkTemplates(custom: Partial<Templates>): Templates {
  for (const kind of KINDS) {
    const { reason } = readTemplate(custom[kind]);
    if (reason !== null) throw new OtaError('OTA_BAD_TEMPLATE', `The ${kind} topic ${reasonText(reason)}.`);
  }
  const templates = custom as Templates;
  for (const [i, a] of KINDS.entries()) {
    for (const b of KINDS.slice(i + 1)) {
      const reason = togetherReason(templates[a], templates[b]);
      if (reason !== null) {
        throw new OtaError('OTA_BAD_TEMPLATE', `The ${a} topic and the ${b} topic ${reasonText(reason)}.`);
      }
    }
  }
  return templates;
}

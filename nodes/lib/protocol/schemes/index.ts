/**
 * Topic schemes: what stands in which topic, what a device's identity is, and how bodies are written. One table;
 * another scheme is one file and one line of it. Everything else in the product hands over messages.
 */
import { alinkBodies } from '../bodies/alink';
import type { Bodies, Style } from '../bodies/bodies';
import { plainBodies } from '../bodies/plain';
import type { SignMethodCase } from '../digests';
import { OtaError } from '../errors';
import { nextId } from '../ids';
import type { Body } from '../json';
import type { Ask, MessageKind, Outgoing, PreparedUpgrade, UpgradeOut } from '../messages';
import { checkUpgrade, MAX_URL } from '../upgrade-input';
import { ALIYUN } from './aliyun';
import { CUSTOM, customTopics, type Templates } from './custom';
import type { BodiesName, SchemeEntry, TopicKind } from './entry';
import { EVERY_DEVICE, type Identity, ONE_LEVEL, TWO_LEVELS } from './identity';
import { buildTopic, identityIn, isUnaddressed, maskTopic, type Pattern, toPattern } from './pattern';
import { THINGSPANEL } from './thingspanel';
import { THINGSPANEL_V04 } from './thingspanel-v0.4';
import { THINGSPANEL_V05 } from './thingspanel-v0.5';
import { THINGSPANEL_V1 } from './thingspanel-v1';
import { unwrap } from './wrapper';

export type { Templates } from './custom';
export type { BodiesName, TopicKind } from './entry';
export { ANY_IDENTITY, EVERY_DEVICE, type Identity } from './identity';

/** The table. */
const SCHEMES: ReadonlyMap<string, SchemeEntry> = new Map([
  ['thingspanel', THINGSPANEL],
  ['thingspanel-v0.4', THINGSPANEL_V04],
  ['thingspanel-v0.5', THINGSPANEL_V05],
  ['thingspanel-v1', THINGSPANEL_V1],
  ['aliyun', ALIYUN],
  ['custom', CUSTOM],
]);

export const DEFAULT_SCHEME = 'thingspanel';
export const SCHEME_NAMES: readonly string[] = [...SCHEMES.keys()];
const BODIES: ReadonlyMap<string, (style: Style) => Bodies> = new Map<BodiesName, (style: Style) => Bodies>([
  ['plain', plainBodies],
  ['alink', alinkBodies],
]);
export const BODIES_NAMES: readonly string[] = [...BODIES.keys()];
const TOPIC_KINDS: readonly TopicKind[] = ['inform', 'upgrade', 'progress', 'ask', 'answer'];

/** What a service's settings say about the writing; what is absent has its default. */
export interface WriteSettings {
  /** Blank: the scheme's own. */
  readonly bodies?: string;
  readonly signMethodCase?: SignMethodCase;
  readonly sendDefaultModule?: boolean;
  /** Characters of a url at most. */
  readonly maxUrlLength?: number;
}

/** Which message a topic carries and whose it is. */
export interface TopicMatch {
  readonly kind: TopicKind;
  /** null where the topic names no device. */
  readonly accessToken: string | null;
}

/** The topics, identities and bodies of one service. */
export interface Scheme {
  readonly identity: Identity;
  /** What ota-task takes for a success unless its policy says so. */
  readonly success: 'progress' | 'version';
  /** True where this product can only be the device. */
  readonly deviceOnly: boolean;
  /** True where the scheme has a topic for this. */
  has(kind: TopicKind): boolean;
  /** The topic of one device. @throws OtaError OTA_BAD_TOKEN; OTA_BAD_TEMPLATE (`ask`: OTA_BAD_INPUT) where the scheme has none */
  topic(kind: MessageKind, accessToken: unknown): string;
  /** The same, or blank where there is none: for what is told about a bad token. */
  topicIfAny(kind: MessageKind, accessToken: unknown): string;
  /** The topic on which a device hears the answer to what it asked on this one. */
  answerTopic(askTopic: string): string;
  /**
   * The filters of one device, or of every device with `+`; one of them granted will do.
   * @throws OtaError OTA_BAD_TOKEN, OTA_BAD_TEMPLATE for `+` where topics don't tell the devices apart,
   *   or the scheme has no such topic (OTA_BAD_INPUT for a question)
   */
  filters(kind: TopicKind, accessToken: string): readonly string[];
  /** What a topic is; null where it fits no template or holds a token that can't be one. */
  match(topic: string): TopicMatch | null;
  /** Which message a topic carries, whatever stands where the token belongs; null where it fits none. */
  kindOf(topic: string): TopicKind | null;
  /** The topic as it may be shown: the token masked, and where it fits no template all that could be one. */
  mask(topic: string, maskToken: (token: string) => string): string;
  /** Takes off what the broker's plug-in put around a body. @throws OtaError */
  unwrap(kind: TopicKind, body: Body): { readonly sender: string | null; readonly inner: Body };
  /** An id for a device's next report or question, unique for it: ten digits. */
  nextId(accessToken: string): string;
  /** The same for a push to it: ten digits, with `alink` bodies thirteen. */
  pushId(accessToken: string): string;
  /**
   * Checks `{version, url, size, sign, signMethod, module, extData}` before anything is sent.
   * @param allowUnsigned lets a package without `size` or `sign` pass, where devices can take one
   * @throws OtaError OTA_BAD_UPGRADE naming the field
   */
  check(input: unknown, allowUnsigned?: boolean): UpgradeOut;
  /**
   * Writes an upgrade once, for any number of devices.
   * @throws OtaError OTA_BAD_UPGRADE, see `check`; OTA_BAD_TEMPLATE where the topics are those of a device
   */
  prepare(upgrade: UpgradeOut): PreparedUpgrade;
  /** The body of a message. @throws OtaError OTA_BAD_INPUT, OTA_BAD_STEP */
  write<K extends MessageKind>(kind: K, accessToken: string, message: Outgoing[K]): string;
  /** The body of the answer to a question; `upgrade` null: there is nothing to do. */
  writeAnswer(ask: Ask, upgrade: PreparedUpgrade | null): string;
}

interface KindPattern {
  readonly kind: TopicKind;
  readonly pattern: Pattern;
}

/**
 * Makes a scheme from its name, for `custom` the user's templates, and the service's settings.
 * @throws OtaError OTA_BAD_TEMPLATE naming what is wrong
 */
export function createScheme(
  chosen: string,
  custom: Partial<Templates> = {},
  settings: WriteSettings = {},
): Scheme {
  const name = chosen === '' ? DEFAULT_SCHEME : chosen;
  const entry = SCHEMES.get(name);
  if (entry === undefined) throw unknown('topic scheme', name, SCHEME_NAMES);
  const { topics, levels } =
    entry.topics === null ? customTopics(custom) : { topics: entry.topics, levels: entry.levels };
  const bodies = createBodies(entry, settings);
  const identity = levels === 2 ? TWO_LEVELS : ONE_LEVEL;
  const byKind = new Map(TOPIC_KINDS.map((kind) => [kind, topics[kind].map(toPattern)]));
  const patternsOf = (kind: TopicKind): readonly Pattern[] => byKind.get(kind) ?? [];
  const patterns = TOPIC_KINDS.flatMap((kind) =>
    patternsOf(kind).map((pattern): KindPattern => ({ kind, pattern })),
  );
  const templates = Object.values(topics).flat();
  const plainLevels = new Set(templates.flatMap((template) => template.split('/')).concat(''));
  const sizeNeeded = entry.style.sendSize ?? true;
  const rules = { maxUrlLength: settings.maxUrlLength ?? MAX_URL, sizeNeeded };

  const topic = (kind: TopicKind, accessToken: unknown): string => {
    const pattern = patternsOf(kind)[0];
    if (pattern === undefined) throw noTopic(kind, name);
    return buildTopic(pattern, identity.check(accessToken));
  };
  /** Whoever sends an upgrade is the platform, and must be able to send it to one device. */
  const checkPlatform = (): void => {
    if (entry.deviceOnly) throw forDevices(name);
    if (patternsOf('upgrade').some(isUnaddressed)) throw notAddressed('upgrade');
  };
  const refuse = (upgrade: UpgradeOut): UpgradeOut => {
    const problem = bodies.problem(upgrade);
    if (problem !== null) throw new OtaError('OTA_BAD_UPGRADE', `Nothing was pushed: ${problem}.`);
    return upgrade;
  };
  return {
    identity,
    success: entry.success,
    deviceOnly: entry.deviceOnly,
    has: (kind) => patternsOf(kind).length > 0,
    topic,
    topicIfAny(kind, accessToken) {
      try {
        return topic(kind, accessToken);
      } catch {
        return '';
      }
    },
    answerTopic(asked) {
      for (const [i, pattern] of patternsOf('ask').entries()) {
        const device = identityIn(pattern, asked);
        const answer = patternsOf('answer')[i];
        if (device !== null && answer !== undefined) return buildTopic(answer, identity.check(device));
      }
      throw noTopic('answer', name);
    },
    filters(kind, accessToken) {
      const found = patternsOf(kind);
      if (found.length === 0) throw noTopic(kind, name);
      const every = accessToken === EVERY_DEVICE;
      if (every && !entry.wrapped && found.some(isUnaddressed)) {
        throw entry.deviceOnly ? forDevices(name) : notAddressed(kind);
      }
      const device = every ? accessToken : identity.check(accessToken);
      // What we ask goes to the first topic, and so does its answer.
      const wanted = kind === 'answer' ? found.slice(0, 1) : found;
      return wanted.map((pattern) => buildTopic(pattern, device));
    },
    match(topic) {
      for (const { kind, pattern } of patterns) {
        const found = identityIn(pattern, topic);
        if (found === null) continue;
        if (isUnaddressed(pattern)) return { kind, accessToken: null };
        return identity.is(found) ? { kind, accessToken: found } : null;
      }
      return null;
    },
    kindOf: (topic) => patterns.find(({ pattern }) => identityIn(pattern, topic) !== null)?.kind ?? null,
    mask(topic, maskToken) {
      for (const { pattern } of patterns) {
        const masked = maskTopic(pattern, topic, maskToken);
        if (masked !== null) return masked;
      }
      return topic
        .split('/')
        .map((level) => (plainLevels.has(level) ? level : maskToken(level)))
        .join('/');
    },
    unwrap: (kind, body) =>
      entry.wrapped && patternsOf(kind).some(isUnaddressed) ? unwrap(body) : { sender: null, inner: body },
    nextId,
    pushId: (accessToken) => bodies.pushId(nextId(accessToken)),
    check: (input, allowUnsigned = false) => refuse(checkUpgrade(input, allowUnsigned, rules)),
    prepare(upgrade) {
      checkPlatform();
      return bodies.prepare(refuse(upgrade));
    },
    write: (kind, accessToken, message) => writeBody(bodies, kind, accessToken, message),
    writeAnswer: (ask, upgrade) => (upgrade === null ? bodies.nothing(ask) : upgrade.answer(ask)),
  };
}

function createBodies(entry: SchemeEntry, settings: WriteSettings): Bodies {
  const name = settings.bodies ?? '';
  const create = BODIES.get(name === '' ? entry.bodies : name);
  if (create === undefined) throw unknown('form of bodies', name, BODIES_NAMES);
  return create({
    sendDefaultModule: settings.sendDefaultModule ?? false,
    signMethodCase: settings.signMethodCase ?? 'Md5',
    progressNamesModule: false,
    sendSize: true,
    code: 200,
    ...entry.style,
  });
}

function writeBody<K extends MessageKind>(
  bodies: Bodies,
  kind: K,
  accessToken: string,
  message: Outgoing[K],
): string {
  // A table of writers would need the same four casts: a type parameter isn't narrowed by a comparison.
  switch (kind) {
    case 'upgrade': {
      const { id, upgrade } = message as Outgoing['upgrade'];
      return upgrade.push(id);
    }
    case 'progress':
      return bodies.progress(message as Outgoing['progress'], () => nextId(accessToken));
    case 'inform':
      return bodies.inform(message as Outgoing['inform']);
    default:
      return bodies.ask(message as Outgoing['ask']);
  }
}

function unknown(what: string, name: string, known: readonly string[]): OtaError {
  const choices = `${known.slice(0, -1).join(', ')} or ${known.at(-1) ?? ''}`;
  return new OtaError('OTA_BAD_TEMPLATE', `Unknown ${what} "${name}": use ${choices}.`);
}

function noTopic(kind: TopicKind, scheme: string): OtaError {
  const what = { inform: 'version reports', upgrade: 'upgrades', progress: 'progress reports' };
  const text = kind === 'ask' || kind === 'answer' ? 'questions for an upgrade' : what[kind];
  return new OtaError(
    kind === 'ask' || kind === 'answer' ? 'OTA_BAD_INPUT' : 'OTA_BAD_TEMPLATE',
    `The topic scheme "${scheme}" has no topic for ${text}: choose another scheme in ota-service, or leave this out.`,
  );
}

function forDevices(scheme: string): OtaError {
  return new OtaError(
    'OTA_BAD_TEMPLATE',
    `The topic scheme "${scheme}" is for devices: a platform of it can't be made with this product. Set the node to "device", or choose another scheme in ota-service.`,
  );
}

function notAddressed(kind: TopicKind): OtaError {
  return new OtaError(
    'OTA_BAD_TEMPLATE',
    `The ${kind} topic names no device, so that only a device itself can use it: put {accessToken} into it, once, as a whole level.`,
  );
}

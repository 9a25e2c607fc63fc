/**
 * What the settings of each node may be, and their defaults; a task's policy has a table of its own. Settings
 * that name other nodes, and texts that are taken as they are, stand in the nodes only. Pure; runs in the
 * browser too.
 */
import { baseUrlRule } from './base-url';
import { hostsRule } from './hosts';
import { isLabelName, MAX_LABEL_NAME, MAX_LABELS } from './labels';
import { postgresUrlRule, schemaRule } from './postgres';
import { publicKeysRule } from './public-keys';
import { refused, type Rule, taken } from './reason';
import { setting } from './setting';
import { isUnsendable } from './topics';
import { choiceRule, flagRule, numberRule, readList } from './values';

const GIBIBYTE = 1024 ** 3;
/** A timer takes no more milliseconds than 31 bits hold; this is a little less, in seconds. */
const MAX_TIMER_SECONDS = 2_000_000;

/** ota-inform, ota-push and ota-progress stand on one of two sides. */
export const SIDES = ['platform', 'device'] as const;
export type Side = (typeof SIDES)[number];
const side = setting(choiceRule(SIDES), 'platform');

/** An MQTT shared-subscription group: one level of a filter; blank for none. */
export const shareGroupRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value) {
    if (typeof value !== 'string') return refused('text');
    const group = value.trim();
    return group.includes('/') || isUnsendable(group) ? refused('level') : taken(group);
  },
};

const MAX_FLEET = 128;

/** The name under which devices and tasks are kept; blank for none. */
export const fleetRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value) {
    if (typeof value !== 'string') return refused('text');
    const name = value.trim();
    return name.length > MAX_FLEET || /\p{Cc}/u.test(name)
      ? refused('name', { max: MAX_FLEET })
      : taken(name);
  },
};

/** Names of fields that are taken as labels, e.g. `board, region`. */
const labelNamesRule: Rule<readonly string[]> = {
  accepts: { kind: 'list' },
  read(value) {
    const list = readList(value);
    if (list.reason !== null) return list;
    const names = list.value.filter((name): name is string => typeof name === 'string');
    const fits = names.every(isLabelName);
    return fits && names.length === list.value.length && names.length <= MAX_LABELS
      ? taken(names)
      : refused('labelNames', { max: MAX_LABELS, length: MAX_LABEL_NAME });
  },
};

const DIGESTS = choiceRule(['SHA256', 'MD5']);

/** A digest in any spelling, e.g. `md5`, `Sha-256`. */
const signMethodRule: Rule<'SHA256' | 'MD5'> = {
  accepts: DIGESTS.accepts,
  read: (value) =>
    DIGESTS.read(typeof value === 'string' ? value.trim().toUpperCase().replace('SHA-', 'SHA') : value),
};

/** The names of topic schemes, the default first; what they are stands in lib/protocol. */
export const SCHEMES = [
  'thingspanel',
  'thingspanel-v0.4',
  'thingspanel-v0.5',
  'thingspanel-v1',
  'aliyun',
  'custom',
] as const;

/** How bodies are written; what they are stands in lib/protocol. */
export const BODIES = ['plain', 'alink'] as const;

export const SERVICE = {
  scheme: setting(choiceRule(SCHEMES), 'thingspanel'),
  /** Blank: the scheme's own. */
  bodies: setting(choiceRule(['', ...BODIES]), ''),
  persistent: setting(flagRule, true),
  shareGroup: setting(shareGroupRule, ''),
  window: setting(numberRule({ min: 1, max: 65_535, integer: true }), 200),
  signMethodCase: setting(choiceRule(['Md5', 'MD5']), 'Md5'),
  sendDefaultModule: setting(flagRule, false),
  /** Characters: one C SDK crashes at 255, many keep 256 bytes. */
  maxUrlLength: setting(numberRule({ min: 64, max: 2048, integer: true }), 254),
  /** Blank: the node's id. */
  fleet: setting(fleetRule, ''),
} as const;

/** The databases that a store may lie in. */
export const DRIVERS = ['sqlite', 'postgres'] as const;

export const STORE = {
  driver: setting(choiceRule(DRIVERS), 'sqlite'),
  url: setting(postgresUrlRule, ''),
  schema: setting(schemaRule, 'ota'),
  /** Connections of one instance at most: one beats, one writes, the others read. */
  poolSize: setting(numberRule({ min: 3, max: 100, integer: true }), 8),
} as const;

/** Beside its policy. */
export const TASK = {
  transport: setting(choiceRule(['mqtt', 'wires']), 'mqtt'),
  /** By wires; blank: the node's id. */
  fleet: setting(fleetRule, ''),
  labelsFrom: setting(labelNamesRule, []),
  /** Stands before the policy's own, which has no blank: what the topic scheme says. */
  success: setting(choiceRule(['', 'progress', 'version']), ''),
  startPaused: setting(flagRule, false),
} as const;

export const INFORM = { side, atStart: setting(flagRule, false) } as const;

export const PUSH = {
  side,
  /** Upgrades a second; 0: no limit. */
  rate: setting(numberRule({ min: 0 }), 0),
  hold: setting(flagRule, false),
  keepInWork: setting(flagRule, true),
  maxAttempts: setting(numberRule({ min: 1, integer: true }), 3),
  /** Seconds. */
  workTimeout: setting(numberRule({ min: 1 }), 86_400),
  /** Upgrades at once; blank: no limit. */
  parallel: setting(numberRule({ min: 1, integer: true }), Infinity),
  askAtStart: setting(flagRule, false),
  allowUnsigned: setting(flagRule, false),
  /** Seconds after which the broker drops what nobody took (MQTT 5); 0: never. */
  expiry: setting(numberRule({ min: 0, max: 2 ** 32 - 1 }), 0),
} as const;

export const PROGRESS = {
  side,
  /** Seconds. */
  minInterval: setting(numberRule({ min: 0 }), 1),
  /** Percentage points. */
  minDelta: setting(numberRule({ min: 0, max: 100 }), 5),
  /** Seconds. */
  maxInterval: setting(numberRule({ min: 0 }), 60),
  /** Seconds. */
  keepFinalFor: setting(numberRule({ min: 1 }), 86_400),
} as const;

export const VERIFY = {
  source: setting(choiceRule(['url', 'file', 'buffer']), 'url'),
  /** Percent of the progress that the download makes up. */
  downloadShare: setting(numberRule({ min: 1, max: 100, integer: true }), 90),
  /** Half a minute of pauses on the average: a server or a line that is gone for ten seconds is outlasted. */
  retries: setting(numberRule({ min: 0, integer: true }), 7),
  /** Seconds. */
  stallTimeout: setting(numberRule({ min: 0.1, max: MAX_TIMER_SECONDS }), 30),
  /** Seconds. */
  totalTimeout: setting(numberRule({ min: 0.1, max: MAX_TIMER_SECONDS }), 3600),
  maxBytes: setting(numberRule({ min: 1, integer: true }), GIBIBYTE),
  requireSign: setting(flagRule, true),
  allowedHosts: setting(hostsRule, []),
  allowLocal: setting(flagRule, false),
  maxRedirects: setting(numberRule({ min: 0, max: 20, integer: true }), 3),
  /** Servers that bend HTTP are borne. */
  lenient: setting(flagRule, false),
  publicKeys: setting(publicKeysRule, []),
  /** Without public keys everything is refused. */
  requireSignature: setting(flagRule, false),
  rollback: setting(choiceRule(['off', 'refuse']), 'off'),
  concurrency: setting(numberRule({ min: 1, max: 64, integer: true }), 2),
  keep: setting(numberRule({ min: 1, integer: true }), 2),
} as const;

export const PACKAGE = {
  allowedHosts: setting(hostsRule, []),
  allowLocal: setting(flagRule, false),
  baseUrl: setting(baseUrlRule, ''),
  signMethod: setting(signMethodRule, 'SHA256'),
  maxBytes: setting(numberRule({ min: 1, integer: true }), GIBIBYTE),
} as const;

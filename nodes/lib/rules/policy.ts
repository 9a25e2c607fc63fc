/**
 * The policy of a task: each field with what it may be and its default. The runtime reads messages and
 * settings with this table, the editor makes the form's defaults and validators of it. Pure; runs in the
 * browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';
import { type Setting, setting } from './setting';
import { choiceRule, flagRule, numberRule, readList } from './values';
import { type TimeWindow, windowRule } from './window';

/** Why a device failed. The first four are the device's own words, steps -1 to -4. */
export const FAIL_REASONS = [
  'upgrade',
  'download',
  'verification',
  'flashing',
  'offline',
  'refused',
  'no-response',
  'stalled',
  'unconfirmed',
  'rolled-back',
  'version-mismatch',
  'incompatible',
] as const;
export type FailReason = (typeof FAIL_REASONS)[number];

/** How a task treats its devices. All times are in seconds. */
export interface Policy {
  readonly success: 'progress' | 'version';
  readonly offline: 'fail' | 'wait';
  readonly waitLimit: number;
  readonly seenWithin: number;
  readonly repush: number;
  readonly noResponse: number;
  readonly stalled: number;
  readonly confirm: number;
  readonly retries: number;
  readonly retryDelay: number;
  readonly perMinute: number;
  readonly concurrency: number;
  readonly waves: readonly number[];
  readonly successThreshold: number;
  readonly failureThreshold: number;
  readonly minExecuted: number;
  readonly onFailure: 'pause' | 'cancel';
  readonly window: TimeWindow | null;
  readonly skipCurrent: boolean;
  readonly fromVersions: readonly string[];
  /** When a wave is through: all of its devices ended, or enough of them succeeded. */
  readonly waveAdvance: 'ended' | 'threshold';
  /** Seconds between reaching a wave's gate and opening the next wave. */
  readonly soak: number;
  readonly afterWave: 'next' | 'pause';
  /** Percent of a wave that may sleep when it is taken as complete. */
  readonly maxWaiting: number;
  /** Takes its devices, where they are pending, out of older tasks of the module. */
  readonly supersede: boolean;
  /** The failures that are tried again. */
  readonly retryOn: readonly FailReason[];
  readonly retryBackoff: 'fixed' | 'exponential';
}

/** Ten years: beyond it a limit is a mistake, and times would leave the safe range. */
const MAX_SECONDS = 10 * 365 * 24 * 3600;
const MAX_DEVICES = 100_000_000;

/** Trying these again would end the same way, until a person has looked at them. */
const NOT_RETRIED: readonly FailReason[] = ['refused', 'incompatible', 'version-mismatch', 'rolled-back'];

const seconds = (min: number, byDefault: number): Setting<number> =>
  setting(numberRule({ min, max: MAX_SECONDS }), byDefault);
const count = (min: number, max: number, byDefault: number): Setting<number> =>
  setting(numberRule({ min, max, integer: true }), byDefault);
const percent = (byDefault: number): Setting<number> => setting(numberRule({ min: 0, max: 100 }), byDefault);

/** Cumulative percentages, e.g. `1, 10, 50, 100`. */
const wavesRule: Rule<readonly number[]> = {
  accepts: { kind: 'list' },
  read(value) {
    const list = readList(value);
    if (list.reason !== null) return list;
    const each = numberRule({ min: 0, max: 100 });
    const waves = list.value.map((item) => each.read(item).value ?? Number.NaN);
    const rising = waves.every((wave, i) => wave > (waves[i - 1] ?? 0));
    return rising && waves[waves.length - 1] === 100 ? taken(waves) : refused('waves');
  },
};

/** Versions, e.g. `1.0, 1.1`. */
export const versionsRule: Rule<readonly string[]> = {
  accepts: { kind: 'list' },
  read: (value) =>
    readItems(value, (item): item is string => typeof item === 'string' && item !== '', refused('versions')),
};

const reasonsRule: Rule<readonly FailReason[]> = {
  accepts: { kind: 'list' },
  read(value) {
    const known: readonly unknown[] = FAIL_REASONS;
    const otherwise = refused('reasons', { words: FAIL_REASONS.join(', ') });
    return readItems(value, (item): item is FailReason => known.includes(item), otherwise);
  },
};

function readItems<T>(
  value: unknown,
  fits: (item: unknown) => item is T,
  otherwise: Reading<never>,
): Reading<readonly T[]> {
  const list = readList(value);
  if (list.reason !== null) return list;
  return list.value.every(fits) ? taken(list.value) : otherwise;
}

/** The order is the order in answers. */
export const POLICY: { readonly [K in keyof Policy]: Setting<Policy[K]> } = {
  success: setting(choiceRule(['progress', 'version']), 'progress'),
  offline: setting(choiceRule(['fail', 'wait']), 'fail'),
  waitLimit: seconds(1, 7 * 24 * 3600),
  seenWithin: seconds(1, 30 * 24 * 3600),
  repush: count(0, 1000, 3),
  noResponse: seconds(0.1, 300),
  stalled: seconds(0.1, 1800),
  confirm: seconds(0, 600),
  retries: count(0, 1000, 0),
  retryDelay: seconds(0, 60),
  perMinute: setting(numberRule({ min: 0, max: 10_000_000 }), 1000),
  concurrency: count(0, MAX_DEVICES, 0),
  waves: setting(wavesRule, [100]),
  successThreshold: percent(100),
  failureThreshold: percent(0),
  minExecuted: count(1, MAX_DEVICES, 10),
  onFailure: setting(choiceRule(['pause', 'cancel']), 'pause'),
  window: setting(windowRule, null),
  skipCurrent: setting(flagRule, true),
  fromVersions: setting(versionsRule, []),
  waveAdvance: setting(choiceRule(['ended', 'threshold']), 'ended'),
  soak: seconds(0, 0),
  afterWave: setting(choiceRule(['next', 'pause']), 'next'),
  maxWaiting: percent(50),
  supersede: setting(flagRule, false),
  retryOn: setting(
    reasonsRule,
    FAIL_REASONS.filter((reason) => !NOT_RETRIED.includes(reason)),
  ),
  retryBackoff: setting(choiceRule(['fixed', 'exponential']), 'fixed'),
};

/** Moves by the version that a device says it runs. Retained reports are old: they move nothing but what is said here. */
import type { Device } from '../types';
import { confirming, CONFIRM_OVER, SECOND } from './limits';
import { ACTIVE, and, because, type Case, end, fail, failing, type Move, OPEN } from './move';
import { wake } from './progress-moves';

/** A report of the old version repeats the push, at most once in this time. */
const REPEAT_GAP = 10 * SECOND;
/** Many devices report at each reconnection: only without progress for this long has one rebooted. */
const REBOOT = 30 * SECOND;

const isLive = ({ event }: Case): boolean => event.retained !== true;
const confirm = (c: Case): Partial<Device> => and(end(c, null), { confirmed: true });
const runs = ({ device, event }: Case): Partial<Device> => ({ source: event.version ?? device.source });
const rolledBack = (c: Case): Partial<Device> => and(fail(because('rolled-back'))(c), runs(c));
const refutable = (c: Case): boolean => isLive(c) && confirming(c.device, c.rules.policy, c.event.now);

/** The push goes out again soon: the device is there, and hasn't taken it. */
const repeatSoon = ({ device, event: { now } }: Case): Partial<Device> => {
  const soon = Math.max(now, (device.lastPush ?? -Infinity) + REPEAT_GAP);
  return { lifeAt: now, nextPush: Math.min(device.nextPush ?? Infinity, soon) };
};
const learn = ({ device, event }: Case): Partial<Device> => {
  const version = event.version ?? null;
  return { source: version, versionBefore: device.versionBefore ?? version };
};

export const VERSION_MOVES: readonly Move[] = [
  {
    on: 'target',
    from: OPEN,
    to: 'succeeded',
    change: confirm,
    why: 'it runs the target version, however it got there',
  },
  {
    on: 'target',
    from: ['succeeded'],
    when: (c) => !c.device.confirmed && c.device.since !== CONFIRM_OVER,
    to: 'succeeded',
    change: () => ({ confirmed: true }),
    why: 'the version confirms the 100',
  },
  {
    on: 'target',
    from: ['failed'],
    when: (c) => !c.device.overtaken,
    to: 'succeeded',
    change: confirm,
    why: 'the version is the truth, whatever it was taken for before',
  },
  ...(['first-version', 'source', 'other'] as const).map((on): Move => ({
    on,
    from: ['pending'],
    when: isLive,
    to: 'pending',
    change: (c) => ({ source: c.event.version ?? null, ...wake(c) }),
    why: 'before the push its version may change; one that was waited for is there now',
  })),
  ...OPEN.map((status): Move => ({
    on: 'first-version',
    from: [status],
    when: (c) => !isLive(c) && !c.device.reported100,
    to: status,
    change: learn,
    why: 'old news will do where nothing is known',
  })),
  {
    on: 'first-version',
    from: ['pushed'],
    to: 'pushed',
    change: (c) => ({ ...learn(c), ...repeatSoon(c) }),
    why: 'where no source was known, the first report other than the target becomes it; and it is there',
  },
  {
    on: 'first-version',
    from: ['upgrading'],
    when: (c) => isLive(c) && !c.device.reported100,
    to: 'upgrading',
    change: learn,
    why: 'where no source was known, the first report other than the target becomes it',
  },
  {
    on: 'source',
    from: ['pushed'],
    when: isLive,
    to: 'pushed',
    change: repeatSoon,
    why: 'it is there with the old version: it may have missed the push',
  },
  {
    on: 'source',
    from: ['upgrading'],
    when: (c) => isLive(c) && !c.device.reported100 && c.device.rebootAt === null,
    to: 'upgrading',
    change: ({ event }) => ({ rebootAt: event.now + REBOOT }),
    why: 'it has rebooted without the upgrade, or has only reconnected: progress will tell',
  },
  ...(['first-version', 'source'] as const).flatMap((on): Move[] => [
    ...failing(on, ['upgrading'], because('rolled-back'), 'after its 100 it came back with the old version', {
      when: (c) => isLive(c) && c.device.reported100,
    }).map((move): Move => ({ ...move, change: (c) => and(move.change(c), runs(c)) })),
    {
      on,
      from: ['succeeded'],
      when: refutable,
      to: 'failed',
      change: rolledBack,
      why: 'it came back with the old version while the success could still be refuted',
    },
  ]),
  ...ACTIVE.map((status): Move => ({
    on: 'other',
    from: [status],
    when: isLive,
    to: status,
    change: ({ event }) => ({ thirdVersion: true, lifeAt: event.now }),
    why: 'an upgrade in two stages passes through a third version: it decides only what a limit says',
  })),
  {
    on: 'other',
    from: ['succeeded'],
    when: (c) => refutable(c) && !c.device.confirmed,
    to: 'failed',
    change: fail(because('version-mismatch')),
    why: 'after its 100 it came with a version that is neither the old nor the new one',
  },
];

/**
 * Every legal move of a device in a task, as one table: what happened, in which state, what becomes of it and
 * why. The first row that fits is taken; what fits none is history and changes nothing. Pure.
 */
import { FAILURES, STEP_SUCCEEDED } from '../../protocol';
import type { Device, DeviceStatus, FailReason, Hold, Policy, Reason, Ticks } from '../types';
import { confirming, hasLateSuccess, type LimitName, nextRepeat, CONFIRM_OVER } from './limits';

/** What can happen to a device in a task. */
export type EventName =
  | 'push' // the queue's turn: an id was made for it
  | 'busy' // its turn, but another task upgrades it
  | 'unfit' // its turn, but it runs a version that the package isn't made for
  | 'unblocked' // the other task is through with it
  | 'repeat' // the push goes out again
  | 'postpone' // the repeat may not go out now
  | 'offline' // the broker knows nobody who would get the push
  | 'offline-after-reconnect' // the same, but everybody's connection was cut just now
  | 'refused' // the push can't be sent to this token
  | 'push-timeout' // nobody knows whether the push went out
  | 'restarted' // the platform was started, and nobody knows whether the push had left before
  | 'step' // progress below 100
  | 'progress-100'
  | 'failure' // -1 to -4
  | 'target' // it reported the target version
  | 'first-version' // it reported a version, and none was known
  | 'source' // it reported the version it had before
  | 'other' // it reported a third version
  | LimitName
  | 'cancel'
  | 'retry';

export interface Event {
  readonly on: EventName;
  readonly now: Ticks;
  /** step, failure */
  readonly step?: number;
  readonly desc?: string;
  /** push: the id of the attempt; offline, offline-after-reconnect, refused, push-timeout: the id of the push that it answers */
  readonly id?: string;
  /** offline, offline-after-reconnect, refused: which push of the attempt it answers, from 1 */
  readonly push?: number;
  readonly version?: string;
  /** push: until when a 100 of an earlier attempt may still come */
  readonly lateReportUntil?: Ticks | null;
  /** source: the same report as before, delivered again */
  readonly duplicate?: boolean;
}

export interface Case {
  readonly device: Device;
  readonly policy: Policy;
  readonly event: Event;
}

export interface Move {
  readonly on: EventName;
  readonly from: readonly DeviceStatus[];
  readonly when?: (c: Case) => boolean;
  readonly to: DeviceStatus;
  readonly change: (c: Case) => Partial<Device>;
  readonly why: string;
  readonly lateReport?: 'set' | 'clear';
}

const ACTIVE = ['pushed', 'upgrading'] as const;

/** The word of a failed step. */
const failureOf = (c: Case): FailReason => FAILURES.get(c.event.step ?? -1) ?? 'upgrade';

const retriesLeft = (c: Case): boolean => c.device.retries < c.policy.retries;
/** The answer is to this attempt's first push. */
const firstPush = (c: Case): boolean => c.event.push === 1 && c.device.pushId === c.event.id;
/** A 100 may be an earlier attempt's. */
const inDoubt = ({ device, event }: Case): boolean =>
  device.lateReportUntil !== null && event.now < device.lateReportUntil;
const stillComing = ({ lateReportUntil = null, now }: Event): Ticks | null =>
  lateReportUntil !== null && now < lateReportUntil ? lateReportUntil : null;
/** 100 is success at once, and can only be of this attempt. */
const trusts100 = (c: Case): boolean => c.policy.success === 'progress' && !inDoubt(c);

const textOf = (c: Case): string => c.event.desc ?? '';
const fail =
  (reason: (c: Case) => FailReason) =>
  (c: Case): Partial<Device> => ({
    reason: reason(c),
    nextPush: null,
    since: c.event.now,
    desc: textOf(c),
  });
const because = (reason: FailReason) => (): FailReason => reason;
const succeed = (c: Case): Partial<Device> => ({
  reason: null,
  hold: null,
  nextPush: null,
  since: c.event.now,
  desc: textOf(c),
});
const confirm = (c: Case): Partial<Device> => ({ ...succeed(c), confirmed: true });
/** Back into the queue, now or after the delay, with one of the automatic attempts used. */
const again =
  (reason: (c: Case) => Reason, hold: Hold | null) =>
  (c: Case): Partial<Device> => ({
    reason: reason(c),
    hold,
    retries: c.device.retries + 1,
    nextPush: null,
    since: c.event.now,
    desc: textOf(c),
  });
const requeue = (c: Case): Partial<Device> => ({ hold: null, since: c.event.now });

/** Two rows for a failure of an active device: another attempt while there are any left, else the end. */
function failing(
  on: EventName,
  from: readonly DeviceStatus[],
  reason: (c: Case) => FailReason,
  why: string,
  more: Pick<Move, 'when' | 'lateReport'> = {},
): Move[] {
  const { when = () => true, lateReport } = more;
  return [
    {
      on,
      from,
      when: (c) => when(c) && retriesLeft(c),
      to: 'pending',
      change: again(reason, 'delay'),
      why: `${why}; another attempt is left`,
      lateReport,
    },
    { on, from, when, to: 'failed', change: fail(reason), why, lateReport },
  ];
}

export const MOVES: readonly Move[] = [
  // The queue
  {
    on: 'push',
    from: ['pending'],
    to: 'pushed',
    change: ({ device, policy, event }) => ({
      hold: null,
      step: null,
      attempt: device.attempt + 1,
      reason: null,
      desc: '',
      pushId: event.id ?? null,
      pushes: 1,
      since: event.now,
      nextPush: nextRepeat({ since: event.now }, policy, event.now),
      reported100: false,
      confirmed: false,
      lateReportUntil: stillComing(event),
    }),
    why: 'its turn came: the attempt and its id are committed before the push goes out',
  },
  {
    on: 'busy',
    from: ['pending'],
    to: 'pending',
    change: () => ({ hold: 'busy', reason: 'busy' }),
    why: 'a device has at most one active upgrade for each module, over all tasks',
  },
  {
    on: 'unblocked',
    from: ['pending'],
    when: (c) => c.device.hold === 'busy',
    to: 'pending',
    change: () => ({ hold: null, reason: null }),
    why: 'the other task is through with it',
  },
  {
    on: 'unfit',
    from: ['pending'],
    to: 'failed',
    change: fail(because('version-mismatch')),
    why: 'the package is not made for the version that it runs now',
  },
  {
    on: 'delay-over',
    from: ['pending'],
    when: (c) => c.device.hold === 'delay',
    to: 'pending',
    change: requeue,
    why: 'the delay before another attempt is over',
  },
  {
    on: 'waited',
    from: ['pending'],
    when: (c) => c.device.hold === 'wait',
    to: 'failed',
    change: (c) => ({ ...fail(because('offline'))(c), hold: null }),
    why: 'it gave no sign of life for as long as the policy waits',
  },

  // What became of a push
  {
    on: 'repeat',
    from: ['pushed'],
    to: 'pushed',
    change: ({ device, policy, event }) => ({
      pushes: device.pushes + 1,
      nextPush: nextRepeat(device, policy, event.now),
    }),
    why: 'silence: the same push with the same id once more, before it counts as a failure',
  },
  {
    on: 'postpone',
    from: ['pushed'],
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now + POSTPONE_MS }),
    why: 'a pause, a closed window and the rate stop repeats too',
  },
  {
    on: 'push-timeout',
    from: ['pushed'],
    when: (c) => c.device.pushId === c.event.id,
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now }),
    why: 'a push is repeated rather than lost',
  },
  {
    on: 'restarted',
    from: ['pushed'],
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now }),
    why: 'a push is repeated rather than lost: a kill may have come between its commit and its way out',
  },
  {
    on: 'offline-after-reconnect',
    from: ['pushed'],
    when: firstPush,
    to: 'pushed',
    change: ({ event }) => ({ nextPush: event.now + COME_BACK_MS }),
    why: 'its connection was cut as ours was, and it may be on its way back: the push goes out again',
  },
  {
    on: 'offline',
    from: ['pushed'],
    when: (c) => firstPush(c) && c.policy.offline === 'wait',
    to: 'pending',
    change: ({ event }) => ({ hold: 'wait', reason: 'offline', nextPush: null, since: event.now }),
    why: 'nobody there: it is pushed when it next reports a version',
  },
  ...failing('offline', ['pushed'], because('offline'), 'nobody there to get the push', { when: firstPush }),
  {
    on: 'refused',
    from: ['pushed'],
    when: firstPush,
    to: 'failed',
    change: fail(because('refused')),
    why: 'its token can not stand in a topic, or the broker does not let us publish there',
  },

  // What the device says of its progress
  {
    on: 'step',
    from: ACTIVE,
    when: (c) => (c.event.step ?? 0) > (c.device.step ?? -1),
    to: 'upgrading',
    change: (c) => ({ step: c.event.step ?? 0, nextPush: null, since: c.event.now, desc: textOf(c) }),
    why: 'the highest step of the attempt counts, in whatever order the reports come',
  },
  {
    on: 'progress-100',
    from: ACTIVE,
    when: trusts100,
    to: 'succeeded',
    // On the hot path: a spread within the machine's own spread takes ten times as long.
    change: (c) => ({
      reason: null,
      hold: null,
      nextPush: null,
      since: c.event.now,
      desc: textOf(c),
      step: STEP_SUCCEEDED,
      reported100: true,
    }),
    why: 'the platform takes an upgrade as successful when the device reports 100',
  },
  {
    on: 'progress-100',
    from: ACTIVE,
    when: (c) => !c.device.reported100,
    to: 'upgrading',
    change: (c) => ({
      step: STEP_SUCCEEDED,
      reported100: true,
      nextPush: null,
      since: c.event.now,
      desc: textOf(c),
    }),
    why: 'only the version counts: by policy, or because the 100 could be an older upgrade’s',
  },
  ...failing('failure', ACTIVE, failureOf, 'the device says that it failed').map((move) => ({
    ...move,
    change: (c: Case) => ({ ...move.change(c), step: c.event.step ?? null }),
  })),
  {
    on: 'failure',
    from: ['succeeded'],
    when: (c) => !c.device.confirmed && confirming(c.device, c.policy, c.event.now),
    to: 'failed',
    change: (c) => ({ ...fail(failureOf)(c), step: c.event.step ?? null }),
    why: 'some report 100 before they check: a failure counts until the version is confirmed',
  },

  // What the device says of its version
  {
    on: 'target',
    from: ['pending', 'pushed', 'upgrading'],
    to: 'succeeded',
    change: confirm,
    why: 'it runs the target version, however it got there',
    lateReport: 'clear',
  },
  {
    on: 'target',
    from: ['succeeded'],
    when: (c) => !c.device.confirmed && c.device.since !== CONFIRM_OVER,
    to: 'succeeded',
    change: () => ({ confirmed: true }),
    why: 'the version confirms the 100',
    lateReport: 'clear',
  },
  {
    on: 'target',
    from: ['failed'],
    when: (c) => hasLateSuccess(c.device),
    to: 'succeeded',
    change: confirm,
    why: 'it was taken for lost, but it made it',
    lateReport: 'clear',
  },
  ...(['first-version', 'source', 'other'] as const).map((on): Move => ({
    on,
    from: ['pending'],
    to: 'pending',
    change: (c) => ({
      source: c.event.version ?? null,
      ...(c.device.hold === 'wait' ? { hold: null, reason: null, since: c.event.now } : {}),
    }),
    why: 'before the push its version may change; one that was waited for is there now',
  })),
  ...ACTIVE.map((status): Move => ({
    on: 'first-version',
    from: [status],
    when: (c) => !c.device.reported100,
    to: status,
    change: ({ event }) => ({ source: event.version ?? null }),
    why: 'where no source was known, the first report other than the target becomes it',
  })),
  {
    on: 'source',
    from: ACTIVE,
    when: (c) => !c.device.reported100 && retriesLeft(c) && !resent(c),
    to: 'pending',
    change: (c) => ({ ...again(() => 'rebooted', null)(c), desc: '' }),
    why: 'it rebooted without the upgrade: a new attempt with a new id',
  },
  ...(['first-version', 'source'] as const).flatMap((on): Move[] => [
    {
      on,
      from: ['upgrading'],
      when: (c) => c.device.reported100,
      to: 'failed',
      change: (c) => ({ ...fail(because('rolled-back'))(c), source: c.event.version ?? c.device.source }),
      why: 'after its 100 it came back with the old version',
    },
    {
      on,
      from: ['succeeded'],
      when: (c) => confirming(c.device, c.policy, c.event.now),
      to: 'failed',
      change: (c) => ({ ...fail(because('rolled-back'))(c), source: c.event.version ?? c.device.source }),
      why: 'it came back with the old version while the success could still be refuted',
    },
  ]),
  {
    on: 'other',
    from: ACTIVE,
    to: 'failed',
    change: fail(because('version-mismatch')),
    why: 'it runs a version that is neither the old nor the new one',
  },

  // Time
  ...failing('no-response', ['pushed'], because('no-response'), 'not a word after the push', {
    lateReport: 'set',
  }),
  ...failing('stalled', ['upgrading'], because('stalled'), 'no progress for too long', {
    lateReport: 'set',
  }),
  ...failing('unconfirmed', ['upgrading'], because('unconfirmed'), 'a 100, but never the version'),
  {
    on: 'confirm-over',
    from: ['succeeded'],
    to: 'succeeded',
    change: () => ({ since: CONFIRM_OVER }),
    why: 'the time in which the success could be refuted is over',
  },

  // People
  { on: 'cancel', from: ['pending'], to: 'cancelled', change: (c) => leave(c), why: 'cancelled in time' },
  {
    on: 'cancel',
    from: ACTIVE,
    to: 'cancelled',
    change: (c) => leave(c),
    why: 'cancelled here; the device is told nothing, what it reports later is history',
    lateReport: 'set',
  },
  {
    on: 'retry',
    from: ['failed', 'cancelled'],
    to: 'pending',
    change: (c) => ({
      hold: null,
      step: null,
      retries: 0,
      reason: null,
      desc: '',
      nextPush: null,
      since: c.event.now,
    }),
    why: 'a person asked for it',
  },
];

/** A repeat that may not go out is looked at again after this time. */
const POSTPONE_MS = 5000;
/** A device that may be on its way back is pushed to again after this time. */
const COME_BACK_MS = 10_000;

/** The start-up report from before the push, delivered twice: not a reboot. */
function resent({ device, event }: Case): boolean {
  return event.duplicate === true && device.status === 'pushed';
}

function leave({ event }: Case): Partial<Device> {
  return { hold: null, reason: null, nextPush: null, since: event.now };
}

const INDEX = new Map<string, Move[]>();
for (const move of MOVES) {
  for (const from of move.from) {
    const key = `${move.on} ${from}`;
    INDEX.set(key, [...(INDEX.get(key) ?? []), move]);
  }
}

/** The row that fits, or null. */
export function findMove(c: Case): Move | null {
  const moves = INDEX.get(`${c.event.on} ${c.device.status}`);
  if (moves === undefined) return null;
  for (const move of moves) if (move.when === undefined || move.when(c)) return move;
  return null;
}

/** Moves of a device whose turn to be pushed to has come. */
import type { Device } from '../types';
import { CONFIRM_OVER, repeatGap, RETURN } from './limits';
import { and, because, type Case, end, failing, type Move, OPEN, probeDelay, setIfPushed } from './move';

/** A push that begins the time in which the device must answer. */
const pushNow = ({ device, rules, event }: Case): Partial<Device> => ({
  hold: null,
  reason: null,
  desc: '',
  since: event.now,
  nextPush: rules.policy.repush === 0 ? null : event.now + repeatGap(rules.policy),
  repeats: 0,
  asked: 0,
  lastPush: event.now,
  rebootAt: null,
  lifeAt: event.lifeAt ?? device.lifeAt,
});

/** A push with an id of its own: nothing that was said of an earlier one is said of this. */
const newAttempt = (c: Case): Partial<Device> => ({
  step: null,
  attempt: c.device.attempt + 1,
  pushId: c.event.id ?? null,
  pushes: 1,
  countedPush: 1,
  sameAttempt: false,
  reported100: false,
  confirmed: false,
  thirdVersion: false,
  lateReportUntil: stillComing(c),
});

const probed = ({ device, event }: Case): Partial<Device> => ({
  probes: device.probes + 1,
  lastPush: event.now,
  nextPush: event.now + probeDelay(device.probes + 1),
});

export const TURN_MOVES: readonly Move[] = [
  {
    on: 'push',
    from: ['pending'],
    when: ({ device }) => device.sameAttempt && device.pushId !== null,
    to: 'pushed',
    change: (c) => and(pushNow(c), { pushes: c.device.pushes + 1, countedPush: c.device.pushes + 1 }),
    why: 'it is there after it was waited for: the same push, with the same id, and a full time to answer',
  },
  {
    on: 'push',
    from: ['pending'],
    when: ({ device }) => device.hold === 'wait' && !device.sameAttempt,
    to: 'pending',
    change: (c) => and(and(newAttempt(c), probed(c)), { sameAttempt: true }),
    why: 'another task has pushed to it while it waited: it is looked for again with an attempt of its own',
  },
  {
    on: 'push',
    from: ['pending'],
    to: 'pushed',
    change: (c) => and(pushNow(c), newAttempt(c)),
    why: 'its turn came: the attempt and its id are committed before the push goes out',
  },
  {
    on: 'repeat',
    from: ['pushed'],
    to: 'pushed',
    change: repeat,
    why: 'silence: the same push with the same id once more, before it counts as a failure',
  },
  {
    on: 'repeat',
    from: ['upgrading'],
    to: 'upgrading',
    change: ({ device, event }) => ({ pushes: device.pushes + 1, lastPush: event.now }),
    why: 'it asks for what it has in work: the same upgrade with the same id, and no progress of it',
  },
  {
    on: 'repeat',
    from: ['pending'],
    when: ({ device }) => device.hold === 'wait' && device.sameAttempt,
    to: 'pending',
    change: (c) => and({ pushes: c.device.pushes + 1 }, probed(c)),
    why: 'nobody is stranded for lack of a sign of life; that the push went out says nothing of the device',
  },
  {
    on: 'put-off',
    from: ['pending'],
    when: ({ device }) => device.hold === 'wait',
    to: 'pending',
    change: ({ device, event }) => ({ nextPush: event.now + probeDelay(device.probes) }),
    why: 'another task has the device in work, or waits for it and is newer',
  },
  {
    on: 'reconnected',
    from: ['pending'],
    when: ({ device }) => device.hold === 'wait',
    to: 'pending',
    change: ({ device, event }) => ({ nextPush: Math.min(device.nextPush ?? Infinity, event.now + RETURN) }),
    why: 'its connection may have been cut with ours, and it may be back',
  },
  {
    on: 'busy',
    from: ['pending'],
    to: 'pending',
    change: ({ event }) => ({ hold: 'busy', reason: 'busy', desc: event.desc ?? '', nextPush: null }),
    why: 'a device has at most one active upgrade for each module, over all tasks',
  },
  {
    on: 'unblocked',
    from: ['pending'],
    when: ({ device }) => device.hold === 'busy',
    to: 'pending',
    change: () => ({ hold: null, reason: null, desc: '' }),
    why: 'the other task is through with it',
  },
  ...failing(
    'unfit',
    ['pending'],
    because('version-mismatch'),
    'the task is not for the version that it runs now',
    { lateReport: setIfPushed },
  ),
  ...failing(
    'incompatible',
    ['pending'],
    because('incompatible'),
    'no package is for its version and labels',
    {
      lateReport: setIfPushed,
    },
  ),
  {
    on: 'superseded',
    from: ['pending'],
    to: 'cancelled',
    change: (c) => end(c, 'superseded'),
    why: 'an older task never undoes what a newer one brought',
    lateReport: setIfPushed,
  },
  ...OPEN.map((status): Move => ({
    on: 'newer-success',
    from: [status],
    when: ({ device }) => device.named,
    to: status,
    change: () => ({ named: false }),
    why: 'a person who named it before could not know what the newer task brings',
  })),
  {
    on: 'overtaken',
    from: ['failed'],
    to: 'failed',
    change: () => ({ overtaken: true }),
    why: 'from now on its version says how the other task went',
  },
  {
    on: 'overtaken',
    from: ['succeeded'],
    to: 'succeeded',
    change: () => ({ since: CONFIRM_OVER }),
    why: 'a success that the other task changes isn’t refuted by what that brings',
  },
  {
    on: 'overtaken',
    from: ['pending'],
    when: ({ device }) => device.sameAttempt,
    to: 'pending',
    change: () => ({ sameAttempt: false }),
    why: 'what it answers now it answers to the other task: the next push here begins an attempt of its own',
    lateReport: setIfPushed,
  },
];

function stillComing({ event: { lateReportUntil = null, now } }: Case): number | null {
  return lateReportUntil !== null && now < lateReportUntil ? lateReportUntil : null;
}

/**
 * Repeats are spread evenly over `noResponse`. One that had to wait for the rate moves the rest of them, and the end
 * of that time, by as long as it waited; those that a report or "no subscriber" caused come beside them.
 */
function repeat({ device, rules, event: { now } }: Case): Partial<Device> {
  const gap = repeatGap(rules.policy);
  const scheduled = device.since + (device.repeats + 1) * gap;
  const isScheduled =
    device.repeats < rules.policy.repush && now >= scheduled && device.countedPush !== device.pushes + 1;
  const since = isScheduled ? device.since + (now - scheduled) : device.since;
  const repeats = device.repeats + Number(isScheduled);
  const next = repeats < rules.policy.repush ? Math.max(since + (repeats + 1) * gap, now + gap / 2) : null;
  return { pushes: device.pushes + 1, lastPush: now, since, repeats, nextPush: next };
}

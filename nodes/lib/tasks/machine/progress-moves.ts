/** Moves by what the device says of its progress. */
import { STEP_SUCCEEDED } from '../../protocol';
import type { Device } from '../types';
import { confirming } from './limits';
import {
  ACTIVE,
  and,
  type Case,
  clearDoubt,
  fail,
  failing,
  failureOf,
  inAttempt,
  type Move,
  OPEN,
} from './move';

/** A 100 may be an earlier attempt's. */
const inDoubt = ({ device, event }: Case): boolean =>
  device.lateReportUntil !== null && event.now < device.lateReportUntil;
/** 100 is success at once, and can only be of this attempt. */
const trusts100 = (c: Case): boolean => c.rules.policy.success === 'progress' && !inDoubt(c);
/** A 100 in doubt was an earlier attempt's: this one goes on below it. */
const goesOn = ({ device, rules }: Case): boolean =>
  device.reported100 && rules.policy.success === 'progress';

/** The device answers: it neither waits nor has to be pushed to any more. */
const answered = (c: Case): Partial<Device> => ({
  hold: null,
  reason: null,
  sameAttempt: false,
  nextPush: null,
  asked: 0,
  countedPush: 0,
  probes: 0,
  rebootAt: null,
  since: c.event.now,
  desc: c.event.desc ?? '',
});

/** The ends after which a 100 may still come: nobody knows what the device is doing. */
const WITHOUT_LAST_WORD: ReadonlySet<string> = new Set([
  'offline',
  'no-response',
  'stalled',
  'version-mismatch',
  'incompatible',
]);
const endedSilently = ({ device }: Case): boolean =>
  device.attempt > 0 && (device.status !== 'failed' || WITHOUT_LAST_WORD.has(device.reason ?? ''));

export const PROGRESS_MOVES: readonly Move[] = [
  {
    on: 'step',
    from: OPEN,
    when: (c) => inAttempt(c) && ((c.event.step ?? 0) > (c.device.step ?? -1) || goesOn(c)),
    to: 'upgrading',
    change: (c) => and(answered(c), { step: c.event.step ?? 0, reported100: false }),
    why: 'the highest step of the attempt counts, in whatever order the reports come',
  },
  {
    on: 'step',
    from: ['upgrading'],
    when: ({ device }) => !device.reported100,
    to: 'upgrading',
    change: ({ device, event }) => ({
      since: event.now,
      rebootAt: null,
      desc: event.step === device.step && event.desc ? event.desc : device.desc,
    }),
    why: 'a step that comes again, or late, is a sign of life as well; again with another text, it says more',
  },
  {
    on: 'progress-100',
    from: OPEN,
    when: (c) => inAttempt(c) && trusts100(c),
    to: 'succeeded',
    change: (c) => and(answered(c), { step: STEP_SUCCEEDED, reported100: true }),
    why: 'the platform takes an upgrade as successful when the device reports 100',
    lateReport: clearDoubt,
  },
  {
    on: 'progress-100',
    from: OPEN,
    when: (c) => inAttempt(c) && !c.device.reported100,
    to: 'upgrading',
    change: (c) => and(answered(c), { step: STEP_SUCCEEDED, reported100: true, lateReportUntil: null }),
    why: 'only the version counts: by policy, or because this 100 could be an earlier attempt’s, the next can not',
    lateReport: clearDoubt,
  },
  ...failing('failure', OPEN, failureOf, 'the device says that it failed', {
    when: inAttempt,
    lateReport: clearDoubt,
  }).map((move): Move => ({
    ...move,
    change: (c) => and(move.change(c), { step: c.event.step ?? null, lateReportUntil: null, probes: 0 }),
  })),
  {
    on: 'failure',
    from: ['succeeded'],
    when: (c) => !c.device.confirmed && confirming(c.device, c.rules.policy, c.event.now),
    to: 'failed',
    change: (c) => and(fail(failureOf)(c), { step: c.event.step ?? null }),
    why: 'some report 100 before they check: a failure counts until the version is confirmed',
  },
  ...(['progress-100', 'failure'] as const).flatMap((on) =>
    (['pending', 'failed', 'cancelled'] as const).map((status): Move => ({
      on,
      from: [status],
      when: endedSilently,
      to: status,
      change: () => ({}),
      why: 'it is too late for this upgrade, but it was the last word of the attempt',
      lateReport: () => 'clear',
    })),
  ),
];

/** A sign of life that says nothing of an upgrade. */
export const wake = ({ device, event }: Case): Partial<Device> =>
  device.hold === 'wait' && event.wakes !== false
    ? { lifeAt: event.now, hold: null, reason: null, nextPush: null, since: event.now }
    : { lifeAt: event.now };

export const LIFE_MOVES: readonly Move[] = [
  {
    on: 'alive',
    from: ['pending'],
    to: 'pending',
    change: wake,
    why: 'it is there: what it waits for is pushed now',
  },
  ...ACTIVE.map((status): Move => ({
    on: 'alive',
    from: [status],
    to: status,
    change: ({ event }) => ({ lifeAt: event.now }),
    why: 'it may be about to subscribe',
  })),
];

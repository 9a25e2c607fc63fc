import assert from 'node:assert/strict';
import {
  transition,
  progressTransitions,
  findMove,
  type Event,
  type Member,
  type Move,
  MOVES,
  isRepeatOwed,
  lifeTransitions,
  limitEvent,
  lookAgain,
  progressEvent,
  CONFIRM_OVER,
  versionEvent,
  type Rules,
  takeOver,
  takeTurn,
  type TurnFacts,
  versionTransitions,
} from '../../nodes/lib/tasks/machine';
import {
  type Device,
  FAIL_REASONS,
  type HistoryEvent,
  type Policy,
  type TaskPlan,
  type Transition,
} from '../../nodes/lib/tasks/types';
import { device, event, NOW, plan, pushed, upgrading, waiting, WALL } from './support';

interface Rule {
  readonly it: string;
  readonly given: Device;
  readonly policy?: Partial<Policy>;
  readonly when: Event;
  /** Fields that the device must have then; null where nothing but history may change. */
  readonly then: Partial<Device> | null;
  readonly lateReport?: 'set' | 'clear';
  readonly endAt?: number;
}

const delayed = { status: 'pending', hold: 'delay', retries: 1 } as const;
const succeeded = (fields: Partial<Device> = {}): Device =>
  upgrading({ status: 'succeeded', step: 100, reported100: true, ...fields });
const failed = (reason: Device['reason'], fields: Partial<Device> = {}): Device =>
  upgrading({ status: 'failed', reason, ...fields });
const target = event('target', { version: 'v2' });
const source = event('source', { version: 'v1' });
const first = event('first-version', { version: 'v0' });
const other = event('other', { version: 'v9' });
const hundred = event('progress-100', { step: 100 });
const minus3 = event('failure', { step: -3, desc: 'bad digest' });

const RULES: readonly Rule[] = [
  // The queue
  {
    it: 'a push begins an attempt with its own id',
    given: device({ step: 7, desc: 'old' }),
    when: event('push', { id: 'id-2' }),
    then: {
      status: 'pushed',
      attempt: 1,
      pushId: 'id-2',
      pushes: 1,
      step: null,
      desc: '',
      lateReportUntil: null,
    },
  },
  {
    it: 'a push after an upgrade without a last word trusts the version only',
    given: device(),
    when: event('push', { id: 'id-2', lateReportUntil: NOW + 9000 }),
    then: { status: 'pushed', lateReportUntil: NOW + 9000 },
  },
  {
    it: 'a device that another task upgrades stays pending',
    given: device(),
    when: event('busy'),
    then: { status: 'pending', hold: 'busy', reason: 'busy' },
  },
  {
    it: 'a device that the other task left is in the queue again',
    given: device({ hold: 'busy', reason: 'busy' }),
    when: event('unblocked'),
    then: { status: 'pending', hold: null, reason: null },
  },
  ...[device({ named: true }), pushed({ named: true }), upgrading({ named: true })].map((given): Rule => ({
    it: `the success of a newer task outdates that a person named the device before, when it is ${given.status}`,
    given,
    when: event('newer-success'),
    then: { status: given.status, named: false, events: 0 },
  })),
  {
    it: 'a device is never pushed onto a version that the package is not made for',
    given: device(),
    when: event('unfit'),
    then: { status: 'failed', reason: 'version-mismatch' },
  },
  ...(
    [
      ['a package for its version that comes later', device(), event('unfit'), 'version-mismatch'],
      ['a label that comes later', device(), event('incompatible'), 'incompatible'],
      ['what it rolled back', upgrading({ reported100: true, step: 100 }), source, 'rolled-back'],
      [
        'what it rolled back to a version that nobody knew',
        upgrading({ reported100: true, source: null }),
        event('first-version', { version: 'v1' }),
        'rolled-back',
      ],
    ] as const
  ).map(([what, given, when, reason]): Rule => ({
    it: `${what} is tried again where the policy says so`,
    given,
    policy: { success: 'version', retries: 1, retryOn: [reason] },
    when,
    then: { ...delayed, reason, source: 'v1', sameAttempt: false },
  })),
  {
    it: 'a retry waits for its delay',
    given: device({ hold: 'delay' }),
    when: event('delay-over'),
    then: { status: 'pending', hold: null },
  },
  {
    it: 'a device that gave no sign of life within waitLimit fails as offline',
    given: waiting(),
    when: event('waited'),
    then: { status: 'failed', reason: 'offline', hold: null, sameAttempt: false, nextPush: null },
    lateReport: 'set',
  },
  {
    it: 'a device that was silent until waitLimit fails for that',
    given: waiting({ reason: 'no-response' }),
    when: event('waited'),
    then: { status: 'failed', reason: 'no-response' },
    lateReport: 'set',
  },
  {
    it: 'a push after a sign of life is the same push in the same attempt, with a full time to answer',
    given: waiting({ hold: null, reason: null, pushes: 5, nextPush: null, since: NOW - 9000 }),
    when: event('push', { id: 'id-2' }),
    then: {
      status: 'pushed',
      attempt: 1,
      pushId: 'id-1',
      pushes: 6,
      countedPush: 6,
      since: NOW + 1000,
      firstWait: NOW,
      repeats: 0,
    },
  },
  {
    it: 'a device that waits is probed, and goes on waiting',
    given: waiting({ probes: 2, pushes: 3 }),
    when: event('repeat'),
    then: { status: 'pending', hold: 'wait', probes: 3, pushes: 4, nextPush: NOW + 1000 + 8 * 60_000 },
  },
  {
    it: 'a device is probed at most every hour',
    given: waiting({ probes: 40 }),
    when: event('repeat'),
    then: { nextPush: NOW + 1000 + 3600_000 },
  },
  {
    it: 'a device that waits, and got another task’s push since, is looked for with an attempt of its own',
    given: waiting({ probes: 1, pushes: 4, step: 30, sameAttempt: false, firstWait: NOW - 5 }),
    when: event('push', { id: 'id-2' }),
    then: {
      status: 'pending',
      hold: 'wait',
      sameAttempt: true,
      attempt: 2,
      pushId: 'id-2',
      pushes: 1,
      probes: 2,
      step: null,
      firstWait: NOW - 5,
      nextPush: NOW + 1000 + 4 * 60_000,
    },
  },
  {
    it: 'a probe is put off while another task has the device',
    given: waiting({ probes: 1 }),
    when: event('put-off'),
    then: { status: 'pending', hold: 'wait', probes: 1, nextPush: NOW + 1000 + 2 * 60_000 },
  },
  {
    it: 'a device that waits is looked for soon after everybody’s connection was cut',
    given: waiting({ nextPush: NOW + 3600_000 }),
    when: event('reconnected'),
    then: { status: 'pending', hold: 'wait', nextPush: NOW + 11_000 },
  },
  {
    it: 'a device that none of the packages is for fails',
    given: device(),
    policy: { retries: 9 },
    when: event('incompatible'),
    then: { status: 'failed', reason: 'incompatible' },
  },
  {
    it: 'a device that a newer task brought up is cancelled, and says by which',
    given: device(),
    when: event('superseded', { desc: 'rollout v3' }),
    then: { status: 'cancelled', reason: 'superseded', desc: 'rollout v3' },
  },
  {
    it: 'a waiting device that a newer task brought up may have taken the push',
    given: waiting(),
    when: event('superseded'),
    then: { status: 'cancelled', reason: 'superseded', sameAttempt: false },
    lateReport: 'set',
  },
  {
    it: 'a failed device that another task pushes to can not become a success any more',
    given: failed('no-response'),
    when: event('overtaken'),
    then: { status: 'failed', overtaken: true },
  },
  {
    it: 'a waiting device that another task pushes to begins anew the next time',
    given: waiting(),
    when: event('overtaken'),
    then: { status: 'pending', hold: 'wait', sameAttempt: false },
    lateReport: 'set',
  },
  // What became of a push
  {
    it: 'a repeat carries the same id',
    given: pushed({ nextPush: NOW }),
    when: event('repeat'),
    then: { status: 'pushed', pushId: 'id-1', pushes: 2, attempt: 1 },
  },
  {
    it: 'a repeat that had to wait for the rate moves the next ones, and the limit',
    given: pushed({ nextPush: NOW }),
    policy: { noResponse: 40, repush: 3 },
    when: event('repeat', { now: NOW + 13_000 }),
    then: { repeats: 1, since: NOW + 3000, nextPush: NOW + 23_000 },
  },
  {
    it: 'a repeat that a report caused is beside those of the schedule',
    given: pushed({ nextPush: NOW }),
    policy: { noResponse: 40, repush: 3 },
    when: event('repeat', { now: NOW + 4000 }),
    then: { repeats: 0, since: NOW, nextPush: NOW + 10_000, lastPush: NOW + 4000 },
  },
  {
    it: 'a push that may not have left before a kill is repeated',
    given: pushed(),
    when: event('restarted'),
    then: { status: 'pushed', nextPush: NOW + 1000 },
  },
  {
    it: 'a push that got lost is repeated',
    given: pushed(),
    when: event('push-timeout', { id: 'id-1' }),
    then: { status: 'pushed', nextPush: NOW + 1000 },
  },
  {
    it: 'a lost push of an older attempt changes nothing',
    given: pushed(),
    when: event('push-timeout', { id: 'id-0' }),
    then: null,
  },
  {
    it: 'offline just after the connection was lost and made anew is no failure: it is pushed again',
    given: pushed(),
    when: event('offline-after-reconnect', { id: 'id-1', push: 1 }),
    then: { status: 'pushed', nextPush: NOW + 11_000 },
  },
  {
    it: 'offline fails the attempt’s first push',
    given: pushed(),
    when: event('offline', { id: 'id-1', push: 1 }),
    then: { status: 'failed', reason: 'offline' },
  },
  {
    it: 'offline uses a retry where one is left',
    given: pushed(),
    policy: { retries: 1 },
    when: event('offline', { id: 'id-1', push: 1 }),
    then: { ...delayed, reason: 'offline' },
  },
  {
    it: 'offline waits where the policy says so',
    given: pushed(),
    policy: { offline: 'wait' },
    when: event('offline', { id: 'id-1', push: 1 }),
    then: {
      status: 'pending',
      hold: 'wait',
      reason: 'offline',
      retries: 0,
      sameAttempt: true,
      nextPush: NOW + 61_000,
      firstWait: NOW + 1000,
    },
  },
  {
    it: 'a second wait counts from the first',
    given: pushed({ firstWait: NOW - 5000, probes: 3 }),
    policy: { offline: 'wait' },
    when: event('offline', { id: 'id-1', push: 1 }),
    then: { status: 'pending', hold: 'wait', firstWait: NOW - 5000, nextPush: NOW + 1000 + 8 * 60_000 },
  },
  ...(['fail', 'wait'] as const).map((offline): Rule => ({
    it: `offline a moment after a sign of life is asked again, with offline: ${offline}`,
    given: pushed({ lifeAt: NOW - 8000 }),
    policy: { offline },
    when: event('offline', { id: 'id-1', push: 1 }),
    then: { status: 'pushed', asked: 1, countedPush: 2, nextPush: NOW + 2000 },
  })),
  {
    it: 'offline is asked again after 4 s the third time',
    given: pushed({ lifeAt: NOW - 20_000, asked: 2, pushes: 3, countedPush: 3 }),
    when: event('offline', { id: 'id-1', push: 3 }),
    then: { status: 'pushed', asked: 3, nextPush: NOW + 5000 },
  },
  {
    it: 'offline counts after it was asked three times',
    given: pushed({ lifeAt: NOW, asked: 3, pushes: 4, countedPush: 4 }),
    when: event('offline', { id: 'id-1', push: 4 }),
    then: { status: 'failed', reason: 'offline' },
  },
  {
    it: 'offline long after the last sign of life counts at once',
    given: pushed({ lifeAt: NOW - 9001 }),
    when: event('offline', { id: 'id-1', push: 1 }),
    then: { status: 'failed', reason: 'offline' },
  },
  {
    it: 'offline that the wires tell is believed at once',
    given: pushed({ lifeAt: NOW }),
    when: event('offline', { id: 'id-1', push: 1, certain: true }),
    then: { status: 'failed', reason: 'offline' },
  },
  {
    it: 'a device that has subscribed in the meantime is there',
    given: pushed({ asked: 1, pushes: 2, countedPush: 2 }),
    when: event('accepted', { id: 'id-1', push: 2 }),
    then: { status: 'pushed', asked: 0, countedPush: 0 },
  },
  {
    it: 'the answer to a repeat fails nothing',
    given: pushed({ pushes: 2 }),
    when: event('offline', { id: 'id-1', push: 2 }),
    then: null,
  },
  {
    it: 'the answer to an older attempt’s push fails nothing',
    given: pushed({ attempt: 2 }),
    when: event('offline', { id: 'id-0', push: 1 }),
    then: null,
  },
  {
    it: 'an answer after the device’s own word fails nothing',
    given: upgrading(),
    when: event('offline', { id: 'id-1', push: 1 }),
    then: null,
  },
  {
    it: 'a token that can not be in a topic fails',
    given: pushed(),
    policy: { retries: 9 },
    when: event('refused', { id: 'id-1', push: 1 }),
    then: { status: 'failed', reason: 'refused' },
  },
  {
    it: 'a refused push is tried again where the policy says so',
    given: pushed(),
    policy: { retries: 1, retryOn: ['refused'] },
    when: event('refused', { id: 'id-1', push: 1 }),
    then: { ...delayed, reason: 'refused' },
  },
  // Progress
  {
    it: 'the first progress ends the repeats',
    given: pushed({ nextPush: NOW }),
    when: event('step', { step: 0 }),
    then: { status: 'upgrading', step: 0, nextPush: null },
  },
  {
    it: 'the highest step counts',
    given: upgrading({ step: 30 }),
    when: event('step', { step: 50, desc: 'half' }),
    then: { status: 'upgrading', step: 50, desc: 'half', since: NOW + 1000 },
  },
  {
    it: 'a lower step is a sign of life',
    given: upgrading({ step: 30, rebootAt: NOW + 9000 }),
    when: event('step', { step: 20 }),
    then: { status: 'upgrading', step: 30, since: NOW + 1000, rebootAt: null },
  },
  {
    it: 'a repeated step is a sign of life',
    given: upgrading({ step: 30 }),
    when: event('step', { step: 30 }),
    then: { status: 'upgrading', step: 30, since: NOW + 1000 },
  },
  {
    it: 'a step after the version is waited for is history',
    given: upgrading({ step: 100, reported100: true }),
    policy: { success: 'version' },
    when: event('step', { step: 50 }),
    then: null,
  },
  {
    it: 'progress makes a waiting device upgrade in the attempt that waited',
    given: waiting({ probes: 4 }),
    when: event('step', { step: 5 }),
    then: {
      status: 'upgrading',
      step: 5,
      attempt: 1,
      pushId: 'id-1',
      hold: null,
      reason: null,
      sameAttempt: false,
      nextPush: null,
      probes: 0,
      firstWait: NOW,
    },
  },
  {
    it: '100 makes a waiting device succeed',
    given: waiting(),
    when: hundred,
    then: { status: 'succeeded', hold: null, sameAttempt: false },
  },
  {
    it: 'a failure ends a waiting device’s attempt',
    given: waiting(),
    when: minus3,
    then: { status: 'failed', reason: 'verification', step: -3, hold: null },
  },
  {
    it: 'progress in a retry’s delay is history',
    given: device({ ...delayed, attempt: 1, pushId: 'id-1' }),
    when: event('step', { step: 5 }),
    then: null,
  },
  {
    it: '100 is success',
    given: upgrading(),
    when: hundred,
    then: { status: 'succeeded', step: 100, reason: null },
  },
  { it: '100 alone is success', given: pushed(), when: hundred, then: { status: 'succeeded', step: 100 } },
  {
    it: '100 waits for the version where the policy says so',
    given: upgrading(),
    policy: { success: 'version' },
    when: hundred,
    then: { status: 'upgrading', step: 100, reported100: true },
  },
  {
    it: '100 waits for the version where it could be an older upgrade’s',
    given: pushed({ lateReportUntil: NOW + 9000 }),
    when: hundred,
    then: { status: 'upgrading', step: 100, reported100: true, lateReportUntil: null },
    lateReport: 'clear',
  },
  {
    it: 'the next 100 is this upgrade’s',
    given: upgrading({ step: 100, reported100: true }),
    when: hundred,
    then: { status: 'succeeded' },
  },
  {
    it: 'a step below a 100 in doubt shows that this upgrade goes on',
    given: upgrading({ step: 100, reported100: true }),
    when: event('step', { step: 10 }),
    then: { status: 'upgrading', step: 10, reported100: false },
  },
  {
    it: '100 is success again when an older upgrade’s can not come any more',
    given: pushed({ lateReportUntil: NOW + 1000 }),
    when: hundred,
    then: { status: 'succeeded' },
    lateReport: 'clear',
  },
  {
    it: 'a failure ends the doubt as well',
    given: pushed({ lateReportUntil: NOW + 9000 }),
    policy: { retries: 1 },
    when: minus3,
    then: { status: 'pending', hold: 'delay', lateReportUntil: null },
    lateReport: 'clear',
  },
  {
    it: 'a second 100 does not hold off the limit',
    given: upgrading({ step: 100, reported100: true }),
    policy: { success: 'version' },
    when: hundred,
    then: null,
  },
  {
    it: 'a failure ends it with the device’s words',
    given: upgrading(),
    when: minus3,
    then: { status: 'failed', reason: 'verification', step: -3, desc: 'bad digest' },
  },
  {
    it: 'a failure uses a retry where one is left',
    given: pushed(),
    policy: { retries: 1 },
    when: minus3,
    then: { ...delayed, reason: 'verification' },
  },
  {
    it: 'a failure with all retries used ends it',
    given: pushed({ retries: 1 }),
    policy: { retries: 1 },
    when: minus3,
    then: { status: 'failed' },
  },
  {
    it: 'a failure after 100 counts while the version is unconfirmed',
    given: succeeded(),
    when: minus3,
    then: { status: 'failed', reason: 'verification', step: -3 },
  },
  {
    it: 'a failure after the target version was reported is history',
    given: succeeded({ confirmed: true }),
    when: minus3,
    then: null,
  },
  {
    it: 'a failure after the confirm time is history',
    given: succeeded(),
    when: event('failure', { step: -1, now: NOW + 600_000 }),
    then: null,
  },
  { it: 'progress before any push is history', given: device(), when: hundred, then: null },
  {
    it: 'progress after a failure is history',
    given: failed('upgrade'),
    when: event('step', { step: 50 }),
    then: null,
  },
  {
    it: '100 after the device’s own failure is history',
    given: failed('flashing'),
    when: hundred,
    then: null,
  },
  ...[
    failed('stalled'),
    // A limit that struck after a third version, and a turn in which no package fitted any more.
    failed('version-mismatch', { thirdVersion: true }),
    failed('incompatible'),
    upgrading({ status: 'cancelled' }),
    device({ ...delayed, attempt: 1 }),
  ].flatMap((given) =>
    [hundred, minus3].map((when): Rule => ({
      it: `${when.on} after ${given.status} ${given.reason ?? ''} is the last word of that attempt, and history`,
      given,
      when,
      then: { status: given.status, reason: given.reason, step: given.step },
      lateReport: 'clear',
    })),
  ),
  {
    it: 'progress after a cancel is history',
    given: upgrading({ status: 'cancelled' }),
    when: event('step', { step: 99 }),
    then: null,
  },
  {
    it: 'another attempt isn’t made for a reason that the policy does not try again',
    given: upgrading(),
    policy: { retries: 1, retryOn: ['download'] },
    when: minus3,
    then: { status: 'failed', reason: 'verification' },
  },
  {
    it: 'another attempt isn’t made after the end of the task',
    given: upgrading(),
    policy: { retries: 1 },
    endAt: WALL,
    when: minus3,
    then: { status: 'failed', reason: 'verification' },
  },
  {
    it: 'progress after success is history',
    given: succeeded(),
    when: event('step', { step: 50 }),
    then: null,
  },
  // Versions
  {
    it: 'the target version while pending is success',
    given: device(),
    when: target,
    then: { status: 'succeeded', confirmed: true },
  },
  {
    it: 'the target version while waited for is success',
    given: waiting(),
    when: target,
    then: { status: 'succeeded', hold: null, reason: null },
  },
  {
    it: 'the target version while pushed is success',
    given: pushed(),
    policy: { success: 'version' },
    when: target,
    then: { status: 'succeeded' },
  },
  {
    it: 'the target version while upgrading is success',
    given: upgrading(),
    when: target,
    then: { status: 'succeeded', confirmed: true },
  },
  {
    it: 'the target version confirms a 100',
    given: succeeded(),
    when: target,
    then: { status: 'succeeded', confirmed: true, since: NOW },
  },
  ...FAIL_REASONS.map((reason): Rule => ({
    it: `the target version after ${reason} is success`,
    given: failed(reason),
    when: target,
    then: { status: 'succeeded', reason: null, confirmed: true },
    lateReport: 'clear',
  })),
  {
    it: 'the target version after another task pushed to the device is history',
    given: failed('no-response', { overtaken: true }),
    when: target,
    then: null,
  },
  {
    it: 'a retained report confirms the target, and leaves the doubt',
    given: pushed({ lateReportUntil: NOW + 9000 }),
    when: event('target', { version: 'v2', retained: true }),
    then: { status: 'succeeded', confirmed: true, lateReportUntil: NOW + 9000 },
  },
  ...[waiting(), pushed(), upgrading(), upgrading({ reported100: true }), succeeded(), device()].flatMap(
    (given) =>
      (['source', 'other'] as const).map((on): Rule => ({
        it: `a retained report moves nothing: ${on} while ${given.status} ${given.hold ?? ''} ${given.step ?? ''}`,
        given,
        policy: { retries: 3 },
        when: event(on, { version: 'v1', retained: true }),
        then: null,
      })),
  ),
  ...[
    device({ source: null }),
    waiting({ source: null }),
    pushed({ source: null }),
    upgrading({ source: null }),
  ].map((given): Rule => ({
    it: `a retained report fills in an unknown version while ${given.status} ${given.hold ?? ''}`,
    given,
    when: event('first-version', { version: 'v0', retained: true }),
    then: { status: given.status, hold: given.hold, source: 'v0', lifeAt: null },
  })),
  {
    it: 'a retained first version after a 100 refutes nothing',
    given: succeeded({ source: null }),
    when: event('first-version', { version: 'v0', retained: true }),
    then: null,
  },
  {
    it: 'any live version report ends the doubt',
    given: pushed({ lateReportUntil: NOW + 9000 }),
    when: other,
    then: { lateReportUntil: null },
  },
  {
    it: 'the target version after a cancel is history',
    given: upgrading({ status: 'cancelled' }),
    when: target,
    then: null,
  },
  {
    it: 'a pending device’s source follows its reports',
    given: device(),
    when: other,
    then: { status: 'pending', source: 'v9' },
  },
  {
    it: 'a pending device’s first version is its source',
    given: device({ source: null }),
    when: first,
    then: { status: 'pending', source: 'v0' },
  },
  {
    it: 'a device that was waited for is in the queue again',
    given: waiting(),
    when: source,
    then: {
      status: 'pending',
      hold: null,
      reason: null,
      sameAttempt: true,
      firstWait: NOW,
      lifeAt: NOW + 1000,
    },
  },
  {
    it: 'a device that waits in a newer task too goes on waiting in the older',
    given: waiting(),
    when: event('source', { version: 'v1', wakes: false }),
    then: { status: 'pending', hold: 'wait', reason: 'offline', lifeAt: NOW + 1000 },
  },
  {
    it: 'any sign of life takes a waiting device into the queue',
    given: waiting(),
    when: event('alive'),
    then: { status: 'pending', hold: null, lifeAt: NOW + 1000 },
  },
  {
    it: 'a sign of life while pushed is remembered',
    given: pushed(),
    when: event('alive'),
    then: { status: 'pushed', lifeAt: NOW + 1000, nextPush: null },
  },
  {
    it: 'a sign of life that is no progress does not hold off the limit',
    given: upgrading(),
    when: event('alive'),
    then: { status: 'upgrading', since: NOW },
  },
  {
    it: 'the source version while pushed repeats the push',
    given: pushed({ lastPush: NOW - 20_000 }),
    when: source,
    then: { status: 'pushed', nextPush: NOW + 1000, pushes: 1, since: NOW },
  },
  {
    it: 'the source version repeats the push at most once in 10 s',
    given: pushed({ lastPush: NOW - 2000 }),
    when: source,
    then: { nextPush: NOW + 8000 },
  },
  {
    it: 'the source version leaves a repeat that is due before',
    given: pushed({ lastPush: NOW, nextPush: NOW + 4000 }),
    when: source,
    then: { nextPush: NOW + 4000 },
  },
  {
    it: 'a version report does not shorten a retry’s delay',
    given: device({ hold: 'delay', reason: 'download' }),
    when: source,
    then: { status: 'pending', hold: 'delay' },
  },
  {
    it: 'the first version becomes the source where none was known',
    given: pushed({ source: null }),
    policy: { retries: 1 },
    when: first,
    then: { status: 'pushed', source: 'v0', attempt: 1 },
  },
  {
    it: 'the first version becomes the source while upgrading too',
    given: upgrading({ source: null }),
    when: first,
    then: { status: 'upgrading', source: 'v0' },
  },
  {
    it: 'the source version while upgrading may be a reboot: progress will tell',
    given: upgrading(),
    when: source,
    then: { status: 'upgrading', rebootAt: NOW + 31_000, since: NOW },
  },
  {
    it: 'the source version again does not begin that time anew',
    given: upgrading({ rebootAt: NOW + 5000 }),
    when: source,
    then: null,
  },
  {
    it: 'a reboot starts another attempt',
    given: upgrading({ rebootAt: NOW + 1000 }),
    policy: { retries: 1 },
    when: event('rebooted'),
    then: {
      status: 'pending',
      hold: null,
      retries: 1,
      reason: 'rebooted',
      sameAttempt: false,
      rebootAt: null,
    },
  },
  {
    it: 'a reboot without retries is history, and the limits run on',
    given: upgrading({ rebootAt: NOW + 1000 }),
    when: event('rebooted'),
    then: { status: 'upgrading', rebootAt: null, since: NOW },
  },
  {
    it: 'the source version after an unconfirmed 100 is a roll-back',
    given: upgrading({ reported100: true, step: 100 }),
    policy: { success: 'version', retries: 3 },
    when: source,
    then: { status: 'failed', reason: 'rolled-back' },
  },
  {
    it: 'the source version after success is a roll-back',
    given: succeeded(),
    when: source,
    then: { status: 'failed', reason: 'rolled-back' },
  },
  {
    it: 'the source version after a confirmed success is a roll-back within the confirm time',
    given: succeeded({ confirmed: true }),
    when: source,
    then: { status: 'failed', reason: 'rolled-back' },
  },
  {
    it: 'the source version after the confirm time is history',
    given: succeeded(),
    when: event('source', { version: 'v1', now: NOW + 600_000 }),
    then: null,
  },
  {
    it: 'the source version after the success was settled is history',
    given: succeeded({ since: CONFIRM_OVER }),
    when: source,
    then: null,
  },
  {
    it: 'a success is settled when another task pushes to the device',
    given: succeeded({ confirmed: true }),
    when: event('overtaken'),
    then: { status: 'succeeded', since: CONFIRM_OVER, confirmed: true },
  },
  {
    it: 'an unknown source after a 100 is a roll-back',
    given: upgrading({ reported100: true, source: null }),
    policy: { success: 'version' },
    when: first,
    then: { status: 'failed', reason: 'rolled-back', source: 'v0' },
  },
  {
    it: 'an unknown source after success is a roll-back',
    given: succeeded({ source: null }),
    when: first,
    then: { status: 'failed', reason: 'rolled-back', source: 'v0' },
  },
  ...[pushed(), upgrading()].map((given): Rule => ({
    it: `a third version while ${given.status} decides only what a limit says`,
    given,
    policy: { retries: 3 },
    when: other,
    then: { status: given.status, thirdVersion: true, source: 'v1', since: NOW },
    lateReport: 'clear',
  })),
  ...(
    [
      ['no-response', pushed({ thirdVersion: true }), 'set'],
      ['stalled', upgrading({ thirdVersion: true }), 'set'],
      ['unconfirmed', upgrading({ thirdVersion: true, reported100: true }), undefined],
    ] as const
  ).map(([on, given, lateReport]): Rule => ({
    it: `${on} after a third version is a version mismatch, and isn’t tried again`,
    given,
    policy: { retries: 3 },
    when: event(on),
    then: { status: 'failed', reason: 'version-mismatch' },
    lateReport,
  })),
  {
    it: 'a third version after a 100 refutes it',
    given: succeeded(),
    when: other,
    then: { status: 'failed', reason: 'version-mismatch' },
  },
  {
    it: 'a third version after the target was reported is history',
    given: succeeded({ confirmed: true }),
    when: other,
    then: null,
  },
  {
    it: 'a third version after the confirm time is history',
    given: succeeded(),
    when: event('other', { version: 'v9', now: NOW + 600_000 }),
    then: null,
  },
  // Time
  {
    it: 'silence waits where the policy says so',
    given: pushed(),
    policy: { offline: 'wait', retries: 2 },
    when: event('no-response'),
    then: { status: 'pending', hold: 'wait', reason: 'no-response', sameAttempt: true, retries: 0 },
  },
  ...(['fail', 'wait'] as const).map((offline): Rule => ({
    it: `silence while "no subscriber" is asked again is offline, with offline: ${offline}`,
    given: pushed({ asked: 2 }),
    policy: { offline },
    when: event('no-response'),
    then: { reason: 'offline' },
    lateReport: offline === 'fail' ? 'set' : undefined,
  })),
  {
    it: 'silence fails it',
    given: pushed(),
    when: event('no-response'),
    then: { status: 'failed', reason: 'no-response' },
    lateReport: 'set',
  },
  {
    it: 'silence uses a retry where one is left',
    given: pushed(),
    policy: { retries: 1 },
    when: event('no-response'),
    then: { ...delayed, reason: 'no-response' },
    lateReport: 'set',
  },
  {
    it: 'no progress fails it',
    given: upgrading(),
    when: event('stalled'),
    then: { status: 'failed', reason: 'stalled' },
    lateReport: 'set',
  },
  {
    it: 'no progress uses a retry where one is left',
    given: upgrading(),
    policy: { retries: 1 },
    when: event('stalled'),
    then: { ...delayed, reason: 'stalled' },
    lateReport: 'set',
  },
  {
    it: 'a 100 without the version fails it',
    given: upgrading({ reported100: true }),
    when: event('unconfirmed'),
    then: { status: 'failed', reason: 'unconfirmed' },
  },
  {
    it: 'a 100 without the version uses a retry where one is left',
    given: upgrading({ reported100: true }),
    policy: { retries: 1 },
    when: event('unconfirmed'),
    then: { ...delayed, reason: 'unconfirmed' },
  },
  {
    it: 'a success is settled after the confirm time',
    given: succeeded(),
    when: event('confirm-over'),
    then: { status: 'succeeded', since: CONFIRM_OVER },
  },
  // People
  {
    it: 'cancel ends a pending device',
    given: device({ hold: 'busy', reason: 'busy' }),
    when: event('cancel'),
    then: { status: 'cancelled', reason: null, hold: null },
  },
  {
    it: 'cancel ends an active device without its last word',
    given: upgrading(),
    when: event('cancel'),
    then: { status: 'cancelled' },
    lateReport: 'set',
  },
  {
    it: 'cancel of a waiting device ends an attempt without its last word',
    given: waiting(),
    when: event('cancel', { named: true }),
    then: { status: 'cancelled', cancelledByName: true, hold: null, reason: null, nextPush: null },
    lateReport: 'set',
  },
  {
    it: 'the end of the task cancels with its reason',
    given: device(),
    when: event('cancel', { reason: 'ended' }),
    then: { status: 'cancelled', reason: 'ended', cancelledByName: false },
  },
  { it: 'cancel leaves a succeeded device alone', given: succeeded(), when: event('cancel'), then: null },
  { it: 'cancel leaves a failed device alone', given: failed('upgrade'), when: event('cancel'), then: null },
  {
    it: 'retry takes a failed device in again',
    given: failed('upgrade', { retries: 2 }),
    when: event('retry'),
    then: { status: 'pending', retries: 0, reason: null, step: null },
  },
  {
    it: 'retry takes a cancelled device in again',
    given: device({ status: 'cancelled', cancelledByName: true }),
    when: event('retry'),
    then: { status: 'pending', cancelledByName: false, named: false },
  },
  {
    it: 'retry by name begins the wait anew, and no newer task supersedes it',
    given: failed('offline', { firstWait: NOW, probes: 9, overtaken: true, thirdVersion: true }),
    when: event('retry', { named: true }),
    then: {
      status: 'pending',
      firstWait: null,
      probes: 0,
      overtaken: false,
      thirdVersion: false,
      named: true,
      sameAttempt: false,
    },
  },
  {
    it: 'a device that asks for what it has in work gets it in the same attempt, and goes on where it was',
    given: upgrading(),
    when: event('repeat', { now: NOW + 60_000 }),
    then: {
      status: 'upgrading',
      attempt: 1,
      pushId: 'id-1',
      pushes: 2,
      lastPush: NOW + 60_000,
      since: NOW,
      step: 30,
    },
  },
  { it: 'retry leaves a succeeded device alone', given: succeeded(), when: event('retry'), then: null },
  { it: 'retry leaves an active device alone', given: upgrading(), when: event('retry'), then: null },
];

/** Any live version report tells that no 100 from before can come any more. */
function late({ lateReport, when }: Rule): 'set' | 'clear' | null {
  const isLive = when.version !== undefined && when.retained !== true;
  return lateReport ?? (isLive ? 'clear' : null);
}

describe('the table of moves', () => {
  const used = new Set<Move>();
  for (const rule of RULES) {
    it(rule.it, () => {
      const rules = { ...plan(1, 'v2', { policy: rule.policy }), endAt: rule.endAt ?? null };
      const before = { ...rule.given };
      const wall = WALL + 5;
      const move = findMove({ device: rule.given, rules, event: rule.when, wall });
      if (move !== null) used.add(move);
      const step = transition(rule.given, rules, rule.when, wall);
      assert.deepEqual(rule.given, before, 'the given device was changed');
      if (rule.then === null) {
        assert.equal(move, null);
        if (step !== null) assert.deepEqual(step.after, { ...before, events: before.events + 1 });
        assert.equal(step?.lateReport ?? null, late(rule));
        return;
      }
      assert.ok(step);
      for (const [name, value] of Object.entries(rule.then)) {
        assert.equal(step.after[name as keyof Device], value, name);
      }
      const { lateReport } = step;
      assert.equal(lateReport === null || lateReport === 'clear' ? lateReport : 'set', late(rule));
    });
  }

  it('has no row that these rules leave out', () => {
    const left = MOVES.filter((move) => !used.has(move)).map(
      (move) => `${move.on} ${move.from.join()}: ${move.why}`,
    );
    assert.deepEqual(left, []);
  });

  it('gives a reason for each row', () => {
    for (const move of MOVES) assert.ok(move.why.length > 10, move.on);
  });

  it('moves ended states in the named ways only', () => {
    const ways = MOVES.flatMap((move) =>
      move.from
        .filter((from) => ['succeeded', 'failed', 'cancelled'].includes(from) && from !== move.to)
        .map((from) => `${move.on}: ${from} → ${move.to}`),
    );
    assert.deepEqual(
      new Set(ways),
      new Set([
        'retry: failed → pending',
        'retry: cancelled → pending',
        'failure: succeeded → failed',
        'first-version: succeeded → failed',
        'source: succeeded → failed',
        'other: succeeded → failed',
        'target: failed → succeeded',
      ]),
    );
  });
});

describe('time', () => {
  const rules = plan(1, 'v2', {
    policy: { noResponse: 40, repush: 3, stalled: 100, confirm: 10, retryDelay: 5, waitLimit: 60 },
  });
  const limit = (given: Device, now: number, of: Rules = rules): string | undefined =>
    limitEvent(given, of, now, WALL)?.on;

  /** What becomes of a push in silence, second by second. @param room how many repeats may go out in each */
  const silence = (room: (second: number) => boolean): string[] => {
    let now = NOW;
    let current = transition(device(), rules, event('push', { id: 'a', now }), WALL)?.after as Device;
    const seen: string[] = [];
    for (; current.status === 'pushed'; now += 1000) {
      const second = (now - NOW) / 1000;
      const isDue = current.nextPush !== null && current.nextPush <= now && room(second);
      const due = isDue ? event('repeat', { now }) : limitEvent(current, rules, now, WALL);
      if (due === null) continue;
      seen.push(`${due.on} ${second}`);
      current = transition(current, rules, due, WALL)?.after as Device;
    }
    return seen;
  };

  it('spreads the repeats over noResponse and then fails', () => {
    const seen = silence(() => true);
    assert.deepEqual(seen, ['repeat 10', 'repeat 20', 'repeat 30', 'no-response 40']);
  });

  it('counts no silence before a repeat that waits for the rate', () => {
    const seen = silence((second) => second >= 55);
    assert.deepEqual(seen, ['repeat 55', 'repeat 65', 'repeat 75', 'no-response 85']);
  });

  it('lets the limit of a paused device run', () => {
    const paused = { ...rules, running: { before: 0, since: null } };
    assert.equal(isRepeatOwed(pushed({ nextPush: NOW }), rules, NOW + 40_000, true), true);
    assert.equal(limit(pushed({ nextPush: NOW }), NOW + 40_000, paused), 'no-response');
  });

  it('lets the limit run where the window is closed', () => {
    const closed = plan(1, 'v2', {
      policy: { ...rules.policy, window: { from: '01:00', to: '02:00', timeZone: 'UTC' } },
    });
    assert.equal(limit(pushed({ nextPush: NOW }), NOW + 40_000, closed), 'no-response');
  });

  it('waits for no repeat but those of the schedule', () => {
    assert.equal(limit(pushed({ nextPush: NOW, repeats: 3 }), NOW + 40_000), 'no-response');
  });

  const limits: readonly [string, Device, number, string][] = [
    ['a pushed device', pushed({ repeats: 3 }), 40, 'no-response'],
    ['an upgrading device', upgrading(), 100, 'stalled'],
    ['a device that may have rebooted', upgrading({ rebootAt: NOW + 30_000 }), 30, 'rebooted'],
    ['a device that reported 100', upgrading({ reported100: true }), 10, 'unconfirmed'],
    ['a device that is waited for', waiting(), 60, 'waited'],
    ['a device before its retry', device({ hold: 'delay', retries: 1 }), 5, 'delay-over'],
    ['a success', upgrading({ status: 'succeeded' }), 10, 'confirm-over'],
  ];
  for (const [what, given, seconds, name] of limits) {
    it(`has a limit for ${what}`, () => {
      assert.equal(limit(given, NOW + seconds * 1000 - 1), undefined);
      assert.equal(limit(given, NOW + seconds * 1000), name);
    });
  }

  it('has none for a device that is over, or in the queue', () => {
    for (const given of [device(), failed('offline'), device({ status: 'cancelled' })]) {
      assert.equal(limit(given, NOW + 1e12), undefined);
    }
  });

  it('counts waitLimit in the running time of the task', () => {
    const given = waiting({ firstWait: 20_000 });
    const running = { ...rules, running: { before: 50_000, since: NOW } };
    assert.equal(limit(given, NOW + 29_999, running), undefined);
    assert.equal(limit(given, NOW + 30_000, running), 'waited');
    const paused = { ...rules, running: { before: 79_999, since: null } };
    assert.equal(limit(given, NOW + 1e9, paused), undefined);
    assert.ok((lookAgain(given, paused, NOW + 1e9) ?? 0) > NOW + 1e12, 'it stands still');
  });

  it('doubles the delay before each retry, a day at most', () => {
    const doubling = plan(1, 'v2', { policy: { retryDelay: 60, retryBackoff: 'exponential' } });
    const delays = [1, 2, 3, 20].map((retries) => {
      const due = lookAgain(device({ hold: 'delay', retries }), doubling, NOW) ?? 0;
      return (due - NOW) / 1000;
    });
    assert.deepEqual(delays, [60, 120, 240, 86_400]);
  });
});

describe('a progress report', () => {
  const report = {
    kind: 'progress',
    accessToken: 'dev-1',
    module: null,
    step: 100,
    desc: '',
    wall: WALL,
  } as const;

  it('that nobody asked for is history of the task that waits', () => {
    const waiting = { device: device(), plan: plan(1, 'v2') };
    const steps = progressTransitions(report, [waiting], { latest: () => null, written: null, now: NOW });
    assert.deepEqual(
      steps.map(({ after, history }) => [after.status, after.events, history?.event, history?.step]),
      [['pending', 1, 'progress', 100]],
    );
  });

  it('that nobody asked for is history of the task before, where there is one', () => {
    const before = { device: device({ id: 7, status: 'cancelled' }), plan: plan(2, 'v2') };
    const waiting = { device: device(), plan: plan(1, 'v2') };
    const steps = progressTransitions(report, [waiting], { latest: () => before, written: null, now: NOW });
    assert.deepEqual(
      steps.map(({ after }) => after.id),
      [7],
    );
  });

  it('that the broker sends again is written once in an attempt', () => {
    const member = { device: device({ status: 'upgrading', attempt: 2, step: 100 }), plan: plan(1, 'v2') };
    const line = (event: string, step: number | null = null, desc = ''): HistoryEvent => ({
      ...{ at: WALL, event, step, desc, id: null },
      ...{ from: 'upgrading', to: 'upgrading' },
    });
    const history = [line('progress', 25), line('push'), line('progress', 50, 'half'), line('progress', 100)];
    const lines = (step: number, desc: string, written: (() => HistoryEvent[]) | null): number =>
      progressTransitions({ ...report, step, desc }, [member], { latest: () => null, written, now: NOW })
        .length;
    assert.equal(
      lines(50, 'half', () => history),
      0,
    );
    assert.equal(lines(50, 'half', null), 1, 'the device itself says it twice');
    assert.equal(
      lines(50, 'other', () => history),
      1,
      'it was never applied',
    );
    assert.equal(
      lines(25, '', () => history),
      1,
      'it was of the attempt before',
    );
  });

  it('is kept as databases can keep it', () => {
    assert.equal(progressEvent({ step: 1, desc: 'a\0b\ud800' }, NOW).desc, 'a\ufffdb\ufffd');
  });
});

describe('a version report', () => {
  const report = (version: string): { version: string } => ({ version });

  it('is read as target, source, first or other', () => {
    const names = ['v2', 'v1', 'v9'].map((version) => versionEvent(pushed(), 'v2', report(version), NOW).on);
    assert.deepEqual(names, ['target', 'source', 'other']);
    assert.equal(versionEvent(pushed({ source: null }), 'v2', report('v1'), NOW).on, 'first-version');
  });

  it('is compared as text', () => {
    assert.equal(versionEvent(pushed(), '1.10', report('1.1'), NOW).on, 'other');
  });
});

describe('a device that waits in several tasks', () => {
  const inform = {
    kind: 'inform',
    accessToken: 'dev-1',
    id: '1',
    module: 'default',
    version: 'v1',
    wall: WALL,
  } as const;
  const member = (id: number, fields: Partial<Device> = {}, of: Partial<TaskPlan> = {}): Member => ({
    device: waiting({ id, task: id, ...fields }),
    plan: { ...plan(id, `v${id + 1}`), ...of },
  });
  const woken = (moved: readonly Transition[]): number[] =>
    moved
      .filter(({ after }) => after.status === 'pending' && after.hold === null)
      .map(({ after }) => after.id);

  it('is pushed by the newest', () => {
    const moved = versionTransitions(inform, [member(5), member(9), member(7)], () => null, NOW);
    assert.deepEqual(woken(moved), [9]);
    assert.equal(moved.length, 3);
  });

  it('is pushed by the newest that runs', () => {
    const paused = member(9, {}, { running: { before: 0, since: null } });
    assert.deepEqual(woken(versionTransitions(inform, [member(5), paused], () => null, NOW)), [5]);
  });

  it('is pushed by none while one is active', () => {
    const active = { device: pushed({ id: 3, task: 3 }), plan: plan(3, 'v4') };
    assert.deepEqual(woken(versionTransitions(inform, [member(9), active], () => null, NOW)), []);
  });

  it('wakes for each module', () => {
    const other = member(4, {}, { upgrade: { ...plan(4, 'v5').upgrade, module: 'MCU' } });
    const life = { kind: 'alive', accessToken: 'dev-1', wall: WALL } as const;
    assert.deepEqual(woken(versionTransitions(inform, [member(5), other], () => null, NOW)), [5, 4]);
    assert.deepEqual(woken(lifeTransitions(life, [member(5), other], NOW)), [5, 4]);
    const progress = {
      kind: 'progress',
      accessToken: 'dev-1',
      module: 'default',
      step: 5,
      desc: '',
      wall: WALL,
    } as const;
    const moved = progressTransitions(progress, [member(5), other], {
      latest: () => null,
      written: null,
      now: NOW,
    });
    assert.deepEqual(woken(moved), [4]);
    assert.equal(moved.find(({ after }) => after.id === 5)?.after.status, 'upgrading');
  });

  it('is not woken by a retained report', () => {
    assert.deepEqual(
      woken(versionTransitions({ ...inform, retained: true }, [member(5)], () => null, NOW)),
      [],
    );
  });
});

describe('progress without a module', () => {
  const progress = {
    kind: 'progress',
    accessToken: 'dev-1',
    module: null,
    step: 5,
    desc: '',
    wall: WALL,
  } as const;
  const of = (id: number, module: string, given: Device): Member => ({
    device: { ...given, id, task: id },
    plan: plan(id, 'v2', { module }),
  });
  const cases: readonly [string, Member[], number][] = [
    ['the only active upgrade', [of(1, 'MCU', upgrading()), of(2, 'default', waiting())], 1],
    [
      'the only one that waits, where none is active',
      [of(1, 'default', failed('stalled')), of(2, 'MCU', waiting())],
      2,
    ],
    ['default, where several wait', [of(1, 'MCU', waiting()), of(2, 'default', waiting())], 2],
    ['default, where several are active', [of(1, 'MCU', upgrading()), of(2, 'default', upgrading())], 2],
    ['the task that has the module active', [of(1, 'default', upgrading()), of(2, 'default', waiting())], 1],
    ['the newest that waits of one module', [of(1, 'MCU', waiting()), of(2, 'MCU', waiting())], 2],
  ];
  for (const [what, members, id] of cases) {
    it(`means ${what}`, () => {
      const [moved] = progressTransitions(progress, members, { latest: () => null, written: null, now: NOW });
      assert.equal(moved?.after.id, id);
    });
  }
});

describe('the turn of a device', () => {
  const at = { now: NOW + 1000, wall: WALL, nextId: () => 'id-2' };
  const facts: TurnFacts = {
    knownVersion: 'v1',
    knownAt: null,
    labels: {},
    open: [],
    lateReportUntil: null,
    newer: null,
  };
  const newer = { taskId: 't9', name: 'Spring', version: 'v3' };
  const take = (given: Device, more: Partial<TurnFacts> = {}, of: Partial<Policy> = {}): Transition[] =>
    takeTurn({ device: given, plan: plan(1, 'v2', { policy: of }) }, { ...facts, ...more }, at);
  const first = (moved: readonly Transition[]): Partial<Device> => moved[0]?.after ?? {};
  const other = (given: Device, module = 'default'): Member => ({
    device: { ...given, id: 7, task: 7 },
    plan: { ...plan(7, 'v3', { module }), taskId: 't7', name: 'Autumn' },
  });

  it('is a push with what is known', () => {
    const { status, versionBefore, source, variant, pushId } = first(take(device()));
    assert.deepEqual([status, versionBefore, source, variant, pushId], ['pushed', 'v1', 'v1', 0, 'id-2']);
  });

  it('comes to nothing where a newer task has brought it up', () => {
    const { status, reason, desc } = first(take(device(), { newer }));
    assert.deepEqual([status, reason, desc], ['cancelled', 'superseded', 'Spring (t9)']);
  });

  it('comes where the newer task’s version is a stepping stone to this one', () => {
    assert.equal(
      first(take(device(), { newer, knownVersion: 'v3' }, { fromVersions: ['v3'] })).status,
      'pushed',
    );
  });

  it('comes where a person named the device', () => {
    assert.equal(first(take(device({ named: true }), { newer })).status, 'pushed');
  });

  for (const [what, given] of [
    ['is active', upgrading()],
    ['has a success that is not confirmed', succeeded()],
  ] as const) {
    it(`waits where another task ${what}`, () => {
      const { hold, desc } = first(take(device(), { open: [other(given)] }));
      assert.deepEqual([hold, desc], ['busy', 'Autumn (t7)']);
      const probe = take(waiting({ probes: 0 }), { open: [other(given)] });
      assert.deepEqual([first(probe).hold, first(probe).pushes], ['wait', 1]);
      assert.equal(first(take(device(), { open: [other(given, 'MCU')] })).status, 'pushed');
    });
  }

  it('comes where another task’s success is confirmed', () => {
    assert.equal(first(take(device(), { open: [other(succeeded({ confirmed: true }))] })).status, 'pushed');
  });

  it('takes over what failed in another task, and what waits there', () => {
    const moved = take(device(), { open: [other(failed('stalled')), other(waiting())] });
    assert.deepEqual(
      moved.map(({ after }) => [after.status, after.overtaken, after.sameAttempt]),
      [
        ['pushed', false, false],
        ['failed', true, false],
        ['pending', false, false],
      ],
    );
    assert.ok((moved[0]?.after.lateReportUntil ?? 0) > NOW, 'what waits may have taken its push');
  });

  it('is a probe for a device that waits, but not in an older task than another', () => {
    assert.deepEqual([first(take(waiting())).pushes, first(take(waiting())).hold], [2, 'wait']);
    assert.equal(first(take(waiting(), { open: [other(waiting())] })).pushes, 1);
  });

  it('is an attempt of its own for a device that waits, and got another task’s push since', () => {
    const [own, old] = take(waiting({ sameAttempt: false }), { open: [other(failed('offline'))] });
    assert.deepEqual([own?.after.hold, own?.after.attempt, own?.after.pushId], ['wait', 2, 'id-2']);
    assert.equal(old?.after.overtaken, true);
  });

  it('is no probe where a newer task waits that got another task’s push since, unless that is paused', () => {
    const newest = other(waiting({ sameAttempt: false }));
    const paused = { ...newest, plan: { ...newest.plan, running: { before: 0, since: null } } };
    assert.equal(first(take(waiting(), { open: [newest] })).pushes, 1);
    assert.equal(first(take(waiting(), { open: [paused] })).pushes, 2);
  });

  it('is taken over by a newer task that was made after a person named the device', () => {
    const named = { device: device({ named: true }), plan: { ...plan(1, 'v2') } };
    const taken = (createdAt: number): number =>
      takeOver({ ...plan(7, 'v3'), createdAt }, [named], { now: NOW, wall: WALL }).length;
    assert.deepEqual([taken(WALL + 1), taken(WALL)], [1, 0]);
  });

  it('remembers a report of a moment ago as a sign of life', () => {
    assert.equal(first(take(device(), { knownAt: WALL - 4000 })).lifeAt, NOW - 3000);
    assert.equal(first(take(device(), { knownAt: WALL - 40_000 })).lifeAt, null);
  });
});

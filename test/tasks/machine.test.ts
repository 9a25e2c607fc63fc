import assert from 'node:assert/strict';
import {
  transition,
  progressTransitions,
  findMove,
  type Event,
  type Move,
  MOVES,
  progressEvent,
  CONFIRM_OVER,
  timeEvent,
  versionEvent,
} from '../../nodes/lib/tasks/machine';
import type { Device, Policy } from '../../nodes/lib/tasks/types';
import { device, event, NOW, plan, policy, pushed, upgrading, WALL } from './support';

interface Rule {
  readonly it: string;
  readonly given: Device;
  readonly policy?: Partial<Policy>;
  readonly when: Event;
  /** Fields that the device must have then; null where nothing but history may change. */
  readonly then: Partial<Device> | null;
  readonly lateReport?: 'set' | 'clear';
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
  {
    it: 'a device is never pushed onto a version that the package is not made for',
    given: device(),
    when: event('unfit'),
    then: { status: 'failed', reason: 'version-mismatch' },
  },
  {
    it: 'a retry waits for its delay',
    given: device({ hold: 'delay' }),
    when: event('delay-over'),
    then: { status: 'pending', hold: null },
  },
  {
    it: 'a device that gave no sign of life within waitLimit fails as offline',
    given: device({ hold: 'wait' }),
    when: event('waited'),
    then: { status: 'failed', reason: 'offline', hold: null },
  },
  // What became of a push
  {
    it: 'a repeat carries the same id',
    given: pushed({ nextPush: NOW }),
    when: event('repeat'),
    then: { status: 'pushed', pushId: 'id-1', pushes: 2, attempt: 1 },
  },
  {
    it: 'a push that may not have left before a kill is repeated at once',
    given: pushed({ nextPush: null }),
    when: event('restarted'),
    then: { status: 'pushed', nextPush: NOW + 1000 },
  },
  {
    it: 'a repeat that may not go out is put off',
    given: pushed({ nextPush: NOW }),
    when: event('postpone'),
    then: { status: 'pushed', pushes: 1, nextPush: NOW + 6000 },
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
    then: { status: 'pending', hold: 'wait', reason: 'offline', retries: 0 },
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
    it: 'a lower step is history',
    given: upgrading({ step: 30 }),
    when: event('step', { step: 20 }),
    then: null,
  },
  {
    it: 'a repeated step does not hold off the limit',
    given: upgrading({ step: 30 }),
    when: event('step', { step: 30 }),
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
    then: { status: 'upgrading', step: 100, reported100: true },
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
  { it: '100 after a failure is history', given: failed('stalled'), when: hundred, then: null },
  {
    it: 'progress after a cancel is history',
    given: upgrading({ status: 'cancelled' }),
    when: hundred,
    then: null,
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
    lateReport: 'clear',
  },
  {
    it: 'the target version while waited for is success',
    given: device({ hold: 'wait', reason: 'offline' }),
    when: target,
    then: { status: 'succeeded', hold: null, reason: null },
    lateReport: 'clear',
  },
  {
    it: 'the target version while pushed is success',
    given: pushed(),
    policy: { success: 'version' },
    when: target,
    then: { status: 'succeeded' },
    lateReport: 'clear',
  },
  {
    it: 'the target version while upgrading is success',
    given: upgrading(),
    when: target,
    then: { status: 'succeeded', confirmed: true },
    lateReport: 'clear',
  },
  {
    it: 'the target version confirms a 100',
    given: succeeded(),
    when: target,
    then: { status: 'succeeded', confirmed: true, since: NOW },
    lateReport: 'clear',
  },
  ...(['offline', 'no-response', 'stalled', 'unconfirmed'] as const).map((reason): Rule => ({
    it: `the target version after ${reason} is success`,
    given: failed(reason),
    when: target,
    then: { status: 'succeeded', reason: null, confirmed: true },
    lateReport: 'clear',
  })),
  ...(
    ['upgrade', 'download', 'verification', 'flashing', 'refused', 'rolled-back', 'version-mismatch'] as const
  ).map((reason): Rule => ({
    it: `the target version after ${reason} is history`,
    given: failed(reason),
    when: target,
    then: null,
  })),
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
    given: device({ hold: 'wait', reason: 'offline' }),
    when: source,
    then: { status: 'pending', hold: null, reason: null },
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
    it: 'a reboot starts another attempt',
    given: upgrading(),
    policy: { retries: 1 },
    when: source,
    then: { status: 'pending', hold: null, retries: 1, reason: 'rebooted' },
  },
  {
    it: 'a reboot without retries is history, and the limits run on',
    given: upgrading(),
    when: source,
    then: null,
  },
  {
    it: 'the start-up report from before the push, delivered twice, is no reboot',
    given: pushed(),
    policy: { retries: 1 },
    when: event('source', { version: 'v1', duplicate: true }),
    then: null,
  },
  {
    it: 'the same report again in the middle of an upgrade is a reboot',
    given: upgrading(),
    policy: { retries: 1 },
    when: event('source', { version: 'v1', duplicate: true }),
    then: { status: 'pending' },
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
  {
    it: 'a third version fails it',
    given: upgrading(),
    policy: { retries: 3 },
    when: other,
    then: { status: 'failed', reason: 'version-mismatch' },
  },
  { it: 'a third version after success is history', given: succeeded(), when: other, then: null },
  // Time
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
    given: device({ status: 'cancelled' }),
    when: event('retry'),
    then: { status: 'pending' },
  },
  { it: 'retry leaves a succeeded device alone', given: succeeded(), when: event('retry'), then: null },
  { it: 'retry leaves an active device alone', given: upgrading(), when: event('retry'), then: null },
];

describe('the table of moves', () => {
  const used = new Set<Move>();
  for (const rule of RULES) {
    it(rule.it, () => {
      const rules = policy(rule.policy);
      const before = { ...rule.given };
      const move = findMove({ device: rule.given, policy: rules, event: rule.when });
      if (move !== null) used.add(move);
      const step = transition(rule.given, rules, rule.when, WALL + 5);
      assert.deepEqual(rule.given, before, 'the given device was changed');
      if (rule.then === null) {
        assert.equal(move, null);
        if (step !== null) assert.deepEqual(step.after, { ...before, events: before.events + 1 });
        return;
      }
      assert.ok(step);
      for (const [name, value] of Object.entries(rule.then)) {
        assert.equal(step.after[name as keyof Device], value, name);
      }
      const late = step.lateReport;
      assert.equal(late === null || late === 'clear' ? late : 'set', rule.lateReport ?? null);
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

  it('moves ended states in the three named ways only', () => {
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
        'target: failed → succeeded',
      ]),
    );
  });
});

describe('time', () => {
  const rules = policy({
    noResponse: 40,
    repush: 3,
    stalled: 100,
    confirm: 10,
    retryDelay: 5,
    waitLimit: 60,
  });

  it('spreads the repeats over noResponse and then fails', () => {
    let now = NOW;
    let current = transition(device(), rules, event('push', { id: 'a', now }), WALL)?.after as Device;
    const seen: string[] = [];
    for (; current.status === 'pushed'; now += 1000) {
      const due = timeEvent(current, rules, now, true);
      if (due === null) continue;
      seen.push(`${due.on} ${(now - NOW) / 1000}`);
      current = transition(current, rules, due, WALL)?.after as Device;
    }
    assert.deepEqual(seen, ['repeat 10', 'repeat 20', 'repeat 30', 'no-response 40']);
  });

  it('puts a repeat off that may not go out', () => {
    assert.equal(timeEvent(pushed({ nextPush: NOW }), rules, NOW, false)?.on, 'postpone');
  });

  it('lets the limit of a paused device run', () => {
    assert.equal(timeEvent(pushed({ nextPush: NOW }), rules, NOW + 40_000, false)?.on, 'no-response');
  });

  const limits: readonly [string, Device, number, string][] = [
    ['an upgrading device', upgrading(), 100, 'stalled'],
    ['a device that reported 100', upgrading({ reported100: true }), 10, 'unconfirmed'],
    ['a device that is waited for', device({ hold: 'wait' }), 60, 'waited'],
    ['a device before its retry', device({ hold: 'delay' }), 5, 'delay-over'],
    ['a success', upgrading({ status: 'succeeded' }), 10, 'confirm-over'],
  ];
  for (const [what, given, seconds, name] of limits) {
    it(`has a limit for ${what}`, () => {
      assert.equal(timeEvent(given, rules, NOW + seconds * 1000 - 1, true), null);
      assert.equal(timeEvent(given, rules, NOW + seconds * 1000, true)?.on, name);
    });
  }
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
    const steps = progressTransitions(report, [waiting], () => null, NOW);
    assert.deepEqual(
      steps.map(({ after, history }) => [after.status, after.events, history?.event, history?.step]),
      [['pending', 1, 'progress', 100]],
    );
  });

  it('that nobody asked for is history of the task before, where there is one', () => {
    const before = { device: device({ id: 7, status: 'cancelled' }), plan: plan(2, 'v2') };
    const waiting = { device: device(), plan: plan(1, 'v2') };
    const steps = progressTransitions(report, [waiting], () => before, NOW);
    assert.deepEqual(
      steps.map(({ after }) => after.id),
      [7],
    );
  });

  it('is kept as databases can keep it', () => {
    assert.equal(progressEvent({ step: 1, desc: 'a\0b\ud800' }, NOW).desc, 'a\ufffdb\ufffd');
  });
});

describe('a version report', () => {
  const report = (version: string): { version: string; duplicate: boolean } => ({
    version,
    duplicate: false,
  });

  it('is read as target, source, first or other', () => {
    const names = ['v2', 'v1', 'v9'].map((version) => versionEvent(pushed(), 'v2', report(version), NOW).on);
    assert.deepEqual(names, ['target', 'source', 'other']);
    assert.equal(versionEvent(pushed({ source: null }), 'v2', report('v1'), NOW).on, 'first-version');
  });

  it('is compared as text', () => {
    assert.equal(versionEvent(pushed(), '1.10', report('1.1'), NOW).on, 'other');
  });
});

import assert from 'node:assert/strict';
import {
  advanced,
  allowance,
  decide as decideAt,
  fitsVersion,
  gateOf,
  isWindowOpen,
  resumed,
  spend,
  started,
  type TaskMove,
  waveEnds,
} from '../../nodes/lib/tasks/machine';
import { DEFAULT_POLICY, readPolicy } from '../../nodes/lib/tasks/policy';
import { DAYS } from '../../nodes/lib/tasks/types';
import type { Counts, Policy, Task, WaveCounts } from '../../nodes/lib/tasks/types';
import { NOW, plan, WALL } from './support';

const NOBODY: WaveCounts = {
  total: 0,
  pending: 0,
  waiting: 0,
  active: 0,
  succeeded: 0,
  failed: 0,
  incompatible: 0,
  cancelled: 0,
};
const AT = { now: NOW, wall: WALL };
const decide = (task: Task, counts: (wave: number) => WaveCounts): TaskMove | null =>
  decideAt(task, counts, AT);

function task(counts: Partial<Counts>, policy: Partial<Policy> = {}, more: Partial<Task> = {}): Task {
  return {
    ...plan(1, 'v2', { policy }),
    status: 'running',
    reason: null,
    wave: 1,
    counts: { pending: 0, pushed: 0, upgrading: 0, succeeded: 0, failed: 0, cancelled: 0, ...counts },
    startedAt: WALL,
    endedAt: null,
    pace: 0,
    base: { succeeded: 0, failed: 0 },
    waiting: 0,
    incompatible: 0,
    open: NOBODY,
    soakFrom: null,
    intent: null,
    taken: 0,
    ...more,
  };
}

const wave =
  (total: number, succeeded: number, failed = 0, cancelled = 0) =>
  (): WaveCounts => ({
    ...NOBODY,
    total,
    pending: total - succeeded - failed - cancelled,
    succeeded,
    failed,
    cancelled,
  });

describe('the rules of a whole task', () => {
  it('rounds the sizes of waves up, and the last holds all', () => {
    assert.deepEqual(waveEnds(10, [1, 10, 50, 100]), [1, 1, 5, 10]);
    assert.deepEqual(waveEnds(1000, [1, 10, 50, 100]), [10, 100, 500, 1000]);
    assert.deepEqual(waveEnds(3, [33.3, 66.7, 100]), [1, 3, 3]);
  });

  it('waits for the last device of a wave', () => {
    assert.equal(
      decide(task({ pending: 8, upgrading: 1, succeeded: 1 }, { waves: [20, 100] }), wave(2, 1)),
      null,
    );
  });

  it('counts cancelled devices neither for nor against a wave', () => {
    const next = decide(
      task({ pending: 8, succeeded: 1, cancelled: 1 }, { waves: [20, 100] }),
      wave(2, 1, 0, 1),
    );
    assert.equal(next?.wave, 2);
  });

  it('stops at the threshold of failures, counted from minExecuted on', () => {
    const policy = { failureThreshold: 20, minExecuted: 5 };
    assert.equal(decide(task({ pending: 9, succeeded: 3, failed: 1 }, policy), wave(99, 3, 1)), null);
    assert.equal(
      decide(task({ pending: 9, succeeded: 4, failed: 1 }, policy), wave(99, 4, 1))?.status,
      'paused',
    );
    assert.equal(decide(task({ pending: 9, succeeded: 5, failed: 1 }, policy), wave(99, 5, 1)), null);
  });

  it('leaves a paused task paused, and ends it when nobody is left', () => {
    assert.equal(decide(task({ pending: 1 }, {}, { status: 'paused' }), wave(1, 0)), null);
    assert.equal(decide(task({ succeeded: 1 }, {}, { status: 'paused' }), wave(1, 1))?.status, 'ended');
  });

  it('never ends twice', () => {
    assert.equal(decide(task({ succeeded: 1 }, {}, { status: 'ended' }), wave(1, 1)), null);
  });

  describe('a gate', () => {
    const waves = [20, 100];
    const of = (counts: Partial<WaveCounts>) => (): WaveCounts => ({ ...NOBODY, total: 10, ...counts });
    const running = (policy: Partial<Policy>, more: Partial<Task> = {}): Task =>
      task({ pending: 90 }, { waves, ...policy }, more);
    const next = (counts: Partial<WaveCounts>, policy: Partial<Policy> = {}, more: Partial<Task> = {}) =>
      decide(running(policy, more), of(counts));

    it('is passed by sleepers where one device succeeded and no more than maxWaiting percent sleep', () => {
      assert.equal(next({ succeeded: 5, waiting: 5 })?.wave, 2);
      assert.equal(next({ succeeded: 4, waiting: 6 }), null);
      assert.equal(next({ succeeded: 4, waiting: 6 }, { maxWaiting: 60 })?.wave, 2);
      assert.equal(next({ failed: 8, waiting: 2 }, { successThreshold: 0 }), null);
      assert.equal(next({ succeeded: 5, waiting: 4 }), null);
    });

    it('opens as soon as enough of the wave succeeded, with waveAdvance threshold', () => {
      const policy = { waveAdvance: 'threshold', successThreshold: 80 } as const;
      assert.equal(next({ succeeded: 8, active: 2 }, policy)?.wave, 2);
      assert.equal(next({ succeeded: 7, active: 3 }, policy), null);
      assert.equal(next({ succeeded: 7, waiting: 3 }, policy), null);
      assert.equal(next({ succeeded: 7, failed: 3 }, policy)?.reason, 'wave-below-threshold');
    });

    it('counts devices that no package fits neither way', () => {
      assert.equal(next({ succeeded: 1, failed: 9, incompatible: 9 })?.wave, 2);
      assert.equal(next({ succeeded: 1, failed: 9, incompatible: 9 }, { waveAdvance: 'threshold' })?.wave, 2);
      const policy = { failureThreshold: 1, minExecuted: 1 };
      const counts = task({ pending: 1, failed: 3 }, policy, { incompatible: 3 });
      assert.equal(decide(counts, wave(4, 0)), null);
      assert.equal(decide({ ...counts, incompatible: 2 }, wave(4, 0))?.reason, 'failure-threshold');
    });

    it('soaks, and is judged again when that is over', () => {
      const done = { succeeded: 10 };
      const began = next(done, { soak: 60 });
      assert.deepEqual(began, { status: 'running', reason: null, wave: 1, soakFrom: NOW });
      const later = (seconds: number, counts: Partial<WaveCounts>): TaskMove | null =>
        decideAt(running({ soak: 60 }, { soakFrom: NOW }), of(counts), {
          now: NOW + seconds * 1000,
          wall: WALL,
        });
      assert.equal(later(59.9, done), null);
      assert.deepEqual(later(60, done), { status: 'running', reason: null, wave: 2, soakFrom: null });
      assert.equal(later(59.9, { succeeded: 9, failed: 1 }), null);
      assert.equal(later(60, { succeeded: 9, failed: 1 })?.reason, 'wave-below-threshold');
    });

    it('stops for a failure threshold while it soaks', () => {
      const soaking = task(
        { pending: 5, succeeded: 4, failed: 1 },
        { waves, soak: 60, failureThreshold: 20, minExecuted: 5 },
        { soakFrom: NOW },
      );
      assert.equal(decide(soaking, wave(5, 4, 1))?.reason, 'failure-threshold');
    });

    it('waits for a person with afterWave pause, and resume and advance open the next wave', () => {
      const paused = next({ succeeded: 10 }, { afterWave: 'pause' });
      assert.deepEqual([paused?.status, paused?.reason, paused?.wave], ['paused', 'wave-done', 1]);
      const stopped = running({}, { status: 'paused', reason: 'wave-done' });
      assert.deepEqual([resumed(stopped, WALL).status, resumed(stopped, WALL).wave], ['running', 2]);
      assert.deepEqual([advanced(stopped)?.status, advanced(stopped)?.wave], ['running', 2]);
      assert.equal(resumed({ ...stopped, reason: null }, WALL).wave, 1);
    });

    it('can not be opened by a person where there is no next wave', () => {
      assert.equal(advanced(running({}, { wave: 2 })), null);
      for (const status of ['draft', 'scheduled', 'ended', 'cancelled'] as const) {
        assert.equal(advanced(running({}, { status })), null);
      }
    });

    it('of a wave in which nobody is yet stays closed while devices may join', () => {
      const joining = { filter: { versions: null, labels: null, module: null }, max: 5 };
      assert.equal(next({ total: 0 })?.wave, 2);
      assert.equal(next({ total: 0 }, {}, { joining }), null);
      assert.equal(next({ total: 1, succeeded: 1 }, {}, { joining })?.wave, 2);
    });

    it('says what it waits for', () => {
      const says = (counts: Partial<WaveCounts>, more: Partial<Task> = {}, policy: Partial<Policy> = {}) =>
        gateOf(running(policy, { open: of(counts)(), ...more }), { now: NOW, wall: WALL });
      assert.deepEqual(says({ active: 1 }), { waitsFor: 'running', until: null });
      assert.equal(says({ active: 1 }, {}, { waveAdvance: 'threshold' })?.waitsFor, 'threshold');
      assert.equal(says({ waiting: 10 })?.waitsFor, 'waiting');
      assert.equal(says({}, { status: 'paused' })?.waitsFor, 'person');
      assert.deepEqual(says({}, { soakFrom: NOW - 1000 }, { soak: 60 }), {
        waitsFor: 'soak',
        until: WALL + 59_000,
      });
      assert.equal(says({}, { wave: 2 }), null);
      assert.equal(says({}, { status: 'draft' }), null);
    });
  });

  it('does not end a task that devices may still join', () => {
    const joining = { filter: { versions: null, labels: null, module: null }, max: 2 };
    const at = (more: Partial<Task>): TaskMove | null =>
      decide(task({}, {}, { joining, ...more }), wave(0, 0));
    assert.equal(at({}), null);
    assert.equal(at({ taken: 2 })?.status, 'ended');
    assert.equal(at({ endAt: WALL })?.status, 'ended');
    assert.equal(at({ endAt: WALL + 1 }), null);
  });

  it('starts a draft now, or lets it wait for its time', () => {
    const draft = task({ pending: 1 }, {}, { status: 'draft', startedAt: null });
    assert.equal(started(draft, WALL)?.status, 'running');
    assert.equal(started({ ...draft, startAt: WALL + 1 }, WALL)?.status, 'scheduled');
    assert.equal(started({ ...draft, status: 'running' }, WALL), null);
    assert.equal(decide(draft, wave(1, 0)), null);
  });

  it('spreads pushes evenly and catches up half a second at most', () => {
    assert.equal(allowance(605, 0, 10_000), 6);
    assert.equal(allowance(605, spend(605, 0, 10_000, 6), 10_000), 0);
    assert.equal(allowance(605, spend(605, 0, 10_000, 6), 10_250), 2);
    assert.equal(allowance(1, 0, 10_000_000), 1);
    assert.equal(allowance(0, 0, 0), Number.MAX_SAFE_INTEGER);
  });

  for (const perMinute of [1, 7, 11, 60, 70, 1000, 6000]) {
    it(`never pushes more than ${perMinute} in any minute, and not much less`, () => {
      const sweeps = Array.from({ length: 1200 }, (_, i) => i * 250);
      let pace = 0;
      const pushed = sweeps.map((at) => {
        const n = allowance(perMinute, pace, WALL + at);
        pace = spend(perMinute, pace, WALL + at, n);
        return n;
      });
      const sum = (list: readonly number[]): number => list.reduce((all, n) => all + n, 0);
      const minutes = sweeps.slice(0, -240).map((_, i) => sum(pushed.slice(i, i + 240)));
      assert.ok(Math.max(...minutes) <= perMinute, String(Math.max(...minutes)));
      assert.ok(sum(pushed) > 4.9 * perMinute, String(sum(pushed)));
    });
  }

  for (const back of [1000, 59_000, 61_000, 3_600_000, 40 * 24 * 3_600_000]) {
    it(`waits a minute at most after the wall clock went back ${back / 1000} s`, () => {
      const pace = spend(60, 0, WALL, 1);
      assert.ok(allowance(60, pace, WALL - back + 62_000) >= 1);
      assert.ok(allowance(60, pace, WALL - back) <= 1);
    });
  }

  describe('a window', () => {
    const at = (time: string): number => Date.parse(`2026-06-01T${time}:00Z`);
    const night = { from: '22:00', to: '04:30', timeZone: 'UTC' };
    for (const [time, open] of [
      ['21:59', false],
      ['22:00', true],
      ['00:00', true],
      ['04:29', true],
      ['04:30', false],
      ['12:00', false],
    ] as const) {
      it(`over midnight is ${open ? 'open' : 'closed'} at ${time}`, () =>
        assert.equal(isWindowOpen(night, at(time)), open));
    }

    it('over midnight belongs to the day on which it begins', () => {
      const friday = { ...night, days: ['fri'] as const };
      const on = (date: string): boolean => isWindowOpen(friday, Date.parse(`2026-06-${date}:00Z`));
      // The fifth is a Friday.
      assert.deepEqual(['05T03:00', '05T21:59', '05T22:00', '06T04:29', '06T04:30', '06T22:30'].map(on), [
        false,
        false,
        true,
        true,
        false,
        false,
      ]);
    });

    it('takes the day of its time zone', () => {
      const window = { from: '00:00', to: '06:00', timeZone: 'Asia/Shanghai', days: ['sat'] as const };
      assert.equal(isWindowOpen(window, Date.parse('2026-06-05T17:00:00Z')), true);
      assert.equal(isWindowOpen(window, Date.parse('2026-06-06T17:00:00Z')), false);
    });

    it('follows its time zone', () => {
      const window = { from: '01:00', to: '02:00', timeZone: 'Asia/Shanghai' };
      assert.equal(isWindowOpen(window, at('17:30')), true);
      assert.equal(isWindowOpen(window, at('01:30')), false);
    });
  });

  it('fits any version only where no version is named', () => {
    const named = { ...DEFAULT_POLICY, fromVersions: ['v1'] };
    assert.deepEqual(
      [fitsVersion(named, 'v1'), fitsVersion(named, 'v0'), fitsVersion(named, null)],
      [true, false, false],
    );
    assert.equal(fitsVersion(DEFAULT_POLICY, null), true);
  });
});

describe('a policy', () => {
  it('has the documented defaults', () => {
    assert.deepEqual(readPolicy(undefined), {
      success: 'progress',
      offline: 'fail',
      waitLimit: 604_800,
      seenWithin: 2_592_000,
      repush: 3,
      noResponse: 300,
      stalled: 1800,
      confirm: 600,
      retries: 0,
      retryDelay: 60,
      perMinute: 1000,
      concurrency: 0,
      waves: [100],
      successThreshold: 100,
      failureThreshold: 0,
      minExecuted: 10,
      onFailure: 'pause',
      window: null,
      skipCurrent: true,
      fromVersions: [],
      waveAdvance: 'ended',
      soak: 0,
      afterWave: 'next',
      maxWaiting: 50,
      supersede: false,
      retryOn: [
        'upgrade',
        'download',
        'verification',
        'flashing',
        'offline',
        'no-response',
        'stalled',
        'unconfirmed',
      ],
      retryBackoff: 'fixed',
    });
  });

  it('may be written as a setting, in texts', () => {
    const read = readPolicy({
      waves: '1, 10,100',
      retries: '2',
      skipCurrent: 'false',
      fromVersions: 'v1, v2',
      window: '22:00-04:00 UTC',
      retryOn: 'stalled, offline',
    });
    assert.deepEqual(
      [read.waves, read.retries, read.skipCurrent, read.fromVersions, read.window],
      [[1, 10, 100], 2, false, ['v1', 'v2'], { from: '22:00', to: '04:00', timeZone: 'UTC' }],
    );
    assert.deepEqual(read.retryOn, ['stalled', 'offline']);
  });

  it('has days in its window, in the order of the week', () => {
    const days = (window: unknown): unknown => readPolicy({ window }).window?.days;
    assert.deepEqual(days({ from: '01:00', to: '02:00', days: ['sat', 'mon', 'mon'] }), ['mon', 'sat']);
    assert.deepEqual(days('22:00-04:00 UTC mon,fri'), ['mon', 'fri']);
    assert.deepEqual(days('22:00-04:00 mon,fri'), ['mon', 'fri']);
    assert.equal(days('22:00-04:00 UTC'), undefined);
    assert.equal(days({ from: '01:00', to: '02:00', days: [...DAYS] }), undefined);
  });

  const bad: [string, unknown][] = [
    ['success', 'maybe'],
    ['offline', 'ignore'],
    ['noResponse', 0],
    ['noResponse', NaN],
    ['noResponse', '5 s'],
    ['stalled', -1],
    ['retries', 1.5],
    ['retries', true],
    ['perMinute', -1],
    ['perMinute', Infinity],
    ['waves', []],
    ['waves', [50]],
    ['waves', [0, 100]],
    ['waves', [100, 100]],
    ['waves', 'all'],
    ['successThreshold', 101],
    ['failureThreshold', -1],
    ['minExecuted', 0],
    ['onFailure', 'stop'],
    ['skipCurrent', 'yes'],
    ['fromVersions', [1]],
    ['window', 'night'],
    ['window', { from: '25:00', to: '05:00' }],
    ['window', { from: '01:00', to: '01:00' }],
    ['window', { from: '01:00', to: '05:00', timeZone: 'Mars' }],
    ['waitLimit', 1e12],
    ['waveAdvance', 'soon'],
    ['soak', -1],
    ['afterWave', 'stop'],
    ['maxWaiting', 101],
    ['supersede', 1],
    ['retryOn', ['tired']],
    ['retryOn', 'tired'],
    ['retryBackoff', 'linear'],
    ['window', { from: '01:00', to: '05:00', days: ['monday'] }],
    ['window', { from: '01:00', to: '05:00', days: [] }],
    ['hurry', 1],
  ];
  for (const [name, value] of bad) {
    it(`refuses ${name} ${JSON.stringify(value)} and names it`, () => {
      assert.throws(() => readPolicy({ [name]: value }), {
        code: 'OTA_BAD_INPUT',
        message: new RegExp(`"policy\\.${name}`),
      });
    });
  }
});

import assert from 'node:assert/strict';
import {
  allowance,
  decide as decideAt,
  fitsVersion,
  isWindowOpen,
  spend,
  type TaskMove,
  waveEnds,
} from '../../nodes/lib/tasks/machine';
import { DEFAULT_POLICY, readPolicy } from '../../nodes/lib/tasks/policy';
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

  it('waits a minute at most after the wall clock jumped back', () => {
    const pace = spend(60, 0, 10_000_000, 1);
    const jumped = spend(60, pace, 5_000_000, 0);
    assert.ok(allowance(60, jumped, 5_000_000 + 62_000) >= 1);
  });

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
    });
    assert.deepEqual(
      [read.waves, read.retries, read.skipCurrent, read.fromVersions, read.window],
      [[1, 10, 100], 2, false, ['v1', 'v2'], { from: '22:00', to: '04:00', timeZone: 'UTC' }],
    );
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

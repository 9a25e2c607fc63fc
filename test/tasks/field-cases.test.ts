/** What fleets do that a laboratory doesn't: sleepers, old news, tasks that overlap, bursts, clocks that jump. */
import assert from 'node:assert/strict';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { WALL } from './support';
import { PACKAGE, type Platform, type Sent, useConnectedPlatform } from './support/engine-platform';

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const list = (n: number): string[] => Array.from({ length: n }, (_, i) => `d${String(i).padStart(3, '0')}`);

describe('a fleet in the field', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  /** The outcome of the newest push. */
  const settle = (delivery: 'offline' | 'accepted', push: Sent | undefined = platform.sent.at(-1)): void =>
    push?.settled({ delivery, error: null });
  const retained = (accessToken: string, version: string): void =>
    platform.hear({
      kind: 'inform',
      accessToken,
      module: 'default',
      version,
      id: '1',
      retained: true,
      subscribedAt: platform.wallNow,
      wall: platform.wallNow,
    });
  const alive = (accessToken: string): void =>
    platform.hear({ kind: 'alive', accessToken, wall: platform.wallNow });
  const to = (version: string): object => ({ package: { ...PACKAGE, version } });

  describe('that retains its reports', () => {
    it('is neither pushed to again nor rolled back when the platform starts anew', async () => {
      platform.inform('a', 'v1');
      platform.inform('b', 'v1');
      const task = await platform.create(['a', 'b'], { retries: 3, confirm: HOUR, stalled: HOUR });
      await platform.wait(1);
      platform.progress('a', 100);
      platform.progress('b', 10);
      await platform.wait(1);
      await platform.restart();
      const sent = platform.sent.length;
      for (const token of ['a', 'b']) retained(token, 'v1');
      await platform.wait(2 * MINUTE);
      assert.deepEqual(await platform.devices(task), { a: 'succeeded', b: 'upgrading' });
      assert.equal(platform.sent.length, sent);
    });

    it('confirms the target by it', async () => {
      const task = await platform.create(['a'], { success: 'version' });
      await platform.wait(1);
      retained('a', 'v2');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'succeeded' });
    });

    it('is found by what it retains, unless it has reported live', async () => {
      retained('a', 'v1');
      platform.inform('b', 'v3');
      retained('b', 'v1');
      const task = await platform.create(['a', 'b'], { fromVersions: ['v1'] });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
    });

    it('is not woken by it', async () => {
      const task = await platform.create(['a'], { offline: 'wait' });
      await platform.wait(1);
      settle('offline');
      await platform.wait(1);
      retained('a', 'v1');
      await platform.wait(5);
      assert.deepEqual(await platform.devices(task), { a: 'pending offline' });
    });
  });

  describe('with tasks that overlap', () => {
    const bringUp = async (version: string, policy = {}): Promise<TaskShape> => {
      const task = await platform.create(['a'], policy, to(version));
      await platform.wait(1);
      platform.inform('a', version);
      await platform.wait(1);
      return task;
    };

    it('is not brought down by an older task that goes on', async () => {
      platform.inform('a', 'v1');
      const older = await platform.create(['a'], {}, to('v2'));
      await platform.run({ action: 'pause', taskId: older.taskId });
      const newer = await bringUp('v3');
      await platform.run({ action: 'resume', taskId: older.taskId });
      await platform.wait(5);
      assert.deepEqual(await platform.devices(older), { a: 'cancelled superseded' });
      assert.deepEqual(await platform.devices(newer), { a: 'succeeded' });
      assert.equal(platform.sent.filter(({ version }) => version === 'v2').length, 0);
    });

    for (const [state, policy, prepare] of [
      ['was scheduled', {}, async () => undefined],
      [
        'waited for it',
        { offline: 'wait' },
        async () => {
          settle('offline');
          await platform.wait(1);
        },
      ],
      [
        'was in the delay of a retry',
        { retries: 1, retryDelay: 5 * MINUTE },
        async () => {
          platform.progress('a', -1);
          await platform.wait(1);
        },
      ],
    ] as const) {
      it(`is not brought down by an older task that ${state} meanwhile`, async () => {
        platform.inform('a', 'v1');
        // "No subscriber" right after a report is asked again before it counts.
        await platform.wait(11);
        const startAt = new Date(platform.wallNow + 5 * MINUTE * 1000).toISOString();
        const more = state === 'was scheduled' ? { startAt } : {};
        const older = await platform.create(['a'], policy, { ...to('v2'), ...more });
        await platform.wait(1);
        await prepare();
        await bringUp('v3');
        const before = platform.sent.length;
        await platform.wait(10 * MINUTE);
        assert.deepEqual(await platform.devices(older), { a: 'cancelled superseded' });
        assert.equal(platform.sent.length, before);
      });
    }

    it('is upgraded by an older task to which the newer one was a stepping stone', async () => {
      platform.inform('a', 'v3');
      const older = await platform.create(['a'], { fromVersions: ['v3'] }, to('v9'));
      await platform.run({ action: 'pause', taskId: older.taskId });
      platform.inform('a', 'v1');
      await bringUp('v3');
      await platform.run({ action: 'resume', taskId: older.taskId });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(older), { a: 'pushed' });
    });

    it('is upgraded by an older task where a person named it', async () => {
      platform.inform('a', 'v1');
      const older = await platform.create(['a'], {}, to('v2'));
      await platform.run({ action: 'cancel', taskId: older.taskId, accessTokens: ['a'] });
      await bringUp('v3');
      await platform.run({ action: 'retry', taskId: older.taskId, accessTokens: ['a'] });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(older), { a: 'pushed' });
    });

    it('waits for the version of the first before the second pushes', async () => {
      platform.inform('a', 'v1');
      const first = await platform.create(['a'], {}, to('v2'));
      await platform.wait(1);
      const second = await platform.create(['a'], {}, to('v3'));
      platform.progress('a', 100);
      await platform.wait(5);
      assert.deepEqual(await platform.devices(second), { a: 'pending busy' });
      platform.inform('a', 'v2');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(second), { a: 'pushed' });
      platform.inform('a', 'v3');
      await platform.wait(1);
      assert.deepEqual(
        [await platform.devices(first), await platform.devices(second)],
        [{ a: 'succeeded' }, { a: 'succeeded' }],
      );
    });

    it('waits for that no longer than `confirm`', async () => {
      const first = await platform.create(['a'], { confirm: 60 }, to('v2'));
      await platform.wait(1);
      const second = await platform.create(['a'], {}, to('v3'));
      platform.progress('a', 100);
      await platform.wait(65);
      assert.deepEqual(await platform.devices(first), { a: 'succeeded' });
      assert.deepEqual(await platform.devices(second), { a: 'pushed' });
    });
  });

  describe('that sleeps', () => {
    it('waits where the broker can not tell, too, and is pushed to when it wakes, with the same id', async () => {
      platform.inform('a', 'v1');
      const task = await platform.create(['a'], { offline: 'wait', noResponse: 30, repush: 0 });
      await platform.wait(35);
      assert.deepEqual(await platform.devices(task), { a: 'pending no-response' });
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      assert.equal(new Set(platform.sent.map(({ id }) => id)).size, 1);
      assert.equal(platform.sent.length, 2);
    });

    it('goes on upgrading when it answers while it is waited for', async () => {
      const task = await platform.create(['a'], { offline: 'wait', noResponse: 30 });
      await platform.wait(40);
      platform.progress('a', 10);
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'upgrading' });
      assert.equal(platform.changes.at(-1)?.attempt, 1);
    });

    for (const offline of ['fail', 'wait'] as const) {
      it(`is asked again where it subscribes a moment after it reported, with offline: ${offline}`, async () => {
        platform.inform('a', 'v1');
        const task = await platform.create(['a'], { offline });
        await platform.wait(1);
        settle('offline');
        await platform.wait(2);
        assert.equal(platform.sent.length, 2);
        settle('accepted');
        await platform.wait(1);
        assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      });
    }

    it('is looked for after 1, 2, 4 minutes and then each hour, and waits on', async () => {
      const task = await platform.create(['a'], { offline: 'wait' });
      await platform.wait(1);
      settle('offline');
      const minutes: number[] = [];
      for (let minute = 0; minute < 190; minute += 1) {
        const before = platform.sent.length;
        await platform.wait(MINUTE);
        if (platform.sent.length > before) minutes.push(minute);
        settle('offline');
      }
      const gaps = minutes.map((minute, i) => minute - (minutes[i - 1] ?? 0));
      assert.deepEqual(gaps.slice(1), [2, 4, 8, 16, 32, 60, 60].slice(0, gaps.length - 1));
      assert.deepEqual(await platform.devices(task), { a: 'pending offline' });
    });

    it('is looked for less and less though it gives signs of life, until it has answered a push', async () => {
      await platform.create(['a'], { offline: 'wait', noResponse: 10, repush: 0, stalled: HOUR });
      const waitsFor = async (): Promise<number> => {
        const before = platform.sent.length;
        for (let minute = 1; ; minute += 1) {
          await platform.wait(MINUTE);
          if (platform.sent.length > before) return minute;
        }
      };
      await platform.wait(15);
      assert.ok((await waitsFor()) <= 1);
      assert.ok((await waitsFor()) > 1);
      assert.ok((await waitsFor()) > 2);
      // It lives, and hears nothing.
      alive('a');
      await platform.wait(15);
      assert.ok((await waitsFor()) > 4);
      platform.progress('a', 10);
      platform.inform('a', 'v1');
      await platform.wait(MINUTE);
      assert.ok(platform.changes.some(({ to: state }) => state === 'upgrading'));
    });

    it('is pushed by any sign of life', async () => {
      const task = await platform.create(['a'], { offline: 'wait' });
      await platform.wait(1);
      settle('offline');
      await platform.wait(1);
      alive('a');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
    });

    it('is waited for from its first wait on, whatever it reports, and not while the task is paused', async () => {
      const task = await platform.create(['a'], {
        offline: 'wait',
        waitLimit: 100,
        noResponse: 10,
        repush: 0,
      });
      await platform.wait(11);
      await platform.run({ action: 'pause', taskId: task.taskId });
      await platform.wait(300);
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.wait(50);
      platform.inform('a', 'v1');
      await platform.wait(20);
      assert.deepEqual(await platform.devices(task), { a: 'pending no-response' });
      await platform.wait(40);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
      await platform.run({ action: 'retry', taskId: task.taskId, accessTokens: ['a'] });
      await platform.wait(90);
      assert.deepEqual(await platform.devices(task), { a: 'pending no-response' });
    });

    it('in several tasks is pushed by the newest', async () => {
      platform.inform('a', 'v1');
      const older = await platform.create(['a'], { offline: 'wait', noResponse: 10 }, to('v2'));
      await platform.wait(15);
      const newer = await platform.create(['a'], { offline: 'wait', noResponse: 10 }, to('v3'));
      await platform.wait(15);
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(newer), { a: 'pushed' });
      assert.deepEqual(await platform.devices(older), { a: 'pending no-response' });
    });

    it('is looked for soon after everybody’s connection was cut', async () => {
      const task = await platform.create(['a'], { offline: 'wait' });
      await platform.wait(1);
      settle('offline');
      await platform.wait(20 * MINUTE);
      const before = platform.sent.length;
      platform.engine.setConnected(false);
      await platform.wait(1);
      platform.engine.setConnected(true);
      await platform.wait(20);
      assert.equal(platform.sent.length, before + 1);
      assert.deepEqual(await platform.devices(task), { a: 'pending offline' });
    });
  });

  describe('whose reports tell the truth', () => {
    const given = async (policy = {}): Promise<TaskShape> => {
      platform.inform('a', 'v1');
      const task = await platform.create(['a'], policy);
      await platform.wait(1);
      return task;
    };

    it('takes back a 100 by a third version', async () => {
      const task = await given();
      platform.progress('a', 100);
      platform.inform('a', 'v7');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'failed version-mismatch' });
    });

    it('comes to the target after all', async () => {
      const task = await given();
      platform.progress('a', 100);
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'failed rolled-back' });
      platform.inform('a', 'v2');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'succeeded' });
    });

    it('passes through a third version', async () => {
      const task = await given();
      platform.progress('a', 30);
      platform.inform('a', 'v2-loader');
      await platform.wait(5);
      assert.deepEqual(await platform.devices(task), { a: 'upgrading' });
      platform.inform('a', 'v2');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'succeeded' });
    });

    it('reports at each reconnection', async () => {
      const task = await given({ retries: 2 });
      platform.progress('a', 10);
      for (let i = 0; i < 5; i += 1) {
        platform.inform('a', 'v1');
        await platform.wait(20);
        platform.progress('a', 20 + i);
      }
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'upgrading' });
      assert.equal(platform.changes.at(-1)?.attempt, 1);
      platform.inform('a', 'v1');
      await platform.wait(33);
      assert.equal(platform.changes.at(-1)?.attempt, 2);
    });

    it('repeats the push where it reports the old version after it', async () => {
      await given();
      await platform.wait(15);
      platform.inform('a', 'v1');
      platform.inform('a', 'v1');
      await platform.wait(2);
      assert.equal(platform.sent.length, 2);
      assert.equal(new Set(platform.sent.map(({ id }) => id)).size, 1);
    });

    it('is alive at one step', async () => {
      const task = await given({ stalled: 3 });
      for (let i = 0; i < 20; i += 1) {
        platform.progress('a', 40);
        await platform.wait(1);
      }
      assert.deepEqual(await platform.devices(task), { a: 'upgrading' });
      await platform.wait(4);
      assert.deepEqual(await platform.devices(task), { a: 'failed stalled' });
    });
  });

  it('is applied in the order of the wire: what was received before a push, before it', async () => {
    platform.inform('a', 'v1');
    const task = await platform.create(['a', 'b'], { skipCurrent: true });
    // Not committed yet when the scheduler runs.
    const committers = new Set<{ commit(): void | Promise<void> }>();
    const report = { kind: 'inform', accessToken: 'a', module: 'default', version: 'v2', id: null } as const;
    platform.engine.enqueue(
      { ...report, wall: platform.wallNow },
      { join: (one) => committers.size < committers.add(one).size },
    );
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'succeeded', b: 'pushed' });
    assert.deepEqual(platform.tokens(), ['b']);
    for (const committer of committers) await committer.commit();
  });

  describe('whose platform has a clock that jumps', () => {
    const DAY = 24 * 3600_000;
    const everybody = async (): Promise<number> => {
      const found = (await platform.run({ action: 'preview', package: PACKAGE, targets: 'all' })) as {
        total: number;
      };
      return found.total;
    };
    const setClock = async (by: number): Promise<void> => {
      platform.wallNow += by;
      await platform.wait(1);
    };

    it('is found where the platform booted in 1970', async () => {
      await setClock(-platform.wallNow);
      platform.inform('a', 'v1');
      await platform.wait(5);
      await setClock(WALL);
      assert.equal(await everybody(), 1);
    });

    it('is found where the clock went 40 days back and was set', async () => {
      platform.inform('before', 'v1');
      await setClock(-40 * DAY);
      platform.inform('meanwhile', 'v1');
      await setClock(40 * DAY);
      assert.equal(await everybody(), 2);
      const { devices } = (await platform.run({ action: 'fleet' })) as { devices: { seenAt: string }[] };
      for (const { seenAt } of devices) assert.ok(Math.abs(Date.parse(seenAt) - platform.wallNow) < 60_000);
    });

    it('is found by a command that comes before anything else after the clock was set', async () => {
      await setClock(-40 * DAY);
      platform.inform('a', 'v1');
      await platform.wait(1);
      platform.wallNow += 40 * DAY;
      assert.equal(await everybody(), 1);
    });

    it('keeps its history where it is deployed while the clock is ahead, and was not seen in the future', async () => {
      const task = await platform.create(['a']);
      await platform.wait(20);
      const first = async (): Promise<object | undefined> => {
        const command = { action: 'history', taskId: task.taskId, accessToken: 'a' };
        return ((await platform.run(command)) as { events: object[] }).events[0];
      };
      const push = await first();
      await setClock(400 * DAY);
      for (let deploys = 0; deploys < 2; deploys += 1) {
        await platform.engine.stop();
        await platform.restart();
        platform.inform(`ahead-${deploys}`, 'v1');
        await platform.wait(60);
      }
      await setClock(-400 * DAY);
      assert.deepEqual([await first(), await everybody()], [push, 2]);
      const { devices } = (await platform.run({ action: 'fleet' })) as { devices: { seenAt: string }[] };
      for (const { seenAt } of devices) assert.ok(Date.parse(seenAt) <= platform.wallNow, seenAt);
    });

    it('leaves no time of a clock that was ahead for long, once that is set', async () => {
      const longAhead = 25 * 3600_000;
      await setClock(400 * DAY);
      platform.wallNow += longAhead;
      platform.steadyNow += longAhead;
      await platform.wait(61);
      await setClock(-400 * DAY);
      await platform.wait(61);
      const stamps = await platform.store.tasks('s').stamps.read();
      assert.ok((stamps?.newest ?? Infinity) <= platform.wallNow, `${stamps?.newest}`);
    });

    it('is found where the process ended before the clock was set', async () => {
      platform.inform('before', 'v1');
      await platform.engine.stop();
      platform.wallNow -= 40 * DAY;
      await platform.restart();
      platform.inform('meanwhile', 'v1');
      await platform.engine.stop();
      platform.wallNow += 40 * DAY;
      await platform.restart();
      assert.equal(await everybody(), 2);
    });

    it('is not seen later than it was where the machine slept', async () => {
      platform.inform('a', 'v1');
      await setClock(31 * DAY);
      assert.equal(await everybody(), 0);
    });

    it('keeps its history while the clock is wrong, and afterwards', async () => {
      await setClock(-platform.wallNow);
      const task = await platform.create(['a']);
      await platform.wait(20);
      await setClock(WALL);
      await platform.wait(60);
      const { events } = (await platform.run({
        action: 'history',
        taskId: task.taskId,
        accessToken: 'a',
      })) as { events: { at: string }[] };
      assert.ok(events.length > 0);
      assert.ok(events.every(({ at }) => Math.abs(Date.parse(at) - platform.wallNow) < 600_000));
      const { createdAt } = await platform.task(task);
      assert.ok(Math.abs(Date.parse(createdAt ?? '') - platform.wallNow) < 600_000);
      await setClock(400 * DAY);
      await platform.wait(60);
      await setClock(-400 * DAY);
      const again = (await platform.run({
        action: 'history',
        taskId: task.taskId,
        accessToken: 'a',
      })) as { events: object[] };
      assert.ok(again.events.length >= events.length, 'nothing is pruned by a clock that is ahead');
    });

    it('is pushed to at its hours again when the clock is right', async () => {
      const at = new Date(WALL).toISOString().slice(11, 16);
      const later = new Date(WALL + 60_000 * 60).toISOString().slice(11, 16);
      await setClock(-5 * 3600_000);
      await platform.create(['a'], { window: { from: at, to: later, timeZone: 'UTC' } });
      await platform.wait(5);
      assert.deepEqual(platform.tokens(), []);
      await setClock(5 * 3600_000);
      await platform.wait(2);
      assert.deepEqual(platform.tokens(), ['a']);
    });
  });

  it('goes on within a minute after the clock went back', async () => {
    const task = await platform.create(list(100), { perMinute: 60 });
    await platform.wait(10);
    platform.wallNow -= HOUR * 1000;
    const before = platform.sent.length;
    await platform.wait(MINUTE);
    assert.ok(platform.sent.length > before, 'no push in a minute');
    assert.equal((await platform.task(task)).status, 'running');
  });

  it('gets its repeats in a burst, before anybody’s first push', async () => {
    const tokens = list(400);
    const silent = new Set(tokens.filter((_, i) => i % 10 === 0));
    for (const token of tokens) platform.inform(token, 'v1');
    const task = await platform.create(tokens, { perMinute: 600, noResponse: 12, repush: 3 });
    const pushes = new Map<string, number>();
    let seen = 0;
    for (let second = 0; second < 120; second += 1) {
      await platform.wait(1);
      for (const { accessToken } of platform.sent.slice(seen)) {
        const n = (pushes.get(accessToken) ?? 0) + 1;
        pushes.set(accessToken, n);
        // Every tenth misses its first two pushes.
        if (!silent.has(accessToken) || n > 2) platform.inform(accessToken, 'v2');
      }
      seen = platform.sent.length;
    }
    const { counts } = await platform.task(task);
    assert.deepEqual([counts.succeeded, counts.failed], [tokens.length, 0]);
  });
});

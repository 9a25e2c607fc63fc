import assert from 'node:assert/strict';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { updateNeed, updateTask } from '../../nodes/lib/tasks/transactions';
import { PACKAGE, type Platform, useConnectedPlatform } from './support/engine-platform';

const list = (n: number): string[] => Array.from({ length: n }, (_, i) => `d${String(i).padStart(3, '0')}`);

describe('a rollout', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  /** What was pushed since the last look. */
  const pushed = (): string[] => {
    const tokens = platform.tokens();
    platform.sent = [];
    return tokens;
  };
  const iso = (seconds: number): string => new Date(platform.wallNow + seconds * 1000).toISOString();
  const get = async <T extends object = TaskShape>(task: TaskShape, action = 'get', more = {}): Promise<T> =>
    (await platform.run({ action, taskId: task.taskId, ...more })) as T;
  const events = async (task: TaskShape): Promise<string[]> => {
    const { events } = await get<{ events: { event: string; reason: string | null }[] }>(task, 'log');
    return events.map(({ event, reason }) => (reason === null ? event : `${event} ${reason}`));
  };
  const fails = (work: Promise<unknown>, code: string): Promise<void> => assert.rejects(work, { code });

  describe('that is a draft', () => {
    it('does nothing before it is started, and is started once', async () => {
      const task = await platform.create(['a'], {}, { draft: true });
      assert.equal(task.status, 'draft');
      await platform.wait(5);
      assert.deepEqual(pushed(), []);
      await fails(get(task, 'pause'), 'OTA_TASK_STATE');
      assert.equal((await get(task, 'start', { by: 'ann', remark: 'seen' })).status, 'running');
      await platform.wait(1);
      assert.deepEqual(pushed(), ['a']);
      await fails(get(task, 'start'), 'OTA_TASK_STATE');
      const { events: lines } = await get<{ events: object[] }>(task, 'log');
      assert.deepEqual(
        lines.map((line) => ({ ...line, at: '' })),
        [
          { at: '', event: 'created', by: null, remark: null, reason: null, wave: null },
          { at: '', event: 'started', by: 'ann', remark: 'seen', reason: null, wave: 1 },
        ],
      );
    });

    it('stays one where all of its devices come to the version by themselves, and ends once it is started', async () => {
      const task = await platform.create(['a'], {}, { draft: true });
      platform.inform('a', 'v2');
      await platform.wait(5);
      const { status, counts } = await get(task);
      assert.deepEqual([status, counts.succeeded], ['draft', 1]);
      await get(task, 'start');
      await platform.wait(2);
      assert.equal((await get(task)).status, 'ended');
      assert.deepEqual(pushed(), []);
    });

    it('ends by its `endAt` without a start', async () => {
      const task = await platform.create(['a', 'b'], {}, { draft: true, endAt: iso(60) });
      platform.inform('a', 'v2');
      await platform.wait(65);
      const { status, reason, counts } = await get(task);
      assert.deepEqual([status, reason, counts.succeeded, counts.cancelled], ['ended', null, 1, 1]);
    });

    it('waits for its time once it is started', async () => {
      const task = await platform.create(['a'], {}, { draft: true, startAt: iso(60) });
      assert.equal((await get(task, 'start')).status, 'scheduled');
      await platform.wait(30);
      assert.deepEqual(pushed(), []);
      await platform.wait(31);
      assert.deepEqual(pushed(), ['a']);
    });

    it('can be cancelled and removed', async () => {
      const task = await platform.create(['a'], {}, { draft: true });
      await get(task, 'cancel');
      await get(task, 'remove');
      await fails(get(task), 'OTA_UNKNOWN_TASK');
    });
  });

  describe('with waves', () => {
    const finish = async (tokens: string[], step = 100): Promise<void> => {
      for (const token of tokens) platform.progress(token, step);
      await platform.wait(1);
    };

    it('soaks before the next wave, and counts what was refuted meanwhile', async () => {
      const task = await platform.create(list(4), { waves: [50, 100], soak: 30, confirm: 60 });
      await platform.wait(1);
      await finish(pushed());
      const { gate } = await get(task);
      assert.equal(gate?.waitsFor, 'soak');
      assert.ok(Math.abs(Date.parse(gate.until ?? '') - platform.wallNow - 30_000) < 3000);
      await platform.wait(20);
      assert.deepEqual(pushed(), []);
      platform.inform('d000', 'v1');
      await platform.wait(15);
      const after = await get(task);
      assert.deepEqual(
        [after.status, after.reason, after.gate?.waitsFor],
        ['paused', 'wave-below-threshold', 'person'],
      );
      assert.deepEqual(pushed(), []);
      await get(task, 'resume');
      await platform.wait(1);
      assert.deepEqual(pushed(), ['d002', 'd003']);
    });

    it('opens the next one after the soak time', async () => {
      await platform.create(list(4), { waves: [50, 100], soak: 30 });
      await platform.wait(1);
      await finish(pushed());
      await platform.wait(28);
      assert.deepEqual(pushed(), []);
      await platform.wait(3);
      assert.deepEqual(pushed(), ['d002', 'd003']);
    });

    it('stops after each with afterWave pause', async () => {
      const task = await platform.create(list(4), { waves: [50, 100], afterWave: 'pause' });
      await platform.wait(1);
      await finish(pushed());
      const { status, reason } = await get(task);
      assert.deepEqual([status, reason], ['paused', 'wave-done']);
      await get(task, 'advance', { by: 'ann' });
      await platform.wait(1);
      assert.deepEqual(pushed(), ['d002', 'd003']);
      assert.deepEqual(await events(task), [
        'created',
        'started',
        'paused wave-done',
        'resumed',
        'wave-opened',
      ]);
    });

    it('is opened by advance, and can not be where there is none', async () => {
      const task = await platform.create(list(4), { waves: [50, 100] });
      await platform.wait(1);
      assert.deepEqual(pushed(), ['d000', 'd001']);
      assert.equal((await get(task, 'advance')).wave, 2);
      await platform.wait(1);
      assert.deepEqual(pushed(), ['d002', 'd003']);
      await fails(get(task, 'advance'), 'OTA_TASK_STATE');
    });

    it('tells the counts of each, and why devices failed', async () => {
      const task = await platform.create(list(4), { waves: [50, 100], successThreshold: 50 });
      await platform.wait(1);
      await finish(['d000'], -2);
      await finish(['d001']);
      await platform.wait(1);
      const { reasons, waveCounts } = await get<{ reasons: object; waveCounts: object[] }>(task);
      assert.deepEqual(reasons, { download: 1 });
      assert.deepEqual(waveCounts, [
        { wave: 1, total: 2, pending: 0, waiting: 0, active: 0, succeeded: 1, failed: 1, cancelled: 0 },
        { wave: 2, total: 2, pending: 0, waiting: 0, active: 2, succeeded: 0, failed: 0, cancelled: 0 },
      ]);
      const rows = await get<{ total: number; devices: DeviceShape[] }>(task, 'devices', {
        reason: 'download',
      });
      assert.deepEqual([rows.total, rows.devices[0]?.accessToken], [1, 'd000']);
      const second = await get<{ total: number }>(task, 'devices', { wave: 2 });
      assert.equal(second.total, 2);
    });

    it('never goes on while a failure threshold stops it', async () => {
      const policy = { waves: [50, 100], soak: 30, failureThreshold: 50, minExecuted: 2, confirm: 60 };
      const task = await platform.create(list(4), policy);
      await platform.wait(1);
      await finish(['d000', 'd001']);
      await finish(['d000'], -3);
      const { status, reason } = await get(task);
      assert.deepEqual([status, reason], ['paused', 'failure-threshold']);
      await platform.wait(60);
      assert.deepEqual(pushed(), ['d000', 'd001']);
    });
  });

  describe('with an end', () => {
    it('cancels what is pending then, and lets active ones go on', async () => {
      const task = await platform.create(['a', 'b'], { concurrency: 1 }, { endAt: iso(20) });
      await platform.wait(25);
      const [first] = pushed();
      assert.ok(first);
      const other = first === 'a' ? 'b' : 'a';
      assert.deepEqual(await platform.devices(task), { [first]: 'pushed', [other]: 'cancelled ended' });
      platform.progress(first, 100);
      await platform.wait(1);
      assert.equal((await get(task)).status, 'ended');
      assert.equal((await events(task)).at(-1), 'ended');
    });

    it('fails who stays silent after it, though no repeat of the push goes out any more', async () => {
      const task = await platform.create(['a'], { noResponse: 40, repush: 3 }, { endAt: iso(15) });
      await platform.wait(60);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
      assert.equal((await get(task)).status, 'ended');
      assert.equal(pushed().length, 2);
    });

    it('cancels all with endBehavior cancel', async () => {
      const more = { endAt: iso(20), endBehavior: 'cancel' };
      const task = await platform.create(['a', 'b'], { concurrency: 1 }, more);
      await platform.wait(25);
      assert.deepEqual(await platform.devices(task), { a: 'cancelled ended', b: 'cancelled ended' });
      assert.equal((await get(task)).status, 'ended');
    });

    it('does not begin again what failed after it', async () => {
      const task = await platform.create(['a'], { retries: 3, retryDelay: 1 }, { endAt: iso(20) });
      await platform.wait(25);
      platform.progress('a', -1);
      await platform.wait(5);
      assert.equal((await get(task)).status, 'ended');
      assert.deepEqual(pushed(), ['a']);
    });

    it('retries nothing for a person either', async () => {
      const task = await platform.create(['a', 'b'], {}, { endAt: iso(20) });
      await platform.wait(1);
      platform.progress('a', -1);
      await platform.wait(25);
      await fails(get(task, 'retry'), 'OTA_TASK_STATE');
      await get(task, 'update', { endAt: null });
      await get(task, 'retry');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed' });
    });

    it('retries nothing of an ended task', async () => {
      const task = await platform.create(['a'], {}, { endAt: iso(20) });
      await platform.wait(1);
      platform.progress('a', -1);
      await platform.wait(25);
      await assert.rejects(get(task, 'retry'), { code: 'OTA_TASK_STATE', message: /"create"/ });
      assert.deepEqual(await platform.devices(task), { a: 'failed upgrade' });
    });

    it('that lies in the past is refused', async () => {
      await fails(platform.create(['a'], {}, { endAt: iso(-1) }), 'OTA_BAD_INPUT');
    });
  });

  describe('that is updated', () => {
    it('goes by the new policy from then on', async () => {
      const task = await platform.create(list(4), { concurrency: 1 });
      await platform.wait(1);
      assert.equal(pushed().length, 1);
      const changed = await get(task, 'update', {
        name: 'b',
        description: 'd',
        policy: { concurrency: 3 },
        by: 'ann',
      });
      assert.deepEqual([changed.name, changed.description, changed.policy.concurrency], ['b', 'd', 3]);
      await platform.wait(1);
      assert.equal(pushed().length, 2);
      assert.deepEqual(await events(task), ['created', 'started', 'updated']);
      const { policy, name } = await get(task);
      assert.deepEqual([policy.concurrency, policy.waves, name], [3, [100], 'b']);
    });

    it('counts limits that run anew from their start', async () => {
      const task = await platform.create(['a'], { noResponse: 1000, repush: 0 });
      await platform.wait(30);
      await get(task, 'update', { policy: { noResponse: 20 } });
      await platform.wait(2);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('counts them anew also where a kill came before all were', async () => {
      const task = await platform.create(['a'], { noResponse: 1000, repush: 0 });
      await platform.wait(30);
      const tasks = platform.store.tasks('s');
      const at = { wall: platform.wallNow, ticks: platform.engine.moment().now };
      const update = { policy: { noResponse: 20 } };
      await tasks.transact(updateNeed(tasks.task(task.taskId)?.id ?? 0, at), (rows) =>
        updateTask(update, { by: null, remark: null }, rows, 'x'),
      );
      await platform.restart();
      await platform.wait(2);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('is refused once it is over', async () => {
      const task = await platform.create(['a']);
      await get(task, 'cancel');
      await fails(get(task, 'update', { name: 'x' }), 'OTA_TASK_STATE');
    });

    it('survives a restart', async () => {
      const task = await platform.create(['a'], {}, { draft: true });
      await get(task, 'update', { policy: { perMinute: 7 }, endAt: iso(1000) });
      await platform.engine.stop();
      await platform.restart();
      const { policy, endAt } = await get(task);
      assert.equal(policy.perMinute, 7);
      assert.ok(endAt !== null);
    });
  });

  it('has a curve of how its devices ended', async () => {
    const task = await platform.create(list(3));
    await platform.wait(2);
    platform.progress('d000', 100);
    await platform.wait(10);
    platform.progress('d001', -1);
    await platform.wait(10);
    const { points } = await get<{ points: { succeeded: number; failed: number }[] }>(task, 'timeline', {
      buckets: 4,
    });
    assert.equal(points.length, 4);
    assert.deepEqual(
      points.map(({ succeeded, failed }) => succeeded * 10 + failed),
      [10, 10, 11, 11],
    );
  });

  it('is found by its status and by a part of its name', async () => {
    await platform.create(['a'], {}, { name: 'Spring release' });
    const other = await platform.create(['b'], {}, { name: 'fix', draft: true });
    const found = async (more: object): Promise<unknown[]> => {
      const { total, tasks } = (await platform.run({ action: 'list', ...more })) as {
        total: number;
        tasks: TaskShape[];
      };
      assert.equal(total, tasks.length);
      return tasks.map(({ name }) => name);
    };
    assert.deepEqual(await found({ search: 'RING' }), ['Spring release']);
    assert.deepEqual(await found({ status: 'draft' }), [other.name]);
    assert.deepEqual(await found({ status: 'paused' }), []);
  });

  it('has all of its fields', async () => {
    const task = await platform.create(['a'], {}, { name: 'n', description: 'd' });
    assert.deepEqual(Object.keys(await get(task)).sort(), [
      'counts',
      'createdAt',
      'description',
      'endAt',
      'endedAt',
      'gate',
      'name',
      'package',
      'packages',
      'policy',
      'reason',
      'reasons',
      'startAt',
      'startedAt',
      'status',
      'taskId',
      'wave',
      'waveCounts',
      'waves',
    ]);
    assert.deepEqual(task.packages.length, 1);
    assert.equal(task.package['url'], PACKAGE.url);
  });
});

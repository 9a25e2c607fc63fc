import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DEFAULT_POLICY } from '../../nodes/lib/tasks/policy';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { decideTask, move, moveNeed, taskNeed } from '../../nodes/lib/tasks/transactions';
import type { Policy } from '../../nodes/lib/tasks/types';
import { temporaryFolder } from '../support/temporary-folder';
import { PACKAGE, Platform, useConnectedPlatform } from './support/engine-platform';

function fillDisk(file: string): void {
  try {
    for (;;) appendFileSync(file, Buffer.alloc(4096));
  } catch {
    // No room is left.
  }
}

const list = (n: number): string[] => Array.from({ length: n }, (_, i) => `d${String(i).padStart(3, '0')}`);

describe('the engine', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  it('brings a task to its end', async () => {
    const task = await platform.create(['a', 'b']);
    assert.equal(task.status, 'running');
    await platform.wait(1);
    assert.deepEqual(platform.tokens(), ['a', 'b']);
    platform.progress('a', 50);
    platform.progress('a', 100);
    platform.inform('b', 'v2');
    await platform.wait(1);
    const end = await platform.task(task);
    assert.equal(end.status, 'ended');
    assert.deepEqual(end.counts, {
      total: 2,
      waiting: 0,
      pending: 0,
      pushed: 0,
      upgrading: 0,
      succeeded: 2,
      failed: 0,
      cancelled: 0,
    });
    assert.equal(platform.told.at(-1)?.status, 'ended');
    assert.deepEqual(
      platform.changes
        .filter((change) => change.accessToken === 'a')
        .map(({ from, to, step }) => `${from} → ${to} ${step}`),
      ['pending → pushed null', 'pushed → upgrading 50', 'upgrading → succeeded 100'],
    );
  });

  it('gives each push an id of ten digits, and a repeat the same', async () => {
    await platform.create(['a'], { noResponse: 40, repush: 3 });
    await platform.wait(45);
    assert.equal(platform.sent.length, 4);
    assert.match(platform.sent[0]?.id ?? '', /^[0-9]{10}$/);
    assert.equal(new Set(platform.sent.map((push) => push.id)).size, 1);
    assert.equal(platform.changes.at(-1)?.reason, 'no-response');
  });

  it('gives another attempt another id', async () => {
    await platform.create(['a'], { retries: 1, retryDelay: 5 });
    await platform.wait(1);
    platform.progress('a', -2);
    await platform.wait(8);
    assert.deepEqual(new Set(platform.sent.map((push) => push.id)).size, 2);
    assert.equal(platform.changes.at(-1)?.attempt, 2);
  });

  it('fails a device that the broker knows to be offline', async () => {
    const task = await platform.create(['a']);
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'offline', error: null });
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'failed offline' });
  });

  for (const [when, back] of [
    ['when it is back', true],
    ['before it is back', false],
  ] as const) {
    it(`takes no device for offline whose connection was lost with its own, told ${when}`, async () => {
      const task = await platform.create(['a'], { noResponse: 60 });
      await platform.wait(1);
      platform.engine.setConnected(false);
      await platform.wait(5);
      if (back) platform.engine.setConnected(true);
      platform.sent[0]?.settled({ delivery: 'offline', error: null });
      platform.engine.setConnected(true);
      await platform.wait(15);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      assert.deepEqual(
        platform.sent.map((push) => push.id),
        [platform.sent[0]?.id, platform.sent[0]?.id],
      );
    });
  }

  it('pushes to a device that came right after its push was in vain', async () => {
    await platform.create(['a'], { offline: 'wait' });
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'offline', error: null });
    platform.inform('a', 'v1');
    await platform.wait(2);
    assert.equal(platform.sent.length, 2);
  });

  it('waits for an offline device where the policy says so, outside the concurrency', async () => {
    const task = await platform.create(['a', 'b'], { offline: 'wait', concurrency: 1 });
    await platform.wait(1);
    const first = platform.sent[0];
    first?.settled({ delivery: 'offline', error: null });
    await platform.wait(2);
    assert.equal(platform.sent.length, 2, 'the other one has its place');
    platform.progress(platform.sent[1]?.accessToken ?? '', 100);
    platform.inform(first?.accessToken ?? '', 'v1');
    await platform.wait(1);
    assert.equal(platform.sent.length, 3);
    platform.sent[2]?.settled({ delivery: 'offline', error: null });
    await platform.wait(1);
    assert.equal((await platform.task(task)).status, 'running');
  });

  it('fails a token that can not be in a topic', async () => {
    const task = await platform.create(['a/b']);
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'refused', error: null });
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { 'a/b': 'failed refused' });
  });

  it('repeats a push of which nobody knows whether it left', async () => {
    await platform.create(['a'], { repush: 0 });
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'timeout', error: null });
    await platform.wait(2);
    assert.deepEqual(
      platform.sent.map((push) => push.id),
      [platform.sent[0]?.id, platform.sent[0]?.id],
    );
  });

  describe('pace', () => {
    it('keeps the rate', async () => {
      await platform.create(list(100), { perMinute: 60 });
      await platform.wait(20);
      assert.equal(platform.sent.length, 20);
    });

    it('counts repeats in the rate', async () => {
      await platform.create(list(20), { perMinute: 60, noResponse: 8, repush: 7, retries: 0 });
      await platform.wait(10);
      assert.ok(platform.sent.length <= 11, String(platform.sent.length));
    });

    it('keeps the concurrency', async () => {
      await platform.create(list(10), { concurrency: 3, perMinute: 0 });
      await platform.wait(5);
      assert.equal(platform.sent.length, 3);
      platform.progress(platform.sent[0]?.accessToken ?? '', 100);
      await platform.wait(1);
      assert.equal(platform.sent.length, 4);
    });

    it('shuffles the devices of a wave', async () => {
      await platform.create(list(100), { perMinute: 0 });
      await platform.wait(1);
      assert.equal(platform.sent.length, 100);
      assert.notDeepEqual(
        platform.sent.map((push) => push.accessToken),
        list(100),
      );
    });

    it('pushes in its window only', async () => {
      await platform.create(['a'], { window: { from: '00:01', to: '05:00', timeZone: 'UTC' } });
      await platform.wait(50);
      assert.equal(platform.sent.length, 0);
      await platform.wait(10);
      assert.equal(platform.sent.length, 1);
    });

    it('starts at its time', async () => {
      const task = await platform.create(
        ['a'],
        {},
        { startAt: new Date(platform.wallNow + 5000).toISOString() },
      );
      assert.equal(task.status, 'scheduled');
      await platform.wait(4);
      assert.equal(platform.sent.length, 0);
      await platform.wait(2);
      assert.equal(platform.sent.length, 1);
      assert.equal((await platform.task(task)).status, 'running');
    });
  });

  describe('waves', () => {
    const policy = { waves: [25, 50, 100], perMinute: 0 };

    it('open one after the other', async () => {
      const task = await platform.create(list(8), policy);
      for (const [wave, size] of [
        [1, 2],
        [2, 4],
        [3, 8],
      ] as const) {
        await platform.wait(1);
        assert.equal(platform.sent.length, size);
        assert.equal((await platform.task(task)).wave, wave);
        for (const { accessToken } of platform.sent) platform.progress(accessToken, 100);
        await platform.wait(1);
      }
      assert.equal((await platform.task(task)).status, 'ended');
    });

    it('take the first devices of an array first', async () => {
      await platform.create(list(8), policy);
      await platform.wait(1);
      assert.deepEqual(platform.tokens(), ['d000', 'd001']);
    });

    it('pause below their threshold, and resume opens the next', async () => {
      const task = await platform.create(list(8), policy);
      await platform.wait(1);
      platform.progress('d000', 100);
      platform.progress('d001', -1);
      await platform.wait(2);
      const { status, reason } = await platform.task(task);
      assert.deepEqual([status, reason, platform.sent.length], ['paused', 'wave-below-threshold', 2]);
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.wait(1);
      assert.deepEqual([(await platform.task(task)).wave, platform.sent.length], [2, 4]);
    });

    it('open the next where the threshold was reached', async () => {
      await platform.create(list(8), { ...policy, successThreshold: 50 });
      await platform.wait(1);
      platform.progress('d000', 100);
      platform.progress('d001', -1);
      await platform.wait(2);
      assert.equal(platform.sent.length, 4);
    });

    it('end the task with the last one, whatever the threshold', async () => {
      const task = await platform.create(['a']);
      await platform.wait(1);
      platform.progress('a', -1);
      await platform.wait(1);
      assert.equal((await platform.task(task)).status, 'ended');
    });

    it('that get no device are passed', async () => {
      const task = await platform.create(['a', 'b'], { waves: [1, 2, 3, 100], perMinute: 0 });
      await platform.wait(1);
      platform.progress('a', 100);
      await platform.wait(2);
      assert.deepEqual([platform.tokens(), (await platform.task(task)).wave], [['a', 'b'], 4]);
    });
  });

  describe('too many failures', () => {
    it('pause the task', async () => {
      const task = await platform.create(list(20), {
        failureThreshold: 50,
        minExecuted: 4,
        concurrency: 4,
        perMinute: 0,
      });
      await platform.wait(1);
      for (const [i, { accessToken }] of platform.sent.slice(0, 4).entries())
        platform.progress(accessToken, i < 2 ? -1 : 100);
      await platform.wait(1);
      const { status, reason } = await platform.task(task);
      assert.deepEqual([status, reason], ['paused', 'failure-threshold']);
    });

    it('cancel the task where the policy says so', async () => {
      const task = await platform.create(list(4), {
        failureThreshold: 50,
        minExecuted: 2,
        onFailure: 'cancel',
        perMinute: 0,
        concurrency: 2,
      });
      await platform.wait(1);
      for (const { accessToken } of platform.sent.slice(0, 2)) platform.progress(accessToken, -4);
      await platform.wait(3);
      const { status, counts } = await platform.task(task);
      assert.deepEqual([status, counts.failed, counts.cancelled], ['cancelled', 2, 2]);
    });

    it('are counted anew after a person resumed it', async () => {
      const task = await platform.create(list(20), {
        failureThreshold: 50,
        minExecuted: 2,
        concurrency: 2,
        perMinute: 0,
      });
      await platform.wait(1);
      for (const { accessToken } of platform.sent.slice(0, 2)) platform.progress(accessToken, -1);
      await platform.wait(1);
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.wait(1);
      platform.progress(platform.sent[2]?.accessToken ?? '', -1);
      await platform.wait(1);
      assert.equal((await platform.task(task)).status, 'running');
    });
  });

  describe('failures', () => {
    const policy = { failureThreshold: 50, minExecuted: 4, concurrency: 1, perMinute: 0 };
    const fail = async (n: number): Promise<void> => {
      for (let i = 0; i < n; i += 1) {
        platform.progress(platform.sent.at(-1)?.accessToken ?? '', -1);
        await platform.wait(1);
      }
    };

    it('are not forgotten where a person pauses and resumes', async () => {
      const task = await platform.create(list(20), policy);
      await platform.wait(1);
      await fail(3);
      for (const action of ['pause', 'resume']) await platform.run({ action, taskId: task.taskId });
      await fail(1);
      assert.equal((await platform.task(task)).reason, 'failure-threshold');
    });

    it('that turn out successes leave those that a person let pass', async () => {
      const task = await platform.create(list(20), { ...policy, minExecuted: 2 });
      await platform.wait(1);
      await fail(2);
      const [first] = platform.sent;
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.wait(1);
      platform.inform(first?.accessToken ?? '', 'v2');
      await platform.wait(1);
      assert.equal((await platform.task(task)).status, 'running');
      // One success, and one failure that is new.
      await fail(1);
      assert.equal((await platform.task(task)).reason, 'failure-threshold');
    });

    it('of devices that a retry took back count again', async () => {
      const task = await platform.create(list(20), policy);
      await platform.wait(1);
      await fail(4);
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.run({ action: 'retry', taskId: task.taskId });
      await platform.wait(1);
      await fail(4);
      assert.equal((await platform.task(task)).reason, 'failure-threshold');
    });
  });

  describe('commands', () => {
    it('pause stops repeats, and the limits run on', async () => {
      const task = await platform.create(['a'], { noResponse: 20 });
      await platform.wait(1);
      await platform.run({ action: 'pause', taskId: task.taskId });
      await platform.wait(25);
      assert.equal(platform.sent.length, 1);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('pause stops pushes until resume', async () => {
      const task = await platform.create(list(3), { concurrency: 1 });
      await platform.wait(1);
      await platform.run({ action: 'pause', taskId: task.taskId });
      platform.progress(platform.sent[0]?.accessToken ?? '', 100);
      await platform.wait(3);
      assert.equal(platform.sent.length, 1);
      await platform.run({ action: 'resume', taskId: task.taskId });
      await platform.wait(1);
      assert.equal(platform.sent.length, 2);
    });

    it('cancel ends every device, and what comes later is history', async () => {
      const task = await platform.create(['a', 'b'], { concurrency: 1 });
      await platform.wait(1);
      const answer = (await platform.run({ action: 'cancel', taskId: task.taskId })) as TaskShape;
      assert.deepEqual([answer.status, answer.counts.cancelled], ['cancelled', 2]);
      const token = platform.sent[0]?.accessToken ?? '';
      platform.progress(token, 100);
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'cancelled', b: 'cancelled' });
      const { events } = (await platform.run({
        action: 'history',
        taskId: task.taskId,
        accessToken: token,
      })) as { events: { event: string; to: string }[] };
      assert.deepEqual(
        events.map(({ event, to }) => `${event} ${to}`),
        ['push pushed', 'cancel cancelled', 'progress cancelled'],
      );
    });

    it('cancel some, and the task goes on', async () => {
      const task = await platform.create(['a', 'b']);
      await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: ['a'] });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'cancelled', b: 'pushed' });
    });

    it('retry makes an ended task run again', async () => {
      const task = await platform.create(['a', 'b']);
      await platform.wait(1);
      platform.progress('a', -1);
      platform.progress('b', 100);
      await platform.wait(1);
      const answer = (await platform.run({ action: 'retry', taskId: task.taskId })) as TaskShape;
      assert.deepEqual([answer.status, answer.endedAt, answer.counts.pending], ['running', null, 1]);
      await platform.wait(1);
      assert.deepEqual(platform.tokens(), ['a', 'a', 'b']);
      platform.progress('a', 100);
      await platform.wait(1);
      assert.equal((await platform.task(task)).status, 'ended');
    });

    it('retry takes only failed or only cancelled devices where it says so', async () => {
      const task = await platform.create(['a', 'b', 'c']);
      await platform.wait(1);
      platform.progress('a', -1);
      await platform.wait(1);
      await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: ['b'] });
      await platform.run({ action: 'retry', taskId: task.taskId, status: 'failed' });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'cancelled', c: 'pushed' });
      await platform.run({ action: 'retry', taskId: task.taskId, status: 'cancelled' });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed', c: 'pushed' });
      for (const [status, code] of [
        ['failed', 'OTA_TASK_STATE'],
        ['pushed', 'OTA_BAD_INPUT'],
      ]) {
        await assert.rejects(platform.run({ action: 'retry', taskId: task.taskId, status }), { code });
      }
    });

    it('retry leaves a task alone where nothing failed', async () => {
      const task = await platform.create(['a']);
      await assert.rejects(platform.run({ action: 'retry', taskId: task.taskId, accessTokens: ['a', 'x'] }), {
        code: 'OTA_TASK_STATE',
      });
    });

    it('remove only what is over', async () => {
      const task = await platform.create(['a']);
      await assert.rejects(platform.run({ action: 'remove', taskId: task.taskId }), {
        code: 'OTA_TASK_STATE',
      });
      await platform.run({ action: 'cancel', taskId: task.taskId });
      await platform.run({ action: 'remove', taskId: task.taskId });
      await assert.rejects(platform.run({ action: 'get', taskId: task.taskId }), {
        code: 'OTA_UNKNOWN_TASK',
      });
    });

    it('wait for each other', async () => {
      const task = await platform.create(list(500));
      const { taskId } = task;
      const answers = await Promise.all(
        ['cancel', 'retry', 'cancel', 'remove'].map((action) => platform.run({ action, taskId })),
      );
      assert.deepEqual(
        answers.map((answer) => [(answer as TaskShape).status, (answer as TaskShape).counts.cancelled]),
        [
          ['cancelled', 500],
          ['running', 0],
          ['cancelled', 500],
          ['cancelled', 500],
        ],
      );
    });

    it('move nobody where one token of a long list is none', async () => {
      const task = await platform.create(list(300));
      const command = { action: 'cancel', taskId: task.taskId, accessTokens: [...list(300), 5] };
      await assert.rejects(platform.run(command), {
        code: 'OTA_BAD_INPUT',
        message: /"accessTokens".* 300 /,
      });
      assert.equal((await platform.task(task)).counts.cancelled, 0);
    });

    it('never follow what a flow makes of an answer', async () => {
      const task = await platform.create(['a'], { retries: 1 });
      Object.assign(task.policy, { retries: 9 });
      Object.assign(task.package, { url: 'http://elsewhere/' });
      const { policy, package: kept } = await platform.task(task);
      assert.deepEqual([policy.retries, kept['url']], [1, PACKAGE.url]);
    });

    it('retry keeps to the time that a cancelled task was planned for', async () => {
      const startAt = new Date(platform.wallNow + 60_000).toISOString();
      const { taskId } = await platform.create(['a'], {}, { startAt });
      await platform.run({ action: 'cancel', taskId });
      const answer = (await platform.run({ action: 'retry', taskId })) as TaskShape;
      assert.equal(answer.status, 'scheduled');
      await platform.wait(30);
      assert.equal(platform.sent.length, 0);
    });

    it('list the newest first', async () => {
      const first = await platform.create(['a']);
      const second = await platform.create(['b']);
      const { total, tasks } = (await platform.run({ action: 'list', pageSize: 1 })) as {
        total: number;
        tasks: TaskShape[];
      };
      assert.deepEqual([total, tasks[0]?.taskId], [2, second.taskId]);
      const page2 = (await platform.run({ action: 'list', pageSize: 1, page: 2 })) as { tasks: TaskShape[] };
      assert.equal(page2.tasks[0]?.taskId, first.taskId);
    });

    it('pause and cancel nothing that is over', async () => {
      const task = await platform.create(['a']);
      platform.inform('a', 'v2');
      await platform.wait(1);
      for (const action of ['pause', 'resume', 'cancel']) {
        await assert.rejects(
          platform.run({ action, taskId: task.taskId }),
          { code: 'OTA_TASK_STATE' },
          action,
        );
      }
    });
  });

  describe('targets', () => {
    beforeEach(() => {
      for (const [token, version] of [
        ['a', 'v1'],
        ['b', 'v1'],
        ['c', 'v2'],
        ['d', 'v0'],
      ] as const)
        platform.inform(token, version);
    });

    const preview = async (targets: unknown, policy: object = {}, pack: object = {}): Promise<string[]> => {
      const answer = (await platform.run({
        action: 'preview',
        package: { ...PACKAGE, ...pack },
        targets,
        policy,
      })) as { devices: DeviceShape[] };
      return answer.devices.map((device) => device.accessToken).sort();
    };

    it('all are those that reported, without those that run it already', async () => {
      assert.deepEqual(await preview('all'), ['a', 'b', 'd']);
      assert.deepEqual(await preview('all', { skipCurrent: false }), ['a', 'b', 'c', 'd']);
    });

    it('all leaves out who was not seen for too long', async () => {
      platform.wallNow += 100_000;
      platform.inform('b', 'v1');
      assert.deepEqual(await preview('all', { seenWithin: 50 }), ['b']);
    });

    it('all are those of the package’s module', async () => {
      assert.deepEqual(await preview('all', {}, { module: 'MCU' }), []);
    });

    it('may be a filter', async () => {
      assert.deepEqual(await preview({ version: 'v1' }), ['a', 'b']);
    });

    it('are at one of fromVersions', async () => {
      assert.deepEqual(await preview('all', { fromVersions: ['v0'] }), ['d']);
      assert.deepEqual(await preview(['a', 'd', 'unknown'], { fromVersions: ['v0'] }), ['d']);
    });

    it('are at the version that a differential package is made from', async () => {
      assert.deepEqual(await preview('all', {}, { fromVersion: 'v1' }), ['a', 'b']);
      assert.deepEqual(await preview('all', { fromVersions: [] }, { fromVersion: 'v1' }), ['a', 'b', 'd']);
    });

    it('may be unknown where any version will do', async () => {
      assert.deepEqual(await preview(['unknown']), ['unknown']);
    });

    it('are taken once', async () => {
      assert.deepEqual(await preview(['a', 'a', 'b', 'a']), ['a', 'b']);
    });

    it('that leave nobody make no task', async () => {
      await assert.rejects(platform.create(['c']), { code: 'OTA_BAD_INPUT', message: /"targets"/ });
      const { total } = (await platform.run({ action: 'list' })) as { total: number };
      assert.equal(total, 0);
    });

    it('that can be no token are left out and counted', async () => {
      const task = await platform.create(['a', 5, ' ']);
      assert.equal(task.counts.total, 1);
      assert.equal((task as TaskShape & { badTokens: number }).badTokens, 2);
      await assert.rejects(platform.create([5]), {
        code: 'OTA_BAD_INPUT',
        message: /"targets".*1 can be no access token/,
      });
    });
  });

  describe('the platform’s own absence', () => {
    it('fails no device', async () => {
      const task = await platform.create(['a'], { noResponse: 20 });
      await platform.wait(1);
      platform.engine.setConnected(false);
      await platform.wait(100);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      await platform.connect();
      await platform.wait(10);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      await platform.wait(10);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('goes on until what the broker kept was taken', async () => {
      const task = await platform.create(['a'], { noResponse: 20 });
      await platform.wait(1);
      platform.engine.setConnected(false);
      await platform.wait(1);
      platform.engine.setConnected(true);
      for (let i = 0; i < 30; i += 1) {
        platform.inform('x', 'v1');
        await platform.wait(1);
      }
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
    });

    it('goes on for a minute at most in a fleet that is never quiet', async () => {
      const task = await platform.create(['a'], { noResponse: 20 });
      await platform.wait(1);
      platform.engine.setConnected(false);
      platform.engine.setConnected(true);
      for (let i = 0; i < 90; i += 1) {
        platform.inform('x', 'v1');
        await platform.wait(1);
      }
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('never stops time where the link is cut again and again', async () => {
      const task = await platform.create(['a'], { noResponse: 120 });
      await platform.wait(1);
      for (let i = 0; i < 270; i += 1) {
        if (i % 40 === 0) {
          platform.engine.setConnected(false);
          platform.engine.setConnected(true);
        }
        platform.inform('x', 'v1');
        await platform.wait(1);
      }
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });

    it('pushes nothing', async () => {
      platform.engine.setConnected(false);
      await platform.create(['a']);
      await platform.wait(5);
      assert.equal(platform.sent.length, 0);
    });

    it('includes the time for which the process stood still', async () => {
      const task = await platform.create(['a'], { noResponse: 20 });
      await platform.wait(1);
      platform.steadyNow += 3_600_000;
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
    });
  });

  for (const hour of [3_600_000, -3_600_000]) {
    it(`keeps its limits when the wall clock jumps by ${hour / 60_000} minutes`, async () => {
      const task = await platform.create(['a'], { noResponse: 20, repush: 0 });
      await platform.wait(1);
      platform.wallNow += hour;
      await platform.wait(10);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      await platform.wait(15);
      assert.deepEqual(await platform.devices(task), { a: 'failed no-response' });
    });
  }

  it('goes on after a restart: repeats what may not have left, with the same id', async () => {
    const task = await platform.create(['a', 'b'], { repush: 0, noResponse: 60 });
    await platform.wait(1);
    platform.progress('b', 10);
    const id = platform.sent.find((push) => push.accessToken === 'a')?.id;
    platform.sent = [];
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(
      platform.sent.map((push) => [push.accessToken, push.id]),
      [['a', id]],
    );
    platform.progress('a', 100);
    platform.progress('b', 100);
    await platform.wait(1);
    assert.equal((await platform.task(task)).status, 'ended');
  });

  it('comes up paused where that is asked for, and goes on when a person says so', async () => {
    const running = await platform.create(['a']);
    const planned = await platform.create(['b'], {}, { startAt: platform.wallNow + 3_600_000 });
    await platform.start({ paused: true });
    await platform.connect();
    await platform.wait(1);
    assert.deepEqual(platform.tokens(), []);
    const { status, reason } = await platform.task(running);
    assert.deepEqual([status, reason], ['paused', 'start-paused']);
    assert.equal((await platform.task(planned)).status, 'paused');
    for (const { taskId } of [running, planned]) await platform.run({ action: 'resume', taskId });
    await platform.wait(1);
    assert.deepEqual(platform.tokens(), ['a']);
    assert.equal((await platform.task(planned)).status, 'scheduled');
  });

  it('lets a push expire with the time for its answer', async () => {
    await platform.create(['a'], { noResponse: 90, repush: 2 });
    await platform.wait(40);
    assert.deepEqual(
      platform.sent.map(({ expiry }) => expiry),
      [90, 60],
    );
  });

  it('ends a cancel that a kill broke off', async () => {
    const task = await platform.create(list(3));
    const tasks = platform.store.tasks('s');
    const row = tasks.task(task.taskId);
    assert.ok(row);
    const at = { wall: 0, ticks: 0 };
    await tasks.transact(taskNeed(row.id, at), (rows) =>
      decideTask(() => ({ status: 'cancelled', reason: null, wave: 1 }), rows),
    );
    await platform.restart();
    await platform.wait(1);
    assert.equal((await platform.task(task)).counts.cancelled, 3);
  });

  it('takes back of a cancel that was broken off what is named, and cancels the rest', async () => {
    const task = await platform.create(['a', 'b', 'c'], { concurrency: 1 });
    await platform.wait(1);
    const [first = ''] = platform.sent.map(({ accessToken }) => accessToken);
    platform.progress(first, -1);
    const tasks = platform.store.tasks('s');
    const id = tasks.task(task.taskId)?.id ?? 0;
    await tasks.transact(taskNeed(id, { wall: 0, ticks: 0 }), (rows) =>
      decideTask(() => ({ status: 'cancelled', reason: null, wave: 1 }), rows),
    );
    await platform.run({ action: 'retry', taskId: task.taskId, accessTokens: [first] });
    await platform.wait(1);
    const rest = ['a', 'b', 'c'].filter((token) => token !== first).map((token) => [token, 'cancelled']);
    assert.deepEqual(await platform.devices(task), { [first]: 'pushed', ...Object.fromEntries(rest) });
  });

  it('goes on with a retry that a kill broke off', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.wait(1);
    for (const token of ['a', 'b']) platform.progress(token, -1);
    await platform.wait(1);
    const tasks = platform.store.tasks('s');
    const row = tasks.task(task.taskId);
    assert.equal(row?.status, 'ended');
    const slice = { in: 'task', status: 'failed', after: '', limit: 1 } as const;
    const at = { wall: platform.wallNow, ticks: platform.engine.moment().now };
    await tasks.transact(moveNeed(row.id, slice, at), (rows) =>
      move({ on: 'retry', statuses: ['failed'], reasons: null, byName: false }, slice, rows),
    );
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'failed upgrade' });
    assert.equal((await platform.task(task)).status, 'running');
  });

  it('finishes a command on a whole task that a kill broke off', async () => {
    const task = await platform.create(['a', 'b', 'c']);
    await platform.wait(1);
    for (const token of ['a', 'b', 'c']) platform.progress(token, -1);
    await platform.wait(1);
    const intent = { on: 'retry', statuses: ['failed'], reasons: null, byName: false } as const;
    await platform.leave(task, intent, []);
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed', c: 'pushed' });
    assert.equal((await platform.task(task)).status, 'running');
  });

  it('lets a task run whose retry was killed when all of its devices were moved', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.run({ action: 'cancel', taskId: task.taskId });
    const intent = { on: 'retry', statuses: ['cancelled'], reasons: null, byName: false, id: 'x' } as const;
    await platform.leave(task, intent, []);
    const tasks = platform.store.tasks('s');
    const slice = { in: 'task', status: 'cancelled', after: '', limit: 10 } as const;
    const at = { wall: platform.wallNow, ticks: platform.engine.moment().now };
    await tasks.transact(moveNeed(tasks.task(task.taskId)?.id ?? 0, slice, at), (rows) =>
      move(intent, slice, rows),
    );
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed' });
    assert.equal((await platform.task(task)).status, 'running');
  });

  it('takes back the failed devices of a cancelled task where their reason is named, and those alone', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.wait(1);
    platform.progress('a', -2);
    await platform.run({ action: 'cancel', taskId: task.taskId });
    await platform.run({ action: 'retry', taskId: task.taskId, reason: 'download' });
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'cancelled' });
  });

  it('cancels a task that is being pushed without pushing the rest of it first', async () => {
    const task = await platform.create(list(500), { perMinute: 0 });
    platform.sent = [];
    const run = platform.engine.runScheduler();
    await platform.run({ action: 'cancel', taskId: task.taskId });
    await run;
    assert.ok(platform.sent.length < 500, `${platform.sent.length} pushes`);
    assert.equal((await platform.task(task)).counts.cancelled, 500);
  });

  it('lets waitLimit stand still while a task is paused, and fails its sleepers when the rest of it is over', async () => {
    const task = await platform.create(['a'], { offline: 'wait', waitLimit: 60 });
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'offline', error: null });
    await platform.wait(10);
    await platform.run({ action: 'pause', taskId: task.taskId });
    await platform.wait(200);
    await platform.run({ action: 'resume', taskId: task.taskId });
    await platform.wait(40);
    assert.deepEqual(await platform.devices(task), { a: 'pending offline' });
    await platform.wait(20);
    assert.deepEqual(await platform.devices(task), { a: 'failed offline' });
  });

  it('finishes a command on named devices that a kill broke off', async () => {
    const task = await platform.create(['a', 'b', 'c']);
    await platform.wait(1);
    await platform.leave(task, { on: 'cancel', statuses: null, reasons: null, byName: true }, ['a', 'c']);
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'cancelled', b: 'pushed', c: 'cancelled' });
  });

  it('drops a command that was broken off before all of its devices were named', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.wait(1);
    const intent = { on: 'cancel', statuses: null, reasons: null, byName: true, naming: true } as const;
    await platform.leave(task, intent, ['a']);
    await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: ['b'] });
    await platform.restart();
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'cancelled' });
  });

  it('takes a device that is named twice once', async () => {
    const task = await platform.create(['a', 'b', 'c']);
    const some = ['a', 'a', 'x', ...list(300), 'x', 'a', 'b'];
    await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: some });
    const answer = await platform.run({ action: 'retry', taskId: task.taskId, accessTokens: some });
    assert.equal((answer as { skipped: number }).skipped, 301);
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed', c: 'pushed' });
  });

  it('finishes a command that was broken off before the next one of the task', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.wait(1);
    await platform.leave(task, { on: 'cancel', statuses: null, reasons: null, byName: true }, ['a', 'b']);
    await platform.run({ action: 'retry', taskId: task.taskId, accessTokens: ['a'] });
    assert.deepEqual(await platform.devices(task), { a: 'pending', b: 'cancelled' });
  });

  it('takes back devices that were cancelled by name only where they are named, or asked for', async () => {
    const task = await platform.create(['a', 'b']);
    await platform.wait(1);
    platform.progress('b', -1);
    await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: ['a'] });
    await platform.run({ action: 'retry', taskId: task.taskId });
    assert.deepEqual(await platform.devices(task), { a: 'cancelled', b: 'pending' });
    await platform.run({ action: 'retry', taskId: task.taskId, cancelled: true });
    assert.deepEqual(await platform.devices(task), { a: 'pending', b: 'pending' });
  });

  it('says once that the table of devices is full', () => {
    for (let i = 0; i < 520; i += 1) platform.inform(`x${i}`, 'v1');
    assert.deepEqual(platform.problems, ['OTA_STORE_FULL']);
  });

  it('says of each thing that it has no room for what it is, and serves the others', async () => {
    const told: string[] = [];
    platform.engine.listen({ onProblem: (error) => told.push(error?.message ?? '') });
    const hear = (accessToken: string, module: string): void =>
      platform.hear({ kind: 'inform', accessToken, module, version: 'v1', id: null, wall: platform.wallNow });
    for (let i = 0; i < 70; i += 1) hear('many', `m${i}`);
    hear('long', 'm'.repeat(129));
    for (let i = 0; i < 500; i += 1) hear(`made-up-${i}`, 'default');
    assert.deepEqual(
      told.map((text) => /more than 64 modules|longer than 128|table of devices is full/.exec(text)?.[0]),
      ['more than 64 modules', 'longer than 128', 'table of devices is full'],
    );
    const task = await platform.create(['many', 'honest']);
    await platform.wait(1);
    platform.progress('honest', 100);
    assert.deepEqual(await platform.devices(task), { honest: 'succeeded', many: 'pushed' });
  });

  it('makes room for new devices where others were not seen for 90 days, and nobody else', async () => {
    platform.inform('known', 'v1');
    await platform.create(['known']);
    for (let i = 0; i < 520; i += 1) platform.inform(`x${i}`, 'v1');
    await platform.wait(3);
    platform.inform('honest', 'v1');
    assert.deepEqual(platform.problems, ['OTA_STORE_FULL']);
    platform.wallNow += 91 * 24 * 3600_000;
    platform.steadyNow += 91 * 24 * 3600_000;
    platform.inform('honest', 'v1');
    await platform.wait(3);
    platform.inform('honest', 'v1');
    const { devices, total } = (await platform.run({ action: 'fleet' })) as {
      devices: { accessToken: string }[];
      total: number;
    };
    assert.equal(total, 2);
    assert.deepEqual(
      devices.map(({ accessToken }) => accessToken),
      ['honest', 'known'],
    );
  });

  it('acknowledges nothing that it could not store, and says so until it can', async () => {
    await platform.create(['a']);
    await platform.wait(1);
    platform.store.close();
    assert.throws(() => platform.progress('a', 100), { code: 'OTA_STORE_FAILED' });
    await platform.wait(2);
    assert.deepEqual(platform.problems, ['OTA_STORE_FAILED']);
    platform.store.open();
    await platform.wait(1);
    assert.deepEqual(platform.problems, ['OTA_STORE_FAILED', null]);
  });

  it('answers a preview with the policy by which the task would go', async () => {
    const { policy } = (await platform.run({
      action: 'preview',
      package: PACKAGE,
      targets: ['a'],
      policy: { retries: 3 },
    })) as { policy: Policy };
    assert.deepEqual(policy, { ...DEFAULT_POLICY, retries: 3 });
  });

  it('says of an empty result who was left out, and why', async () => {
    platform.inform('current', 'v2');
    platform.inform('other', 'v7');
    const filter = { version: 'v2' };
    await assert.rejects(() => platform.create(filter, { skipCurrent: true }), {
      code: 'OTA_BAD_INPUT',
      message: /1 run the version already, 1 are not meant by the filter/,
    });
  });

  it('refuses commands that it can not write, says what to do, and takes them at once when it can', async () => {
    await platform.create(['a']);
    platform.store.close();
    await platform.wait(1);
    await assert.rejects(() => platform.create(['b']), {
      code: 'OTA_STORE_FAILED',
      message: /Nothing was done: send the command again/,
    });
    platform.store.open();
    assert.equal((await platform.create(['b'])).status, 'running');
  });

  it('says that its disk is full until a report can be stored again', async function () {
    const folder = await temporaryFolder('ota-engine-');
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder.path], { stdio: 'pipe' });
    } catch {
      await folder.stop();
      this.skip(); // a tmpfs can only be mounted by root: run this test in a container
    }
    const small = await (await new Platform(path.join(folder.path, 'tasks.db')).start()).connect();
    try {
      await small.create(['a']);
      await small.wait(1);
      const filler = path.join(folder.path, 'filler');
      fillDisk(filler);
      assert.throws(() => small.progress('a', 50), { code: 'OTA_DISK_FULL' });
      await small.wait(20);
      assert.throws(() => small.progress('a', 50), { code: 'OTA_DISK_FULL' });
      assert.deepEqual(small.problems, ['OTA_DISK_FULL']);
      rmSync(filler);
      small.progress('a', 50);
      await small.wait(1);
      assert.deepEqual(small.problems, ['OTA_DISK_FULL', null]);
    } finally {
      await small.engine.stop();
      small.store.close();
      execFileSync('umount', ['--lazy', folder.path]);
      await folder.stop();
    }
  });

  it('takes a task of 20,000 devices and cancels it whole', async () => {
    const task = await platform.create(list(20_000));
    await platform.run({ action: 'cancel', taskId: task.taskId });
    const { counts } = await platform.task(task);
    assert.equal(counts.cancelled, 20_000);
  });
});

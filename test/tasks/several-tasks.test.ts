import assert from 'node:assert/strict';
import type { Policy } from '../../nodes/lib/tasks/types';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { PACKAGE, type Platform, useConnectedPlatform } from './support/engine-platform';

describe('a device in several tasks of a module', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  /** A task of one device, 'a'. */
  const create = (version: string, policy: Partial<Policy> = {}, more: object = {}): Promise<TaskShape> =>
    platform.create(['a'], { perMinute: 0, ...policy }, { package: { ...PACKAGE, version }, ...more });
  const run = (action: string, { taskId }: TaskShape, more: object = {}): Promise<object> =>
    platform.run({ action, taskId, ...more });
  const state = async (task: TaskShape): Promise<string | undefined> => (await platform.devices(task))['a'];
  const row = async (task: TaskShape): Promise<DeviceShape> => {
    const { devices } = (await run('devices', task)) as { devices: DeviceShape[] };
    assert.ok(devices[0]);
    return devices[0];
  };
  const nobodyThere = (): void => platform.sent.at(-1)?.settled({ delivery: 'offline', error: null });

  it('is looked for by the newest with a push of its own, after an older one has pushed to it', async () => {
    const sleepers = { offline: 'wait', skipCurrent: false } as const;
    const older = await create('v2', sleepers, { draft: true });
    const newer = await create('v3', sleepers);
    await platform.wait(1);
    nobodyThere();
    await run('start', older);
    await platform.wait(1);
    nobodyThere();
    assert.deepEqual(
      platform.sent.map(({ version }) => version),
      ['v3', 'v2'],
    );
    await platform.wait(130);
    const probe = platform.sent.at(-1);
    assert.equal(probe?.version, 'v3');
    assert.notEqual(probe.id, platform.sent[0]?.id);
    assert.equal((await row(newer)).hold, 'wait');
    platform.progress('a', 10);
    assert.deepEqual([await state(older), await state(newer)], ['pending offline', 'upgrading']);
    platform.progress('a', 100);
    platform.inform('a', 'v3');
    await platform.wait(130);
    assert.deepEqual([await state(older), await state(newer)], ['cancelled superseded', 'succeeded']);
  });

  describe('that a person named in a retry of the older one', () => {
    const sleepers = { offline: 'wait', skipCurrent: false } as const;
    let older: TaskShape;
    const retry = (): Promise<object> => run('retry', older, { accessTokens: ['a'] });
    beforeEach(async () => {
      older = await create('v1', sleepers);
      await platform.wait(1);
      platform.progress('a', -1);
      await retry();
      await platform.wait(1);
      nobodyThere();
      await platform.wait(1);
      assert.equal(await state(older), 'pending offline');
    });

    it('is not taken back to it after a newer one has brought it up', async () => {
      await create('v2', sleepers);
      await platform.wait(1);
      platform.progress('a', 100);
      platform.inform('a', 'v2');
      await platform.wait(130);
      assert.equal(platform.sent.at(-1)?.version, 'v2');
      assert.equal(await state(older), 'cancelled superseded');
    });

    it('is taken back to it where that was afterwards', async () => {
      await create('v2', sleepers);
      await platform.wait(1);
      platform.progress('a', 100);
      platform.inform('a', 'v2');
      await platform.wait(130);
      await retry();
      await platform.wait(1);
      assert.equal(platform.sent.at(-1)?.version, 'v1');
    });

    it('is taken out of it by a newer one with supersede, but not where that was afterwards', async () => {
      await create('v2', { ...sleepers, supersede: true });
      await platform.wait(1);
      nobodyThere();
      assert.equal(await state(older), 'cancelled superseded');
      await retry();
      await platform.wait(1);
      nobodyThere();
      await platform.engine.stop();
      await platform.restart();
      assert.equal(await state(older), 'pending offline');
    });
  });

  it('stays in the older one until a draft that it has joined is started', async () => {
    const later = { startAt: new Date(platform.wallNow + 3_600_000).toISOString() };
    const older = await create('v1', {}, later);
    const drafts = { joining: true, draft: true };
    const draft = await platform.create({ version: 'v0' }, { supersede: true }, drafts);
    platform.inform('a', 'v0');
    await platform.wait(1);
    assert.deepEqual([await state(older), await state(draft)], ['pending', 'pending']);
    await run('start', draft);
    await platform.wait(1);
    assert.deepEqual([await state(older), await state(draft)], ['cancelled superseded', 'pushed']);
  });

  it('has not rolled back in the first where the second brings the old version again', async () => {
    const policy = { failureThreshold: 1, minExecuted: 1 };
    platform.inform('a', 'v1');
    const up = await create('v2', policy);
    await platform.wait(1);
    platform.progress('a', 100);
    platform.inform('a', 'v2');
    const down = await create('v1', policy);
    await platform.wait(1);
    platform.progress('a', 100);
    platform.inform('a', 'v1');
    await platform.wait(1);
    assert.deepEqual([await state(up), await state(down)], ['succeeded', 'succeeded']);
    assert.equal((await platform.task(up)).status, 'ended');
  });
});

/** Devices that ask for their upgrade: what they are answered, and what the answer does to the task. */
import assert from 'node:assert/strict';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { PACKAGE, Platform } from './support/engine-platform';

describe('a question for an upgrade', () => {
  let platform: Platform;

  beforeEach(async () => {
    platform = await (await new Platform().start()).connect();
  });
  afterEach(() => platform.store.close());

  const row = async ({ taskId }: TaskShape, token = 'a'): Promise<DeviceShape | undefined> => {
    const found = (await platform.run({ action: 'devices', taskId })) as { devices: DeviceShape[] };
    return found.devices.find(({ accessToken }) => accessToken === token);
  };
  const events = async ({ taskId }: TaskShape, token = 'a'): Promise<string[]> => {
    const found = await platform.run({ action: 'history', taskId, accessToken: token });
    return (found as { events: { event: string }[] }).events.map(({ event }) => event);
  };

  it('is answered with nothing where the device is in no task', async () => {
    assert.equal(await platform.ask('a'), null);
  });

  it('is answered with the pending upgrade, which counts as its push', async () => {
    const task = await platform.create(['a']);
    assert.equal(await platform.ask('a'), 'v2');
    const device = await row(task);
    assert.equal(device?.status, 'pushed');
    assert.equal(device.attempt, 1);
    assert.deepEqual(await events(task), ['push']);
    await platform.wait(3);
    assert.deepEqual(platform.sent, []);
    assert.equal(platform.answered[0]?.id, '123');
    assert.equal(platform.answered[0].expiry, 300);
  });

  it('is answered with the upgrade in work, in the same attempt', async () => {
    const task = await platform.create(['a']);
    await platform.wait(1);
    platform.progress('a', 30);
    await platform.wait(15);
    assert.equal(await platform.ask('a'), 'v2');
    const device = await row(task);
    assert.deepEqual([device?.status, device?.step, device?.attempt], ['upgrading', 30, 1]);
    assert.deepEqual(await events(task), ['push', 'progress', 'repeat']);
  });

  it('writes nothing for a device that asks without a pause, and answers it all the same', async () => {
    const task = await platform.create(['a']);
    for (let i = 0; i < 5; i += 1) assert.equal(await platform.ask('a'), 'v2');
    assert.deepEqual(await events(task), ['push']);
  });

  it('wakes a device that waits, and pushes to it in its attempt', async () => {
    const task = await platform.create(['a'], { offline: 'wait' });
    await platform.wait(1);
    platform.sent[0]?.settled({ delivery: 'offline', error: null });
    await platform.wait(1);
    assert.equal((await row(task))?.hold, 'wait');
    assert.equal(await platform.ask('a'), 'v2');
    const device = await row(task);
    assert.deepEqual([device?.status, device?.hold, device?.attempt], ['pushed', null, 1]);
  });

  it('judges an answer that nobody got like a push', async () => {
    const task = await platform.create(['a']);
    await platform.ask('a');
    platform.answered[0]?.settled({ delivery: 'refused', error: null });
    await platform.wait(1);
    assert.deepEqual([(await row(task))?.status, (await row(task))?.reason], ['failed', 'refused']);
  });

  for (const [what, prepare] of [
    ['the task is paused', (taskId: string) => platform.run({ action: 'pause', taskId })],
    ['the task was cancelled', (taskId: string) => platform.run({ action: 'cancel', taskId })],
  ] as const) {
    it(`is answered with nothing while ${what}`, async () => {
      const { taskId } = await platform.create(['a']);
      await prepare(taskId);
      assert.equal(await platform.ask('a'), null);
    });
  }

  for (const [what, policy, more] of [
    ['its wave is not open', { waves: [50, 100] }, {}],
    ['the window is closed', { window: { from: '05:00', to: '05:01', timeZone: 'UTC' } }, {}],
    ['as many are in work as may be', { concurrency: 1 }, {}],
    ['the rate is used up', { perMinute: 1 }, {}],
    ['the task is a draft', {}, { draft: true }],
  ] as const) {
    it(`is answered with nothing while ${what}`, async () => {
      await platform.create(['a', 'b'], policy, more);
      await platform.ask('a');
      assert.equal(await platform.ask('b'), null);
    });
  }

  it('means the module that it names', async () => {
    await platform.create(['a'], {}, { package: { ...PACKAGE, version: 'm2', module: 'MCU' } });
    await platform.create(['a']);
    assert.equal(await platform.ask('a', 'modem'), null);
    assert.equal(await platform.ask('a', 'MCU'), 'm2');
    assert.equal(await platform.ask('a', 'default'), 'v2');
  });

  it('without a module means what the device has in work, else the device itself', async () => {
    await platform.create(['a'], {}, { package: { ...PACKAGE, version: 'm2', module: 'MCU' } });
    await platform.create(['a']);
    assert.equal(await platform.ask('a'), 'v2');
    platform.inform('a', 'v2');
    assert.equal(await platform.ask('a'), 'm2');
  });

  it('never brings the older task back over the newer one', async () => {
    const older = await platform.create(['a'], {}, { draft: true });
    await platform.create(['a'], {}, { package: { ...PACKAGE, version: 'v3' } });
    assert.equal(await platform.ask('a'), 'v3');
    platform.inform('a', 'v3');
    await platform.run({ action: 'start', taskId: older.taskId });
    assert.equal(await platform.ask('a'), null);
    assert.equal((await row(older))?.reason, 'superseded');
  });

  it('is answered with nothing where the device runs the version already', async () => {
    const task = await platform.create(['a']);
    platform.inform('a', 'v2');
    assert.equal(await platform.ask('a'), null);
    assert.equal((await row(task))?.status, 'succeeded');
  });
});

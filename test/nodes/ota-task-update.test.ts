import assert from 'node:assert/strict';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { WiresFleet } from './wires-support';

const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

describe('ota-task by its messages: `update`', () => {
  let fleet: WiresFleet;
  beforeEach(async () => {
    fleet = await WiresFleet.start();
  });
  afterEach(() => fleet.stop());

  const update = (task: TaskShape, more: object): Promise<TaskShape> => fleet.of(task, 'update', more);
  const refused = async (task: TaskShape, more: object): Promise<string> => {
    const { code, message } = await fleet.refused({ action: 'update', taskId: task.taskId, ...more });
    return `${code} ${message}`;
  };

  it('changes name, description, end and each part of the policy that may change', async () => {
    const task = await fleet.create(['a'], { retries: 1 }, { name: 'Old' });
    const end = soon(3600);
    const policy = {
      success: 'version',
      offline: 'wait',
      waitLimit: 10,
      seenWithin: 11,
      repush: 1,
      noResponse: 12,
      stalled: 13,
      confirm: 14,
      retries: 2,
      retryDelay: 15,
      perMinute: 16,
      concurrency: 17,
      successThreshold: 18,
      failureThreshold: 19,
      minExecuted: 20,
      onFailure: 'cancel',
      window: { from: '00:00', to: '23:59', timeZone: 'UTC', days: ['mon', 'sun'] },
      waveAdvance: 'threshold',
      soak: 21,
      afterWave: 'pause',
      maxWaiting: 22,
      supersede: true,
      retryOn: ['offline'],
      retryBackoff: 'exponential',
    };
    const changed = await update(task, {
      name: 'New',
      description: 'why',
      endAt: end,
      endBehavior: 'cancel',
      policy,
    });
    assert.deepEqual([changed.name, changed.description, changed.endAt], ['New', 'why', end]);
    assert.deepEqual({ ...changed.policy, ...policy }, changed.policy);
    assert.deepEqual(await fleet.get(task).then((now) => now.policy), changed.policy);
    assert.equal(fleet.told(task).at(-1)?.name, 'New');
  });

  for (const [field, value] of [
    ['waves', [50, 100]],
    ['skipCurrent', false],
    ['fromVersions', ['v1']],
  ] as const) {
    it(`does not change \`${field}\`: the devices were chosen by it`, async () => {
      const task = await fleet.create(['a']);
      const why = await refused(task, { name: 'New', policy: { retries: 3, [field]: value } });
      assert.match(why, new RegExp(`OTA_BAD_INPUT .*policy\\.${field}`));
      const now = await fleet.get(task);
      assert.deepEqual([now.name, now.policy.retries], [task.name, 0]);
    });
  }

  it('is refused where it changes nothing, names what there is not, ends in the past, or comes too late', async () => {
    const task = await fleet.create(['a'], {}, { startAt: soon(60) });
    assert.match(await refused(task, {}), /OTA_BAD_INPUT/);
    assert.match(await refused(task, { policy: { retry: 1 } }), /OTA_BAD_INPUT .*policy\.retry/);
    assert.match(await refused(task, { policy: { retries: -1 } }), /OTA_BAD_INPUT .*policy\.retries/);
    assert.match(await refused(task, { endAt: soon(30) }), /OTA_BAD_INPUT .*endAt/);
    assert.match(await refused(task, { endBehavior: 'wait' }), /OTA_BAD_INPUT .*endBehavior/);
    assert.match(await refused({ ...task, taskId: 'nope' }, { name: 'x' }), /OTA_UNKNOWN_TASK/);
    await fleet.of(task, 'cancel');
    assert.match(await refused(task, { name: 'x' }), /OTA_TASK_STATE/);
  });

  it('counts from then on: room for more at once', async () => {
    const task = await fleet.create(['a', 'b', 'c'], { concurrency: 1 });
    await fleet.pushed(1);
    await update(task, { policy: { concurrency: 3 } });
    await fleet.pushed(2);
  });

  it('counts a limit that runs anew from its start', async () => {
    const task = await fleet.create(['a'], { noResponse: 3600, repush: 0 });
    await fleet.pushed(1);
    await update(task, { policy: { noResponse: 0.5 } });
    const over = await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    assert.deepEqual(over.reasons, { 'no-response': 1 });
  });

  it('takes an end away, or brings one', async () => {
    const task = await fleet.create(['a', 'b'], { concurrency: 1 }, { endAt: soon(3600) });
    assert.equal((await update(task, { endAt: null })).endAt, null);
    await fleet.pushed(1);
    await fleet.endsSoon(task);
    const over = await fleet.reaches(task, ({ counts }) => counts.cancelled === 1, 'the end');
    assert.deepEqual(over.reasons, { ended: 1 });
  });

  it('tries again what it names in `retryOn`, after the delay of `retryBackoff`', async () => {
    const policy = { retries: 2, retryDelay: 3600, retryBackoff: 'exponential', retryOn: ['download'] };
    const task = await fleet.create(['a', 'b'], policy);
    await fleet.pushed(2);
    await fleet.progress('a', -2);
    await fleet.progress('b', -3);
    const [b] = await fleet.devices(task, { search: 'b' });
    assert.deepEqual([b?.status, b?.reason], ['failed', 'verification']);
    assert.equal((await fleet.devices(task, { hold: 'delay' })).length, 1);
    await update(task, { policy: { retryDelay: 0.2 } });
    const [again] = await fleet.pushes(1);
    assert.deepEqual([again?.['accessToken'], again?.['attempt']], ['a', 2]);
    await fleet.progress('a', -2);
    assert.deepEqual((await fleet.pushes(1))[0]?.['attempt'], 3);
    await fleet.progress('a', -2);
    const { counts } = await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    assert.equal(counts.failed, 2);
  });
});

import assert from 'node:assert/strict';
import { WiresFleet } from './wires-support';

interface Fleet {
  readonly total: number;
  readonly versions: readonly { module: string; version: string; count: number }[];
  readonly devices: readonly { accessToken: string; module: string; version: string; task: object | null }[];
}

describe('ota-task by its messages: the fleet', () => {
  let fleet: WiresFleet;
  beforeEach(async () => {
    fleet = await WiresFleet.start();
  });
  afterEach(() => fleet.stop());

  const find = (more: object = {}): Promise<Fleet> => fleet.ask<Fleet>({ action: 'fleet', ...more });
  const tokens = async (more: object): Promise<string[]> =>
    (await find(more)).devices.map(({ accessToken }) => accessToken).sort();
  const isTime = (value: unknown): boolean => /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(String(value));

  it('tells who runs what, with labels, the last sign of life and the newest task', async () => {
    await fleet.version('a1', 'v1');
    await fleet.version('a2', 'v1');
    await fleet.version('b1', 'm1', { module: 'modem' });
    await fleet.ask({ action: 'label', accessTokens: ['a1'], labels: { site: 'north' } });
    const task = await fleet.create(['a1'], {}, { name: 'T' });
    const { total, versions, devices, ...rest } = await find({ search: 'a' });
    assert.deepEqual([total, rest], [2, { page: 1, pageSize: 20 }]);
    assert.deepEqual(versions[0], { module: 'default', version: 'v1', count: 2 });
    const [{ seenAt, ...a1 }] = devices as unknown as [{ seenAt: string }];
    assert.ok(isTime(seenAt), seenAt);
    assert.deepEqual(a1, {
      accessToken: 'a1',
      module: 'default',
      version: 'v1',
      labels: { site: 'north' },
      task: { taskId: task.taskId, name: 'T', status: 'running' },
    });
    assert.equal(devices[1]?.task, null);
    assert.deepEqual(await tokens({ module: 'modem' }), ['b1']);
    assert.deepEqual(await tokens({ version: 'v1' }), ['a1', 'a2']);
    assert.deepEqual(await tokens({ labels: { site: ['north', 'south'] } }), ['a1']);
    assert.deepEqual(await tokens({ search: 'a', pageSize: 1, page: 2 }), ['a2']);
    const all = await find();
    assert.deepEqual(all.total, 3);
    assert.deepEqual(
      all.versions.map(({ module, version, count }) => `${module} ${version} ${count}`).sort(),
      ['default v1 2', 'modem m1 1'],
    );
  });

  it('tells all about a device: its modules, labels and tasks, the newest first', async () => {
    await fleet.version('a', 'v1');
    await fleet.version('a', 'm1', { module: 'modem' });
    const first = await fleet.create(['a'], {}, { name: 'First' });
    await fleet.pushes(1);
    const second = await fleet.create(['a'], {}, { name: 'Second' });
    const { modules, tasks, ...rest } = await fleet.ask<{ modules: object[]; tasks: object[] }>({
      action: 'device',
      accessToken: 'a',
    });
    assert.deepEqual(rest, { accessToken: 'a', labels: {}, total: 2, page: 1, pageSize: 20 });
    assert.deepEqual(
      modules.map((module) => ({ ...module, seenAt: isTime((module as { seenAt: string }).seenAt) })),
      [
        { module: 'default', version: 'v1', seenAt: true },
        { module: 'modem', version: 'm1', seenAt: true },
      ],
    );
    assert.deepEqual(
      tasks.map((row) => (row as { taskId: string }).taskId),
      [second.taskId, first.taskId],
    );
    assert.deepEqual(
      ['status', 'hold', 'versionBefore', 'currentVersion', 'targetVersion', 'wave'].map(
        (name) => (tasks[1] as Record<string, unknown>)[name],
      ),
      ['pushed', null, 'v1', 'v1', 'v2', 1],
    );
    const nobody = await fleet.ask<{ modules: object[]; total: number }>({
      action: 'device',
      accessToken: 'x',
    });
    assert.deepEqual([nobody.modules, nobody.total], [[], 0]);
  });

  it('forgets devices, but none that a task has open', async () => {
    for (const token of ['a', 'b']) await fleet.version(token, 'v1');
    const task = await fleet.create(['a']);
    const forget = { action: 'forget', accessTokens: ['a', 'b', 'nobody'] };
    assert.deepEqual(await fleet.ask(forget), { changed: 1, unknown: 1, left: 1 });
    assert.deepEqual(await tokens({}), ['a']);
    await fleet.of(task, 'cancel');
    assert.deepEqual(await fleet.ask(forget), { changed: 1, unknown: 2, left: 0 });
    assert.equal((await find()).total, 0);
    for (const action of ['forget', 'seen', 'label']) {
      assert.equal((await fleet.refused({ action, labels: { a: 'b' } })).code, 'OTA_BAD_INPUT', action);
    }
  });

  it('curves how the devices of a task ended', async () => {
    const task = await fleet.create(['a', 'b', 'c']);
    await fleet.pushed(3);
    await fleet.progress('a', 100);
    await fleet.progress('b', -1);
    await fleet.of(task, 'cancel');
    interface Curve {
      readonly taskId: string;
      readonly from: string;
      readonly to: string;
      readonly points: readonly { at: string; succeeded: number; failed: number; cancelled: number }[];
    }
    const { taskId, from, to, points, ...rest } = await fleet.of<Curve>(task, 'timeline', { buckets: 10 });
    assert.deepEqual([taskId, rest, points.length], [task.taskId, {}, 10]);
    assert.ok(Date.parse(from) <= Date.parse(to));
    assert.deepEqual(points.at(-1), { at: to, succeeded: 1, failed: 1, cancelled: 1 });
    assert.equal((await fleet.of<Curve>(task, 'timeline')).points.length, 60);
    assert.equal((await fleet.refused({ action: 'timeline', taskId, buckets: 0 })).code, 'OTA_BAD_INPUT');
  });

  it('finds devices of a task by reason, wave and hold, and tasks by status and name', async () => {
    await fleet.version('a', 'v1');
    const task = await fleet.create(
      ['a', 'b', 'c'],
      { waves: [34, 100], offline: 'wait' },
      { name: 'Release 7' },
    );
    const pushes = await fleet.pushes(2);
    const idOf = (token: string): unknown => pushes.find(({ accessToken }) => accessToken === token)?.['id'];
    await fleet.progress('a', -3);
    await fleet.tell({ action: 'outcome', id: idOf('b'), outcome: 'offline' });
    const rows = async (more: object): Promise<string[]> =>
      (await fleet.devices(task, more)).map(({ accessToken }) => accessToken);
    assert.deepEqual(await rows({ reason: 'verification' }), ['a']);
    assert.deepEqual(await rows({ wave: 2 }), ['c']);
    assert.deepEqual(await rows({ hold: 'wait' }), ['b']);
    assert.deepEqual(await rows({ status: 'failed', reason: 'verification', wave: 1, search: 'a' }), ['a']);
    assert.deepEqual(await rows({ reason: 'offline', status: 'pending' }), ['b']);
    const list = (
      more: object,
    ): Promise<{ total: number; tasks: object[]; page: number; pageSize: number }> =>
      fleet.ask({ action: 'list', ...more });
    assert.equal((await list({ status: 'running', search: 'release' })).total, 1);
    assert.equal((await list({ status: 'draft' })).total, 0);
    assert.equal((await list({ search: 'other' })).total, 0);
  });

  it('tells the history of a device in a task', async () => {
    const task = await fleet.create(['a']);
    const [push] = await fleet.pushes(1);
    await fleet.progress('a', 30, { desc: 'downloading' });
    await fleet.version('a', 'v2');
    const { events, ...rest } = await fleet.of<{ events: Record<string, unknown>[] }>(task, 'history', {
      accessToken: 'a',
    });
    assert.deepEqual(rest, { taskId: task.taskId, accessToken: 'a' });
    assert.deepEqual(
      events.map(({ from, to, step, desc }) => [from, to, step, desc]),
      [
        ['pending', 'pushed', null, ''],
        ['pushed', 'upgrading', 30, 'downloading'],
        ['upgrading', 'succeeded', null, 'v2'],
      ],
    );
    assert.equal(events[0]?.['id'], push?.['id']);
    assert.deepEqual(
      fleet
        .changes('a')
        .map(({ to, hold }) => [to, hold])
        .at(-1),
      ['succeeded', null],
    );
  });
});

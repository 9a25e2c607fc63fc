import assert from 'node:assert/strict';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { PACKAGE, type Platform, useConnectedPlatform } from './support/engine-platform';

interface FleetAnswer {
  readonly total: number;
  readonly versions: { module: string; version: string; count: number }[];
  readonly devices: {
    accessToken: string;
    version: string;
    labels: object;
    task: { taskId: string } | null;
  }[];
}

describe('the fleet', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  const run = async <T extends object>(action: string, more: object): Promise<T> =>
    (await platform.run({ action, ...more })) as T;
  const fleet = (more: object = {}): Promise<FleetAnswer> => run('fleet', more);
  const tokens = ({ devices }: FleetAnswer): string[] => devices.map(({ accessToken }) => accessToken);
  const label = (accessTokens: string[], labels: object): Promise<object> =>
    run('label', { accessTokens, labels });

  it('is counted by versions, as devices report them', async () => {
    platform.inform('a', 'v1');
    platform.inform('b', 'v1');
    platform.inform('c', 'v2');
    platform.inform('a', 'v2');
    const { total, versions, devices } = await fleet();
    assert.equal(total, 3);
    assert.deepEqual(versions, [
      { module: 'default', version: 'v2', count: 2 },
      { module: 'default', version: 'v1', count: 1 },
    ]);
    assert.deepEqual(devices[0], {
      accessToken: 'a',
      module: 'default',
      version: 'v2',
      labels: {},
      seenAt: new Date(platform.wallNow).toISOString(),
      task: null,
    });
  });

  it('is searched by module, version, labels and the beginning of a token, in pages', async () => {
    for (const token of ['a1', 'a2', 'b1']) platform.inform(token, 'v1');
    platform.hear({
      kind: 'inform',
      accessToken: 'a1',
      module: 'MCU',
      version: 'm1',
      id: null,
      wall: platform.wallNow,
    });
    await label(['a2', 'b1'], { site: 'x' });
    assert.deepEqual(tokens(await fleet({ module: 'MCU' })), ['a1']);
    assert.deepEqual(tokens(await fleet({ version: 'm1' })), ['a1']);
    assert.deepEqual(tokens(await fleet({ search: 'a', module: 'default' })), ['a1', 'a2']);
    const labelled = await fleet({ labels: { site: ['x', 'y'] } });
    assert.deepEqual([labelled.total, tokens(labelled)], [2, ['a2', 'b1']]);
    assert.deepEqual(tokens(await fleet({ labels: { site: 'x' }, version: 'v1', search: 'b' })), ['b1']);
    const second = await fleet({ pageSize: 3, page: 2 });
    assert.deepEqual([second.total, tokens(second)], [4, ['b1']]);
    assert.deepEqual(tokens(await fleet({ module: 'none' })), []);
  });

  it('tells the newest task of a device, and all about it', async () => {
    platform.inform('a', 'v1');
    const first = await platform.create(['a'], {}, { name: 'one' });
    await platform.wait(1);
    await platform.run({ action: 'cancel', taskId: first.taskId });
    const second = await platform.create(['a'], {}, { name: 'two' });
    assert.equal((await fleet()).devices[0]?.task?.taskId, second.taskId);
    await label(['a'], { site: 'x' });
    const found = await run<{ labels: object; modules: object[]; tasks: object[]; total: number }>('device', {
      accessToken: 'a',
    });
    assert.deepEqual(found.labels, { site: 'x' });
    assert.deepEqual(found.modules, [
      { module: 'default', version: 'v1', seenAt: new Date(platform.wallNow - 1000).toISOString() },
    ]);
    assert.deepEqual(
      [found.total, found.tasks.map((row) => (row as { name: string }).name)],
      [2, ['two', 'one']],
    );
    const none = await run<{ total: number; modules: object[] }>('device', { accessToken: 'nobody' });
    assert.deepEqual([none.total, none.modules], [0, []]);
  });

  it('has labels that are set, changed and taken away', async () => {
    platform.inform('a', 'v1');
    assert.deepEqual(await label(['a', 'nobody'], { site: 'x', lot: 7 }), {
      changed: 1,
      unknown: 1,
      left: 0,
    });
    await label(['a'], { site: 'y', lot: null });
    assert.deepEqual((await fleet()).devices[0]?.labels, { site: 'y' });
    assert.deepEqual(tokens(await fleet({ labels: { site: 'x' } })), []);
    const many = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`l${i}`, 'x']));
    assert.deepEqual(await label(['a'], many), { changed: 0, unknown: 0, left: 1 });
  });

  it('takes labels from what devices report, and an operator’s beat them', async () => {
    const report = (labels: Record<string, string>): void =>
      platform.hear({
        kind: 'inform',
        accessToken: 'a',
        module: 'default',
        version: 'v1',
        id: null,
        labels,
        wall: platform.wallNow,
      });
    report({ board: 'r1', site: 'x' });
    await label(['a'], { site: 'hall' });
    report({ board: 'r2', site: 'y' });
    assert.deepEqual((await fleet()).devices[0]?.labels, { board: 'r2', site: 'hall' });
    assert.deepEqual(tokens(await fleet({ labels: { board: 'r1' } })), []);
  });

  it('forgets devices, but none that a task has open', async () => {
    for (const token of ['a', 'b']) platform.inform(token, 'v1');
    await label(['a', 'b'], { site: 'x' });
    await platform.create(['b']);
    assert.deepEqual(await run('forget', { accessTokens: ['a', 'b', 'nobody'] }), {
      changed: 1,
      unknown: 1,
      left: 1,
    });
    const { total, versions } = await fleet();
    assert.deepEqual([total, versions], [1, [{ module: 'default', version: 'v1', count: 1 }]]);
    assert.deepEqual(tokens(await fleet({ labels: { site: 'x' } })), ['b']);
  });

  it('hears of signs of life that came another way', async () => {
    platform.inform('a', 'v1');
    await platform.wait(100);
    assert.deepEqual(await run('seen', { accessTokens: ['a', 'nobody'] }), {
      changed: 1,
      unknown: 1,
      left: 0,
    });
    const [device] = (await fleet()).devices as unknown as { seenAt: string }[];
    assert.equal(device?.seenAt, new Date(platform.wallNow).toISOString());
    await platform.create('all', { seenWithin: 10 });
  });

  it('refuses what names no devices, and changes nothing where one of them can be none', async () => {
    platform.inform('a', 'v1');
    await assert.rejects(run('label', { labels: { a: 'b' } }), { code: 'OTA_BAD_INPUT' });
    await assert.rejects(label(['a', 5] as string[], { site: 'x' }), { code: 'OTA_BAD_INPUT' });
    assert.deepEqual((await fleet()).devices[0]?.labels, {});
  });
});

describe('the devices of a task', () => {
  let platform: Platform;
  useConnectedPlatform((connected) => (platform = connected));

  interface Preview {
    readonly total: number;
    readonly skipped: object;
    readonly byVersion: object[];
    readonly unknownTokens: number;
    readonly badTokens: number;
    readonly devices: { accessToken: string }[];
  }
  const preview = async (targets: unknown, more: object = {}): Promise<Preview> =>
    (await platform.run({ action: 'preview', package: PACKAGE, targets, ...more })) as Preview;
  const label = (accessTokens: string[], labels: object): Promise<object> =>
    platform.run({ action: 'label', accessTokens, labels });
  const NOBODY = { current: 0, version: 0, incompatible: 0, superseded: 0, unseen: 0 };

  it('are chosen by versions, labels and another module', async () => {
    platform.inform('a', 'v1');
    platform.inform('b', 'v0');
    platform.hear({
      kind: 'inform',
      accessToken: 'b',
      module: 'MCU',
      version: 'm1',
      id: null,
      wall: platform.wallNow,
    });
    await label(['a'], { site: 'x' });
    const chosen = async (targets: object): Promise<string[]> =>
      (await preview(targets)).devices.map(({ accessToken }) => accessToken).sort();
    assert.deepEqual(await chosen({ versions: ['v0', 'v1'] }), ['a', 'b']);
    assert.deepEqual(await chosen({ labels: { site: 'x' } }), ['a']);
    assert.deepEqual(await chosen({ module: 'MCU', version: 'm1' }), ['b']);
  });

  it('that are left out are counted by why', async () => {
    platform.inform('old', 'v1');
    await platform.wait(100);
    for (const [token, version] of [
      ['a', 'v1'],
      ['b', 'v0'],
      ['c', 'v2'],
    ] as const)
      platform.inform(token, version);
    const policy = { seenWithin: 50, fromVersions: ['v1'] };
    assert.deepEqual((await preview('all', { policy })).skipped, {
      ...NOBODY,
      current: 1,
      version: 1,
      unseen: 1,
    });
    const named = await preview(['a', 'nobody', 5, ''], {});
    assert.deepEqual(
      [named.total, named.unknownTokens, named.badTokens, named.byVersion],
      [
        2,
        1,
        2,
        [
          { version: 'v1', count: 1 },
          { version: null, count: 1 },
        ],
      ],
    );
    await assert.rejects(platform.create('all', { seenWithin: 50, fromVersions: ['v7'] }), {
      code: 'OTA_BAD_INPUT',
      message: /1 run the version already.*1 were seen more than/,
    });
  });

  for (const [seenWithin, text] of [
    [50, '50 seconds'],
    [3600, '1 hour'],
    [5400, '90 minutes'],
    [2 * 86_400, '2 days'],
  ] as const) {
    it(`that were seen too long ago are told with the ${text} that count`, async () => {
      platform.inform('a', 'v1');
      platform.wallNow += 3 * 86_400_000;
      await platform.wait(1);
      await assert.rejects(platform.create('all', { seenWithin }), {
        message: new RegExp(`1 were seen more than ${text} ago`),
      });
    });
  }

  it('that no package fits are told by the preview', async () => {
    for (const token of ['a', 'b']) platform.inform(token, 'v1');
    await label(['a'], { board: 'r1' });
    const fit = await preview('all', { package: { ...PACKAGE, requires: { board: 'r1' } } });
    assert.deepEqual([fit.total, fit.skipped], [1, { ...NOBODY, incompatible: 1 }]);
  });

  it('that would be taken out of older tasks are counted with supersede', async () => {
    await platform.create(['a', 'b'], {}, { draft: true });
    const policy = { supersede: true };
    const { skipped } = await preview(['a', 'c'], { policy });
    assert.deepEqual(skipped, { ...NOBODY, superseded: 1 });
    // Its next step isn't taken over.
    platform.inform('c', 'v1');
    await platform.create(['c'], { fromVersions: ['v1', 'v3'] }, { draft: true });
    const stone = await preview(['a', 'c'], { policy, package: { ...PACKAGE, version: 'v3' } });
    assert.deepEqual(stone.skipped, { ...NOBODY, superseded: 1 });
  });

  describe('that join', () => {
    const joining = { version: 'v1', joining: true };
    const members = async (task: TaskShape): Promise<string[]> => Object.keys(await platform.devices(task));

    it('are taken in while the task runs, each once', async () => {
      const task = await platform.create(joining);
      assert.equal(task.counts.total, 0);
      platform.inform('a', 'v1');
      platform.inform('b', 'v0');
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await platform.devices(task), { a: 'pushed' });
      platform.inform('a', 'v2');
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await members(task), ['a']);
      assert.equal((await platform.task(task)).status, 'running');
    });

    it('are as many as max at most, and then the task ends', async () => {
      const task = await platform.create({ ...joining, max: 1 });
      platform.inform('a', 'v1');
      platform.inform('b', 'v1');
      await platform.wait(1);
      assert.deepEqual(await members(task), ['a']);
      platform.progress('a', 100);
      await platform.wait(1);
      assert.equal((await platform.task(task)).status, 'ended');
    });

    it('come by a label, too', async () => {
      platform.inform('a', 'v1');
      const task = await platform.create({ labels: { site: 'x' }, joining: true });
      await label(['a'], { site: 'x' });
      assert.deepEqual(await members(task), ['a']);
    });

    it('wait until their wave is open, and open none by themselves', async () => {
      const task = await platform.create('all', { waves: [10, 100], perMinute: 0 }, { joining: true });
      for (let i = 0; i < 200; i += 1) platform.inform(`d${i}`, 'v1');
      await platform.wait(1);
      const { wave, open } = await waves(task);
      assert.equal(wave, 1);
      assert.ok(open > 0 && open < 60, String(open));
      assert.equal(platform.sent.length, open);
    });

    const waves = async (task: TaskShape): Promise<{ wave: number; open: number }> => {
      const { wave, waveCounts } = (await platform.task(task)) as TaskShape & {
        waveCounts: { total: number }[];
      };
      return { wave, open: waveCounts[0]?.total ?? 0 };
    };

    it('stop joining where the task is cancelled or over its end', async () => {
      const task = await platform.create(joining);
      await platform.run({ action: 'cancel', taskId: task.taskId });
      const ends = await platform.create(
        joining,
        {},
        { endAt: new Date(platform.wallNow + 5000).toISOString() },
      );
      await platform.wait(10);
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual([await members(task), await members(ends)], [[], []]);
      assert.equal((await platform.task(ends)).status, 'ended');
    });

    it('join 64 tasks at most', async () => {
      for (let i = 0; i < 64; i += 1) await platform.create(joining);
      await assert.rejects(platform.create(joining), { code: 'OTA_TASK_STATE', message: /64/ });
    });

    it('survive a kill with the task', async () => {
      const task = await platform.create(joining);
      await platform.engine.stop();
      await platform.restart();
      platform.inform('a', 'v1');
      await platform.wait(1);
      assert.deepEqual(await members(task), ['a']);
    });
  });

  describe('of a task with supersede', () => {
    const supersede = { supersede: true, perMinute: 0 };

    it('leave older tasks when it starts', async () => {
      const old = await platform.create(
        ['a', 'b'],
        {},
        { startAt: new Date(platform.wallNow + 60_000).toISOString() },
      );
      const task = await platform.create(['b', 'c'], supersede, { name: 'new', draft: true });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(old), { a: 'pending', b: 'pending' });
      await platform.run({ action: 'start', taskId: task.taskId });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(old), { a: 'pending', b: 'cancelled superseded' });
      const { devices } = (await platform.run({
        action: 'devices',
        taskId: old.taskId,
        reason: 'superseded',
      })) as {
        devices: { desc: string }[];
      };
      assert.equal(devices[0]?.desc, `new (${task.taskId})`);
    });

    it('leave older tasks once, whatever restarts follow', async () => {
      const startAt = new Date(platform.wallNow + 60_000).toISOString();
      const old = await platform.create(['b'], {}, { startAt });
      const window = { from: '12:00', to: '13:00', timeZone: 'UTC' };
      await platform.create(['b'], { ...supersede, window });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(old), { b: 'cancelled superseded' });
      await platform.run({ action: 'retry', taskId: old.taskId, status: 'cancelled' });
      await platform.engine.stop();
      await platform.restart();
      await platform.wait(1);
      assert.deepEqual(await platform.devices(old), { b: 'pending' });
    });

    it('stay where the older one is the next step after it', async () => {
      const policy = { fromVersions: ['v2'], skipCurrent: false };
      platform.inform('b', 'v2');
      const next = await platform.create(['b'], policy, {
        startAt: new Date(platform.wallNow + 60_000).toISOString(),
      });
      await platform.create(['b'], { ...supersede, skipCurrent: false });
      await platform.wait(1);
      assert.deepEqual(await platform.devices(next), { b: 'pending' });
    });

    it('leave older tasks when they join it', async () => {
      const old = await platform.create(
        ['a'],
        {},
        { startAt: new Date(platform.wallNow + 60_000).toISOString() },
      );
      await platform.create({ version: 'v1', joining: true }, supersede);
      platform.inform('a', 'v1');
      assert.deepEqual(await platform.devices(old), { a: 'cancelled superseded' });
    });

    it('leave older tasks once, also where they have ended in it', async () => {
      const startAt = new Date(platform.wallNow + 60_000).toISOString();
      const old = await platform.create(['a'], {}, { startAt });
      const task = await platform.create({ version: 'v1', joining: true }, supersede);
      platform.inform('a', 'v1');
      await platform.wait(1);
      await platform.run({ action: 'cancel', taskId: task.taskId, accessTokens: ['a'] });
      await platform.run({ action: 'retry', taskId: old.taskId, status: 'cancelled' });
      platform.inform('a', 'v1');
      assert.deepEqual(await platform.devices(old), { a: 'pending' });
    });
  });

  it('get the first package that fits, and fail where none does', async () => {
    const other = { ...PACKAGE, url: 'http://127.0.0.1/other.bin' };
    for (const token of ['a', 'b', 'c']) platform.inform(token, 'v1');
    await label(['a'], { board: 'r1' });
    await label(['b'], { board: 'r2' });
    const task = await platform.create(
      ['a', 'b', 'c'],
      {},
      {
        package: undefined,
        packages: [
          { ...PACKAGE, requires: { board: 'r1' } },
          { ...other, requires: { board: ['r2'] } },
        ],
      },
    );
    await platform.wait(1);
    assert.deepEqual(await platform.devices(task), { a: 'pushed', b: 'pushed', c: 'failed incompatible' });
    assert.deepEqual(platform.tokens(), ['a', 'b']);
  });
});

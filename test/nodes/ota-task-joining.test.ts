import assert from 'node:assert/strict';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { PACKAGE, WiresFleet } from './wires-support';

const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

describe('ota-task by its messages: devices that join, newer and older tasks', () => {
  let fleet: WiresFleet;
  beforeEach(async () => {
    fleet = await WiresFleet.start();
  });
  afterEach(() => fleet.stop());

  const release = (version: string, targets: unknown, more: object = {}): Promise<TaskShape> =>
    fleet.ask({ action: 'create', package: { ...PACKAGE, version }, targets, name: version, ...more });
  const refused = async (payload: object): Promise<string> =>
    (await fleet.refused({ action: 'create', package: PACKAGE, ...payload })).code;

  it('takes in who reports a fitting version later, each once, and may begin empty', async () => {
    const task = await release('v2', { version: 'v1', joining: true }, { policy: { confirm: 0 } });
    assert.deepEqual([task.status, task.counts.total], ['running', 0]);
    await fleet.version('a', 'v1');
    await fleet.version('b', 'v0');
    assert.deepEqual(await fleet.pushed(1), ['a']);
    await fleet.progress('a', 100);
    await fleet.version('a', 'v2');
    await fleet.version('a', 'v1');
    await fleet.version('b', 'v1');
    assert.deepEqual(await fleet.pushed(1), ['b']);
    const { status, counts } = await fleet.get(task);
    assert.deepEqual([status, counts.total, counts.succeeded], ['running', 2, 1]);
  });

  it('takes in who gets a fitting label, beside `"all"` and in a filter', async () => {
    await fleet.version('a', 'v1');
    await fleet.version('b', 'v1');
    const task = await release('v2', { labels: { site: 'north' }, joining: true });
    assert.equal(task.counts.total, 0);
    await fleet.ask({ action: 'label', accessTokens: ['a'], labels: { site: 'north' } });
    assert.deepEqual(await fleet.pushed(1), ['a']);
    const all = await release('m2', 'all', { joining: true });
    assert.equal(all.counts.total, 2);
    await fleet.version('c', 'v1');
    assert.equal((await fleet.get(all)).counts.total, 3);
  });

  it('ends by `max`, whatever comes later', async () => {
    const task = await release('v2', { version: 'v1', joining: true, max: 2 });
    for (const token of ['a', 'b', 'c']) await fleet.version(token, 'v1');
    assert.deepEqual(await fleet.pushed(2), ['a', 'b']);
    await fleet.progress('a', 100);
    await fleet.progress('b', 100);
    const { counts } = await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    assert.equal(counts.total, 2);
  });

  it('ends by `endAt`, or by a person', async () => {
    const task = await release('v2', { version: 'v1', joining: true }, { endAt: soon(2) });
    const cancelled = await release('v2', { version: 'v1', joining: true });
    assert.equal((await fleet.of(cancelled, 'cancel')).status, 'cancelled');
    await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    await fleet.version('a', 'v1');
    for (const { taskId } of [task, cancelled]) {
      assert.equal((await fleet.get({ ...task, taskId })).counts.total, 0);
    }
    assert.equal(fleet.unseen, 0);
  });

  it('draws the wave of a joiner, which waits until that wave is open', async () => {
    const waves = [50, 100];
    const task = await release(
      'v2',
      { version: 'v1', joining: true },
      { policy: { waves, afterWave: 'pause' } },
    );
    const tokens = Array.from({ length: 40 }, (_, i) => `d${i}`);
    for (const token of tokens) await fleet.version(token, 'v1');
    const rows = await fleet.devices(task, { pageSize: tokens.length });
    const first = rows.filter(({ wave }) => wave === 1).map(({ accessToken }) => accessToken);
    assert.ok(first.length > 0 && first.length < tokens.length, JSON.stringify(first));
    assert.deepEqual(await fleet.pushed(first.length), first.sort());
    assert.equal(fleet.unseen, 0);
    await fleet.of(task, 'advance');
    assert.equal((await fleet.pushed(tokens.length - first.length)).length, tokens.length - first.length);
  });

  it('joins no list of tokens, needs a `max` that is a number, and 64 tasks at most are open', async () => {
    assert.equal(await refused({ targets: ['a'], joining: true }), 'OTA_BAD_INPUT');
    assert.equal(await refused({ targets: { version: 'v1', joining: true, max: 0 } }), 'OTA_BAD_INPUT');
    assert.equal(await refused({ targets: { version: 'v1', joining: 'maybe' } }), 'OTA_BAD_INPUT');
    const tasks: TaskShape[] = [];
    for (let i = 0; i < 64; i += 1) tasks.push(await release('v2', { version: `x${i}`, joining: true }));
    assert.equal(await refused({ targets: { version: 'v1', joining: true } }), 'OTA_TASK_STATE');
    await fleet.of(tasks[0] as TaskShape, 'cancel');
    await release('v2', { version: 'v1', joining: true });
  });

  it('never undoes a newer task by an older one', async () => {
    await fleet.version('a', 'v1');
    const older = await release('v2', ['a'], { draft: true });
    const newer = await release('v3', ['a']);
    await fleet.pushed(1);
    await fleet.version('a', 'v3');
    await fleet.reaches(newer, ({ status }) => status === 'ended', 'the end of the newer one');
    await fleet.of(older, 'start');
    const over = await fleet.reaches(older, ({ status }) => status === 'ended', 'the end of the older one');
    assert.deepEqual([over.counts.cancelled, over.reasons], [1, { superseded: 1 }]);
    const [row] = await fleet.devices(older);
    assert.match(String(row?.desc), /v3/);
    assert.equal(fleet.unseen, 0);
    // A person who names the device means it.
    await fleet.of(older, 'retry', { accessTokens: ['a'] });
    assert.equal((await fleet.pushes(1))[0]?.['version'], 'v2');
  });

  it('lets a stepping stone stand in `fromVersions`', async () => {
    await fleet.version('a', 'v1');
    const second = await release(
      'v3',
      { version: 'v2', joining: true },
      { policy: { fromVersions: ['v2'] } },
    );
    const first = await release('v2', { version: 'v1', joining: true }, { policy: { fromVersions: ['v1'] } });
    assert.equal((await fleet.pushes(1))[0]?.['version'], 'v2');
    await fleet.version('a', 'v2');
    assert.equal((await fleet.pushes(1))[0]?.['version'], 'v3');
    await fleet.version('a', 'v3');
    assert.equal((await fleet.get(first)).counts.succeeded, 1);
    assert.equal((await fleet.get(second)).counts.succeeded, 1);
  });

  it('takes its pending devices out of older tasks with `supersede`, when it starts', async () => {
    for (const token of ['a', 'b']) await fleet.version(token, 'v1');
    const older = await release('v2', ['a', 'b'], { policy: { concurrency: 1 } });
    const [active] = await fleet.pushed(1);
    const pending = active === 'a' ? 'b' : 'a';
    const asked = { package: { ...PACKAGE, version: 'v3' }, targets: 'all', policy: { supersede: true } };
    const { skipped } = await fleet.ask<{ skipped: { superseded: number } }>({ action: 'preview', ...asked });
    assert.equal(skipped.superseded, 1);
    const newer = await fleet.ask({ action: 'create', name: 'Newer', draft: true, ...asked });
    assert.equal((await fleet.get(older)).counts.cancelled, 0);
    await fleet.of(newer, 'start');
    assert.deepEqual(await fleet.pushed(1), [pending]);
    const rows = await fleet.devices(older, { status: 'cancelled' });
    assert.deepEqual(
      rows.map(({ accessToken, reason }) => [accessToken, reason]),
      [[pending, 'superseded']],
    );
    assert.match(rows[0]?.desc ?? '', /Newer/);
    const busy = await fleet.devices(newer, { hold: 'busy' });
    assert.deepEqual(
      busy.map(({ accessToken }) => accessToken),
      [active],
    );
  });

  it('takes a joiner out of older tasks with `supersede`, when it is taken in', async () => {
    const older = await release('v2', ['a'], { startAt: soon(3600) });
    await release('v3', { version: 'v1', joining: true }, { policy: { supersede: true } });
    assert.equal((await fleet.get(older)).counts.cancelled, 0);
    await fleet.version('a', 'v1');
    assert.equal((await fleet.pushes(1))[0]?.['version'], 'v3');
    assert.deepEqual((await fleet.get(older)).reasons, { superseded: 1 });
  });
});

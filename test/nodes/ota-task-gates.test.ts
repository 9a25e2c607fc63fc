import assert from 'node:assert/strict';
import { PACKAGE, WiresFleet } from './wires-support';

const soon = (seconds: number): string => new Date(Date.now() + seconds * 1000).toISOString();

describe('ota-task by its messages: a rollout', () => {
  let fleet: WiresFleet;
  beforeEach(async () => {
    fleet = await WiresFleet.start();
  });
  afterEach(() => fleet.stop());

  it('that is a draft does nothing before `start`, and is started once', async () => {
    const note = { by: 'ann', remark: 'release 7' };
    const task = await fleet.create(['a'], {}, { draft: true, name: 'T', ...note });
    assert.deepEqual([task.status, task.startedAt, task.gate], ['draft', null, null]);
    assert.equal((await fleet.get(task)).counts.pending, 1);
    for (const action of ['pause', 'resume', 'advance', 'remove']) {
      assert.equal((await fleet.refused({ action, taskId: task.taskId })).code, 'OTA_TASK_STATE', action);
    }
    assert.equal(fleet.unseen, 0);
    assert.equal((await fleet.of(task, 'start', { by: 'bob' })).status, 'running');
    assert.deepEqual(await fleet.pushed(1), ['a']);
    assert.equal((await fleet.refused({ action: 'start', taskId: task.taskId })).code, 'OTA_TASK_STATE');
    assert.ok((await fleet.get(task)).startedAt);
    const events = (await fleet.log(task)).map(({ event, by, remark }) => [event, by, remark]);
    assert.deepEqual(events, [
      ['created', 'ann', 'release 7'],
      ['started', 'bob', null],
    ]);
  });

  it('that is a draft waits for its `startAt` once it is started', async () => {
    const task = await fleet.create(['a'], {}, { draft: true, startAt: soon(3600) });
    const started = await fleet.of(task, 'start');
    assert.deepEqual([started.status, started.startedAt], ['scheduled', null]);
    assert.equal(fleet.unseen, 0);
  });

  it('tells of each of its events in its log, and who asked', async () => {
    const task = await fleet.create(['a', 'b'], { waves: [50, 100] });
    await fleet.of(task, 'pause', { by: 'ann', remark: 'lunch' });
    await fleet.of(task, 'resume', { by: 'bob' });
    await fleet.of(task, 'update', { name: 'New', by: 'cy' });
    await fleet.of(task, 'advance', { by: 'dee' });
    await fleet.pushed(2);
    await fleet.progress('a', 100);
    await fleet.progress('b', 100);
    await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    const events = await fleet.log(task);
    assert.deepEqual(
      events.map(({ event, by, remark, reason, wave }) => [event, by, remark, reason, wave]),
      [
        ['created', null, null, null, null],
        ['started', null, null, null, 1],
        ['paused', 'ann', 'lunch', null, 1],
        ['resumed', 'bob', null, null, 1],
        ['updated', 'cy', null, null, 1],
        ['wave-opened', 'dee', null, null, 2],
        ['ended', null, null, null, 2],
      ],
    );
    assert.ok(events.every((event) => 'at' in event && !Number.isNaN(Date.parse(String(event.at)))));
    const long = { action: 'pause', taskId: task.taskId, by: 'x'.repeat(129) };
    assert.equal((await fleet.refused(long)).code, 'OTA_BAD_INPUT');
  });

  it('opens the next wave once all of the first have ended, and says what it waits for', async () => {
    const task = await fleet.create(['a', 'b', 'c', 'd'], { waves: [50, 100] });
    assert.deepEqual(await fleet.pushed(2), ['a', 'b']);
    await fleet.progress('a', 100);
    assert.deepEqual((await fleet.get(task)).gate, { waitsFor: 'running', until: null });
    assert.equal(fleet.unseen, 0);
    await fleet.progress('b', 100);
    assert.deepEqual(await fleet.pushed(2), ['c', 'd']);
    const { wave, gate, waveCounts } = await fleet.get(task);
    assert.deepEqual([wave, gate], [2, null]);
    const none = { pending: 0, waiting: 0, active: 0, succeeded: 0, failed: 0, cancelled: 0 };
    assert.deepEqual(waveCounts, [
      { wave: 1, total: 2, ...none, succeeded: 2 },
      { wave: 2, total: 2, ...none, active: 2 },
    ]);
  });

  it('opens the next wave as soon as enough have succeeded, with `waveAdvance: threshold`', async () => {
    const policy = { waves: [50, 100], waveAdvance: 'threshold', successThreshold: 50 };
    const task = await fleet.create(['a', 'b', 'c', 'd'], policy);
    await fleet.pushed(2);
    assert.equal((await fleet.get(task)).gate?.waitsFor, 'threshold');
    await fleet.progress('b', 100);
    assert.deepEqual(await fleet.pushed(2), ['c', 'd']);
  });

  for (const waveAdvance of ['ended', 'threshold']) {
    it(`pauses below the threshold with \`waveAdvance: ${waveAdvance}\`, and \`resume\` opens the next`, async () => {
      const task = await fleet.create(['a', 'b', 'c', 'd'], { waves: [50, 100], waveAdvance });
      await fleet.pushed(2);
      await fleet.progress('a', 100);
      await fleet.progress('b', -2, { desc: 'no room' });
      const below = await fleet.reaches(task, ({ status }) => status === 'paused', 'the pause');
      assert.deepEqual(
        [below.reason, below.gate],
        ['wave-below-threshold', { waitsFor: 'person', until: null }],
      );
      assert.deepEqual(below.reasons, { download: 1 });
      assert.deepEqual(fleet.told(task).at(-1)?.reason, 'wave-below-threshold');
      assert.equal((await fleet.of(task, 'resume')).wave, 2);
      assert.deepEqual(await fleet.pushed(2), ['c', 'd']);
    });
  }

  it('soaks between the gate and the next wave', async () => {
    const task = await fleet.create(['a', 'b'], { waves: [50, 100], soak: 3600 });
    await fleet.pushed(1);
    const before = Date.now();
    await fleet.progress('a', 100);
    const { gate } = await fleet.reaches(task, (now) => now.gate?.waitsFor === 'soak', 'the soak time');
    assert.ok(Date.parse(gate?.until ?? '') > before, JSON.stringify(gate));
    assert.equal(fleet.unseen, 0);
    await fleet.of(task, 'update', { policy: { soak: 1 } });
    assert.deepEqual(await fleet.pushed(1), ['b']);
  });

  it('judges the gate again after the soak time, with successes that were refuted', async () => {
    const task = await fleet.create(['a', 'b'], { waves: [50, 100], soak: 3600 });
    await fleet.pushed(1);
    await fleet.progress('a', 100);
    await fleet.reaches(task, (now) => now.gate?.waitsFor === 'soak', 'the soak time');
    await fleet.progress('a', -4);
    await fleet.of(task, 'update', { policy: { soak: 1 } });
    const below = await fleet.reaches(task, ({ status }) => status === 'paused', 'the pause');
    assert.equal(below.reason, 'wave-below-threshold');
    assert.equal(fleet.unseen, 0);
  });

  it('pauses after each wave with `afterWave: pause`; `advance` opens the next, and there must be one', async () => {
    const task = await fleet.create(['a', 'b'], { waves: [50, 100], afterWave: 'pause' });
    await fleet.pushed(1);
    await fleet.progress('a', 100);
    const done = await fleet.reaches(task, ({ status }) => status === 'paused', 'the pause');
    assert.deepEqual([done.reason, done.gate?.waitsFor], ['wave-done', 'person']);
    const next = await fleet.of(task, 'advance');
    assert.deepEqual([next.status, next.reason, next.wave, next.gate], ['running', null, 2, null]);
    assert.deepEqual(await fleet.pushed(1), ['b']);
    assert.equal((await fleet.refused({ action: 'advance', taskId: task.taskId })).code, 'OTA_TASK_STATE');
  });

  it('waits for sleepers of a wave without evidence, until a person opens the next', async () => {
    const task = await fleet.create(['a', 'b'], { waves: [50, 100], offline: 'wait' });
    const [push] = await fleet.pushes(1);
    await fleet.tell({ action: 'outcome', id: push?.['id'], outcome: 'offline' });
    const asleep = await fleet.get(task);
    assert.deepEqual(
      [asleep.gate?.waitsFor, asleep.counts.waiting, asleep.counts.pending],
      ['waiting', 1, 2],
    );
    assert.equal(fleet.unseen, 0);
    await fleet.of(task, 'advance');
    assert.deepEqual(await fleet.pushed(1), ['b']);
  });

  it('stops at its failure threshold, and goes on when a person resumes it', async () => {
    const policy = { failureThreshold: 50, minExecuted: 2, concurrency: 2 };
    const task = await fleet.create(['a', 'b', 'c'], policy);
    for (const { accessToken } of await fleet.pushes(2)) await fleet.progress(String(accessToken), -1);
    const paused = await fleet.reaches(task, ({ status }) => status === 'paused', 'the pause');
    assert.deepEqual([paused.reason, paused.reasons], ['failure-threshold', { upgrade: 2 }]);
    assert.equal(fleet.unseen, 0);
    await fleet.of(task, 'resume');
    await fleet.pushed(1);
  });

  for (const [endBehavior, active] of [
    ['stop', 'pushed'],
    ['cancel', 'cancelled'],
  ] as const) {
    it(`cancels at its end what is ${active === 'pushed' ? 'pending' : 'open'}, with \`endBehavior: ${endBehavior}\``, async () => {
      const task = await fleet.create(['a', 'b'], { concurrency: 1 }, { endAt: soon(3600), endBehavior });
      const [first] = await fleet.pushed(1);
      const endAt = await fleet.endsSoon(task);
      const over = await fleet.reaches(task, ({ counts }) => counts.pending === 0, 'the end');
      assert.equal(over.endAt, endAt);
      const rows = await fleet.devices(task);
      const of = (token: unknown): unknown[] =>
        rows.filter((row) => row.accessToken === token).map(({ status, reason }) => [status, reason]);
      assert.deepEqual(of(first === 'a' ? 'b' : 'a'), [['cancelled', 'ended']]);
      assert.deepEqual(of(first), [[active, active === 'pushed' ? null : 'ended']]);
      if (active === 'pushed') await fleet.progress(String(first), 100);
      const { status, counts } = await fleet.reaches(task, (now) => now.endedAt !== null, 'the end of all');
      assert.deepEqual([status, counts.succeeded], ['ended', active === 'pushed' ? 1 : 0]);
      assert.deepEqual((await fleet.log(task)).at(-1)?.event, 'ended');
    });
  }

  it('ends after it starts', async () => {
    for (const times of [
      { startAt: soon(60), endAt: soon(60) },
      { startAt: soon(60), endAt: soon(30) },
    ]) {
      const create = { action: 'create', package: PACKAGE, targets: ['a'], ...times };
      const { code, message } = await fleet.refused(create);
      assert.equal(code, 'OTA_BAD_INPUT');
      assert.match(message, /"endAt"/);
    }
  });
});

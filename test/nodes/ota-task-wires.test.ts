import assert from 'node:assert/strict';
import path from 'node:path';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { openSqlite } from '../../nodes/lib/tasks/database/sqlite/driver';
import { PACKAGE, WiresFleet } from './wires-support';

describe('ota-task by wires', () => {
  let fleet: WiresFleet;

  beforeEach(async () => {
    fleet = await WiresFleet.start({ labelsFrom: 'board', offline: 'wait' });
  });
  afterEach(() => fleet.stop());

  it('gives each push to the flow as ota-push takes it, and ends a task by what the flow reports', async () => {
    await fleet.version('hall 3/+#', 'v1', { board: 'r1' });
    const { taskId } = await fleet.create('all');
    const [push] = await fleet.pushes(1);
    const { id, ...rest } = push ?? {};
    assert.match(String(id), /^\d{10}$/);
    assert.deepEqual(rest, {
      accessToken: 'hall 3/+#',
      taskId,
      attempt: 1,
      module: 'default',
      version: 'v2',
      size: 4,
      url: PACKAGE.url,
      signMethod: 'Md5',
      sign: PACKAGE.sign,
      extData: null,
    });
    await fleet.progress('hall 3/+#', 40, { desc: 'half' });
    assert.deepEqual(
      fleet
        .changes('hall 3/+#')
        .map(({ to, step, desc }) => [to, step, desc])
        .at(-1),
      ['upgrading', 40, 'half'],
    );
    await fleet.version('hall 3/+#', 'v2');
    const task = { taskId } as TaskShape;
    const { counts } = await fleet.reaches(task, ({ status }) => status === 'ended', 'the end');
    assert.equal(counts.succeeded, 1);
  });

  it('refuses a device whose name is longer than 128 characters, and pushes to the others', async () => {
    const task = await fleet.create(['a'.repeat(128), 'b'.repeat(129)]);
    const pushes = await fleet.pushes(1);
    assert.deepEqual(
      pushes.map(({ accessToken }) => accessToken),
      ['a'.repeat(128)],
    );
    await fleet.reaches(task, ({ counts }) => counts.failed === 1, 'the refusal');
    assert.deepEqual(
      fleet
        .changes('b'.repeat(129))
        .map(({ to, reason }) => [to, reason])
        .at(-1),
      ['failed', 'refused'],
    );
  });

  it('is done with a report after it was committed', async () => {
    await fleet.version('a', 'v1', { id: '7' });
    // What another program finds in the file.
    const file = openSqlite(path.join(fleet.userDir, 'ota', 'tasks.db'));
    try {
      assert.deepEqual(
        file
          .prepare('SELECT token, version FROM devices')
          .all()
          .map((row) => ({ ...row })),
        [{ token: 'a', version: 'v1' }],
      );
    } finally {
      file.close();
    }
  });

  it('shows a command all reports before it, also while the node starts', async () => {
    const anew = await fleet.again();
    const reports = Array.from({ length: 50 }, (_, i) => anew.version(`d${i}`, 'v1'));
    const { total } = await anew.ask<{ total: number }>({ action: 'fleet' });
    assert.equal(total, 50);
    await Promise.all(reports);
    const task = await anew.create(['d0', 'd1']);
    const [first, second] = await anew.pushes(2);
    const outcomes = [
      anew.tell({ action: 'outcome', id: first?.['id'], outcome: 'offline' }),
      anew.tell({ action: 'outcome', id: second?.['id'], outcome: 'refused' }),
    ];
    const { counts } = await anew.get(task);
    assert.deepEqual([counts.waiting, counts.failed], [1, 1]);
    await Promise.all(outcomes);
  });

  it('waits for a device of which the flow says that it is offline, and pushes the same again when it is seen', async () => {
    const task = await fleet.create(['a']);
    const [push] = await fleet.pushes(1);
    await fleet.tell({ action: 'outcome', id: push?.['id'], outcome: 'offline' });
    const [row] = await fleet.devices(task);
    assert.deepEqual([row?.status, row?.hold, row?.reason], ['pending', 'wait', 'offline']);
    const seen = { action: 'seen', accessTokens: ['a', 'nobody'] };
    assert.deepEqual(await fleet.ask(seen), { changed: 1, unknown: 1, left: 0 });
    const [again] = await fleet.pushes(1);
    assert.deepEqual([again?.['id'], again?.['attempt']], [push?.['id'], 1]);
    await fleet.tell({ action: 'outcome', id: push?.['id'], outcome: 'accepted' });
    assert.equal((await fleet.devices(task))[0]?.status, 'pushed');
  });

  it('believes an outcome at once: of a device that has just reported, and of a repeat', async () => {
    await fleet.version('a', 'v1');
    const task = await fleet.create(['a', 'b'], { noResponse: 20, repush: 99 });
    const pushes = await fleet.pushes(2);
    const idOf = (token: string): unknown => pushes.find(({ accessToken }) => accessToken === token)?.['id'];
    assert.notEqual(idOf('a'), idOf('b'));
    await fleet.tell({ action: 'outcome', id: idOf('a'), outcome: 'offline' });
    assert.equal((await fleet.devices(task, { search: 'a' }))[0]?.hold, 'wait');
    const repeats: unknown[] = [];
    while (!repeats.includes('b')) repeats.push(...(await fleet.pushed(1)));
    await fleet.tell({ action: 'outcome', id: idOf('b'), outcome: 'offline' });
    assert.equal((await fleet.devices(task, { search: 'b' }))[0]?.hold, 'wait');
  });

  it('fails a device whose push the flow says to be refused', async () => {
    const task = await fleet.create(['a']);
    const [push] = await fleet.pushes(1);
    await fleet.tell({ action: 'outcome', id: push?.['id'], outcome: 'refused' });
    const [row] = await fleet.devices(task);
    assert.deepEqual([row?.status, row?.reason], ['failed', 'refused']);
  });

  it('shows what a device says of a step that it reports again, and not what comes late', async () => {
    const task = await fleet.create(['a']);
    await fleet.pushed(1);
    await fleet.progress('a', 30, { desc: 'unpacking' });
    await fleet.progress('a', 30, { desc: 'checking' });
    await fleet.progress('a', 30);
    await fleet.progress('a', 10, { desc: 'downloading' });
    const [row] = await fleet.devices(task);
    assert.deepEqual([row?.step, row?.desc], [30, 'checking']);
  });

  it('takes any text of 1 to 128 characters for a device, and several modules of it', async () => {
    const name = 'ä'.repeat(128);
    await fleet.version(name, 'm1', { module: 'modem' });
    await fleet.create([name], {}, { package: { ...PACKAGE, module: 'modem' } });
    assert.equal((await fleet.pushes(1))[0]?.['module'], 'modem');
    await fleet.progress(name, 100, { module: 'modem' });
    assert.equal(fleet.changes(name).at(-1)?.status, 'succeeded');
  });

  const WRONG: [what: string, payload: object, code: string, names: RegExp][] = [
    ['a version of nobody', { action: 'version', version: 'v1' }, 'OTA_BAD_INPUT', /"accessToken"/],
    [
      'a name that is too long',
      { action: 'version', accessToken: 'x'.repeat(129), version: 'v' },
      'OTA_BAD_INPUT',
      /"accessToken"/,
    ],
    ['a version that is missing', { action: 'version', accessToken: 'a' }, 'OTA_BAD_INPUT', /"version"/],
    ['a step that is none', { action: 'progress', accessToken: 'a', step: 'far' }, 'OTA_BAD_STEP', /step/],
    ['a step above 100', { action: 'progress', accessToken: 'a', step: 101 }, 'OTA_BAD_STEP', /step/],
    ['an outcome of no push', { action: 'outcome', id: '1', outcome: 'offline' }, 'OTA_BAD_INPUT', /"id"/],
    [
      'an outcome that is none',
      { action: 'outcome', id: '1', outcome: 'lost' },
      'OTA_BAD_INPUT',
      /"outcome"/,
    ],
  ];
  for (const [what, payload, code, names] of WRONG) {
    it(`ends a message with ${what} in ${code}`, async () => {
      const refused = await fleet.refused(payload);
      assert.equal(refused.code, code);
      assert.match(refused.message, names);
      assert.equal((await fleet.ask<{ total: number }>({ action: 'fleet' })).total, 0);
    });
  }

  it('goes on with the same pushes after a restart, by the name of its fleet', async () => {
    const task = await fleet.create(['a']);
    const [push] = await fleet.pushes(1);
    const anew = await fleet.again({ id: 'n1', name: 'another' });
    const [again] = await anew.pushes(1);
    assert.deepEqual(again, push);
    await anew.version('a', 'v2');
    assert.equal((await anew.get(task)).counts.succeeded, 1);
  });
});

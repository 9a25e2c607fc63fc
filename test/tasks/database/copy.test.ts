import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { PostgresStore, SqliteStore } from '../../../nodes/lib/tasks/database';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { temporaryFolder } from '../../support/temporary-folder';
import { Calls, inform, progress } from './calls';

const PROGRAM = path.resolve('nodes/lib/tasks/database/copy-store.ts');

describe('node-red-ota-store copy', function () {
  this.timeout(120_000);
  const later = cleanup(after);
  let server: PostgresServer;

  before(async function () {
    requirePostgres(this);
    server = later(await startPostgresServer());
  });

  const copy = (from: string, to: string) =>
    spawnSync(process.execPath, ['--import', 'tsx', PROGRAM, 'copy', from, to], { encoding: 'utf8' });

  it('says that there is no such file to copy from, and makes none', async () => {
    const folder = later(await temporaryFolder('ota-copy-'));
    const file = path.join(folder.path, 'taks.db');
    const { status, stderr } = copy(file, path.join(folder.path, 'new.db'));
    assert.deepEqual([status, fs.readdirSync(folder.path)], [1, []]);
    assert.match(stderr, /OTA_BAD_INPUT: .*There is no file .*taks\.db/);
  });

  it('moves a fleet from SQLite to PostgreSQL and back, with its tasks paused, and compares the counts', async () => {
    const folder = later(await temporaryFolder('ota-copy-'));
    const file = path.join(folder.path, 'tasks.db');
    const store = new SqliteStore({ file });
    store.open();
    const calls = new Calls(store.tasks('fleet'));
    await calls.report([inform('a', 'v1'), inform('ä', 'v1'), inform('c', 'v3', 'MCU')]);
    const { task } = await calls.make(['a', 'ä', 'b'], { policy: { waves: [50, 100] } });
    await calls.claim(task.id);
    await calls.report([progress('a', 40), inform('ä', 'v2')], 2000);
    store.close();

    const url = `${server.url()}&schema=copied`;
    const there = copy(file, url);
    assert.equal(there.status, 0, there.stderr);
    assert.match(there.stdout, /task_devices +3 -> 3/);
    const database = new PostgresStore({ url: server.url(), schema: 'copied', poolSize: 3, time: 'caller' });
    await database.open();
    const copied = await database.tasks('fleet').task(task.taskId);
    assert.equal(copied?.status, 'paused');
    assert.deepEqual(copied.counts, {
      pending: 1,
      pushed: 0,
      upgrading: 1,
      succeeded: 1,
      failed: 0,
      cancelled: 0,
    });
    const history = await database.tasks('fleet').history(copied.id, 'a');
    assert.deepEqual(
      history?.map(({ event }) => event),
      ['push', 'progress'],
    );
    // New numbers come behind those that were copied.
    await new Calls(database.tasks('fleet')).make(['d']);
    await database.close();

    const again = copy(file, url);
    assert.equal(again.status, 1);
    assert.match(again.stderr, /not empty/);

    const back = path.join(folder.path, 'back.db');
    const returned = copy(url, back);
    assert.equal(returned.status, 0, returned.stderr);
    // The file alone is whole, and for nobody else to read.
    const whole = path.join(folder.path, 'whole.db');
    fs.copyFileSync(back, whole);
    assert.equal(fs.statSync(back).mode & 0o777, 0o600);
    const last = new SqliteStore({ file: whole });
    last.open();
    const found = last.tasks('fleet').task(task.taskId);
    assert.deepEqual([found?.status, found?.counts], [copied.status, copied.counts]);
    assert.equal(last.tasks('fleet').list({ page: 1, pageSize: 10 }).total, 2);
    last.close();
  });
});

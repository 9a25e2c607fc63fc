import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { type SqliteDriver, SqliteStore } from '../../../nodes/lib/tasks/database';
import { openSqlite } from '../../../nodes/lib/tasks/database/sqlite/driver';
import { makeReady } from '../../../nodes/lib/tasks/database/sqlite/file-on-disk';
import { MIGRATIONS } from '../../../nodes/lib/tasks/database/sqlite/schema';
import { Calls, inform } from './calls';
import { exercise } from './exercise';

let folder = '';
let stores: SqliteStore[] = [];
let driver: SqliteDriver = 'libsql';

/**
 * Those that this machine has: node:sqlite comes with Node.js 22.13. Never two of them on one file: locks
 * are a process's own, so two libraries in it don't see each other's.
 */
const DRIVERS = (['libsql', 'node:sqlite'] as const).filter((name) => {
  try {
    openSqlite(':memory:', [name]).close();
    return true;
  } catch {
    return false;
  }
});

function begin(name: SqliteDriver): void {
  driver = name;
  folder = mkdtempSync(path.join(os.tmpdir(), 'ota-store-'));
}

function end(): void {
  for (const store of stores) store.close();
  stores = [];
  rmSync(folder, { recursive: true, force: true });
}

function open(name = 'ota.db', options: { maxDevices?: number; busyMs?: number } = {}): SqliteStore {
  const store = new SqliteStore({ file: path.join(folder, name), drivers: [driver], ...options });
  store.open();
  stores.push(store);
  return store;
}

for (const name of DRIVERS) {
  exercise(`SQLite by ${name}`, {
    begin: () => begin(name),
    open: (options) => open('ota.db', options),
    rows: (table) => {
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      const n = Number(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n']);
      db.close();
      return n;
    },
    end,
  });

  describe(`the SQLite store by ${name}`, () => {
    beforeEach(() => begin(name));
    afterEach(end);

    it('is durable against a power cut', () => {
      const store = open();
      assert.ok(store);
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      assert.equal(db.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal');
      db.close();
    });

    it('makes its folder', () => {
      open(path.join('deep', 'er', 'ota.db'));
    });

    it('lets nobody else read its files, not those of an earlier version either', () => {
      const file = path.join(folder, 'new', 'ota.db');
      const rights = (name: string): string => (statSync(name).mode & 0o777).toString(8);
      const all = (): string[] => ['', '-wal', '-shm'].map((part) => rights(file + part));
      const store = open(path.join('new', 'ota.db'));
      assert.deepEqual([rights(path.dirname(file)), ...all()], ['700', '600', '600', '600']);
      store.close();
      chmodSync(file, 0o664);
      open(path.join('new', 'ota.db'));
      assert.equal(rights(file), '660');
      assert.ok(
        all().every((mode) => mode.endsWith('0')),
        String(all()),
      );
    });

    it('leaves a lock on its file to whoever has it, in this process too', () => {
      const file = path.join(folder, 'ota.db');
      open();
      const db = openSqlite(file, [driver]);
      db.exec('BEGIN IMMEDIATE');
      makeReady(file);
      assert.match(lockElsewhere(file), /locked|busy/i);
      db.exec('ROLLBACK');
      db.close();
      assert.equal(lockElsewhere(file), 'free');
    });

    it('has all in the file itself once it is closed: a copy of that alone is a whole one', async () => {
      const calls = new Calls(open().tasks('s'));
      await calls.make(['a', 'b']);
      stores[0]?.close();
      copyFileSync(path.join(folder, 'ota.db'), path.join(folder, 'copy.db'));
      const { total } = open('copy.db').tasks('s').list({ page: 1, pageSize: 2 });
      assert.equal(total, 1);
    });

    it('refuses a store of a later version and changes nothing', () => {
      open().close();
      const file = path.join(folder, 'ota.db');
      const db = openSqlite(file, [driver]);
      db.prepare('INSERT INTO migrations (version, name, at) VALUES (99, ?, 0)').run('later');
      db.close();
      assert.throws(() => open(), { code: 'OTA_STORE_NEWER' });
      const left = openSqlite(file, [driver]);
      assert.equal(left.prepare('SELECT max(version) AS v FROM migrations').get()?.['v'], 99);
      left.close();
    });

    it('refuses the database of something else', () => {
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      db.exec('CREATE TABLE customers (id INTEGER)');
      db.close();
      assert.throws(() => open(), { code: 'OTA_STORE_FAILED', message: /something else/ });
    });

    it('refuses a file that is no database', () => {
      writeFileSync(path.join(folder, 'ota.db'), 'not a database, '.repeat(1000));
      assert.throws(() => open(), { code: 'OTA_STORE_FAILED' });
    });

    it('says of a file with damaged pages that it is damaged', () => {
      const file = path.join(folder, 'ota.db');
      open().close();
      const bytes = readFileSync(file);
      writeFileSync(file, bytes.fill(0xff, 4096, 6 * 4096));
      rmSync(`${file}-wal`, { force: true });
      assert.throws(() => open(), { code: 'OTA_STORE_FAILED', message: /is damaged/ });
    });

    it('refuses a name that no file can have, and a folder', () => {
      assert.throws(() => open('a\0b.db'), { code: 'OTA_BAD_SETTINGS', message: /NUL/ });
      assert.throws(() => open('.'), { code: 'OTA_STORE_FAILED', message: /must be a file/ });
    });

    it('refuses a folder in which none can be made', () => {
      const file = path.join('/proc', 'ota', 'deep', 'ota.db');
      const store = new SqliteStore({ file, drivers: [driver] });
      assert.throws(() => store.open(), { code: 'OTA_STORE_FAILED' });
    });

    it('says that its file was taken away, and goes on when it is back', async () => {
      const tasks = new Calls(open().tasks('s'));
      const { task } = await tasks.make(['a']);
      const file = path.join(folder, 'ota.db');
      renameSync(file, `${file}.away`);
      const lost = { code: 'OTA_STORE_FAILED', message: /taken away/ };
      assert.throws(() => tasks.report([inform('a', 'v2')]), lost);
      writeFileSync(file, '');
      assert.throws(() => tasks.report([inform('a', 'v2')]), lost, 'nothing is written to another file');
      assert.equal(statSync(file).size, 0);
      renameSync(`${file}.away`, file);
      await tasks.report([inform('a', 'v2')]);
      assert.equal((await tasks.find(task.taskId)).counts.succeeded, 1);
    });

    it('says what to do where there is no SQLite', () => {
      const store = new SqliteStore({ file: path.join(folder, 'x.db'), drivers: [] });
      assert.throws(() => store.open(), { code: 'OTA_NO_SQLITE', message: /npm install libsql/ });
    });

    it('waits for another program that holds the file, while the event loop is free', async () => {
      const tasks = new Calls(open().tasks('s'));
      const { task } = await tasks.make(['a']);
      const other = openSqlite(path.join(folder, 'ota.db'), [driver]);
      other.exec('BEGIN IMMEDIATE');
      const reported = tasks.report([inform('a', 'v2')]);
      assert.ok(reported instanceof Promise, 'the answer comes later');
      for (let turns = 0; turns < 3; turns += 1) await new Promise((resolve) => setTimeout(resolve, 1));
      assert.equal((await tasks.find(task.taskId)).counts.succeeded, 0, 'reading goes on');
      other.exec('ROLLBACK');
      other.close();
      await reported;
      assert.equal((await tasks.find(task.taskId)).counts.succeeded, 1);
    });

    it('says that another program holds the file for too long, and goes on afterwards', async () => {
      const tasks = new Calls(open('ota.db', { busyMs: 1 }).tasks('s'));
      const { task } = await tasks.make(['a']);
      const other = openSqlite(path.join(folder, 'ota.db'), [driver]);
      other.exec('BEGIN IMMEDIATE');
      const busy = { code: 'OTA_STORE_BUSY', message: /locked/ };
      await assert.rejects(async () => tasks.report([inform('a', 'v2')]), busy);
      other.exec('ROLLBACK');
      other.close();
      await tasks.report([inform('a', 'v2')]);
      assert.equal((await tasks.find(task.taskId)).counts.succeeded, 1);
    });

    for (const part of ['-wal', '-shm']) {
      it(`says that its file ${part} was taken away`, async () => {
        const tasks = new Calls(open().tasks('s'));
        await tasks.make(['a']);
        const file = path.join(folder, `ota.db${part}`);
        renameSync(file, `${file}.away`);
        const lost = { code: 'OTA_STORE_FAILED', message: new RegExp(`${part} .*taken away`) };
        assert.throws(() => tasks.report([inform('a', 'v2')]), lost);
        renameSync(`${file}.away`, file);
        assert.equal((await tasks.report([inform('a', 'v2')])).changes.length, 1);
      });
    }

    it('has the old schema or the new one after a kill in the middle of a migration', async () => {
      const file = path.join(folder, 'ota.db');
      killWhileMigrating(file, 'CREATE TABLE services');
      const db = openSqlite(file, [driver]);
      assert.deepEqual(db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all(), []);
      db.close();
      await new Calls(open().tasks('s')).make(['a']);
    });

    it('takes the history of an older schema along, killed in the middle of it or not', () => {
      const file = path.join(folder, 'ota.db');
      const old = openSqlite(file, [driver]);
      old.exec(
        `CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL);
        ${MIGRATIONS[0]?.sql ?? ''}
        INSERT INTO migrations VALUES (1, 'first', 0);
        INSERT INTO services (id, key) VALUES (1, 's');
        INSERT INTO task_devices (id, task, service, scope, token, wave, ord, status, at, events)
          VALUES (7, 1, 1, 1, 'a', 1, 0, 2, 0, 102);`,
      );
      const add = old.prepare('INSERT INTO history VALUES (7, ?, ?, ?, 1, 2, ?, ?, NULL, ?)');
      // A ring: the newest two stand in the slots of the oldest.
      for (let i = 3; i <= 102; i += 1) add.run((i - 1) % 100, i, 'progress', i % 100, `"${i}" %`, i);
      old.close();
      killWhileMigrating(file, 'DROP TABLE history_events');
      const left = openSqlite(file, [driver]);
      assert.equal(left.prepare('SELECT max(version) AS v FROM migrations').get()?.['v'], 1);
      assert.equal(left.prepare('SELECT count(number) AS n FROM history').get()?.['n'], 100);
      left.close();
      const events = open().tasks('s').history(1, 'a') ?? [];
      assert.deepEqual([events.length, events[0]?.at, events.at(-1)?.at], [100, 3, 102]);
      const { event, from, to, step, desc, id } = events[97] ?? {};
      assert.deepEqual(
        { event, from, to, step, desc, id },
        { event: 'progress', from: 'pushed', to: 'upgrading', step: 0, desc: '"100" %', id: null },
      );
    });
  });
}

/** What another process is told that wants to write. */
function lockElsewhere(file: string): string {
  const script = `
    const { openSqlite } = require(${JSON.stringify(path.resolve('nodes/lib/tasks/database/sqlite/driver.ts'))});
    try {
      openSqlite(process.argv[1], [${JSON.stringify(driver)}]).exec('BEGIN IMMEDIATE');
      process.stdout.write('free');
    } catch (error) {
      process.stdout.write(error.message);
    }`;
  return spawnSync(process.execPath, ['--import', 'tsx', '-e', script, file], { encoding: 'utf8' }).stdout;
}

/** Runs the migrations in a process that is killed right after a statement, before the commit. */
function killWhileMigrating(file: string, statement: string): void {
  const script = `
    const { openSqlite } = require(${JSON.stringify(path.resolve('nodes/lib/tasks/database/sqlite/driver.ts'))});
    const { migrate } = require(${JSON.stringify(path.resolve('nodes/lib/tasks/database/sqlite/schema.ts'))});
    const db = openSqlite(process.argv[1], [${JSON.stringify(driver)}]);
    const exec = db.exec;
    db.exec = (sql) => { exec(sql); if (sql.includes(process.argv[2])) process.kill(process.pid, 'SIGKILL'); };
    migrate(db, 0);`;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '-e', script, file, statement], {
    encoding: 'utf8',
  });
  assert.equal(child.signal, 'SIGKILL', child.stderr);
}

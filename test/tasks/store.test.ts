import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { waveEnds } from '../../nodes/lib/tasks/machine';
import { type ClaimRules, type NewTask, type SqliteDriver, SqliteStore } from '../../nodes/lib/tasks/store';
import { openSqlite } from '../../nodes/lib/tasks/store/sqlite-driver';
import { MIGRATIONS } from '../../nodes/lib/tasks/store/sqlite-schema';
import type { SqliteTasks } from '../../nodes/lib/tasks/store/sqlite-tasks';
import type { Policy, Task } from '../../nodes/lib/tasks/types';
import { plan, WALL } from './support';

interface Made {
  readonly task: Task;
  readonly tasks: SqliteTasks;
}

let folder = '';
let stores: SqliteStore[] = [];
let made = 0;
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

function open(name = 'ota.db', options: { maxDevices?: number } = {}): SqliteStore {
  const store = new SqliteStore({ file: path.join(folder, name), drivers: [driver], ...options });
  store.open();
  stores.push(store);
  return store;
}

function make(
  tasks: SqliteTasks,
  tokens: readonly string[],
  options: { version?: string; module?: string; policy?: Partial<Policy>; sources?: string | null } = {},
): Made {
  made += 1;
  const { id: _, ...fields } = plan(0, options.version ?? 'v2', options);
  const ends = waveEnds(tokens.length, fields.policy.waves);
  const sizes = ends.map((end, i) => end - (ends[i - 1] ?? 0));
  const task: NewTask = {
    ...fields,
    taskId: `task-${made}`,
    status: 'running',
    total: tokens.length,
    waves: sizes,
  };
  const id = tasks.create(task);
  tasks.addDevices(
    id,
    tokens.map((accessToken, i) => ({
      accessToken,
      source: options.sources === undefined ? 'v1' : options.sources,
      wave: ends.findIndex((end) => i < end) + 1,
      order: i,
    })),
  );
  tasks.publish(id);
  return { task: find(tasks, task.taskId), tasks };
}

function find(tasks: SqliteTasks, taskId: string): Task {
  const task = tasks.task(taskId);
  assert.ok(task);
  return task;
}

let ids = 0;
function rules(fields: Partial<ClaimRules> = {}): ClaimRules {
  return { now: 1000, wall: WALL, room: () => 100, pace: () => 0, nextId: () => `id-${++ids}`, ...fields };
}

function statuses({ task, tasks }: Made): Record<string, string> {
  const { devices } = tasks.devices({ task, status: null, search: '', page: 1, pageSize: 1000 });
  return Object.fromEntries(devices.map((device) => [device.accessToken, device.status]));
}

const progress = (accessToken: string, step: number, module: string | null = null) =>
  ({ kind: 'progress', accessToken, module, step, desc: '', wall: WALL }) as const;
const inform = (accessToken: string, version: string, module = 'default', id: string | null = null) =>
  ({ kind: 'inform', accessToken, module, version, id, wall: WALL }) as const;

for (const name of DRIVERS)
  describe(`the SQLite store by ${name}`, () => {
    beforeEach(() => {
      driver = name;
      folder = mkdtempSync(path.join(os.tmpdir(), 'ota-store-'));
    });
    afterEach(() => {
      for (const store of stores) store.close();
      stores = [];
      rmSync(folder, { recursive: true, force: true });
    });

    it('is durable against a power cut', () => {
      const store = open();
      assert.ok(store);
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      assert.equal(db.prepare('PRAGMA journal_mode').get()?.['journal_mode'], 'wal');
      db.close();
    });

    it('finds everything again after it was closed', () => {
      const store = open();
      const { task } = make(store.tasks('s'), ['a', 'b']);
      store.tasks('s').claim(task.id, rules());
      store.tasks('s').report([progress('a', 40), inform('b', 'v2')], 2000);
      store.tasks('s').saveClock(5000);
      store.close();
      const again = open().tasks('s');
      assert.equal(again.clock(), 5000);
      assert.deepEqual(statuses({ task: find(again, task.taskId), tasks: again }), {
        a: 'upgrading',
        b: 'succeeded',
      });
    });

    it('makes its folder', () => {
      open(path.join('deep', 'er', 'ota.db'));
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

    it('refuses a name that no file can have, and a folder', () => {
      assert.throws(() => open('a\0b.db'), { code: 'OTA_BAD_SETTINGS', message: /NUL/ });
      assert.throws(() => open('.'), { code: 'OTA_STORE_FAILED', message: /must be a file/ });
    });

    it('refuses a folder in which none can be made', () => {
      const file = path.join('/proc', 'ota', 'deep', 'ota.db');
      const store = new SqliteStore({ file, drivers: [driver] });
      assert.throws(() => store.open(), { code: 'OTA_STORE_FAILED' });
    });

    it('says that its file was taken away, and goes on when it is back', () => {
      const tasks = open().tasks('s');
      const { task } = make(tasks, ['a']);
      const file = path.join(folder, 'ota.db');
      renameSync(file, `${file}.away`);
      const lost = { code: 'OTA_STORE_FAILED', message: /taken away/ };
      assert.throws(() => tasks.report([inform('a', 'v2')], 0), lost);
      writeFileSync(file, '');
      assert.throws(() => tasks.report([inform('a', 'v2')], 0), lost, 'nothing is written to another file');
      assert.equal(statSync(file).size, 0);
      renameSync(`${file}.away`, file);
      tasks.report([inform('a', 'v2')], 0);
      assert.equal(find(tasks, task.taskId).counts.succeeded, 1);
    });

    it('says what to do where there is no SQLite', () => {
      const store = new SqliteStore({ file: path.join(folder, 'x.db'), drivers: [] });
      assert.throws(() => store.open(), { code: 'OTA_NO_SQLITE', message: /npm install libsql/ });
    });

    it('says that another program holds the file, and goes on afterwards', () => {
      const tasks = open().tasks('s');
      const { task } = make(tasks, ['a']);
      const other = openSqlite(path.join(folder, 'ota.db'), [driver]);
      other.exec('BEGIN IMMEDIATE');
      assert.throws(() => tasks.report([inform('a', 'v2')], 0), {
        code: 'OTA_STORE_FAILED',
        message: /locked/,
      });
      other.exec('ROLLBACK');
      other.close();
      tasks.report([inform('a', 'v2')], 0);
      assert.equal(find(tasks, task.taskId).counts.succeeded, 1);
    });

    it('writes all of a batch or nothing', () => {
      const store = open();
      const tasks = store.tasks('s');
      const made = make(tasks, ['a', 'b']);
      const broken = {
        kind: 'progress',
        accessToken: 'b',
        module: null,
        step: Symbol('x') as never,
        desc: '',
        wall: WALL,
      } as const;
      tasks.claim(made.task.id, rules());
      assert.throws(() => tasks.report([inform('a', 'v2'), inform('new', 'v2', 'other'), broken], 0));
      assert.deepEqual(statuses(made), { a: 'pushed', b: 'pushed' });
      tasks.report([inform('new', 'v2', 'other')], 0);
      assert.equal(tasks.versions('other', ['new']).get('new')?.version, 'v2');
    });

    it('keeps the services apart', () => {
      const store = open();
      const one = make(store.tasks('one'), ['a']);
      const two = make(store.tasks('two'), ['a']);
      store.tasks('one').report([inform('a', 'v2')], 0);
      assert.deepEqual([statuses(one), statuses(two)], [{ a: 'succeeded' }, { a: 'pending' }]);
      assert.equal(store.tasks('two').task(one.task.taskId), null);
    });

    it('keeps the modules apart', () => {
      const tasks = open().tasks('s');
      const mcu = make(tasks, ['a'], { module: 'MCU' });
      tasks.report([inform('a', 'v2')], 0);
      assert.deepEqual(statuses(mcu), { a: 'pending' });
      tasks.report([inform('a', 'v2', 'MCU')], 0);
      assert.deepEqual(statuses(mcu), { a: 'succeeded' });
    });

    describe('the queue', () => {
      it('gives the open waves only, in their order', () => {
        const tasks = open().tasks('s');
        const { task } = make(tasks, ['a', 'b', 'c', 'd'], { policy: { waves: [50, 100] } });
        const { pushes } = tasks.claim(task.id, rules());
        assert.deepEqual(
          pushes.map((push) => push.device.accessToken),
          ['a', 'b'],
        );
        assert.equal(tasks.claim(task.id, rules()).pushes.length, 0);
      });

      it('commits the id before the push is given out', () => {
        const tasks = open().tasks('s');
        const { task } = make(tasks, ['a']);
        const [push] = tasks.claim(task.id, rules()).pushes;
        const other = open().tasks('s');
        const row = other.devices({ task, status: 'pushed', search: '', page: 1, pageSize: 10 }).devices[0];
        assert.equal(row?.pushId, push?.device.pushId);
      });

      it('gives a device that another task upgrades only when that is over', () => {
        const tasks = open().tasks('s');
        const one = make(tasks, ['a']);
        const two = make(tasks, ['a'], { version: 'v3' });
        tasks.claim(one.task.id, rules());
        assert.equal(tasks.claim(two.task.id, rules()).pushes.length, 0);
        assert.equal(
          tasks.claim(two.task.id, rules()).changes.length,
          0,
          'it isn’t looked at again and again',
        );
        tasks.report([progress('a', -1)], 0);
        assert.equal(tasks.claim(two.task.id, rules()).pushes.length, 1);
      });

      for (const version of ['v2', 'v9']) {
        it(`gives it when a report of ${version} ends the other upgrade`, () => {
          const tasks = open().tasks('s');
          tasks.report([inform('a', 'v1')], 0);
          const one = make(tasks, ['a']);
          const two = make(tasks, ['a'], { version: 'v3' });
          tasks.claim(one.task.id, rules());
          tasks.claim(two.task.id, rules());
          tasks.report([inform('a', version)], 0);
          const [push] = tasks.claim(two.task.id, rules()).pushes;
          assert.deepEqual([push?.device.status, push?.device.source], ['pushed', version]);
        });
      }

      it('gives devices of different modules at once', () => {
        const tasks = open().tasks('s');
        const one = make(tasks, ['a']);
        const two = make(tasks, ['a'], { module: 'MCU' });
        assert.equal(tasks.claim(one.task.id, rules()).pushes.length, 1);
        assert.equal(tasks.claim(two.task.id, rules()).pushes.length, 1);
      });

      it('gives no device of a task that does not run', () => {
        const tasks = open().tasks('s');
        const { task } = make(tasks, ['a']);
        tasks.decide(task.id, () => ({ status: 'paused', reason: null, wave: 1 }), WALL);
        assert.equal(tasks.claim(task.id, rules()).pushes.length, 0);
      });

      it('takes a device that has the target version by now as succeeded', () => {
        const tasks = open().tasks('s');
        tasks.report([inform('a', 'v2')], 0);
        const made = make(tasks, ['a']);
        assert.equal(tasks.claim(made.task.id, rules()).pushes.length, 0);
        assert.deepEqual(statuses(made), { a: 'succeeded' });
      });

      it('never pushes onto a version that the package is not made for', () => {
        const tasks = open().tasks('s');
        const made = make(tasks, ['a'], { policy: { fromVersions: ['v1'] } });
        tasks.report([inform('a', 'v0')], 0);
        assert.equal(tasks.claim(made.task.id, rules()).pushes.length, 0);
        assert.deepEqual(statuses(made), { a: 'failed' });
      });

      it('gives pushes that may not have left once more', () => {
        const tasks = open().tasks('s');
        const { task } = make(tasks, ['a'], { policy: { repush: 0 } });
        const [first] = tasks.claim(task.id, rules()).pushes;
        tasks.recover(0, 2000);
        const { pushes } = tasks.due({ now: 2000, wall: WALL, limit: 10, mayPush: () => true });
        assert.deepEqual(
          pushes.map((push) => push.device.pushId),
          [first?.device.pushId],
        );
      });
    });

    describe('a report', () => {
      it('without a module means the only active upgrade', () => {
        const tasks = open().tasks('s');
        const mcu = make(tasks, ['a'], { module: 'MCU' });
        tasks.claim(mcu.task.id, rules());
        tasks.report([progress('a', 50)], 0);
        assert.deepEqual(statuses(mcu), { a: 'upgrading' });
      });

      it('without a module means default where several are active', () => {
        const tasks = open().tasks('s');
        const mcu = make(tasks, ['a'], { module: 'MCU' });
        const whole = make(tasks, ['a']);
        for (const { task } of [mcu, whole]) tasks.claim(task.id, rules());
        tasks.report([progress('a', 50)], 0);
        assert.deepEqual([statuses(mcu), statuses(whole)], [{ a: 'pushed' }, { a: 'upgrading' }]);
      });

      it('of an upgrade that was cancelled never makes a newer one succeed', () => {
        const tasks = open().tasks('s');
        const one = make(tasks, ['a']);
        tasks.claim(one.task.id, rules());
        tasks.move(one.task.id, { accessTokens: ['a'] }, { on: 'cancel', now: 0 }, WALL);
        const two = make(tasks, ['a'], { version: 'v3' });
        tasks.claim(two.task.id, rules());
        tasks.report([progress('a', 100)], 0);
        assert.deepEqual(statuses(two), { a: 'upgrading' });
        tasks.report([inform('a', 'v3')], 0);
        assert.deepEqual(statuses(two), { a: 'succeeded' });
      });

      it('of a removed task’s upgrade never makes a newer one succeed', () => {
        const tasks = open().tasks('s');
        const one = make(tasks, ['a']);
        tasks.claim(one.task.id, rules());
        tasks.move(one.task.id, { accessTokens: ['a'] }, { on: 'cancel', now: 0 }, WALL);
        tasks.hide(one.task.id);
        while (tasks.deleteSlice(10, WALL));
        const two = make(tasks, ['a']);
        tasks.claim(two.task.id, rules());
        tasks.report([progress('a', 100)], 0);
        assert.deepEqual(statuses(two), { a: 'upgrading' });
      });

      it('of a device in no task changes nothing but what is known of it', () => {
        const tasks = open().tasks('s');
        assert.deepEqual(tasks.report([progress('x', 100), inform('x', 'v1')], 0), {
          changes: [],
          leftOut: 0,
        });
        assert.equal(tasks.versions('default', ['x']).get('x')?.version, 'v1');
      });

      it('for a removed task changes nothing', () => {
        const tasks = open().tasks('s');
        const { task } = make(tasks, ['a']);
        tasks.claim(task.id, rules());
        tasks.hide(task.id);
        assert.deepEqual(tasks.report([progress('a', 50)], 0).changes, []);
      });

      it('for a task that is still being made changes nothing', () => {
        const tasks = open().tasks('s');
        const { id: _, ...fields } = plan(0, 'v2');
        const id = tasks.create({ ...fields, status: 'running', total: 1, waves: [1] });
        tasks.addDevices(id, [{ accessToken: 'a', source: 'v1', wave: 1, order: 0 }]);
        assert.deepEqual(tasks.report([inform('a', 'v2')], 0).changes, []);
      });
    });

    it('remembers a bounded number of devices and says what it left out', () => {
      const tasks = open('small.db', { maxDevices: 2 }).tasks('s');
      const first = tasks.report(
        ['a', 'b', 'c', 'd'].map((token) => inform(token, 'v1')),
        0,
      );
      assert.equal(first.leftOut, 2);
      assert.equal(tasks.report([inform('a', 'v2')], 0).leftOut, 0, 'one that it knows is kept up to date');
      assert.equal(tasks.versions('default', ['a', 'b', 'c']).size, 2);
      stores[0]?.close();
      assert.equal(
        open('small.db', { maxDevices: 2 })
          .tasks('s')
          .report([inform('e', 'v1')], 0).leftOut,
        1,
      );
    });

    it('remembers a bounded number of modules', () => {
      const tasks = open().tasks('s');
      const names = Array.from({ length: 1100 }, (_, i) => inform('a', 'v1', `m${i}`));
      assert.equal(tasks.report([...names, inform('a', 'v1', 'm'.repeat(200))], 0).leftOut, 101);
    });

    it('keeps the last 100 events of a device', () => {
      const tasks = open().tasks('s');
      const { task } = make(tasks, ['a']);
      tasks.claim(task.id, rules());
      tasks.report(
        Array.from({ length: 150 }, () => progress('a', 5)),
        0,
      );
      const events = tasks.history(task.id, 'a') ?? [];
      assert.equal(events.length, 100);
      assert.ok(events.every((event) => event.event === 'progress'));
    });

    it('keeps the last 100 events of a device over many transactions', () => {
      const tasks = open().tasks('s');
      const { task } = make(tasks, ['a']);
      tasks.claim(task.id, rules());
      for (let i = 1; i <= 90; i += 1) {
        tasks.report(
          [
            { ...progress('a', 5), desc: `${i}` },
            { ...progress('a', 5), desc: `${i}.5` },
          ],
          0,
        );
      }
      const events = tasks.history(task.id, 'a') ?? [];
      assert.deepEqual(
        [events.length, events[0]?.desc, events[1]?.desc, events.at(-1)?.desc],
        [100, '41', '41.5', '90.5'],
      );
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      assert.equal(db.prepare('SELECT count(*) AS n FROM history').get()?.['n'], 50);
      db.close();
    });

    it('keeps the history of 90 days', () => {
      const tasks = open().tasks('s');
      const { task } = make(tasks, ['a']);
      tasks.claim(task.id, rules());
      tasks.report([{ ...progress('a', 5), wall: WALL + 1000 }], 0);
      tasks.prune(WALL + 1);
      assert.deepEqual(
        (tasks.history(task.id, 'a') ?? []).map((event) => event.event),
        ['progress'],
      );
    });

    it('pages, filters and searches', () => {
      const tasks = open().tasks('s');
      const tokens = Array.from({ length: 25 }, (_, i) => `dev-${String(i).padStart(2, '0')}`);
      const { task } = make(tasks, [...tokens, 'other'], { policy: { waves: [50, 100] } });
      tasks.claim(task.id, rules({ room: () => 3 }));
      tasks.report([inform('dev-01', 'v1')], 0);
      const query = { task: find(tasks, task.taskId), status: null, search: '', page: 1, pageSize: 10 };
      const page3 = tasks.devices({ ...query, page: 3 });
      assert.deepEqual(
        [page3.total, page3.devices.length, page3.devices.at(-1)?.accessToken],
        [26, 6, 'other'],
      );
      const pushed = tasks.devices({ ...query, status: 'pushed' });
      assert.deepEqual([pushed.total, pushed.devices.map((d) => d.accessToken)], [3, tokens.slice(0, 3)]);
      const found = tasks.devices({ ...query, search: 'dev-0' });
      assert.deepEqual([found.total, found.devices[1]?.currentVersion], [10, 'v1']);
      assert.equal(tasks.devices({ ...query, search: 'dev-0', status: 'pending' }).total, 7);
      assert.equal(tasks.devices({ ...query, search: "%' OR 1=1 --" }).total, 0);
    });

    it('removes a task in slices, with all that belongs to it', () => {
      const tasks = open().tasks('s');
      const { task } = make(
        tasks,
        Array.from({ length: 25 }, (_, i) => `d${i}`),
      );
      tasks.claim(task.id, rules());
      tasks.hide(task.id);
      assert.equal(tasks.task(task.taskId), null);
      let slices = 0;
      while (tasks.deleteSlice(10, WALL)) slices += 1;
      assert.equal(slices, 3);
      const db = openSqlite(path.join(folder, 'ota.db'), [driver]);
      for (const table of ['tasks', 'task_devices', 'task_waves', 'history']) {
        assert.equal(db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.['n'], 0, table);
      }
      db.close();
    });

    it('deletes a task whose making was broken off', () => {
      const tasks = open().tasks('s');
      const { id: _, ...fields } = plan(0, 'v2');
      const id = tasks.create({ ...fields, status: 'running', total: 1, waves: [1] });
      tasks.addDevices(id, [{ accessToken: 'a', source: null, wave: 1, order: 0 }]);
      assert.equal(tasks.deleteSlice(10, WALL + 1000), false, 'it may still be at it');
      assert.equal(tasks.deleteSlice(10, WALL + 3_600_000), true);
      assert.deepEqual(tasks.list({ page: 1, pageSize: 10 }), { total: 0, tasks: [] });
    });

    it('lets two instances claim from one file without giving a device twice', () => {
      const one = open().tasks('s');
      const two = open().tasks('s');
      const { task } = make(
        one,
        Array.from({ length: 40 }, (_, i) => `d${i}`),
      );
      const given = [one, two, one, two].flatMap((tasks) =>
        tasks.claim(task.id, rules({ room: () => 10 })).pushes.map((push) => push.device.accessToken),
      );
      assert.equal(new Set(given).size, 40);
      assert.equal(find(two, task.taskId).counts.pushed, 40);
    });

    it('has the old schema or the new one after a kill in the middle of a migration', () => {
      const file = path.join(folder, 'ota.db');
      killWhileMigrating(file, 'CREATE TABLE services');
      const db = openSqlite(file, [driver]);
      assert.deepEqual(db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all(), []);
      db.close();
      make(open().tasks('s'), ['a']);
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

/** Runs the migrations in a process that is killed right after a statement, before the commit. */
function killWhileMigrating(file: string, statement: string): void {
  const script = `
    const { openSqlite } = require(${JSON.stringify(path.resolve('nodes/lib/tasks/store/sqlite-driver.ts'))});
    const { migrate } = require(${JSON.stringify(path.resolve('nodes/lib/tasks/store/sqlite-schema.ts'))});
    const db = openSqlite(process.argv[1], [${JSON.stringify(driver)}]);
    const exec = db.exec;
    db.exec = (sql) => { exec(sql); if (sql.includes(process.argv[2])) process.kill(process.pid, 'SIGKILL'); };
    migrate(db, 0);`;
  const child = spawnSync(process.execPath, ['--import', 'tsx', '-e', script, file, statement], {
    encoding: 'utf8',
  });
  assert.equal(child.signal, 'SIGKILL', child.stderr);
}

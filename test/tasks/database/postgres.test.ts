import assert from 'node:assert/strict';
import { createScheme } from '../../../nodes/lib/protocol';
import { readCommand } from '../../../nodes/lib/tasks/commands';
import {
  type Awaitable,
  type Orphan,
  PostgresStore,
  type TaskDatabase,
} from '../../../nodes/lib/tasks/database';
import { Engine } from '../../../nodes/lib/tasks/engine';
import { DEFAULT_POLICY } from '../../../nodes/lib/tasks/policy';
import {
  fleetNeed,
  label,
  move,
  moveNeed,
  repeat,
  repeatNeed,
  report,
  reportNeed,
  takeIntent,
} from '../../../nodes/lib/tasks/transactions';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { until } from '../../support/wait';
import { PostgresPool } from '../../../nodes/lib/tasks/database/postgres/driver';
import { plan, WALL } from '../support';
import { Calls, inform } from './calls';
import { exercise } from './exercise';

describe('PostgreSQL', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let server: PostgresServer;
  let schemas = 0;

  before(async function () {
    requirePostgres(this);
    server = later(await startPostgresServer());
  });

  exercise('PostgreSQL', {
    begin: () => {
      schemas += 1;
    },
    async open({ maxDevices }) {
      const store = new PostgresStore({
        url: server.url(),
        schema: `s${schemas}`,
        poolSize: 4,
        time: 'caller',
        ...(maxDevices === undefined ? {} : { maxDevices }),
      });
      await store.open();
      return store;
    },
    rows: (table) => Number(server.psql(`SELECT count(*) FROM s${schemas}.${table}`)),
    end: () => {
      server.psql(`DROP SCHEMA IF EXISTS s${schemas} CASCADE`);
    },
  });

  it('leaves no transaction open on a connection where nothing was to be committed', async () => {
    const pool = new PostgresPool({ url: server.url(), schema: 'public', poolSize: 1 });
    pool.open();
    await pool.read({ text: 'CREATE TABLE kept (n int)' });
    await pool.transaction((transaction) => transaction.read({ text: 'SELECT 1' }));
    await pool.read({ text: 'INSERT INTO kept VALUES (1)' });
    assert.equal(server.psql('SELECT n FROM kept'), '1');
    await pool.read({ text: 'DROP TABLE kept' });
    await pool.close();
  });

  it('keeps the labels of a device whole that instances label, and it itself reports, at the same time', async () => {
    schemas += 1;
    const schema = `s${schemas}`;
    const stores = [1, 2].map(
      () => new PostgresStore({ url: server.url(), schema, poolSize: 4, time: 'caller' }),
    );
    for (const store of stores) await store.open();
    const [one, two] = stores.map((store) => store.tasks('s'));
    assert.ok(one && two);
    const at = { wall: WALL, ticks: 0 };
    await one.transact(reportNeed([inform('a', 'v1')], at), (rows) => report([inform('a', 'v1')], rows));
    const times = async (act: (value: string) => Promise<unknown>): Promise<void> => {
      for (let n = 0; n < 20; n += 1) await act(`v${n}`);
    };
    const labelled = (tasks: TaskDatabase, name: string) => (value: string) =>
      Promise.resolve(tasks.transact(fleetNeed(['a'], at), (rows) => label(['a'], { [name]: value }, rows)));
    await Promise.all([
      times(labelled(one, 'one')),
      times(labelled(two, 'two')),
      times((three) => {
        const message = { ...inform('a', 'v1'), labels: { three } };
        return two.transact(reportNeed([message], at), (rows) => report([message], rows));
      }),
    ]);
    const labels = (await one.labels(['a'])).get('a');
    assert.deepEqual(Object.keys(labels ?? {}).sort(), ['one', 'three', 'two']);
    const stored = server.psql(`SELECT name || '=' || value FROM ${schema}.label_values ORDER BY 1`);
    assert.deepEqual(
      stored.split('\n'),
      Object.entries(labels ?? {})
        .map(([name, value]) => `${name}=${value}`)
        .sort(),
    );
    for (const store of stores) await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  it('goes on behind a device that another instance changes while a slice of a command waits for it', async () => {
    schemas += 1;
    const schema = `s${schemas}`;
    const stores = [1, 2].map(
      () => new PostgresStore({ url: server.url(), schema, poolSize: 4, time: 'caller' }),
    );
    for (const store of stores) await store.open();
    const [one, two] = stores.map((store) => new Calls(store.tasks('s')));
    assert.ok(one && two);
    const { task } = await one.make(['a', 'b', 'c', 'd']);
    await one.claim(task.id);
    const waits = { text: 'SELECT 1 FROM pg_locks WHERE NOT granted' };
    const whileItWaits = async <T>(change: string, work: () => Awaitable<T>): Promise<T> => {
      let working: Awaitable<T> | undefined;
      await stores[1]?.pool.transaction(async (transaction) => {
        await transaction.read({ text: `UPDATE task_devices SET ${change}` });
        working = work();
        await until(async () => (await transaction.read(waits)).length > 0, 'the slice to wait');
        await transaction.commit();
      });
      return working as Awaitable<T>;
    };
    const at = { wall: WALL, ticks: 2000 };
    const pushed = { task: task.id, since: 0, after: '', limit: 2 };
    const repeated = await whileItWaits("status = 3 WHERE token = 'b'", () =>
      one.database.transact(repeatNeed(task.id, pushed, at), (rows) => repeat(2, rows)),
    );
    assert.equal(repeated.next, 'b');
    server.psql(`UPDATE ${schema}.task_devices SET status = 4`);
    const slice = { in: 'task', status: 'failed', after: '', limit: 2 } as const;
    const intent = { on: 'retry', statuses: ['failed'], reasons: null, byName: false } as const;
    const moved = await whileItWaits("status = 3 WHERE token = 'a'", () =>
      one.database.transact(moveNeed(task.id, slice, at), (rows) => move(intent, slice, rows)),
    );
    assert.deepEqual([moved.changes.length, moved.next], [1, 'b']);
    for (const store of stores) await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  it('writes nothing more for an instance that was adopted, neither reports nor pushes nor decisions', async () => {
    schemas += 1;
    const schema = `s${schemas}`;
    const stores = [1, 2].map(() => new PostgresStore({ url: server.url(), schema, poolSize: 4 }));
    const [one, two] = stores.map((store) => ({
      members: store.members('s'),
      calls: new Calls(store.tasks('s')),
    }));
    assert.ok(one && two);
    for (const store of stores) await store.open();
    for (const [i, { members }] of [one, two].entries()) {
      await members.join({ clientId: `c${i}`, name: `n${i}`, deaf: false });
    }
    const { task } = await one.calls.make(['a', 'b', 'c']);
    await one.calls.claim(task.id, { limit: 1 });
    const { id: _, ...fields } = plan(0, 'v2');
    const made = { ...fields, status: 'running', waves: 1 } as const;
    const device = { accessToken: 'd', source: 'v1', wave: 1, order: 0, at: WALL };
    const half = await one.calls.create({ ...made, taskId: 'half' }, [device]);
    server.psql(`UPDATE ${schema}.members SET beat_at = 0 WHERE name = 'n0'`);
    const id = Number(server.psql(`SELECT id FROM ${schema}.members WHERE name = 'n0'`));
    assert.ok(await two.members.adopt({ id }));
    const stored = (): string =>
      ['tasks', 'task_devices', 'task_counts', 'history', 'devices']
        .map((table) => server.psql(`SELECT t::text FROM ${schema}.${table} AS t ORDER BY 1`))
        .join('\n\n');
    const before = stored();
    const { database } = one.calls;
    const writes: Record<string, () => Awaitable<unknown>> = {
      report: () => one.calls.report([inform('a', 'v1')]),
      claim: () => one.calls.claim(task.id),
      due: () => one.calls.due(1e9, WALL, 10),
      repeat: () => one.calls.repeat(task.id, 0, 2000),
      create: () => database.create(made, { wall: WALL, ticks: 0 }),
      publish: () => database.publish(half),
      discard: () => database.discard(half),
      hide: () => database.hide(task.id),
      prune: () => database.prune(1e15),
      delete: () => database.deleteSlice(10, 1e15),
      decide: () => one.calls.decide(task.id, ({ wave }) => ({ status: 'paused', reason: null, wave })),
    };
    for (const [name, write] of Object.entries(writes)) {
      await assert.rejects(async () => write(), { message: /taken over/ }, name);
    }
    assert.equal(stored(), before);
    assert.equal((await two.calls.claim(task.id)).pushes.length, 2, 'whoever lives goes on');
    for (const store of stores) await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  it('repeats the pushes of an instance that was killed, where it is back before its row is gone', async () => {
    schemas += 1;
    const schema = `s${schemas}`;
    const stores = [1, 2].map(() => new PostgresStore({ url: server.url(), schema, poolSize: 4 }));
    for (const store of stores) await store.open();
    const [before, after] = stores;
    assert.ok(before && after);
    await before.members('s').join({ clientId: 'c0', name: 'before', deaf: false });
    const calls = new Calls(before.tasks('s'));
    const { task } = await calls.make(['a']);
    assert.equal((await calls.claim(task.id)).pushes.length, 1);
    await after.members('s').join({ clientId: 'c1', name: 'after', deaf: false });
    const scheme = createScheme('thingspanel');
    const pushed: string[] = [];
    let now = 0;
    const engine = new Engine({
      database: after.tasks('s'),
      everyMs: 0,
      shared: true,
      time: { wall: () => Date.now(), steady: () => now },
      link: {
        isDevice: (identity) => scheme.identity.is(identity),
        prepare: (upgrade) => scheme.prepare(upgrade),
        publish: (accessToken) => pushed.push(accessToken),
      },
    });
    await engine.start();
    engine.setConnected(true);
    const look = async (): Promise<void> => {
      now += 2000;
      await engine.runScheduler();
    };
    await look();
    await look();
    assert.deepEqual(pushed, [], 'it may live');
    server.psql(`DELETE FROM ${schema}.members WHERE name = 'before'`);
    for (let looks = 0; looks < 10; looks += 1) await look();
    assert.deepEqual(pushed, ['a']);
    await engine.stop();
    for (const store of stores) await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  describe('commands on one task by two instances', () => {
    const started: { readonly store: PostgresStore; readonly engine: Engine; readonly changed: string[] }[] =
      [];
    let schema = '';

    const instance = async (name: string): Promise<(typeof started)[number]> => {
      const store = new PostgresStore({ url: server.url(), schema, poolSize: 4 });
      await store.open();
      await store.members('s').join({ clientId: name, name, deaf: false });
      // It lives as long as the test says.
      server.psql(`UPDATE ${schema}.members SET beat_at = beat_at + 3600000 WHERE name = '${name}'`);
      const scheme = createScheme('thingspanel');
      const engine = new Engine({
        database: store.tasks('s'),
        everyMs: 0,
        shared: true,
        link: {
          isDevice: (identity) => scheme.identity.is(identity),
          prepare: (upgrade) => scheme.prepare(upgrade),
          publish: () => undefined,
        },
      });
      const changed: string[] = [];
      engine.listen({ onChange: ({ after }) => changed.push(after.accessToken) });
      await engine.start();
      const made = { store, engine, changed };
      started.push(made);
      return made;
    };
    const run = ({ engine }: (typeof started)[number], payload: object): Promise<object> =>
      engine.command(readCommand(payload, DEFAULT_POLICY));
    const create = async (one: (typeof started)[number], targets: readonly string[]): Promise<string> => {
      const sign = { sign: '0'.repeat(32), signMethod: 'Md5' };
      const file = { version: 'v2', url: 'http://127.0.0.1/v2.bin', size: 4, ...sign };
      const task = await run(one, { action: 'create', package: file, targets, draft: true });
      return (task as { taskId: string }).taskId;
    };
    const states = (): string =>
      server.psql(
        `SELECT string_agg(token || ' ' || status, ', ' ORDER BY token COLLATE "C") FROM ${schema}.task_devices`,
      );

    beforeEach(() => {
      schemas += 1;
      schema = `s${schemas}`;
    });
    afterEach(async () => {
      for (const { engine, store } of started.splice(0)) {
        await engine.stop();
        await store.close();
      }
      server.psql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
    });

    it('each move the devices that they name, at the same time', async () => {
      const one = await instance('one');
      const two = await instance('two');
      const tokens = Array.from({ length: 16 }, (_, i) => `d${i + 10}`);
      const taskId = await create(one, tokens);
      await Promise.all(
        tokens.map((token, i) =>
          run(i % 2 === 0 ? one : two, { action: 'cancel', taskId, accessTokens: [token, token] }),
        ),
      );
      assert.equal(states(), tokens.map((token) => `${token} 5`).join(', '));
    });

    it('wait for each other while both live, and are finished by a survivor', async () => {
      const one = await instance('one');
      const two = await instance('two');
      const taskId = await create(one, ['a', 'b', 'c']);
      const leave = async (token: string): Promise<void> => {
        const database = one.store.tasks('s');
        const task = await database.task(taskId);
        assert.ok(task);
        const at = { wall: Date.now(), ticks: 0 };
        const intent = { on: 'cancel', statuses: null, reasons: null, byName: true, id: token } as const;
        await database.transact({ at, task: task.id }, (rows) => takeIntent(intent, [token], rows));
      };
      await leave('a');
      const cancelled = run(two, { action: 'cancel', taskId, accessTokens: ['b'] });
      await two.engine.runScheduler();
      await one.engine.runScheduler();
      await cancelled;
      assert.deepEqual([one.changed, two.changed], [['a'], ['b']]);
      await leave('c');
      server.psql(`UPDATE ${schema}.members SET beat_at = 0 WHERE name = 'one'`);
      await two.engine.runScheduler();
      assert.deepEqual(two.changed, ['b', 'c']);
      assert.equal(states(), 'a 5, b 5, c 5');
    });

    it('are not undone by the cancel of the whole task, which waits for them; a survivor moves what is left of it', async () => {
      const one = await instance('one');
      const two = await instance('two');
      const taskId = await create(one, ['a', 'b', 'c']);
      const database = one.store.tasks('s');
      const task = await database.task(taskId);
      assert.ok(task);
      const at = { wall: Date.now(), ticks: 0 };
      const intent = { on: 'cancel', statuses: null, reasons: null, byName: true, id: 'of one' } as const;
      await database.transact({ at, task: task.id }, (rows) => takeIntent(intent, ['a'], rows));
      const cancelled = run(two, { action: 'cancel', taskId });
      await one.engine.runScheduler();
      assert.equal(((await cancelled) as { status: string }).status, 'cancelled');
      assert.deepEqual([one.changed, two.changed], [['a'], ['b', 'c']]);
      // As by an instance that is killed right after it has accepted a cancel.
      const next = await create(one, ['d', 'e']);
      server.psql(`UPDATE ${schema}.tasks SET status = 'cancelled' WHERE key = '${next}';
        UPDATE ${schema}.members SET beat_at = 0 WHERE name = 'one'`);
      await two.engine.runScheduler();
      assert.equal(states(), 'a 5, b 5, c 5, d 5, e 5');
    });

    it('remove no task whose devices another instance takes in again', async () => {
      const one = await instance('one');
      const two = await instance('two');
      const taskId = await create(one, ['a']);
      await run(one, { action: 'cancel', taskId });
      const database = one.store.tasks('s');
      const task = await database.task(taskId);
      assert.ok(task);
      // Two instances of one database read the same; what one does in between stands behind it.
      const at = { wall: Date.now(), ticks: 0 };
      const intent = { on: 'retry', statuses: null, reasons: null, byName: true, id: 'of one' } as const;
      await database.transact({ at, task: task.id }, (rows) => takeIntent(intent, ['a'], rows));
      assert.equal(await two.store.tasks('s').hide(task.id), false, 'a command is under way');
      await one.engine.runScheduler();
      assert.equal((await two.store.tasks('s').task(taskId))?.status, 'running');
      assert.equal(await two.store.tasks('s').hide(task.id), false, 'it runs again');
      await run(two, { action: 'cancel', taskId });
      await run(two, { action: 'remove', taskId });
      await assert.rejects(run(one, { action: 'remove', taskId }), { code: 'OTA_UNKNOWN_TASK' });
    });

    it('give up after 20 s, with nothing done, where another instance that lives goes on with one', async () => {
      const one = await instance('one');
      const two = await instance('two');
      const taskId = await create(one, ['a', 'b']);
      const database = one.store.tasks('s');
      const task = await database.task(taskId);
      assert.ok(task);
      const at = { wall: Date.now(), ticks: 0 };
      const intent = { on: 'cancel', statuses: null, reasons: null, byName: true, id: 'of one' } as const;
      await database.transact({ at, task: task.id }, (rows) => takeIntent(intent, ['a'], rows));
      const began = performance.now();
      const cancelled = run(two, { action: 'cancel', taskId, accessTokens: ['b'] });
      await assert.rejects(cancelled, { code: 'OTA_STORE_BUSY' });
      assert.ok(performance.now() - began >= 20_000);
      assert.equal(states(), 'a 0, b 0');
      assert.equal((await two.store.tasks('s').task(taskId))?.status, 'draft');
      await one.engine.runScheduler();
      await run(two, { action: 'cancel', taskId });
      assert.equal(states(), 'a 5, b 5');
    });
  });

  it('offers a session to the instance that adopted it, and to no other one, until it is removed', async () => {
    schemas += 1;
    const schema = `s${schemas}`;
    const store = new PostgresStore({ url: server.url(), schema, poolSize: 4 });
    await store.open();
    const [gone, one, two] = ['gone', 'one', 'two'].map((name) => ({ name, members: store.members('s') }));
    assert.ok(gone && one && two);
    const orphans = async ({ name, members }: typeof one): Promise<readonly Orphan[]> => {
      const beat = await members.beat({ hears: true, granted: true, subscribed: true });
      // It lives as long as the test says.
      server.psql(`UPDATE ${schema}.members SET beat_at = beat_at + 3600000 WHERE name = '${name}'`);
      return beat.orphans;
    };
    for (const each of [gone, one, two]) {
      await each.members.join({ clientId: each.name, name: each.name, deaf: false });
      await orphans(each);
    }
    server.psql(`UPDATE ${schema}.members SET beat_at = 0 WHERE name = 'gone'`);
    const names = (found: readonly Orphan[]): string => found.map(({ name }) => name).join(', ');
    const [orphan] = await orphans(one);
    assert.ok(orphan);
    assert.equal(await one.members.adopt(orphan), true);
    // As after a COMMIT whose answer was lost.
    assert.equal(names(await orphans(one)), 'gone');
    assert.equal(await one.members.adopt(orphan), true);
    assert.equal(names(await orphans(two)), '');
    assert.equal(await two.members.adopt(orphan), false);
    await one.members.remove(orphan.id);
    assert.equal(names(await orphans(one)), '');
    assert.equal(await one.members.adopt(orphan), false);
    await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  describe('a schema', () => {
    const name = 'form';
    const stores: PostgresStore[] = [];
    const store = (): PostgresStore => {
      const made = new PostgresStore({ url: server.url(), schema: name, poolSize: 3, time: 'caller' });
      stores.push(made);
      return made;
    };
    const open = (): Promise<void> => store().open();
    afterEach(async () => {
      for (const one of stores.splice(0)) await one.close();
      server.psql(`DROP SCHEMA IF EXISTS ${name} CASCADE`);
    });

    it('is made once by instances that come at the same time', async () => {
      await Promise.all(Array.from({ length: 5 }, open));
      assert.equal(
        server.psql(`SELECT count(*) = count(DISTINCT version) AND count(*) > 0 FROM ${name}.migrations`),
        't',
      );
    });

    it('is made, and a task published, however long a statement of that takes', async () => {
      const busy = store();
      busy.pool.open();
      const lock = `SELECT pg_advisory_xact_lock(7265117, hashtext('${name}')), pg_sleep(9)`;
      const locked = busy.pool.transaction(
        async (transaction) => {
          await transaction.read({ text: lock });
          await transaction.commit();
        },
        { limitMs: 60_000 },
      );
      const held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'";
      await until(() => server.psql(held) === '1', 'the lock');
      await open();
      await locked;
      server.psql(`CREATE FUNCTION ${name}.wait() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_sleep(9); RETURN NEW; END $$;
        CREATE TRIGGER wait BEFORE UPDATE ON ${name}.tasks FOR EACH ROW WHEN (NEW.visible > OLD.visible)
        EXECUTE FUNCTION ${name}.wait()`);
      const { task } = await new Calls(busy.tasks('s')).make(['a']);
      assert.equal(task.counts.pending, 1);
    });

    it('of a later version of this package is left as it is', async () => {
      await open();
      server.psql(
        `INSERT INTO ${name}.migrations SELECT max(version) + 1, 'later', 0 FROM ${name}.migrations`,
      );
      await assert.rejects(open(), { code: 'OTA_STORE_NEWER' });
    });

    it('that something else lies in is left as it is', async () => {
      server.psql(`CREATE SCHEMA ${name}; CREATE TABLE ${name}.tasks (mine text)`);
      await assert.rejects(open(), { code: 'OTA_STORE_FAILED', message: /choose another schema/ });
      assert.equal(server.psql(`SELECT count(*) FROM pg_tables WHERE schemaname = '${name}'`), '1');
    });
  });
});

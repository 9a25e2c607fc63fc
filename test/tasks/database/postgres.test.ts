import assert from 'node:assert/strict';
import { type Awaitable, PostgresStore, type TaskDatabase } from '../../../nodes/lib/tasks/database';
import {
  fleetNeed,
  label,
  move,
  moveNeed,
  repeat,
  repeatNeed,
  report,
  reportNeed,
} from '../../../nodes/lib/tasks/transactions';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { until } from '../../support/wait';
import { WALL } from '../support';
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
    end: () => {
      server.psql(`DROP SCHEMA IF EXISTS s${schemas} CASCADE`);
    },
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

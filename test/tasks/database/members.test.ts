/** Who counts as gone among instances that share a database, whatever is done to its clock. */
import assert from 'node:assert/strict';
import { type Beat, PostgresStore } from '../../../nodes/lib/tasks/database';
import { Members } from '../../../nodes/lib/tasks/database/postgres/members';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { until } from '../../support/wait';

const HOUR = 3_600_000;

describe('instances that share a database', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let server: PostgresServer;
  let store: PostgresStore;
  let schema = '';
  let schemas = 0;
  /** The steady clock of all of them: whoever beats once a round lives, however long a round takes here. */
  let steady = 0;
  const ROUND_MS = 300;

  before(async function () {
    requirePostgres(this);
    server = later(await startPostgresServer());
  });
  beforeEach(async () => {
    schemas += 1;
    schema = `m${schemas}`;
    store = new PostgresStore({ url: server.url(), schema, poolSize: 4 });
    await store.open();
  });
  afterEach(async () => {
    await store.close();
    server.psql(`DROP SCHEMA ${schema} CASCADE`);
  });

  interface Member {
    readonly name: string;
    beat(hears?: boolean): Promise<Beat>;
    adopt(id: number): Promise<boolean>;
  }

  async function join(name: string, { deaf = false, subscribed = true } = {}): Promise<Member> {
    const members = new Members(store.pool, store.tasks('s'), () => steady);
    await members.join({ clientId: name, name, deaf });
    return {
      name,
      beat: (hears = true) => members.beat({ hears, granted: hears, subscribed }),
      adopt: (id) => members.adopt({ id }),
    };
  }
  /** The clock of the database is set: all that was stamped lies so much before or after it. */
  const setClock = (ms: number): unknown =>
    server.psql(`UPDATE ${schema}.members SET beat_at = beat_at - ${ms}, heard_at = heard_at - ${ms};
      UPDATE ${schema}.services SET clock_at = clock_at - ${ms}`);
  const orphans = ({ orphans: found }: Beat): string[] => found.map(({ name }) => name);
  const rows = (): string => server.psql(`SELECT string_agg(name, ', ' ORDER BY id) FROM ${schema}.members`);

  it('adopt one that died right before the clock was set back, and none of those that live', async () => {
    const gone = await join('gone');
    const [one, two] = [await join('one'), await join('two')];
    for (const each of [gone, one, two]) await each.beat();
    setClock(-HOUR);
    const found = new Set<string>();
    await until(async () => {
      for (const each of [one, two]) for (const name of orphans(await each.beat())) found.add(name);
      steady += ROUND_MS;
      return found.size > 0;
    }, 'the dead one to be found');
    assert.deepEqual([...found], ['gone']);
    const [orphan] = (await one.beat()).orphans;
    assert.ok(orphan);
    assert.equal(await one.adopt(orphan.id), true);
    assert.equal(await two.adopt(orphan.id), false);
  });

  for (const [name, by] of [
    ['back', -HOUR],
    ['on', HOUR],
  ] as const)
    it(`adopt nobody who lives when the clock is set ${name}, and their time goes on`, async () => {
      const [one, two] = [await join('one'), await join('two')];
      for (const each of [one, two]) await each.beat();
      setClock(by);
      const first = await one.beat();
      assert.deepEqual(orphans(first), []);
      for (const each of [two, one, two]) assert.deepEqual(orphans(await each.beat()), []);
      const last = await until(async () => {
        await two.beat();
        const beat = await one.beat();
        return beat.ticks > first.ticks ? beat : null;
      }, 'ticks');
      assert.ok(last.ticks - first.ticks < 60_000, 'by what has passed, not by what the clock was set');
      assert.ok(last.lives && last.deaf.length === 0);
    });

  it('give a life that begins after the database was away its time to hear', async () => {
    const members = new Members(store.pool, store.tasks('s'), () => steady);
    await members.join({ clientId: 'first', name: 'one', deaf: false });
    await members.beat({ hears: true, granted: true, subscribed: true });
    steady += 60_000;
    await members.join({ clientId: 'second', name: 'one', deaf: false });
    const { deaf } = await members.beat({ hears: false, granted: false, subscribed: true });
    assert.deepEqual(deaf, []);
  });

  it('do not adopt one that has beaten since it was seen to be silent', async () => {
    const [one, two] = [await join('one'), await join('two')];
    for (const each of [two, one]) await each.beat();
    setClock(-HOUR);
    const orphan = await until(async () => {
      steady += ROUND_MS;
      return (await one.beat()).orphans[0];
    }, 'the other one to be silent');
    assert.ok((await two.beat()).lives);
    assert.equal(await one.adopt(orphan.id), false);
  });

  it('take away the row of one without a session, whatever the clock says, and wait for no lock on it', async () => {
    const gone = await join('gone', { subscribed: false });
    const one = await join('one', { subscribed: false });
    for (const each of [gone, one]) await each.beat();
    setClock(-HOUR);
    await until(async () => {
      steady += ROUND_MS;
      await one.beat();
      return rows() === 'one';
    }, 'its row to go');
    const other = await join('other', { subscribed: false });
    await other.beat();
    const ticks = (await one.beat()).ticks;
    setClock(HOUR);
    // As a transaction of reports that hangs.
    const release = await holdRow('other');
    // A beat that waited for the lock would not end before it is let go of.
    for (let round = 0; round < 15; round += 1) {
      assert.ok((await one.beat()).lives);
      steady += ROUND_MS;
    }
    assert.equal(rows(), 'one, other');
    await release();
    await until(async () => {
      await one.beat();
      return rows() === 'one';
    }, 'that one to go, too');
    await until(async () => (await one.beat()).ticks > ticks, 'time to go on');
  });

  /** Holds a row as whoever writes in its name does; returns what lets go of it. */
  async function holdRow(name: string): Promise<() => Promise<void>> {
    let release: () => void = () => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    let held = false;
    const done = store.pool.transaction(async (transaction) => {
      await transaction.read({ text: 'SELECT 1 FROM members WHERE name = $1 FOR KEY SHARE' }, [name]);
      held = true;
      const asLongAs = setInterval(() => transaction.write({ text: 'SELECT 1' }), 1000);
      await released;
      clearInterval(asLongAs);
      await transaction.commit();
    });
    await until(() => held, 'the lock');
    return async () => {
      release();
      await done;
    };
  }

  it('adopt for deafness only a life that had heard; one that never did is told until it hears', async () => {
    const one = await join('one');
    const born = await join('born deaf', { deaf: true });
    const became = await join('became deaf');
    for (const each of [one, became]) await each.beat();
    await born.beat(false);
    server.psql(`UPDATE ${schema}.members SET deaf = 1, hears = 0 WHERE name = 'became deaf'`);
    const seen = await one.beat();
    assert.deepEqual(orphans(seen), ['became deaf']);
    assert.deepEqual([...seen.deaf].sort(), ['became deaf', 'born deaf']);
    const ids = server.psql(`SELECT id FROM ${schema}.members WHERE deaf = 1 ORDER BY id`).split('\n');
    assert.deepEqual(await Promise.all(ids.map((id) => one.adopt(Number(id)))), [false, true]);
    assert.ok((await born.beat(true)).lives);
    assert.deepEqual((await one.beat()).deaf, ['became deaf']);
    // Once it is gone its session is taken over all the same, but nothing can have been lost with it.
    const never = await join('never heard', { deaf: true });
    await never.beat(false);
    server.psql(`UPDATE ${schema}.members SET beat_at = 0 WHERE name = 'never heard'`);
    const found = (await one.beat()).orphans.map(({ name, heard }) => [name, heard]);
    assert.deepEqual(found, [
      ['became deaf', true],
      ['never heard', false],
    ]);
  });
});

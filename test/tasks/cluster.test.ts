import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectAsync } from 'mqtt';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../support/postgres';
import { until } from '../support/wait';
import { InstanceProcess } from './support/cluster';
import { Fleet, type Plan } from './support/fleet';
import { checkOutcome, createCommand, goodPlans, writtenTwice } from './support/outcome';

/** `npm run cluster` has more of them, and takes longer. */
const DEVICES = 60;
const CLIENT_IDS = 'SELECT client_id FROM ota.members ORDER BY id';

describe('several instances on one PostgreSQL', function () {
  this.timeout(180_000);
  const later = cleanup();
  let broker: Mosquitto;
  let server: PostgresServer;

  before(function () {
    mosquittoMissing(this);
    requirePostgres(this);
  });

  beforeEach(async () => {
    const config = ['max_queued_messages 0', 'max_inflight_messages 200'];
    broker = later(await startMosquitto({ persistence: true, config }));
    server = later(await startPostgresServer({ tcp: true, durable: true }));
  });

  const instance = (): InstanceProcess => later(new InstanceProcess(broker.url, server.url()));

  /** It has changed a device: what devices report, and the pushes, come to it too. */
  const hasItsShare = ({ told }: InstanceProcess): Promise<boolean> =>
    until(() => told.some(({ kind }) => kind === 'change'), 'the other instance to have its share');

  it('lose nothing when one of two is killed under reports, and a second attempt begins nowhere', async () => {
    const fleet = later(await Fleet.start(broker.url, goodPlans(DEVICES, 150)));
    const one = await instance().ready();
    let two = await instance().ready();
    const { taskId } = await one.ask(createCommand([...fleet.plans.keys()]));
    await hasItsShare(two);
    for (let kill = 0; kill < 2; kill += 1) {
      await two.kill();
      two = instance();
      await sleep(500);
    }
    await checkOutcome(server, taskId, fleet);
    await two.ready();
    assert.equal((await two.ask({ action: 'get', taskId }))['status'], 'ended', 'each knows of all');
    const rows = (): string => server.psql('SELECT count(*) FROM ota.members WHERE subscribed = 1');
    await until(() => rows() === '2', 'the sessions of the dead to be through');
    assert.deepEqual([...one.faults, ...two.faults], []);
  });

  it('keep a frozen instance from writing what another one has taken over', async () => {
    const fleet = later(await Fleet.start(broker.url, goodPlans(DEVICES, 300)));
    const one = await instance().ready();
    const two = await instance().ready();
    const { taskId } = await one.ask(createCommand([...fleet.plans.keys()]));
    await hasItsShare(two);
    const clientId = server.psql(`${CLIENT_IDS} DESC LIMIT 1`);
    two.signal('SIGSTOP');
    await until(
      () => server.psql('SELECT count(*) FROM ota.members') === '1',
      'the frozen instance to be adopted, and through',
    );
    // What a client of ours makes the broker write stands behind all that the adoption did.
    const fence = await connectAsync(broker.url, { clientId: 'fence' });
    await fence.endAsync();
    await until(() => broker.lines.some((line) => line.includes('Client fence disconnected')), 'its log');
    const last = broker.lines.length;
    two.signal('SIGCONT');
    await checkOutcome(server, taskId, fleet);
    assert.ok(writtenTwice(server) <= 1, `${writtenTwice(server)} reports were written twice`);
    await until(() => server.psql(CLIENT_IDS).split('\n').length === 2, 'it to come back as another one');
    assert.ok(!server.psql(CLIENT_IDS).includes(clientId), 'never under the same client id');
    const written = broker.lines.slice(last).filter((line) => line.includes(`from ${clientId}`));
    assert.deepEqual(written, [], 'the broker got nothing more in the session that was taken over');
  });

  it('hear their devices at once in a fleet that is never quiet, and again after the broker was away', async () => {
    const fleet = await connectAsync(broker.url, { clientId: 'devices', protocolVersion: 5 });
    let n = 0;
    const timer = setInterval(() => {
      n += 1;
      if (fleet.connected)
        fleet.publish(`/ota/device/progress/device-${n % 7}`, '{"step":"10","desc":""}', { qos: 1 });
    }, 50);
    later({
      stop: async () => {
        clearInterval(timer);
        await fleet.endAsync(true);
      },
    });
    const heard = (): boolean => server.psql('SELECT count(*) FROM ota.members WHERE hears = 1') === '2';
    await instance().ready();
    await instance().ready();
    // Well before the minute after which reports that never stop count as those of now.
    await until(heard, 'both to hear', 25_000);
    await broker.pause();
    await until(() => server.psql('SELECT max(hears) FROM ota.members') === '0', 'none to hear', 25_000);
    await broker.restart();
    await until(heard, 'both to hear again', 40_000);
  });

  it('tell of a session that the broker has lost, and go on', async () => {
    const one = await instance().ready();
    const two = await instance().ready();
    const clientId = await killed(two);
    const client = await connectAsync(broker.url, { clientId, clean: true });
    await client.endAsync();
    await until(() => one.faults.includes('OTA_SESSION_LOST'), 'the loss to be told', 30_000);
    await until(() => server.psql(CLIENT_IDS).split('\n').length === 1, 'its row to go');
    assert.ok(!server.psql(CLIENT_IDS).includes(clientId));
    assert.deepEqual(one.faults, ['OTA_SESSION_LOST'], 'once');
  });

  it('end a session once, and remove its row as soon as the database lets them', async () => {
    const one = await instance().ready();
    const two = await instance().ready();
    // A sequence counts also what is rolled back.
    server.psql(`CREATE SEQUENCE ota.refused;
      CREATE FUNCTION ota.keep() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM nextval('ota.refused'); RAISE 'no'; END $$;
      CREATE TRIGGER keep BEFORE DELETE ON ota.members FOR EACH ROW EXECUTE FUNCTION ota.keep()`);
    await killed(two);
    const refused = (): boolean => server.psql('SELECT is_called FROM ota.refused') === 't';
    await until(refused, 'its row to be refused to go', 30_000);
    server.psql('DROP TRIGGER keep ON ota.members');
    await until(() => server.psql(CLIENT_IDS).split('\n').length === 1, 'its row to go', 30_000);
    assert.deepEqual(one.faults, []);
  });

  /** Answers its client id. */
  async function killed(two: InstanceProcess): Promise<string> {
    const clientId = server.psql(`${CLIENT_IDS} DESC LIMIT 1`);
    await two.kill();
    return clientId;
  }

  it('acknowledge nothing that is not stored while the database is killed or gone, and go on by themselves', async () => {
    const fleet = later(await Fleet.start(broker.url, goodPlans(DEVICES, 200)));
    const one = await instance().ready();
    const two = await instance().ready();
    const { taskId } = await one.ask(createCommand([...fleet.plans.keys()]));
    await hasItsShare(two);
    await server.halt('immediate');
    await sleep(6000);
    await server.start();
    await until(
      () => one.told.some(({ kind, value }) => kind === 'problem' && value !== null),
      'the problem to be told',
    );
    await checkOutcome(server, taskId, fleet);
  });

  const REFUSALS = [
    {
      what: 'is full',
      code: 'OTA_DISK_FULL',
      begin: `CREATE FUNCTION ota.full() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$;
        CREATE TRIGGER is_full BEFORE INSERT ON ota.history FOR EACH STATEMENT EXECUTE FUNCTION ota.full()`,
      end: 'DROP TRIGGER is_full ON ota.history',
    },
    {
      what: 'takes no writes',
      code: 'OTA_STORE_FAILED',
      begin: 'ALTER SYSTEM SET default_transaction_read_only TO on',
      end: 'SET default_transaction_read_only TO off; ALTER SYSTEM RESET default_transaction_read_only',
    },
  ];
  for (const { what, code, begin, end } of REFUSALS)
    it(`acknowledge nothing that is not stored while the database ${what}, tell it, and go on by themselves`, async () => {
      const fleet = later(await Fleet.start(broker.url, goodPlans(DEVICES, 200)));
      const one = await instance().ready();
      const two = await instance().ready();
      const { taskId } = await one.ask(createCommand([...fleet.plans.keys()]));
      await hasItsShare(two);
      const problems = ({ told }: InstanceProcess): unknown[] =>
        told.flatMap(({ kind, value }) =>
          kind === 'problem' ? [(value as { code: string } | null)?.code] : [],
        );
      server.psql(begin);
      server.psql('SELECT pg_reload_conf()');
      const from = broker.lines.length;
      const all = (): boolean => [one, two].every((each) => problems(each).includes(code));
      await until(all, 'both to tell it', 30_000);
      const connections = broker.lines.slice(from).filter((line) => /New client connected/.test(line)).length;
      assert.ok(connections < 40, `${connections} connections: a tight loop`);
      server.psql(end);
      server.psql('SELECT pg_reload_conf()');
      await checkOutcome(server, taskId, fleet);
      await until(
        () => [one, two].every((each) => problems(each).at(-1) === undefined),
        'both to be well',
        30_000,
      );
    });

  it('keep the rate and the concurrency of a task together, and one active upgrade of a device', async () => {
    const tokens = Array.from({ length: 40 }, (_, i) => `dev-${i}`);
    const silent = new Map<string, Plan>(tokens.map((token) => [token, { attempts: [[]] }]));
    const fleet = later(await Fleet.start(broker.url, silent));
    const instances = [instance(), instance(), instance()];
    for (const each of instances) await each.ready();
    const [one, two, three] = instances;
    assert.ok(one && two && three);
    const answers = await Promise.all([
      one.ask(createCommand(tokens, { concurrency: 10 })),
      two.ask(createCommand(tokens, { concurrency: 10 })),
      three.ask(createCommand(tokens, { concurrency: 10 })),
    ]);
    await until(() => fleet.heard.size >= 30, 'three times ten pushes');
    await sleep(3000);
    const active = server.psql(
      'SELECT max(n), max(d) FROM (SELECT count(*) AS n, count(*) - count(DISTINCT token) AS d FROM ota.task_devices WHERE status IN (1, 2) GROUP BY task) AS t',
    );
    assert.equal(active, '10|0');
    assert.equal(
      server.psql('SELECT count(*) - count(DISTINCT token) FROM ota.task_devices WHERE status IN (1, 2)'),
      '0',
    );
    // Any instance takes a command on any task.
    const taskId = String(answers[0]['taskId']);
    assert.equal((await three.ask({ action: 'pause', taskId }))['status'], 'paused');
    assert.equal((await two.ask({ action: 'cancel', taskId }))['status'], 'cancelled');
  });

  it('leave nothing of a task that could not be made as a whole, and make it when it is tried again', async () => {
    const one = await instance().ready();
    server.psql(`CREATE FUNCTION ota.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
      CREATE TRIGGER refuse BEFORE INSERT ON ota.task_devices FOR EACH ROW WHEN (NEW.token = 'dev-2999')
      EXECUTE FUNCTION ota.refuse()`);
    const command = createCommand(Array.from({ length: 3000 }, (_, i) => `dev-${i}`));
    assert.equal((await one.ask(command))['code'], 'OTA_STORE_FAILED');
    const rows = (): string =>
      server.psql('SELECT (SELECT count(*) FROM ota.tasks), (SELECT count(*) FROM ota.task_devices)');
    await until(() => rows() === '0|0', 'what was written of it to go');
    server.psql('DROP TRIGGER refuse ON ota.task_devices');
    assert.equal((await one.ask(command))['status'], 'running');
    assert.equal(rows(), '1|3000');
  });
});

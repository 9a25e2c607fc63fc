import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { PostgresStore } from '../../nodes/lib/tasks/database';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../support/postgres';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { InstanceProcess } from './support/cluster';
import { Fleet, type Plan } from './support/fleet';

const STEPS = [25, 50, 75, 100];
const GOOD = [...STEPS.map((step) => ({ step })), { version: 'v2' }];
/** `npm run cluster` takes longer. */
const LONG = process.env['OTA_CLUSTER_LONG'] === '1';
const DEVICES = LONG ? 300 : 60;

const create = (tokens: readonly string[], policy: object = {}): object => ({
  action: 'create',
  package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
  targets: tokens,
  policy: { perMinute: 0, noResponse: 600, ...policy },
});

function plansOf(devices: number, pause: number): Map<string, Plan> {
  return new Map(
    Array.from({ length: devices }, (_, i) => [
      `dev-${i}`,
      { attempts: [GOOD], pause: pause + (i % 7) * 40 },
    ]),
  );
}

describe('several instances on one PostgreSQL', function () {
  this.timeout(LONG ? 600_000 : 180_000);
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

  const instance = (url = server.url(), brokerUrl = broker.url): InstanceProcess =>
    later(new InstanceProcess(brokerUrl, url));

  /** Waits for the end of the task; every report that the broker took stands in a history, with one attempt each. */
  async function checkAll(taskId: string, fleet: Fleet, missing = 0): Promise<void> {
    const store = new PostgresStore({ url: server.url(), schema: 'ota', poolSize: 2 });
    await store.open();
    try {
      const tasks = store.tasks('fleet');
      await until(() => fleet.idle, 'the devices to come to rest', 90_000);
      const task = await until(
        async () => {
          const found = await tasks.task(taskId);
          return found?.status === 'ended' ? found : null;
        },
        'the end',
        90_000,
      );
      const { devices } = await tasks.devices({ task, status: null, search: '', page: 1, pageSize: 1000 });
      const wrong = devices.filter(({ status, attempt }) => status !== 'succeeded' || attempt !== 1);
      assert.deepEqual(wrong, []);
      const lost = async (): Promise<string[]> => {
        const found: string[] = [];
        for (const token of fleet.plans.keys()) {
          const events = (await tasks.history(task.id, token)) ?? [];
          for (const step of STEPS)
            if (!events.some((event) => event.step === step)) found.push(`${token} ${step}`);
        }
        return found;
      };
      await until(
        async () => (await lost()).length <= missing,
        'every acknowledged report in the history',
        30_000,
      );
    } finally {
      await store.close();
    }
  }

  /** It has changed a device: what devices report, and the pushes, come to it too. */
  const hasItsShare = ({ told }: InstanceProcess): Promise<boolean> =>
    until(() => told.some(({ kind }) => kind === 'change'), 'the other instance to have its share', 30_000);

  it('lose nothing when one of two is killed under reports, and a second attempt begins nowhere', async () => {
    const fleet = later(await Fleet.start(broker.url, plansOf(DEVICES, 150)));
    const one = await instance().ready();
    let two = await instance().ready();
    const { taskId } = await one.ask(create([...fleet.plans.keys()]));
    await hasItsShare(two);
    for (let kill = 0; kill < (LONG ? 10 : 2); kill += 1) {
      await two.kill();
      two = instance();
      await sleep(500);
    }
    await checkAll(String(taskId), fleet);
    await two.ready();
    assert.equal((await two.ask({ action: 'get', taskId }))['status'], 'ended', 'each knows of all');
    const rows = (): string => server.psql('SELECT count(*) FROM ota.members WHERE subscribed = 1');
    await until(() => rows() === '2', 'the sessions of the dead to be through', 30_000);
    assert.deepEqual([...one.faults, ...two.faults], []);
  });

  it('keep a frozen instance from writing what another one has taken over', async () => {
    const fleet = later(await Fleet.start(broker.url, plansOf(DEVICES, 300)));
    const one = await instance().ready();
    const two = await instance().ready();
    const { taskId } = await one.ask(create([...fleet.plans.keys()]));
    await hasItsShare(two);
    two.signal('SIGSTOP');
    await until(
      () => server.psql('SELECT count(*) FROM ota.members') === '1',
      'the frozen instance to be adopted, and through',
      40_000,
    );
    two.signal('SIGCONT');
    await checkAll(String(taskId), fleet);
    const twice = server.psql(`SELECT count(*) FROM (SELECT h.device, line ->> 4 AS step
      FROM ota.history AS h, jsonb_array_elements(h.lines::jsonb) AS line
      WHERE line ->> 1 = 'progress' GROUP BY 1, 2 HAVING count(*) > 1) AS t`);
    assert.ok(Number(twice) <= 1, `${twice} reports were written twice`);
  });

  it('acknowledge nothing that is not stored while the database is killed or gone, and go on by themselves', async () => {
    const fleet = later(await Fleet.start(broker.url, plansOf(DEVICES, 200)));
    const one = await instance().ready();
    const two = await instance().ready();
    const { taskId } = await one.ask(create([...fleet.plans.keys()]));
    await hasItsShare(two);
    await server.halt('immediate');
    await sleep(LONG ? 60_000 : 6000);
    await server.start();
    await until(
      () => one.told.some(({ kind, value }) => kind === 'problem' && value !== null),
      'the problem to be told',
      20_000,
    );
    await checkAll(String(taskId), fleet);
  });

  // Half a minute of waiting: in the longer form only.
  if (LONG)
    it('let no device fail while one of them is cut off from the broker for longer than the limits', async () => {
      const fleet = later(await Fleet.start(broker.url, plansOf(DEVICES, 2000)));
      const proxy = later(await startTcpProxy(broker.port));
      const one = await instance().ready();
      const two = await instance(server.url(), proxy.url).ready();
      const limits = { noResponse: 12, stalled: 12, confirm: 12, repush: 0, perMinute: 0, retries: 0 };
      const { taskId } = await one.ask(create([...fleet.plans.keys()], limits));
      await hasItsShare(two);
      proxy.blackhole();
      await sleep(18_000);
      proxy.heal();
      proxy.cut();
      await checkAll(String(taskId), fleet);
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
      one.ask(create(tokens, { concurrency: 10 })),
      two.ask(create(tokens, { concurrency: 10 })),
      three.ask(create(tokens, { concurrency: 10 })),
    ]);
    await until(() => fleet.heard.size >= 30, 'three times ten pushes', 30_000);
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
});

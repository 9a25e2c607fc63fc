/**
 * What several instances on one PostgreSQL must withstand, at its full length: ten kills of two and of four, lines and
 * databases that break in all ways, and what they must keep together. Takes ten minutes; `npm run cluster -- 3` runs
 * it three times. cluster.test.ts is the short form.
 */
import assert from 'node:assert/strict';
import { connectAsync } from 'mqtt';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { listen } from '../support/ports';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../support/postgres';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { InstanceProcess } from './support/cluster';
import { Fleet, type Plan } from './support/fleet';
import {
  checkOutcome,
  createCommand,
  goodPlans,
  mixedPlans,
  SHORT_LIMITS,
  writtenTwice,
} from './support/outcome';

const DEVICES = 300;
const VERSIONS = [5, 4] as const;
const NAMES = { 5: 'MQTT 5', 4: 'MQTT 3.1.1' } as const;

/** In front of a broker: whoever connects with a client id that it refuses is cut off. */
async function startGate(port: number): Promise<{ url: string; refuse(id: string): void; stop(): void }> {
  const sockets = new Set<net.Socket>();
  let refused: string | null = null;
  const gate = net.createServer((socket) => {
    const broker = net.connect(port, '127.0.0.1');
    for (const each of [socket, broker]) {
      sockets.add(each);
      each.on('error', () => undefined);
    }
    socket.once('data', (connect) => {
      if (refused !== null && connect.includes(refused)) socket.destroy();
    });
    socket.once('close', () => broker.destroy());
    broker.once('close', () => socket.destroy());
    socket.pipe(broker).pipe(socket);
  });
  return {
    url: `mqtt://127.0.0.1:${await listen(gate)}`,
    refuse: (id) => (refused = id),
    stop() {
      gate.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

describe('several instances on one PostgreSQL, at full length', function () {
  this.timeout(300_000);
  const later = cleanup();
  let broker: Mosquitto;
  let server: PostgresServer;

  before(function () {
    mosquittoMissing(this);
    requirePostgres(this);
  });

  beforeEach(async () => {
    const config = ['max_queued_messages 0', 'max_inflight_messages 200'];
    broker = later(await startMosquitto({ config }));
    server = later(await startPostgresServer({ tcp: true, durable: true }));
  });

  interface Where {
    readonly url?: string;
    readonly brokerUrl?: string;
    readonly version?: 4 | 5;
  }
  const instance = ({ url = server.url(), brokerUrl = broker.url, version = 5 }: Where = {}) =>
    later(new InstanceProcess(brokerUrl, url, version));

  /** Two instances at work on a task of devices that end in all ways, by limits as short as they may be. */
  async function twoAtWork(
    wheres: readonly [Where, Where],
    policy: object = {},
  ): Promise<{ fleet: Fleet; taskId: unknown; one: InstanceProcess; two: InstanceProcess }> {
    const fleet = later(await Fleet.start(broker.url, mixedPlans(DEVICES, 1500)));
    const one = await instance(wheres[0]).ready();
    const two = await instance(wheres[1]).ready();
    const { taskId } = await one.ask(createCommand([...fleet.plans.keys()], { ...SHORT_LIMITS, ...policy }));
    await until(() => two.told.some(({ kind }) => kind === 'change'), 'the other one to have its share');
    return { fleet, taskId, one, two };
  }

  for (const version of VERSIONS)
    for (const count of [2, 4])
      it(`lose no report and fail no device when ten of ${count} are killed, one after the other (${NAMES[version]})`, async () => {
        const fleet = later(await Fleet.start(broker.url, mixedPlans(DEVICES, 1500)));
        const instances = Array.from({ length: count }, () => instance({ version }));
        for (const each of instances) await each.ready();
        const { taskId } =
          (await instances[0]?.ask(
            createCommand([...fleet.plans.keys()], { ...SHORT_LIMITS, perMinute: 1200 }),
          )) ?? {};
        await until(() => fleet.heard.size > 20, 'the first pushes');
        for (let kill = 0; kill < 10; kill += 1) {
          const place = kill % count;
          await instances[place]?.kill();
          const next = instance({ version });
          instances[place] = next;
          await next.ready();
        }
        await checkOutcome(server, taskId, fleet);
        assert.ok(writtenTwice(server) <= 1, `${writtenTwice(server)} reports were written twice`);
        const rows = (): string => server.psql('SELECT count(*) FROM ota.members');
        await until(() => rows() === String(count), 'the sessions of the dead to be through', 60_000);
        assert.deepEqual(
          instances.flatMap(({ faults }) => faults),
          [],
        );
      });

  for (const version of VERSIONS)
    it(`let no device fail while one of two is cut off from the broker for longer than the limits (${NAMES[version]})`, async () => {
      const proxy = later(await startTcpProxy(broker.port));
      const { fleet, taskId } = await twoAtWork([{ version }, { brokerUrl: proxy.url, version }]);
      proxy.blackhole();
      await sleep(18_000);
      proxy.heal();
      proxy.cut();
      await checkOutcome(server, taskId, fleet);
    });

  for (const version of VERSIONS)
    it(`write hardly a report twice when one stands still for 15 s and goes on (${NAMES[version]})`, async () => {
      const { fleet, taskId, two } = await twoAtWork([{ version }, { version }]);
      two.signal('SIGSTOP');
      await sleep(15_000);
      two.signal('SIGCONT');
      await checkOutcome(server, taskId, fleet);
      assert.ok(writtenTwice(server) <= 1, `${writtenTwice(server)} reports were written twice`);
    });

  /** Both instances reach the database by a line that can be broken. */
  async function throughProxy(): Promise<TcpProxy & { readonly database: string }> {
    const proxy = later(await startTcpProxy(server.port));
    const database = server.url().replace(`:${server.port}/`, `:${proxy.port}/`);
    return Object.assign(Object.create(proxy) as TcpProxy, { database });
  }

  it('lose nothing when their lines to the database are cut eight times', async () => {
    const proxy = await throughProxy();
    const where = { url: proxy.database };
    const { fleet, taskId } = await twoAtWork([where, where], { perMinute: 1800 });
    for (let cut = 0; cut < 8; cut += 1) {
      await sleep(900);
      proxy.cut();
    }
    await checkOutcome(server, taskId, fleet);
  });

  it('lose nothing when the database is killed twice', async () => {
    const { fleet, taskId } = await twoAtWork([{}, {}], { perMinute: 1800 });
    for (let kill = 0; kill < 2; kill += 1) {
      await sleep(1500);
      await server.halt('immediate');
      await server.start();
    }
    await checkOutcome(server, taskId, fleet);
  });

  it('lose nothing, and fail no device, when the database is gone for 20 s', async () => {
    const { fleet, taskId } = await twoAtWork([{}, {}], { perMinute: 1800 });
    await server.halt('fast');
    await sleep(20_000);
    await server.start();
    await checkOutcome(server, taskId, fleet);
  });

  it('take no more memory, and go on, when the database is gone for three minutes under reports', async () => {
    const { fleet, taskId, one, two } = await twoAtWork([{}, {}]);
    const before = [one, two].map(({ residentMiB }) => residentMiB);
    await server.halt('immediate');
    const sender = await connectAsync(broker.url);
    const report = JSON.stringify({ id: '1', params: { version: 'v1', module: 'default' } });
    const timer = setInterval(() => {
      for (let i = 0; i < 100; i += 1) sender.publish(`/ota/device/inform/other-${i}`, report, { qos: 1 });
    }, 200);
    later({
      async stop() {
        clearInterval(timer);
        await sender.endAsync(true);
      },
    });
    await sleep(180_000);
    clearInterval(timer);
    const grown = [one, two].map(({ residentMiB }, i) => residentMiB - (before[i] ?? 0));
    await server.start();
    await checkOutcome(server, taskId, fleet);
    assert.ok(Math.max(...grown) < 50, `grown by ${grown.join(' and ')} MiB`);
  });

  it('lose nothing when the database is 50 ms away', async () => {
    const proxy = await throughProxy();
    proxy.delay(50);
    const where = { url: proxy.database };
    const { fleet, taskId } = await twoAtWork([where, where]);
    await checkOutcome(server, taskId, fleet);
  });

  /** Four that are subscribed. */
  async function four(): Promise<InstanceProcess[]> {
    const instances = Array.from({ length: 4 }, () => instance());
    for (const each of instances) await each.ready();
    return instances;
  }

  it('push no device twice when four make a task of the same 3,000 devices', async () => {
    const fleet = later(await Fleet.start(broker.url, goodPlans(3000, 0)));
    const instances = await four();
    const command = createCommand([...fleet.plans.keys()]);
    const tasks = await Promise.all(instances.map((each) => each.ask(command)));
    for (const { taskId } of tasks) {
      const ended = async (): Promise<boolean> =>
        (await instances[0]?.ask({ action: 'get', taskId }))?.['status'] === 'ended';
      await until(ended, 'the end of each task', 120_000);
    }
    const others = `SELECT d.task, d.token, d.status, d.reason, h.lines FROM ota.task_devices AS d
      LEFT JOIN ota.history AS h ON h.device = d.id WHERE d.status <> 3 AND d.reason <> 'superseded' LIMIT 10`;
    // One whose turn comes right after a newer task has brought it up is left to that one.
    assert.equal(server.psql(others), '', 'all have succeeded in all tasks');
    const pushed = [...fleet.plans.keys()].filter((token) => fleet.ids(token).size !== 1);
    assert.deepEqual(pushed, [], 'each device was pushed one id');
  });

  it('keep the rate of a task together: four push no more than 104 devices of 600 a minute in any 10 s', async () => {
    const plans = new Map<string, Plan>(
      Array.from({ length: 400 }, (_, i) => [`dev-${i}`, { attempts: [[]] }]),
    );
    const fleet = later(await Fleet.start(broker.url, plans));
    const [one] = await four();
    await one?.ask(createCommand([...plans.keys()], { perMinute: 600 }));
    await until(() => fleet.heard.size === plans.size, 'all pushes', 90_000);
    const times = server
      .psql(
        `SELECT line ->> 0 FROM ota.history AS h, jsonb_array_elements(h.lines::jsonb) AS line
          WHERE line ->> 2 = '0' AND line ->> 3 = '1' ORDER BY 1`,
      )
      .split('\n')
      .map(Number);
    const most = Math.max(
      ...times.map((from) => times.filter((at) => at >= from && at < from + 10_000).length),
    );
    assert.equal(times.length, plans.size);
    assert.ok(most <= 104, `${most} pushes in 10 s`);
  });

  it('tell of a session that can not be taken over after a minute, and give it up', async () => {
    const gate = later(await startGate(broker.port));
    const one = await instance({ brokerUrl: gate.url }).ready();
    const two = await instance().ready();
    const clientIds = 'SELECT client_id FROM ota.members ORDER BY id DESC';
    const [clientId = ''] = server.psql(clientIds).split('\n');
    gate.refuse(clientId);
    await two.kill();
    await until(() => one.faults.includes('OTA_SESSION_STUCK'), 'it to be told', 120_000);
    await until(() => !server.psql(clientIds).includes(clientId), 'its row to go');
    assert.deepEqual(one.faults, ['OTA_SESSION_STUCK'], 'once');
  });

  it('tell once of one that hears nothing, take its session over once, and have it among them when it hears', async () => {
    const proxy = later(await startTcpProxy(broker.port));
    const fleet = later(await Fleet.start(broker.url, goodPlans(60, 300)));
    const one = await instance().ready();
    const two = await instance({ brokerUrl: proxy.url }).ready();
    const { taskId } = await one.ask(createCommand([...fleet.plans.keys()]));
    await until(() => two.told.some(({ kind }) => kind === 'change'), 'the other one to have its share');
    proxy.blackhole();
    const deaf = ({ told }: InstanceProcess): unknown[] =>
      told.filter(({ kind }) => kind === 'deaf').map(({ value }) => (value as { code: string } | null)?.code);
    await until(() => deaf(one).length > 0, 'its deafness to be told', 90_000);
    await checkOutcome(server, taskId, fleet);
    const ids = 'SELECT string_agg(id::text, $$,$$ ORDER BY id) FROM ota.members';
    await until(
      () => server.psql(ids) === '1,3',
      'its session to be through, and it to be back as another one',
    );
    // Where it were taken over again and again, it would have been ten times by then.
    await sleep(20_000);
    assert.equal(server.psql(ids), '1,3');
    proxy.heal();
    await until(() => deaf(one).length > 1, 'it to hear again', 90_000);
    assert.deepEqual(
      [deaf(one), deaf(two)],
      [
        ['OTA_INSTANCE_DEAF', undefined],
        ['OTA_INSTANCE_DEAF', undefined],
      ],
    );
    assert.deepEqual([...one.faults, ...two.faults], []);
  });

  it('keep the concurrency of a task together, exactly', async () => {
    const fleet = later(await Fleet.start(broker.url, goodPlans(400, 150)));
    const [one] = await four();
    const { taskId } =
      (await one?.ask(createCommand([...fleet.plans.keys()], { concurrency: 50, success: 'version' }))) ?? {};
    await checkOutcome(server, taskId, fleet);
    assert.equal(fleet.mostAtWork, 50);
  });
});

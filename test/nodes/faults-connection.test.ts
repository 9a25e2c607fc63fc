import assert from 'node:assert/strict';
import { startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { freePort } from '../support/ports';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { loadPlatform, type PlatformOptions, textsOf } from './service-support';
import { asOut, GOOD_UPGRADE, TOPIC } from './support';
import { certificatesOf } from './tls-support';

const CODE = (message: unknown): string | undefined => asOut(message).error?.code;
const REPORT = { id: '1', params: { version: 'v1', module: 'default' } };
/** A fixed client id: what is said of sessions is another test's affair. */
const SERVICE = { clientId: 'platform' };

describe('faults of the connection', () => {
  const later = cleanup();
  const load = async (port: number, options: PlatformOptions = {}): Promise<LoadedFlow> =>
    later(await loadPlatform(port, { service: SERVICE, ...options }));

  it('a broker that is absent at the start and comes later: told once, then all works', async () => {
    const port = await freePort();
    const proxy = later(await startTcpProxy(port));
    const flow = await load(proxy.port);
    const caught = flow.messages('caught');
    for (const id of ['inform', 'progress', 'push']) await flow.status(id, /unreachable|connectionLost/);
    await until(() => proxy.accepted >= 3, 'three tries');
    const broker = later(await startAedes({ port }));
    for (const id of ['inform', 'progress']) await flow.status(id, 'common.status.noReport');
    await flow.status('push', 'common.status.connected');
    assert.deepEqual(caught.items.map(CODE), ['OTA_UNREACHABLE']);
    assert.equal(textsOf(flow, 'inform')[0], 'common.status.connecting');
    const reports = flow.messages('reports');
    const client = later(await connectClient(broker.url));
    await client.publish(`${TOPIC}/inform/a`, REPORT);
    await reports.atLeast(1);
  });

  it('a broker killed while 1,000 pushes are under way: each ends, each device gets it', async function () {
    this.timeout(240_000);
    mosquittoMissing(this);
    const broker = later(await startMosquitto({ persistence: true, config: ['max_queued_messages 0'] }));
    const session = { clientId: 'devices', clean: false, reconnectPeriod: 200 };
    const devices = later(await connectClient(broker.url, session));
    devices.client.on('error', () => {});
    await devices.subscribe(`${TOPIC}/upgrade/+`);
    const push = {
      id: 'rated',
      type: 'ota-push',
      z: 'tab',
      x: 1,
      y: 1,
      side: 'platform',
      service: 'service',
    };
    const flow = await load(broker.port, {
      more: [{ ...push, rate: '500', wires: [['pushed'], ['failed']] }],
    });
    await flow.status('rated', 'common.status.connected');
    const pushed = flow.messages('pushed');
    const failed = flow.messages('failed');
    const tokens = Array.from({ length: 1000 }, (_, i) => `d${i}`);
    flow.send('rated', { payload: GOOD_UPGRADE, accessToken: tokens });
    await until(() => pushed.items.length > 200, 'some to be through');
    await broker.kill();
    await flow.status('rated', /unreachable|connectionLost/);
    await broker.restart();
    await until(() => pushed.items.length + failed.items.length === 1000, 'an outcome of each');
    const outcomes = [...pushed.items, ...failed.items].map((item) => asOut(item).payload);
    assert.equal(new Set(outcomes.map(({ accessToken }) => accessToken)).size, 1000);
    for (const { delivery } of outcomes) {
      assert.ok(['accepted', 'unknown', 'offline', 'timeout'].includes(String(delivery)), String(delivery));
    }
    const delivered = outcomes.filter(({ delivery }) => delivery !== 'timeout');
    assert.equal(delivered.length, 1000, 'the broker was back in time for all of them');
    await until(
      () => new Set(devices.messages.map(({ topic }) => topic)).size === 1000,
      'each device to have its push',
    );
  });

  it('a broker killed while it keeps reports: each of them is handled', async function () {
    this.timeout(240_000);
    mosquittoMissing(this);
    const broker = later(await startMosquitto({ persistence: true, config: ['max_queued_messages 0'] }));
    const proxy = later(await startTcpProxy(broker.port));
    const flow = await load(proxy.port, { broker: { keepalive: '1' } });
    await flow.status('inform', 'common.status.noReport');
    const reports = flow.messages('reports');
    const acknowledged = new Set<string>();
    const device = async (name: string): Promise<void> => {
      const client = await connectClient(broker.url, { clientId: name });
      client.client.on('error', () => {});
      later({ stop: () => client.kill() });
      for (let i = 0; i < 1000; i += 1) {
        const token = `${name}-${i}`;
        await client.publish(`${TOPIC}/inform/${token}`, REPORT);
        acknowledged.add(token);
      }
    };
    for (const name of ['x', 'y', 'z']) void device(name).catch(() => undefined);
    await until(() => acknowledged.size > 100, 'reports to be under way');
    proxy.blackhole();
    await until(() => acknowledged.size > 300, 'reports to be kept');
    const kept = [...acknowledged];
    // Mosquitto writes what it took a moment after it acknowledged it.
    await until(() => acknowledged.size > 330, 'some more');
    await broker.kill();
    await broker.restart();
    proxy.heal();
    const seen = (): Set<unknown> => new Set(reports.items.map((item) => asOut(item).accessToken));
    await until(() => kept.every((token) => seen().has(token)), 'every report that was kept');
  });

  it('a line that swallows everything: noticed by keepalive, shown, and connected again', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const flow = await load(proxy.port, { broker: { keepalive: '1' } });
    const caught = flow.messages('caught');
    await flow.status('push', 'common.status.connected');
    proxy.blackhole();
    await flow.status('push', 'common.status.connectionLost');
    proxy.heal();
    await until(() => textsOf(flow, 'push').at(-1) === 'common.status.connected', 'the connection');
    assert.deepEqual(caught.items.map(CODE), ['OTA_CONNECTION_LOST']);
    assert.deepEqual(textsOf(flow, 'push'), [
      'common.status.connecting',
      'common.status.connected',
      'common.status.connectionLost',
      'common.status.connected',
    ]);
  });

  describe('refusals', () => {
    for (const protocolVersion of ['4', '5']) {
      it(`a wrong password is told once, however often it is tried (MQTT ${protocolVersion})`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto({ users: { me: 'right' } }));
        const proxy = later(await startTcpProxy(broker.port));
        const flow = await load(proxy.port, {
          broker: { protocolVersion },
          credentials: { broker: { user: 'me', password: 'wrong' } },
        });
        const caught = flow.messages('caught');
        await flow.status('inform', 'common.status.authRefused');
        await flow.status('push', 'common.status.authRefused');
        assert.equal(proxy.accepted, 1, 'no other try at once');
        if (protocolVersion === '4') await until(() => proxy.accepted === 2, 'the next try');
        assert.deepEqual(caught.items.map(CODE), ['OTA_AUTH_REFUSED']);
        assert.ok(!JSON.stringify(caught.items).includes('wrong'), 'the password is nowhere');
      });
    }

    for (const which of ['untrusted', 'expired'] as const) {
      it(`an ${which} certificate is told as such`, async function () {
        mosquittoMissing(this);
        const certificates = later(await certificatesOf(this));
        const broker = later(await startMosquitto({ tls: certificates[which] }));
        const tls = {
          id: 'tls',
          type: 'tls-config',
          ca: certificates.ca,
          cert: '',
          key: '',
          verifyservercert: true,
        };
        const flow = await load(broker.port, {
          broker: { broker: 'localhost', usetls: true, tls: 'tls' },
          more: [tls],
        });
        const caught = flow.messages('caught');
        await flow.status('push', 'common.status.tls');
        await caught.atLeast(1);
        assert.deepEqual(caught.items.map(CODE), ['OTA_TLS']);
      });
    }

    it('a missing client certificate is told as such', async function () {
      mosquittoMissing(this);
      const certificates = later(await certificatesOf(this));
      const { ca, good } = certificates;
      const config = [`cafile ${ca}`, 'require_certificate true'];
      const broker = later(await startMosquitto({ tls: good, config }));
      const tls = { id: 'tls', type: 'tls-config', ca, cert: '', key: '', verifyservercert: true };
      const flow = await load(broker.port, {
        broker: { broker: 'localhost', usetls: true, tls: 'tls' },
        more: [tls],
      });
      const caught = flow.messages('caught');
      await caught.atLeast(1);
      assert.deepEqual(caught.items.map(CODE), ['OTA_TLS']);
    });
  });

  for (const protocolVersion of ['4', '5']) {
    it(`two services with one client id: said by both, ever more seldom (MQTT ${protocolVersion})`, async function () {
      this.timeout(240_000);
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const other = { id: 'other', type: 'ota-service', broker: 'broker', clientId: 'platform' };
      const node = {
        id: 'second',
        type: 'ota-push',
        z: 'tab',
        x: 1,
        y: 1,
        side: 'platform',
        service: 'other',
      };
      const flow = await load(broker.port, {
        broker: { protocolVersion },
        more: [other, { ...node, wires: [[], []] }],
      });
      const caught = flow.messages('caught');
      await until(
        () => caught.items.some((item) => CODE(item) === 'OTA_CLIENT_ID_TAKEN'),
        'the error that names the cause',
      );
      const shown = [...textsOf(flow, 'push'), ...textsOf(flow, 'second')];
      assert.ok(shown.includes('common.status.clientIdTaken'), shown.join());
      const connections = broker.lines.filter((line) => line.includes('New client connected')).length;
      assert.ok(connections <= 12, `${connections} connections`);
    });
  }
});

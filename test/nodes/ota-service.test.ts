import assert from 'node:assert/strict';
import mqtt from 'mqtt';
import { startAedes } from '../support/aedes';
import { certificatesOf } from './tls-support';
import { cleanup } from '../support/cleanup';
import { tabNode } from '../support/flow';
import { connectClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { freePort } from '../support/ports';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { startHandBroker } from '../link/hand-broker';
import { loadPlatform, platformFlow, type PlatformOptions, textsOf } from './service-support';
import { asOut, GOOD_UPGRADE, TOPIC } from './support';

const REPORT = { id: '1', params: { version: 'v1', module: 'default' } };
const CODE = (message: unknown): string | undefined => asOut(message).error?.code;

/** The topics that were unsubscribed from, as Mosquitto logs them. */
function unsubscribed({ lines }: Mosquitto): string[] {
  return lines.flatMap((line, i) => (/Received UNSUBSCRIBE/.test(line) ? [lines[i + 1] ?? ''] : []));
}

describe('ota-service', () => {
  const later = cleanup();
  const load = async (port: number, options: PlatformOptions = {}): Promise<LoadedFlow> =>
    later(await loadPlatform(port, options));

  describe('with settings that can not work', () => {
    const bad: [string, PlatformOptions, string, string][] = [
      ['no broker', { service: { broker: '' } }, 'OTA_NO_BROKER', 'common.status.noBroker'],
      [
        'a broker that is not there',
        { service: { broker: 'gone' } },
        'OTA_NO_BROKER',
        'common.status.noBroker',
      ],
      [
        'a node that is no broker',
        { service: { broker: 'reports' } },
        'OTA_NO_BROKER',
        'common.status.noBroker',
      ],
      ['an unknown scheme', { service: { scheme: 'x' } }, 'OTA_BAD_TEMPLATE', 'common.status.badTopics'],
      [
        'templates that are none',
        { service: { scheme: 'custom' } },
        'OTA_BAD_TEMPLATE',
        'common.status.badTopics',
      ],
      ['a window of 0', { service: { window: '0' } }, 'OTA_BAD_SETTINGS', 'common.status.badSettings'],
      ['a window of words', { service: { window: 'many' } }, 'OTA_BAD_SETTINGS', 'common.status.badSettings'],
      [
        'a group with a slash',
        { service: { shareGroup: 'a/b' } },
        'OTA_BAD_SETTINGS',
        'common.status.badSettings',
      ],
      [
        'an unknown case',
        { service: { signMethodCase: 'md5' } },
        'OTA_BAD_SETTINGS',
        'common.status.badSettings',
      ],
    ];
    for (const [what, options, code, status] of bad) {
      it(`tells ${what} once, on each user's status, and for each message`, async () => {
        const flow = await load(1, options);
        const caught = flow.messages('caught');
        for (const id of ['inform', 'progress', 'push']) await flow.status(id, status);
        flow.send('push', { payload: GOOD_UPGRADE, accessToken: 'a' });
        await caught.atLeast(2);
        assert.deepEqual(caught.items.map(CODE), [code, code]);
        assert.deepEqual(
          caught.items.map((item) => (asOut(item)['error'] as { source?: { id: string } }).source?.id).sort(),
          ['push', 'service'],
        );
      });
    }
  });

  it('takes address and client id of the broker node, never its will, and adds a part of its own id', async () => {
    const broker = later(await startHandBroker());
    const will = { willTopic: 'gone', willPayload: 'x', willQos: '1', birthTopic: 'here', birthPayload: 'x' };
    await load(broker.port, {
      broker: { clientid: 'platform', keepalive: '17', ...will },
      credentials: { broker: { user: 'me', password: 'secret' } },
    });
    const connect = await until(() => broker.packets[0], 'CONNECT');
    assert.ok(connect.cmd === 'connect');
    assert.equal(connect.clientId, 'platform-ota-service');
    assert.equal(connect.clean, false, 'a fixed client id keeps its session');
    assert.equal(connect.keepalive, 17);
    assert.equal(connect.username, 'me');
    assert.equal(String(connect.password), 'secret');
    assert.equal(connect.will, undefined);
    await until(() => broker.packets.filter(({ cmd }) => cmd === 'subscribe').length === 2, 'both filters');
    assert.equal(broker.publishes.length, 0, 'no birth message');
  });

  it('opens one connection for all its users, whose own client id is used as it is', async () => {
    const broker = later(await startAedes());
    const ids: string[] = [];
    broker.broker.on('client', (client) => ids.push(client.id));
    const flow = await load(broker.port, { service: { clientId: 'my-own' } });
    for (const id of ['inform', 'progress']) await flow.status(id, 'common.status.noReport');
    await flow.status('push', 'common.status.connected');
    assert.deepEqual(ids, ['my-own']);
    assert.equal(broker.connections, 1);
  });

  it('forgets a user that is gone, also one that could not be set up', async () => {
    const port = await freePort();
    const nodes = platformFlow(port);
    const noToken = nodes.map((node) => (node.id === 'push' ? { ...node, side: 'device' } : node));
    const flow = await load(port);
    const { users } = flow.node('service') as unknown as { users: object };
    await flow.deploy(noToken, 'nodes');
    assert.deepEqual(Object.keys(users).sort(), ['inform', 'progress', 'push']);
    await flow.deploy(
      nodes.filter(({ id }) => id !== 'push'),
      'nodes',
    );
    assert.deepEqual(Object.keys(users).sort(), ['inform', 'progress']);
  });

  it('connects nobody where it has no users', async () => {
    const broker = later(await startAedes());
    const flow = await load(broker.port);
    await flow.status('inform', /noReport|sessionNotKept/);
    await flow.deploy([
      { id: 'tab', type: 'tab', label: 'tab' },
      {
        id: 'broker',
        type: 'mqtt-broker',
        broker: '127.0.0.1',
        port: String(broker.port),
        protocolVersion: '4',
      },
      { id: 'service', type: 'ota-service', broker: 'broker' },
    ]);
    await until(() => broker.connections === 0, 'the end of the connection');
  });

  it('keeps its session where no client id was typed, by one that is made once and kept', async () => {
    const broker = later(await startAedes());
    const flow = await load(broker.port);
    await flow.status('inform', 'common.status.noReport');
    assert.ok(!textsOf(flow, 'inform').includes('common.status.sessionNotKept'));
  });

  it('shows "no report yet" until the first, also after the connection was made anew', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const flow = await load(proxy.port, { service: { clientId: 'c' } });
    await flow.status('inform', 'common.status.noReport');
    const client = later(await connectClient(broker.url));
    const reports = flow.messages('reports');
    await client.publish(`${TOPIC}/inform/a`, REPORT);
    await reports.atLeast(1);
    const before = textsOf(flow, 'inform').length;
    proxy.cut();
    const texts = await until(() => {
      const since = textsOf(flow, 'inform').slice(before);
      return since.includes('common.status.connected') ? since : null;
    }, 'to be connected again');
    assert.ok(texts.includes('common.status.connectionLost'));
    assert.ok(!texts.includes('common.status.noReport'), texts.join());
    await until(
      () => textsOf(flow, 'progress').at(-1) === 'common.status.noReport',
      'the other node, which had no report, to say so again',
    );
  });

  for (const protocolVersion of ['4', '5']) {
    const name = protocolVersion === '4' ? '3.1.1' : '5';

    it(`keeps its session over a restart, and gets what was reported meanwhile (MQTT ${name})`, async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const options = { broker: { clientid: 'kept', protocolVersion, sessionExpiry: '' } };
      const first = await loadPlatform(broker.port, options);
      await first.status('inform', 'common.status.noReport');
      await first.stop();
      const client = later(await connectClient(broker.url));
      for (let i = 0; i < 20; i += 1) await client.publish(`${TOPIC}/inform/d${i}`, REPORT);
      const second = await load(broker.port, options);
      // The helper node can be listened to only now; what came before is in the status.
      const reports = second.messages('reports');
      await client.publish(`${TOPIC}/inform/marker`, REPORT);
      await until(
        () => reports.items.some((item) => asOut(item).accessToken === 'marker'),
        'the last of the reports',
      );
      assert.equal(new Set(reports.items.map((item) => asOut(item).accessToken)).size, 21);
      assert.ok(!broker.lines.some((line) => /Received UNSUBSCRIBE/.test(line)));
    });

    it(`tells what became of a push (MQTT ${name})`, async function () {
      mosquittoMissing(this);
      const user = { username: 'u', password: 'p', refusePublish: [`${TOPIC}/upgrade/denied`] };
      const broker = later(await startMosquitto({ dynsec: [user] }));
      const device = later(await connectClient(broker.url, { username: 'u', password: 'p' }));
      await device.subscribe(`${TOPIC}/upgrade/online`);
      const flow = await load(broker.port, {
        broker: { protocolVersion },
        credentials: { broker: { user: 'u', password: 'p' } },
      });
      await flow.status('push', 'common.status.connected');
      const pushed = flow.messages('pushed');
      const failed = flow.messages('failed');
      flow.send('push', { payload: GOOD_UPGRADE, accessToken: ['online', 'gone', 'denied'] });
      await until(() => pushed.items.length + failed.items.length === 3, 'three outcomes');
      const told = [...pushed.items, ...failed.items].map((item) => {
        const { accessToken, delivery, code } = asOut(item).payload;
        return `${String(accessToken)} ${String(delivery)} ${typeof code === 'string' ? code : ''}`.trim();
      });
      assert.deepEqual(
        told.sort(),
        protocolVersion === '5'
          ? ['denied refused OTA_PUBLISH_REFUSED', 'gone offline OTA_OFFLINE', 'online accepted']
          : ['denied unknown', 'gone unknown', 'online unknown'],
      );
    });
  }

  describe('of which one subscription is refused', () => {
    it('shows it on that node, tells it once, and serves the others', async function () {
      mosquittoMissing(this);
      const user = { username: 'u', password: 'p', refuseSubscribe: [`${TOPIC}/progress/+`] };
      const broker = later(await startMosquitto({ dynsec: [user] }));
      const flow = await load(broker.port, {
        service: { clientId: 'c' },
        credentials: { broker: { user: 'u', password: 'p' } },
      });
      const caught = flow.messages('caught');
      const reports = flow.messages('reports');
      await flow.status('progress', 'common.status.subscribeRefused');
      await flow.status('inform', 'common.status.noReport');
      const client = later(await connectClient(broker.url, { username: 'u', password: 'p' }));
      await client.publish(`${TOPIC}/inform/a`, REPORT);
      await reports.atLeast(1);
      assert.deepEqual(caught.items.map(CODE), ['OTA_SUBSCRIBE_REFUSED']);
      assert.match(asOut(caught.items[0]).error?.message ?? '', /\/ota\/device\/progress\/\+/);
      assert.equal(textsOf(flow, 'progress').at(-1), 'common.status.subscribeRefused');
    });
  });

  describe('redeployed', () => {
    it('unsubscribes nothing on a kept session, but what the last node of a topic leaves', async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const options = { service: { clientId: 'kept' } };
      const flow = await load(broker.port, options);
      await flow.status('progress', 'common.status.noReport');
      const nodes = platformFlow(broker.port, options);
      await flow.deploy(nodes, 'full');
      await flow.deploy(
        nodes.map((node) => (node.id === 'inform' ? { ...node, name: 'changed' } : node)),
        'nodes',
      );
      assert.deepEqual(unsubscribed(broker), []);
      await flow.deploy(
        nodes.filter(({ id }) => id !== 'progress'),
        'nodes',
      );
      await until(() => unsubscribed(broker).length > 0, 'the removed node to be unsubscribed');
      assert.equal(unsubscribed(broker).length, 1);
      assert.match(unsubscribed(broker)[0] ?? '', /progress/);
    });

    it('unsubscribes on a kept session what a full deploy leaves nobody for', async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const options = { service: { clientId: 'kept' } };
      const flow = await load(broker.port, options);
      await flow.status('inform', 'common.status.noReport');
      const nodes = platformFlow(broker.port, options);
      await flow.deploy(nodes.map((node) => (node.id === 'inform' ? { ...node, side: 'device' } : node)));
      await until(() => unsubscribed(broker).length > 0, 'the filter of the other side to be ended');
      await flow.deploy(nodes);
      await flow.status('inform', 'common.status.noReport');
      assert.equal(unsubscribed(broker).length, 1);
      assert.match(unsubscribed(broker)[0] ?? '', /inform/);
    });

    for (const [when, earlier] of [
      ['with its users', []],
      ['after its users, as the editor does it', ['tab', 'broker', 'service']],
    ] as const) {
      it(`ends its session at the broker when it is removed ${when}`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        const options = { service: { clientId: 'kept' } };
        const flow = await load(broker.port, options);
        await flow.status('progress', 'common.status.noReport');
        const ids: readonly string[] = earlier;
        if (ids.length > 0) {
          await flow.deploy(platformFlow(broker.port, options).filter(({ id }) => ids.includes(id)));
        }
        await flow.deploy([tabNode()]);
        const client = mqtt.connect(broker.url, { clientId: 'kept', clean: false, reconnectPeriod: 0 });
        const connack = await new Promise<mqtt.IConnackPacket>((resolve) => client.once('connect', resolve));
        await client.endAsync();
        assert.equal(connack.sessionPresent, false);
      });
    }
  });

  describe('reaches the broker', () => {
    it('over TLS with an own CA and a client certificate', async function () {
      mosquittoMissing(this);
      const certificates = later(await certificatesOf(this));
      const { ca, good } = certificates;
      const config = [`cafile ${ca}`, 'require_certificate true'];
      const broker = later(await startMosquitto({ tls: good, config }));
      const tls = {
        id: 'tls',
        type: 'tls-config',
        ca,
        cert: good.cert,
        key: good.key,
        verifyservercert: true,
      };
      const flow = await load(broker.port, {
        broker: { broker: 'localhost', usetls: true, tls: 'tls' },
        more: [tls],
      });
      await flow.status('push', 'common.status.connected');
    });

    for (const protocolVersion of ['4', '5']) {
      it(`over WebSocket (${protocolVersion === '4' ? 'MQTT 3.1.1' : 'MQTT 5'})`, async function () {
        mosquittoMissing(this);
        const port = await freePort();
        const broker = later(
          await startMosquitto({ config: [`listener ${port} 127.0.0.1`, 'protocol websockets'] }),
        );
        const flow = await load(port, {
          broker: { broker: `ws://127.0.0.1:${port}/mqtt`, protocolVersion },
        });
        await flow.status('inform', /noReport|sessionNotKept/);
        const reports = flow.messages('reports');
        const client = later(await connectClient(broker.url));
        await Promise.all(
          Array.from({ length: 300 }, (_, i) => client.publish(`${TOPIC}/inform/d${i}`, REPORT)),
        );
        await reports.atLeast(300);
        await client.subscribe(`${TOPIC}/upgrade/+`);
        flow.send('push', {
          payload: GOOD_UPGRADE,
          accessToken: Array.from({ length: 300 }, (_, i) => `d${i}`),
        });
        await client.atLeast(300);
      });
    }
  });
});

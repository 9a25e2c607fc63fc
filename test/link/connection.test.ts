import assert from 'node:assert/strict';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { freePort } from '../support/ports';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { startHandBroker } from './hand-broker';
import { MQTT5, startLink } from './support';

describe('the connection', () => {
  const later = cleanup();

  it('comes up when a broker that was absent comes, and tells each state', async () => {
    const port = await freePort();
    const link = later(startLink(`mqtt://127.0.0.1:${port}`));
    await until(() => link.states.at(-1)?.phase === 'waiting', 'the first failure');
    assert.equal(link.states.at(-1)?.error?.code, 'OTA_UNREACHABLE');
    later(await startAedes({ port }));
    await link.connected();
    const shown = link.states.map(({ phase, error }) => `${phase} ${error?.code ?? ''}`.trim());
    assert.equal(shown[0], 'connecting');
    assert.equal(shown[1], 'waiting OTA_UNREACHABLE');
    assert.equal(shown[2], 'connecting OTA_UNREACHABLE');
    assert.equal(shown.at(-1), 'connected');
  });

  it('goes from connecting to connected, lost and connected again', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const link = later(startLink(proxy.url));
    await link.connected();
    proxy.cut();
    await link.connected(2);
    const shown = link.states.map(({ phase, error }) => `${phase} ${error?.code ?? ''}`.trim());
    assert.deepEqual(shown, [
      'connecting',
      'connected',
      'waiting OTA_CONNECTION_LOST',
      'connecting OTA_CONNECTION_LOST',
      'connected',
    ]);
  });

  it('is not tried while the client id may be somebody else’s', async () => {
    const broker = later(await startAedes());
    let asked = 0;
    let mayConnect = false;
    const asks = (): boolean => {
      asked += 1;
      return mayConnect;
    };
    const link = later(startLink(broker.url, { mayConnect: asks }));
    await until(() => asked >= 3, 'the question to be asked again');
    assert.deepEqual(link.states, []);
    mayConnect = true;
    await link.connected();
  });

  it('is made anew when a broker answers nothing, long before the keepalive, where it is to be watchful', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const mqtt = { protocolVersion: 4, keepalive: 600 } as const;
    const link = later(startLink(proxy.url, { mqtt, watchful: () => true }));
    await link.connected();
    proxy.blackhole();
    await until(() => link.states.at(-1)?.phase === 'waiting', 'the loss to be noticed');
    assert.equal(link.states.at(-1)?.error?.code, 'OTA_CONNECTION_LOST');
    proxy.heal();
    await link.connected(2);
  });

  for (const [version, mqtt] of [
    ['3.1.1', { protocolVersion: 4, keepalive: 1 }],
    ['5', { protocolVersion: 5, keepalive: 1 }],
  ] as const) {
    it(`is made anew when packets vanish without a word (MQTT ${version})`, async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const proxy = later(await startTcpProxy(broker.port));
      const link = later(startLink(proxy.url, { mqtt }));
      await link.connected();
      proxy.blackhole();
      await until(() => link.states.at(-1)?.phase === 'waiting', 'the loss to be noticed');
      assert.equal(link.states.at(-1)?.error?.code, 'OTA_CONNECTION_LOST');
      proxy.heal();
      await link.connected(2);
    });

    it(`says that another client took the client id (MQTT ${version})`, async function () {
      this.timeout(240_000);
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const link = later(startLink(broker.url, { mqtt, clientId: 'same' }));
      await link.connected();
      const rival = later(
        await connectClient(broker.url, {
          protocolVersion: mqtt.protocolVersion,
          clientId: 'same',
          reconnectPeriod: 50,
        }),
      );
      rival.client.on('error', () => {});
      await until(
        () => link.states.find(({ error }) => error?.code === 'OTA_CLIENT_ID_TAKEN'),
        'the error that names the cause',
      );
      const times = link.states.filter(({ phase }) => phase === 'connected').length;
      assert.ok(times <= 4, `${times} connections`);
    });
  }

  it('is ended and made anew after bytes that are no MQTT', async () => {
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url));
    await link.connected();
    broker.sendBytes(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await link.connected(2);
    assert.equal(broker.accepted, 2);
  });

  it('does not use a broker that takes QoS 0 only', async () => {
    const broker = later(await startHandBroker({ properties: { maximumQoS: 0 } }));
    const link = later(startLink(broker.url, { mqtt: MQTT5 }));
    await until(() => link.states.at(-1)?.phase === 'waiting', 'the refusal');
    assert.equal(link.states.at(-1)?.error?.code, 'OTA_BROKER_REFUSED');
    assert.ok(!link.states.some(({ phase }) => phase === 'connected'));
  });

  it('tells settings that can not be used, and does not try again', async () => {
    const rubbish = { key: 'no key', cert: 'no certificate' };
    const link = later(startLink('mqtts://127.0.0.1', { mqtt: rubbish }));
    assert.deepEqual(
      link.states.map(({ phase, error }) => [phase, error?.code]),
      [
        ['connecting', undefined],
        ['waiting', 'OTA_TLS'],
      ],
    );
  });

  it('ends a session that it could never have made', async () => {
    const rubbish = { key: 'no key', cert: 'no certificate' };
    const { link } = startLink('mqtts://127.0.0.1', { mqtt: rubbish, persistent: true });
    await link.end({ endSession: true });
    assert.equal(link.state.phase, 'idle');
  });

  it('ends with the broker gone silent', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const link = startLink(proxy.url);
    await link.connected();
    proxy.blackhole();
    await link.stop();
    assert.equal(link.link.state.phase, 'idle');
  });

  it('never carries the will of the broker node, and keeps no session unless it shall', async () => {
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url));
    await link.connected();
    const connect = broker.packets[0];
    assert.ok(connect?.cmd === 'connect');
    assert.equal(connect.will, undefined);
    assert.equal(connect.clean, true);
    assert.equal(connect.clientId, 'ota-test');
  });

  it('asks MQTT 5 to keep its session for a day, MQTT 3.1.1 to keep it', async () => {
    const broker = later(await startHandBroker());
    const five = startLink(broker.url, { mqtt: MQTT5, persistent: true });
    await five.connected();
    await five.stop();
    const three = startLink(broker.url, { persistent: true });
    await three.connected();
    await three.stop();
    const [first, second] = broker.packets.filter((packet) => packet.cmd === 'connect');
    assert.equal(first?.clean, false);
    assert.equal(first.properties?.sessionExpiryInterval, 86_400);
    assert.equal(second?.clean, false);
  });

  describe('that keeps its session', () => {
    for (const [version, protocolVersion] of [
      ['3.1.1', 4],
      ['5', 5],
    ] as const) {
      it(`ends it at the broker when the service is removed (MQTT ${version})`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        const options = { mqtt: { protocolVersion }, persistent: true, clientId: 'kept' };
        const first = startLink(broker.url, options);
        first.link.subscriptions.want('t/#');
        await until(() => first.filters.some(({ state }) => state === 'granted'), 'the subscription');
        await first.link.end({ endSession: true });
        const sender = later(await connectClient(broker.url, { protocolVersion: 5 }));
        let reason: number | undefined;
        sender.client.on('packetreceive', (packet) => {
          if (packet.cmd === 'puback') reason = packet.reasonCode;
        });
        await sender.publish('t/1', 'x');
        assert.equal(reason, 16, 'nobody subscribes any more');
      });
    }
  });

  it('leaves no socket and no timer behind, ended in whatever state', async () => {
    const broker: AedesServer = later(await startAedes());
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const before = timers();
    for (const when of ['at once', 'connected', 'in between']) {
      const link = startLink(broker.url);
      if (when === 'connected') await link.connected();
      if (when === 'in between') await new Promise((resolve) => setImmediate(resolve));
      void link.publish('t', 'x');
      await link.stop();
    }
    await until(() => broker.connections === 0, 'no connection');
    await until(() => timers() <= before + 1, 'no timer');
  });
});

import assert from 'node:assert/strict';
import { QUEUE_LIMIT } from '../../nodes/lib/link';
import type { Outcome } from '../../nodes/lib/protocol';
import { startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { startTcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { startHandBroker } from './hand-broker';
import { MQTT5, startLink, type TestLink } from './support';

describe('what goes out', () => {
  const later = cleanup();

  /** Publishes `count` messages, `ahead` at a time; resolves with all outcomes. */
  async function publishMany(link: TestLink, count: number, ahead = 500): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    let begun = 0;
    await new Promise<void>((resolve) => {
      const next = (): void => {
        begun += 1;
        link.link.publish(`many/${begun}`, 'x', (outcome) => {
          outcomes.push(outcome);
          if (begun < count) next();
          else if (outcomes.length === count) resolve();
        });
      };
      while (begun < Math.min(ahead, count)) next();
    });
    return outcomes;
  }

  describe('the window', () => {
    it('is filled, and refilled one for one at each acknowledgement', async () => {
      const broker = later(await startHandBroker());
      const link = later(startLink(broker.url, { window: 3 }));
      await link.connected();
      for (let i = 0; i < 6; i += 1) void link.publish(`t/${i}`);
      await until(() => broker.publishes.length === 3, 'a full window');
      for (const expected of [4, 5, 6]) {
        broker.acknowledge(broker.publishes[expected - 4]?.messageId ?? 0);
        await until(() => broker.publishes.length >= expected, `the ${expected}th publish`);
        assert.equal(broker.publishes.length, expected);
      }
      assert.deepEqual(
        broker.publishes.map(({ topic }) => topic),
        ['t/0', 't/1', 't/2', 't/3', 't/4', 't/5'],
      );
    });

    it('is never wider than the broker allows', async () => {
      const broker = later(await startHandBroker({ properties: { receiveMaximum: 2 } }));
      const link = later(startLink(broker.url, { mqtt: MQTT5, window: 50 }));
      await link.connected();
      for (let i = 0; i < 10; i += 1) void link.publish(`t/${i}`);
      await until(() => broker.publishes.length === 2, 'a full window');
      broker.acknowledge(broker.publishes[0]?.messageId ?? 0);
      await until(() => broker.publishes.length >= 3, 'the third publish');
      assert.equal(broker.publishes.length, 3);
    });

    it('keeps to the receive maximum of Mosquitto', async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto({ config: ['max_inflight_messages 5'] }));
      const link = later(startLink(broker.url, { mqtt: MQTT5, window: 200 }));
      await link.connected();
      const outcomes = await publishMany(link, 2000);
      assert.ok(outcomes.every(({ delivery }) => delivery === 'offline'));
      assert.equal(link.states.filter(({ phase }) => phase === 'connected').length, 1);
    });

    it('counts a packet that was taken back until its late acknowledgement', async () => {
      const broker = later(await startHandBroker());
      const link = later(startLink(broker.url, { window: 2 }));
      await link.connected();
      const first = link.publish('t/first', 'x', 50);
      const second = link.publish('t/second');
      const third = link.publish('t/third');
      assert.equal((await first).delivery, 'timeout');
      await until(() => broker.publishes.length === 2, 'two publishes');
      broker.acknowledge(broker.publishes[0]?.messageId ?? 0);
      await until(() => broker.publishes.length === 3, 'the third after the late acknowledgement');
      for (const { messageId } of broker.publishes.slice(1)) broker.acknowledge(messageId ?? 0);
      assert.deepEqual(
        (await Promise.all([second, third])).map(({ delivery }) => delivery),
        ['unknown', 'unknown'],
      );
    });

    it('is made new by a new connection when nothing in it is acknowledged any more', async () => {
      const broker = later(await startHandBroker());
      const link = later(startLink(broker.url, { window: 2 }));
      await link.connected();
      await Promise.all([link.publish('t/1', 'x', 50), link.publish('t/2', 'x', 50)]);
      await link.connected(2);
      const third = link.publish('t/3');
      await until(() => broker.publishes.length === 3, 'the third publish');
      broker.acknowledge(broker.publishes[2]?.messageId ?? 0);
      assert.equal((await third).delivery, 'unknown');
    });
  });

  it('does not take the late acknowledgement of one packet for that of another', async () => {
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url, { window: 20 }));
    await link.connected();
    assert.equal((await link.publish('t/first', 'x', 50)).error?.code, 'OTA_TIMEOUT');
    let outcome: Outcome | null = null as Outcome | null;
    const second = link.publish('t/second').then((result) => (outcome = result));
    await until(() => broker.publishes.length === 2, 'the second publish');
    const [first, other] = broker.publishes;
    assert.notEqual(first?.messageId, other?.messageId);
    broker.acknowledge(first?.messageId ?? 0);
    // Something that comes after the late PUBACK on the same connection has been seen by the link.
    broker.send({ cmd: 'publish', topic: 'in', payload: 'x', qos: 0, dup: false, retain: false });
    await until(() => link.received.length === 1, 'what was sent after the late PUBACK');
    assert.equal(outcome, null);
    broker.acknowledge(other?.messageId ?? 0, 0);
    assert.equal((await second).delivery, 'unknown');
  });

  it('does not send a packet again that ran into its time limit, but sends the others again', async () => {
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url));
    await link.connected();
    const kept = link.publish('t/kept');
    assert.equal((await link.publish('t/gone', 'x', 50)).delivery, 'timeout');
    const before = broker.publishes.length;
    broker.hangUp();
    await link.connected(2);
    await until(() => broker.publishes.length > before, 'the packet that was kept');
    broker.acknowledge(broker.publishes[before]?.messageId ?? 0);
    await kept;
    const marker = link.publish('t/marker');
    await until(() => broker.publishes.length === before + 2, 'a marker behind it');
    broker.acknowledge(broker.publishes.at(-1)?.messageId ?? 0);
    await marker;
    assert.deepEqual(
      broker.publishes.slice(before).map(({ topic }) => topic),
      ['t/kept', 't/marker'],
    );
  });

  it('tells a message that waited in vain for a connection as not connected', async () => {
    const broker = await startHandBroker();
    await broker.stop();
    const link = later(startLink(broker.url));
    const { delivery, error } = await link.publish('t/1', 'x', 50);
    assert.equal(delivery, 'timeout');
    assert.equal(error?.code, 'OTA_NOT_CONNECTED');
  });

  it('refuses more than the queue takes, and settles what waits when it is closed', async () => {
    const broker = await startHandBroker();
    await broker.stop();
    const link = startLink(broker.url, { window: 5 });
    const waiting: Promise<Outcome>[] = [];
    for (let i = 0; i < QUEUE_LIMIT; i += 1) waiting.push(link.publish(`t/${i}`));
    const { delivery, error } = await link.publish('t/more');
    assert.equal(delivery, 'timeout');
    assert.equal(error?.code, 'OTA_QUEUE_FULL');
    await link.stop();
    const codes = new Set((await Promise.all(waiting)).map((outcome) => outcome.error?.code));
    assert.deepEqual([...codes], ['OTA_CLOSED']);
  });

  it('settles each message, whatever happens to the connection and at the end', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const link = startLink(proxy.url, { window: 50 });
    await link.connected();
    const open: Promise<Outcome>[] = [];
    for (let cut = 0; cut < 2; cut += 1) {
      for (let i = 0; i < 200; i += 1) open.push(link.publish(`t/${cut}/${i}`));
      await open.at(-200);
      proxy.cut();
      for (let i = 0; i < 200; i += 1) open.push(link.publish(`u/${cut}/${i}`));
      await link.connected(cut + 2);
    }
    proxy.blackhole();
    for (let i = 0; i < 200; i += 1) open.push(link.publish(`last/${i}`));
    await link.stop();
    open.push(link.publish('after the end'));
    const outcomes = await Promise.all(open);
    assert.deepEqual(new Set(outcomes.map(({ delivery }) => delivery)), new Set(['unknown', 'timeout']));
    for (const { delivery, error } of outcomes) {
      if (delivery === 'timeout') assert.equal(error?.code, 'OTA_CLOSED');
    }
  });

  it('sends what was not acknowledged again after a cut, so that each message arrives', async () => {
    const broker = later(await startAedes());
    const proxy = later(await startTcpProxy(broker.port));
    const heard = later(await connectClient(broker.url));
    await heard.subscribe('t/#');
    const link = later(startLink(proxy.url, { window: 50 }));
    await link.connected();
    proxy.delay(20);
    const open = Array.from({ length: 500 }, (_, i) => link.publish(`t/${i}`));
    await heard.atLeast(20);
    proxy.cut();
    proxy.heal();
    await Promise.all(open);
    await until(() => new Set(heard.messages.map(({ topic }) => topic)).size === 500, 'all of them');
  });

  it('publishes more than 65,535 messages, each acknowledged once', async function () {
    this.timeout(240_000);
    const broker = later(await startAedes());
    const link = later(startLink(broker.url, { window: 200 }));
    await link.connected();
    const outcomes = await publishMany(link, 70_000, 1000);
    assert.equal(outcomes.length, 70_000);
    assert.ok(outcomes.every(({ delivery }) => delivery === 'unknown'));
    assert.equal(link.link.outbox.pending, 0);
  });

  it('leaves ids for subscriptions where the window takes as many as there are', async function () {
    this.timeout(240_000);
    const broker = later(await startHandBroker());
    const link = later(startLink(broker.url, { window: 65_535 }));
    await link.connected();
    let settled = 0;
    const fill = async (): Promise<void> => {
      const before = broker.publishes.length;
      for (let i = 0; i < 9000; i += 1) link.link.publish('t', 'x', () => (settled += 1));
      await until(() => broker.publishes.length > before, 'more publishes');
    };
    for (let i = 0; i < 8; i += 1) await fill();
    link.link.subscriptions.want('some/filter');
    await until(() => link.filters.some(({ state }) => state === 'granted'), 'the subscription');
    assert.equal(settled, 0);
  });

  const bad: [string, string][] = [
    ['nothing', ''],
    ['a plus', 'a/+/b'],
    ['a hash', 'a/#'],
    ['a NUL', 'a/\u0000'],
    ['a control character', 'a/\u0085'],
    ['a lone surrogate', 'a/\ud800'],
    ['a noncharacter', 'a/\uffff'],
    ['65,536 bytes', 'ä'.repeat(32_768)],
  ];
  for (const [what, topic] of bad) {
    it(`refuses a topic of ${what} without touching the connection`, async () => {
      const broker = later(await startHandBroker());
      const link = later(startLink(broker.url));
      await link.connected();
      const { delivery, error } = await link.publish(topic);
      assert.equal(delivery, 'refused');
      assert.equal(error?.code, 'OTA_BAD_TOPIC');
      const marker = link.publish('marker');
      await until(() => broker.publishes.length === 1, 'the marker');
      assert.equal(broker.publishes[0]?.topic, 'marker');
      assert.equal(broker.accepted, 1);
      broker.acknowledge(broker.publishes[0].messageId ?? 0);
      await marker;
    });
  }

  it('refuses a message that is larger than the broker takes, and goes on', async function () {
    mosquittoMissing(this);
    const broker = later(await startMosquitto({ config: ['max_packet_size 1000'] }));
    const link = later(startLink(broker.url, { mqtt: MQTT5 }));
    await link.connected();
    const [large, fits] = await Promise.all([link.publish('t', 'x'.repeat(1000)), link.publish('t')]);
    assert.equal(large.delivery, 'refused');
    assert.equal(large.error?.code, 'OTA_TOO_LARGE');
    assert.equal(fits.delivery, 'offline');
    assert.equal(link.states.filter(({ phase }) => phase === 'connected').length, 1);
  });

  it('goes on where a caller throws in its own callback, and tells it', async () => {
    const broker = later(await startAedes());
    const link = later(startLink(broker.url));
    await link.connected();
    link.link.publish('t', 'x', () => {
      throw new Error('of the caller');
    });
    assert.equal((await link.publish('t')).delivery, 'unknown');
    assert.equal(link.faults[0]?.code, 'OTA_INTERNAL');
    assert.match(link.faults[0].message, /of the caller/);
  });

  describe('on Mosquitto', () => {
    const untilTheEnd = cleanup(after);
    let broker: Mosquitto;
    before(async function () {
      mosquittoMissing(this);
      const user = { username: 'u', password: 'p', refusePublish: ['secret/#'] };
      broker = untilTheEnd(await startMosquitto({ dynsec: [user] }));
    });
    const login = { username: 'u', password: 'p' };

    it('tells accepted, offline and refused apart with MQTT 5', async () => {
      const heard = later(await connectClient(broker.url, { ...login, clientId: 'heard' }));
      await heard.subscribe('t/heard');
      const link = later(startLink(broker.url, { mqtt: { ...MQTT5, ...login } }));
      await link.connected();
      const accepted = await link.publish('t/heard');
      assert.deepEqual(accepted, { delivery: 'accepted', error: null });
      const offline = await link.publish('t/nobody');
      assert.equal(offline.delivery, 'offline');
      assert.equal(offline.error?.code, 'OTA_OFFLINE');
      const refused = await link.publish('secret/x');
      assert.equal(refused.delivery, 'refused');
      assert.equal(refused.error?.code, 'OTA_PUBLISH_REFUSED');
    });

    it('says unknown with MQTT 3.1.1, where the broker can not tell', async () => {
      const link = later(startLink(broker.url, { mqtt: { protocolVersion: 4, ...login } }));
      await link.connected();
      assert.deepEqual(await link.publish('t/nobody'), { delivery: 'unknown', error: null });
    });
  });
});

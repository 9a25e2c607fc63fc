import assert from 'node:assert/strict';
import type { Listener } from '../../nodes/lib/link';
import { type MessageKind, OtaError } from '../../nodes/lib/protocol';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';
import { startHandBroker } from './hand-broker';
import { makeChannel, USER } from './support';

interface Heard<K extends MessageKind> extends Listener<K> {
  readonly tokens: string[];
  readonly refused: string[];
  readonly states: string[];
}

function listener<K extends MessageKind>(kind: K, accessToken: string): Heard<K> {
  const tokens: string[] = [];
  const refused: string[] = [];
  const states: string[] = [];
  return {
    kind,
    accessToken,
    tokens,
    refused,
    states,
    onMessage: (message) => tokens.push((message as { accessToken: string }).accessToken),
    onRefused: ({ error }) => refused.push(error.code),
    onSubscription: (state) => states.push(state),
  };
}

const INFORM = '/ota/device/inform';
const report = { id: '1', params: { version: 'v1', module: 'default' } };

describe('a channel', () => {
  const later = cleanup();

  /** An aedes that keeps a list of what was subscribed and unsubscribed, and may refuse filters. */
  async function brokerWithLog(
    refuse: readonly string[] = [],
  ): Promise<{ aedes: AedesServer; log: string[] }> {
    const log: string[] = [];
    const aedes = later(
      await startAedes({
        authorizeSubscribe: (_client, subscription, callback) =>
          callback(null, refuse.includes(subscription.topic) ? null : subscription),
      }),
    );
    aedes.broker.on('subscribe', (all) => log.push(...all.map(({ topic }) => `+ ${topic}`)));
    aedes.broker.on('unsubscribe', (all) => log.push(...all.map((topic) => `- ${topic}`)));
    return { aedes, log };
  }

  it('opens the connection for its first user only, and ends it when the last one leaves', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    assert.equal(aedes.connections, 0);
    const other = { onState: (): void => undefined };
    test.channel.acquire(USER);
    test.channel.acquire(other);
    await test.connected();
    assert.equal(aedes.connections, 1);
    test.channel.release(USER, true);
    test.channel.release(other, true);
    await until(() => aedes.connections === 0, 'the end of the connection');
    test.channel.acquire(USER);
    await test.connected(2);
  });

  it('keeps the connection over a redeploy of its only user', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    test.channel.acquire(USER);
    await test.connected();
    test.channel.release(USER, false);
    const next = { onState: (): void => undefined };
    test.channel.acquire(next);
    assert.deepEqual(await test.send('inform', 'a'), { delivery: 'unknown', error: null });
    assert.equal(test.states.filter(({ phase }) => phase === 'connecting').length, 1);
  });

  it('hands a message to each listener of its device and of every device, read once', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    const listeners = ['+', '+', 'a', 'b'].map((token) => listener('inform', token));
    for (const each of listeners) test.channel.listen(each);
    test.channel.acquire(USER);
    await until(() => listeners.every(({ states }) => states.includes('granted')), 'the subscriptions');
    const client = later(await connectClient(aedes.url));
    await client.publish(`${INFORM}/a`, report);
    await until(() => listeners[2]?.tokens.length === 1, 'the message');
    assert.deepEqual(
      listeners.map(({ tokens }) => tokens),
      [['a'], ['a'], ['a'], []],
    );
  });

  it('goes on where one listener throws, and tells it', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    const good = listener('inform', '+');
    const bad: Listener<'inform'> = {
      ...listener('inform', '+'),
      onMessage: () => {
        throw new Error('of a listener');
      },
    };
    test.channel.listen(bad);
    test.channel.listen(good);
    test.channel.acquire(USER);
    await until(() => good.states.includes('granted'), 'the subscription');
    const client = later(await connectClient(aedes.url));
    await client.publish(`${INFORM}/a`, report);
    await client.publish(`${INFORM}/b`, report);
    await until(() => good.tokens.length === 2, 'both messages');
    assert.equal(test.faults.length, 2);
    assert.match(test.faults[0]?.message ?? '', /of a listener/);
  });

  it('hands what can not be read to those who listen to its topic', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    const inform = listener('inform', '+');
    const progress = listener('progress', '+');
    for (const each of [inform, progress]) test.channel.listen(each as Listener<'inform'>);
    test.channel.acquire(USER);
    await until(() => [inform, progress].every(({ states }) => states.includes('granted')), 'both');
    const client = later(await connectClient(aedes.url));
    await client.publish(`${INFORM}/a`, 'no JSON');
    await until(() => inform.refused.length === 1, 'the refusal');
    assert.deepEqual(inform.refused, ['OTA_BAD_MESSAGE']);
    assert.deepEqual(progress.refused, []);
  });

  describe('asks the broker', () => {
    it('for single devices, and for + alone once it is granted', async () => {
      const { aedes, log } = await brokerWithLog();
      const test = later(makeChannel(aedes.url));
      const single = listener('inform', 'a');
      test.channel.listen(single);
      test.channel.acquire(USER);
      await until(() => single.states.includes('granted'), 'the single one');
      const every = listener('inform', '+');
      test.channel.listen(every);
      await until(() => log.length === 3, 'the change');
      assert.deepEqual(log, [`+ ${INFORM}/a`, `+ ${INFORM}/+`, `- ${INFORM}/a`]);
      assert.deepEqual(every.states, ['pending', 'granted']);
    });

    it('for single devices again where + is refused, and tells who is served', async () => {
      const { aedes, log } = await brokerWithLog([`${INFORM}/+`]);
      const test = later(makeChannel(aedes.url));
      const every = listener('inform', '+');
      const single = listener('inform', 'a');
      test.channel.listen(every);
      test.channel.listen(single);
      test.channel.acquire(USER);
      await until(() => single.states.includes('granted'), 'the single one');
      assert.equal(every.states.at(-1), 'refused');
      assert.ok(log.includes(`+ ${INFORM}/a`));
      const errors = test.subscriptions.filter(({ error }) => error !== null);
      assert.equal(errors.length, 1);
      assert.equal(errors[0]?.error?.code, 'OTA_SUBSCRIBE_REFUSED');
      assert.match(errors[0].error.message, /\/ota\/device\/inform\/\+/);
    });

    it('for single devices again when the listener to + goes', async () => {
      const { aedes, log } = await brokerWithLog();
      const test = later(makeChannel(aedes.url));
      const single = listener('inform', 'a');
      const every = listener('inform', '+');
      test.channel.listen(single);
      const stop = test.channel.listen(every);
      test.channel.acquire(USER);
      await until(() => every.states.includes('granted'), 'the subscription');
      stop(true);
      await until(() => log.includes(`- ${INFORM}/+`), 'the end of +');
      await until(() => log.includes(`+ ${INFORM}/a`), 'the single one');
      const client = later(await connectClient(aedes.url));
      await client.publish(`${INFORM}/a`, report);
      await until(() => single.tokens.length === 1, 'its message');
    });

    it('once for a filter, whatever the number of listeners, and ends it with the last', async () => {
      const { aedes, log } = await brokerWithLog();
      const test = later(makeChannel(aedes.url));
      const stops = [1, 2, 3].map(() => test.channel.listen(listener('inform', '+')));
      test.channel.acquire(USER);
      await until(() => log.length === 1, 'the subscription');
      for (const stop of stops) stop(true);
      await until(() => log.length === 2, 'its end');
      assert.deepEqual(log, [`+ ${INFORM}/+`, `- ${INFORM}/+`]);
    });

    it('for a shared subscription of what devices report, never of upgrades', async function () {
      mosquittoMissing(this);
      const broker = later(await startMosquitto());
      const tests = ['one', 'two'].map((clientId) => {
        const test = later(makeChannel(broker.url, { clientId, shareGroup: 'platforms' }));
        const heard = (['inform', 'progress', 'upgrade'] as const).map((kind) =>
          listener<MessageKind>(kind, '+'),
        );
        for (const each of heard) test.channel.listen(each);
        test.channel.acquire(USER);
        return { test, heard };
      });
      const all = tests.flatMap(({ heard }) => heard);
      await until(() => all.every(({ states }) => states.includes('granted')), 'all subscriptions');
      const client = later(await connectClient(broker.url));
      for (let i = 0; i < 10; i += 1) {
        await client.publish(`${INFORM}/a`, report);
        await client.publish('/ota/device/progress/a', { step: '5' });
      }
      await client.publish('/ota/device/upgrade/a', {
        id: '1',
        code: 200,
        params: { version: '1', url: 'http://x.example' },
      });
      const heardOf = (kind: MessageKind): number =>
        all.filter((each) => each.kind === kind).reduce((sum, { tokens }) => sum + tokens.length, 0);
      await until(() => heardOf('upgrade') === 2, 'the upgrade at both');
      await until(() => heardOf('inform') === 10 && heardOf('progress') === 10, 'each report once');
    });
  });

  it('refuses a bad token without touching the connection', async () => {
    const { aedes } = await brokerWithLog();
    const test = later(makeChannel(aedes.url));
    test.channel.acquire(USER);
    await test.connected();
    for (const token of ['', 'a/b', '#', '+', 'a\u0000']) {
      const { delivery, error } = await test.send('upgrade', token);
      assert.equal(delivery, 'refused');
      assert.equal(error?.code, 'OTA_BAD_TOKEN');
    }
    assert.throws(() => test.channel.listen(listener('upgrade', 'a/b')), OtaError);
    assert.equal(aedes.connections, 1);
  });

  it('answers a publish after its end, and one that nobody opened a connection for', async () => {
    const { aedes } = await brokerWithLog();
    const test = makeChannel(aedes.url);
    assert.equal((await test.send('inform', 'a')).error?.code, 'OTA_CLOSED');
    test.channel.acquire(USER);
    await test.connected();
    test.channel.release(USER, false);
    await test.stop();
    assert.equal((await test.send('inform', 'a')).error?.code, 'OTA_CLOSED');
    await until(() => aedes.connections === 0, 'no connection');
  });

  describe('on a kept session', () => {
    it('takes a message that comes in the same piece as the CONNACK', async () => {
      const publish = { cmd: 'publish', qos: 1, messageId: 7, dup: false, retain: false } as const;
      const kept = { ...publish, topic: `${INFORM}/a`, payload: JSON.stringify(report) };
      const broker = later(await startHandBroker({ sessionPresent: true, afterConnack: [kept] }));
      const test = later(makeChannel(broker.url, { persistent: true }));
      const heard = listener('inform', '+');
      test.channel.listen(heard);
      test.channel.acquire(USER);
      await until(() => broker.pubacks.length === 1, 'its acknowledgement');
      assert.deepEqual(heard.tokens, ['a']);
      assert.deepEqual(test.faults, []);
    });

    it('tells a message that the broker sends again from one that is new', async () => {
      const broker = later(await startHandBroker());
      const test = later(makeChannel(broker.url, { persistent: true }));
      const marks: boolean[] = [];
      const heard = listener('inform', '+');
      test.channel.listen({ ...heard, onMessage: (_message, _batch, again) => void marks.push(again) });
      test.channel.acquire(USER);
      await until(() => heard.states.includes('granted'), 'the subscription');
      const one = { cmd: 'publish', qos: 1, retain: false, payload: JSON.stringify(report) } as const;
      broker.send(
        { ...one, dup: true, messageId: 1, topic: `${INFORM}/a` },
        { ...one, dup: false, messageId: 2, topic: `${INFORM}/a` },
      );
      await until(() => broker.pubacks.length === 2, 'both acknowledgements');
      assert.deepEqual(marks, [true, false]);
    });

    it('holds a message for a listener that comes a moment later', async () => {
      const broker = later(await startHandBroker());
      const test = later(makeChannel(broker.url, { persistent: true }));
      const first = listener('inform', '+');
      const stop = test.channel.listen(first);
      test.channel.acquire(USER);
      await until(() => first.states.includes('granted'), 'the subscription');
      stop(false);
      const marker = {
        cmd: 'publish',
        qos: 1,
        dup: false,
        retain: false,
        payload: JSON.stringify(report),
      } as const;
      broker.send(
        { ...marker, messageId: 1, topic: `${INFORM}/a` },
        { ...marker, messageId: 2, topic: `${INFORM}/b` },
      );
      const next = listener('inform', '+');
      test.channel.listen(next);
      await until(() => broker.pubacks.length === 2, 'both acknowledgements');
      assert.deepEqual(next.tokens, ['a', 'b']);
      assert.deepEqual(first.tokens, []);
      assert.ok(!broker.packets.some(({ cmd }) => cmd === 'unsubscribe'));
    });

    it('holds a message for a listener that is ready a moment later', async () => {
      const { aedes } = await brokerWithLog();
      const client = later(await connectClient(aedes.url));
      const test = later(makeChannel(aedes.url));
      let ready = false;
      let asked = false;
      const heard = { ...listener('inform', '+'), ready: () => ((asked = true), ready) };
      test.channel.listen(heard);
      test.channel.acquire(USER);
      await until(() => heard.states.includes('granted'), 'the subscription');
      await client.publish(`${INFORM}/a`, report);
      await until(() => asked, 'the question whether it is ready');
      ready = true;
      test.channel.resume();
      await until(() => heard.tokens.length > 0, 'the report');
      assert.equal(test.states.filter(({ phase }) => phase === 'connected').length, 1);
    });

    for (const [version, protocolVersion] of [
      ['3.1.1', 4],
      ['5', 5],
    ] as const) {
      it(`gets what was sent while it was away (MQTT ${version})`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        const options = { mqtt: { protocolVersion }, persistent: true };
        const client = later(await connectClient(broker.url, { clientId: 'sender' }));
        const away = makeChannel(broker.url, options);
        const before = listener('inform', '+');
        away.channel.listen(before);
        away.channel.acquire(USER);
        await until(() => before.states.includes('granted'), 'the subscription');
        away.channel.release(USER, false);
        await away.stop();
        for (let i = 0; i < 100; i += 1) await client.publish(`${INFORM}/d${i}`, report);
        const back = later(makeChannel(broker.url, options));
        const heard = listener('inform', '+');
        back.channel.listen(heard);
        back.channel.acquire(USER);
        await until(() => heard.tokens.length >= 100, 'all reports');
        assert.equal(new Set(heard.tokens).size, 100);
        assert.deepEqual(back.faults, []);
      });

      it(`leaves to the broker what a listener is not ready for (MQTT ${version})`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        const client = later(await connectClient(broker.url, { clientId: 'sender' }));
        const test = later(makeChannel(broker.url, { mqtt: { protocolVersion }, persistent: true }));
        let ready = false;
        const heard = { ...listener('inform', '+'), ready: () => ready };
        test.channel.listen(heard);
        test.channel.acquire(USER);
        await until(() => heard.states.includes('granted'), 'the subscription');
        for (const token of ['a', 'b']) await client.publish(`${INFORM}/${token}`, report);
        const lost = await until(
          () => test.states.find(({ error }) => error !== null),
          'the end of patience',
        );
        assert.equal(lost.error?.code, 'OTA_COMMIT_FAILED');
        await test.connected(2);
        assert.deepEqual(heard.tokens, []);
        ready = true;
        test.channel.resume();
        await until(() => heard.tokens.length >= 2, 'both reports');
        assert.deepEqual(heard.tokens, ['a', 'b']);
      });

      it(`tells a message of an old filter once, and ends the filter (MQTT ${version})`, async function () {
        mosquittoMissing(this);
        const broker = later(await startMosquitto());
        const client = later(await connectClient(broker.url, { clientId: 'sender' }));
        const options = { mqtt: { protocolVersion }, persistent: true };
        const old = makeChannel(broker.url, options);
        const inform = listener('inform', '+');
        const progress = listener('progress', '+');
        for (const each of [inform, progress]) old.channel.listen(each as Listener);
        old.channel.acquire(USER);
        await until(() => [inform, progress].every(({ states }) => states.includes('granted')), 'both');
        old.channel.release(USER, false);
        await old.stop();
        for (let i = 0; i < 5; i += 1) await client.publish('/ota/device/progress/secret-token', { step: 1 });
        const back = later(makeChannel(broker.url, options));
        const heard = listener('inform', '+');
        back.channel.listen(heard);
        back.channel.acquire(USER);
        const fault = await until(() => back.faults[0], 'the fault');
        assert.equal(fault.code, 'OTA_BAD_TOPIC');
        assert.ok(!fault.message.includes('secret-token'), fault.message);
        await until(
          () => broker.lines.some((line) => line.includes('Received UNSUBSCRIBE')),
          'the old filter to be ended',
        );
        await client.publish('/ota/device/progress/other', { step: 1 });
        await client.publish(`${INFORM}/marker`, report);
        await until(() => heard.tokens.includes('marker'), 'what is still wanted');
        assert.equal(back.faults.length, 1);
      });
    }
  });
});

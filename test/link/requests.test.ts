/** A device asks for its upgrade and a platform answers: the questions of the scheme `aliyun`. */
import assert from 'node:assert/strict';
import type { Answered, Listener } from '../../nodes/lib/link';
import { createScheme, type Upgrade } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';
import { makeChannel, MQTT311, MQTT5, type TestChannel, USER } from './support';

const DEVICE = 'a1B2c3D4e5F/DEVICE0001';
const scheme = createScheme('aliyun');
const UPGRADE = scheme.check({
  version: '1.0.1',
  url: 'http://packages.example.com/fw.bin',
  size: 432945,
  sign: '93230c3bde425a9d7984a594ac55ea1e',
  module: 'MCU',
});

interface Platform extends TestChannel {
  readonly questions: { id: string | null; module: string | null; version: string | null }[];
}

describe('a question for an upgrade', () => {
  const later = cleanup();
  const untilTheEnd = cleanup(after);
  let broker: Mosquitto;

  before(async function () {
    mosquittoMissing(this);
    broker = untilTheEnd(await startMosquitto());
  });

  /** A platform that answers each question with the upgrade, or with nothing. */
  async function startPlatform(upgrade: boolean, mqtt = MQTT311): Promise<Platform> {
    const test = later(makeChannel(broker.url, { scheme, mqtt, clientId: 'platform' }));
    const questions: Platform['questions'] = [];
    let granted = false;
    const listener: Listener<'ask'> = {
      kind: 'ask',
      accessToken: '+',
      onMessage: (question) => {
        const { id, module, version } = question.message;
        questions.push({ id, module, version });
        const prepared = upgrade ? test.channel.scheme.prepare(UPGRADE) : null;
        test.channel.answer(question, prepared, ({ error }) => assert.equal(error, null));
      },
      onRefused: ({ error }) => test.faults.push(error),
      onSubscription: (state) => (granted = state === 'granted'),
    };
    test.channel.listen(listener);
    test.channel.acquire(USER);
    await until(() => granted, 'the subscription of the platform');
    return Object.assign(test, { questions });
  }

  async function startDevice(mqtt = MQTT311): Promise<TestChannel & { readonly upgrades: Upgrade[] }> {
    const test = later(makeChannel(broker.url, { scheme, mqtt, clientId: 'device' }));
    const upgrades: Upgrade[] = [];
    let granted = false;
    test.channel.listen({
      kind: 'upgrade',
      accessToken: DEVICE,
      onMessage: ({ accessToken, message }) => {
        assert.equal(accessToken, DEVICE);
        upgrades.push(message);
      },
      onRefused: ({ error }) => test.faults.push(error),
      onSubscription: (state) => (granted = state === 'granted'),
    });
    test.channel.acquire(USER);
    await until(() => granted, 'the subscription of the device');
    return Object.assign(test, { upgrades });
  }

  const ask = (device: TestChannel, module: string | null, timeoutMs?: number): Promise<Answered> =>
    new Promise((resolve) => device.channel.ask(DEVICE, module, resolve, timeoutMs));

  for (const [version, mqtt] of [
    ['3.1.1', MQTT311],
    ['5', MQTT5],
  ] as const) {
    it(`brings the pending upgrade, to its listeners too (MQTT ${version})`, async () => {
      const platform = await startPlatform(true, mqtt);
      const device = await startDevice(mqtt);
      const { upgrade, error } = await ask(device, 'MCU');
      assert.equal(error, null);
      assert.deepEqual(upgrade, {
        id: platform.questions[0]?.id,
        code: 200,
        module: 'MCU',
        version: '1.0.1',
        size: 432945,
        url: 'http://packages.example.com/fw.bin',
        signMethod: 'Md5',
        sign: '93230c3bde425a9d7984a594ac55ea1e',
        extData: {},
      });
      assert.deepEqual(device.upgrades, [upgrade]);
      assert.deepEqual(
        platform.questions.map(({ module }) => module),
        ['MCU'],
      );
      assert.deepEqual([...platform.faults, ...device.faults], []);
    });
  }

  it('brings nothing where there is nothing to do', async () => {
    await startPlatform(false);
    const device = await startDevice();
    assert.deepEqual(await ask(device, null), { upgrade: null, error: null });
    assert.deepEqual(device.upgrades, []);
  });

  it('tells that no platform listens, with MQTT 5', async () => {
    const device = await startDevice(MQTT5);
    const { upgrade, error } = await ask(device, null);
    assert.deepEqual({ upgrade, code: error?.code }, { upgrade: null, code: 'OTA_OFFLINE' });
  });

  it('ends without an answer after its time limit', async () => {
    const device = await startDevice();
    assert.equal((await ask(device, null, 100)).error?.code, 'OTA_TIMEOUT');
  });

  it('is refused with a bad token, and where the scheme knows none', async () => {
    const device = await startDevice();
    const bad = await new Promise<Answered>((resolve) => device.channel.ask('one-level', null, resolve));
    assert.equal(bad.error?.code, 'OTA_BAD_TOKEN');
    const plain = later(makeChannel(broker.url, { clientId: 'plain' }));
    plain.channel.acquire(USER);
    await plain.connected();
    const none = await new Promise<Answered>((resolve) => plain.channel.ask('a', null, resolve));
    assert.equal(none.error?.code, 'OTA_BAD_INPUT');
  });

  it('is heard and answered byte for byte, on the topic that it came on', async () => {
    const platform = await startPlatform(true);
    const sdk = later(await connectClient(broker.url));
    const get = `/sys/${DEVICE}/thing/ota/firmware/get`;
    const request = `/ota/device/request/${DEVICE}`;
    await sdk.subscribe([`${get}_reply`, request]);
    await sdk.publish(
      get,
      '{"id":"123","version":"1.0","params":{"module":"MCU"},"method":"thing.ota.firmware.get"}',
    );
    await sdk.publish(get, '{"id":7,"params":{}}');
    const data =
      '{"size":432945,"sign":"93230c3bde425a9d7984a594ac55ea1e","version":"1.0.1","url":"http://packages.example.com/fw.bin","signMethod":"Md5","md5":"93230c3bde425a9d7984a594ac55ea1e","module":"MCU"}';
    const replies = await sdk.atLeast(2, `${get}_reply`);
    assert.deepEqual(
      replies.map(({ text }) => text),
      [`{"id":"123","code":200,"data":${data}}`, `{"id":7,"code":200,"data":${data}}`],
    );
    await sdk.publish(request, '{"id":"8","params":{"version":"1.0.0"}}');
    const older = await sdk.atLeast(2, request);
    assert.equal(older[1]?.text, `{"id":"8","code":200,"data":${data}}`);
    assert.deepEqual(platform.questions, [
      { id: '123', module: 'MCU', version: null },
      { id: '7', module: null, version: null },
      { id: '8', module: null, version: '1.0.0' },
    ]);
    assert.deepEqual(platform.faults, [], 'its own answer on the same topic is no news');
  });
});

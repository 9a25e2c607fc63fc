/** The schemes of ota-service in flows, against a real broker: what devices of each get and send. */
import assert from 'node:assert/strict';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { asOut, GOOD_UPGRADE, loadBench } from './support';

const DEVICE = 'a1B2c3D4e5F/DEVICE0001';
const MD5 = 'a'.repeat(32);
const SHA256 = 'b'.repeat(64);

/** Reads a push as a C program does that searches for texts: no blank, each value up to its end. */
function search(text: string): Record<string, string> | null {
  const between = (start: string, end: string): string | null => {
    const at = text.indexOf(start);
    return at < 0 ? null : text.slice(at + start.length, text.indexOf(end, at + start.length));
  };
  const size = between('"size":', ',');
  const url = between('"url":"', '"');
  const version = between('"version":"', '"');
  const sign = between('"sign":"', '"');
  const signMethod = between('"signMethod":"', '"');
  if (size === null || !(Number(size) > 0) || url === null || version === null || sign === null) return null;
  if (signMethod !== 'Md5' && signMethod !== 'Sha256' && signMethod !== 'SHA256') return null;
  const module = between('"module":"', '"');
  return { size, url, version, sign, signMethod, ...(module === null ? {} : { module }) };
}

describe('a scheme in a flow', () => {
  const later = cleanup();
  const untilTheEnd = cleanup(after);
  let broker: Mosquitto;
  let client: TestClient;

  before(async function () {
    mosquittoMissing(this);
    broker = untilTheEnd(await startMosquitto());
  });
  beforeEach(async () => {
    client = later(await connectClient(broker.url));
  });

  type Node = Readonly<Record<string, unknown>> & { type: string };
  async function load(
    node: Node,
    outputs: number,
    service: object,
    more: { token?: string; mqtt5?: boolean } = {},
  ): Promise<LoadedFlow> {
    const flow = await loadBench(broker.port, node, outputs, {
      service: { clientId: `c-${Math.random().toString(36).slice(2)}`, persistent: false, ...service },
      credentials: { n1: { accessToken: more.token ?? '' } },
      ...(more.mqtt5 === true ? { broker: { protocolVersion: '5' } } : {}),
    });
    later(flow);
    return flow;
  }

  const pushNode: Node = { type: 'ota-push', side: 'platform' };

  describe('aliyun', () => {
    for (const [what, fields, bytes] of [
      [
        'with MD5 and a module',
        { sign: MD5, signMethod: 'MD5', module: 'MCU', extData: { key1: 'value1' } },
        `"signMethod":"Md5","md5":"${MD5}","module":"MCU","extData":{"key1":"value1"}}`,
      ],
      ['with SHA256, without a module', { sign: SHA256, signMethod: 'SHA256' }, '"signMethod":"SHA256"}'],
    ] as const) {
      it(`pushes ${what} in the order and the form that devices search`, async () => {
        const flow = await load(pushNode, 2, { scheme: 'aliyun' });
        await flow.status('n1', /connected/);
        await client.subscribe(`/ota/device/upgrade/${DEVICE}`);
        const upgrade = { ...GOOD_UPGRADE, ...fields };
        flow.send('n1', { payload: upgrade, accessToken: DEVICE });
        const { payload } = asOut((await flow.messages('out0').atLeast(1))[0]);
        const sent = (await client.atLeast(1))[0];
        const { size, url, version, sign } = upgrade;
        const id = String(payload['id']);
        assert.match(id, /^[0-9]{13}$/);
        assert.equal(
          sent?.text,
          `{"code":"1000","data":{"size":${size},"sign":"${sign}","version":"${version}","url":"${url}",${bytes},"id":${id},"message":"success"}`,
        );
        const found = search(sent.text);
        assert.equal(found?.['size'], String(size));
        assert.equal(found['url'], url);
        assert.equal(found['sign'], sign);
        assert.equal(found['module'], 'module' in fields ? fields.module : undefined);
        assert.equal(payload['accessToken'], DEVICE);
      });
    }

    for (const [what, fields, why] of [
      ['no size', { size: undefined }, /needs a size/],
      ['a size of 0', { size: 0 }, /needs a size/],
      ['no sign', { sign: undefined }, /needs a sign/],
      ['a quotation mark in the version', { version: 'v"1' }, /quotation mark/],
      ['a backslash in the url', { url: 'http://x.example/a?b=\\' }, /backslash/],
      ['a control character in the version', { version: 'v\u00011' }, /control character/],
      ...'module files url size version sign signMethod md5 dProtocol streamId streamFileId id code data message extData'
        .split(' ')
        .map((key) => [`a key "${key}" in extData`, { extData: { [key]: 'x' } }, /another name/] as const),
    ] as const) {
      it(`refuses ${what} before anything is sent, whatever is allowed`, async () => {
        const flow = await load({ ...pushNode, allowUnsigned: true }, 2, { scheme: 'aliyun' });
        flow.send('n1', { payload: { ...GOOD_UPGRADE, ...fields }, accessToken: DEVICE });
        const { error } = asOut((await flow.messages('caught').atLeast(1))[0]);
        assert.equal(error?.code, 'OTA_BAD_UPGRADE');
        assert.match(error.message, why);
      });
    }

    it('refuses a token of one level, and says what is expected', async () => {
      const flow = await load(pushNode, 2, { scheme: 'aliyun' });
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 'DEVICE0001' });
      const { payload } = asOut((await flow.messages('out1').atLeast(1))[0]);
      assert.equal(payload['code'], 'OTA_BAD_TOKEN');
      assert.match(String(payload['reason']), /productKey\/deviceName/);
    });

    it('reports a version and a step as the SDKs do', async () => {
      await client.subscribe('/ota/device/#');
      const inform = await load(
        { type: 'ota-inform', side: 'device' },
        1,
        { scheme: 'aliyun' },
        { token: DEVICE },
      );
      inform.send('n1', { payload: { version: '1.0.0 \n', module: 'MCU' } });
      const [report] = await client.atLeast(1);
      assert.equal(report?.topic, `/ota/device/inform/${DEVICE}`);
      assert.match(report.text, /^\{"id":"[0-9]{10,13}","params":\{"version":"1\.0\.0","module":"MCU"\}\}$/);
      await inform.stop();
      const progress = await load(
        { type: 'ota-progress', side: 'device' },
        1,
        { scheme: 'aliyun' },
        { token: DEVICE },
      );
      progress.send('n1', { payload: { step: 100, desc: '', module: 'MCU' } });
      const step = (await client.atLeast(2))[1];
      assert.match(
        step?.text ?? '',
        /^\{"id":"[0-9]{10}","params":\{"step":"100","desc":"","module":"MCU"\}\}$/,
      );
    });
  });

  describe('thingspanel-v0.4', () => {
    it('pushes without a size, the code as text', async () => {
      const flow = await load(pushNode, 2, { scheme: 'thingspanel-v0.4' });
      await client.subscribe('ota/device/infrom/t1');
      flow.send('n1', { payload: { ...GOOD_UPGRADE, size: undefined }, accessToken: 't1' });
      const [sent] = await client.atLeast(1);
      const { id, code, params } = JSON.parse(sent?.text ?? '') as Record<string, unknown>;
      assert.match(String(id), /^[0-9]{10}$/);
      assert.equal(code, '200');
      const { version, url, sign } = GOOD_UPGRADE;
      assert.deepEqual(params, { version, url, signMethod: 'Md5', sign });
    });

    it('reports as a device without its token: the broker knows it', async () => {
      await client.subscribe('ota/#');
      const flow = await load(
        { type: 'ota-inform', side: 'device' },
        1,
        { scheme: 'thingspanel-v0.4' },
        { token: 't1' },
      );
      const outputs = flow.messages('out0');
      flow.send('n1', { payload: 'v1' });
      const [sent] = await client.atLeast(1);
      assert.equal(sent?.topic, 'ota/device/infrom');
      assert.deepEqual((JSON.parse(sent.text) as { params: object }).params, {
        version: 'v1',
        module: 'default',
      });
      const out = asOut((await outputs.atLeast(1))[0]);
      assert.equal(out.payload['accessToken'], 't1');
    });
  });

  it('thingspanel-v0.5 names the module in each progress report', async () => {
    await client.subscribe('ota/#');
    const flow = await load(
      { type: 'ota-progress', side: 'device' },
      1,
      { scheme: 'thingspanel-v0.5' },
      { token: 't1' },
    );
    flow.send('n1', { payload: 100 });
    const [sent] = await client.atLeast(1);
    assert.equal(sent?.topic, 'ota/device/progress');
    assert.deepEqual(JSON.parse(sent.text), { step: '100', desc: '', module: 'default' });
  });

  describe('thingspanel-v1', () => {
    const scheme = { scheme: 'thingspanel-v1' };

    it('is for devices: a platform is told so', async () => {
      const flow = await load(pushNode, 2, scheme);
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 'd1' });
      assert.equal(asOut((await flow.messages('caught').atLeast(1))[0]).error?.code, 'OTA_BAD_TEMPLATE');
    });

    for (const refused of ['infrom', 'inform']) {
      it(`receives upgrades where the broker refuses ota/devices/${refused}/…, and tells no error`, async () => {
        const strict = later(
          await startMosquitto({
            dynsec: [
              { username: 'd1', password: 'p', refuseSubscribe: [`ota/devices/${refused}/d1`] },
              { username: 'platform', password: 'p' },
            ],
          }),
        );
        const flow = later(
          await loadBench(strict.port, { type: 'ota-push', side: 'device' }, 1, {
            service: { ...scheme, clientId: 'd1', persistent: false },
            credentials: { n1: { accessToken: 'd1' }, broker: { user: 'd1', password: 'p' } },
          }),
        );
        const caught = flow.messages('caught');
        const out = flow.messages('out0');
        await flow.status('n1', /connected/);
        const platform = later(await connectClient(strict.url, { username: 'platform', password: 'p' }));
        const allowed = refused === 'infrom' ? 'inform' : 'infrom';
        await platform.publish(`ota/devices/${allowed}/d1`, {
          id: '1',
          params: { version: 'v1', url: 'http://x' },
        });
        const { payload } = asOut((await out.atLeast(1))[0]);
        assert.equal(payload['version'], 'v1');
        assert.deepEqual(caught.items, []);
      });
    }
  });

  describe('custom', () => {
    const topics = (inform: string, upgrade: string, progress: string): object => ({
      scheme: 'custom',
      informTopic: inform,
      upgradeTopic: upgrade,
      progressTopic: progress,
    });

    it('takes two placeholders, in any order and apart', async () => {
      const service = topics(
        'x/{deviceName}/of/{productKey}/v',
        'x/{productKey}/{deviceName}/up',
        'p/{productKey}/{deviceName}',
      );
      const flow = await load({ type: 'ota-inform', side: 'platform' }, 1, service);
      const out = flow.messages('out0');
      await flow.status('n1', /noReport/);
      await client.publish('x/D/of/P/v', { id: '1', params: { version: 'v1' } });
      const { payload } = asOut((await out.atLeast(1))[0]);
      assert.equal(payload['accessToken'], 'P/D');
    });

    it('writes alink bodies where the setting says so', async () => {
      const service = { ...topics('i/{accessToken}', 'u/{accessToken}', 'p/{accessToken}'), bodies: 'alink' };
      const flow = await load(pushNode, 2, service);
      await client.subscribe('u/t1');
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 't1' });
      assert.notEqual(search((await client.atLeast(1))[0]?.text ?? ''), null);
    });

    const bare = topics('dev/inform', 'dev/upgrade', 'dev/progress');

    it("may name no device on the device's own side", async () => {
      const flow = await load({ type: 'ota-push', side: 'device' }, 1, bare, { token: 't1' });
      const out = flow.messages('out0');
      await flow.status('n1', /connected/);
      await client.publish('dev/upgrade', { id: '1', params: { version: 'v1', url: 'http://x' } });
      const message = asOut((await out.atLeast(1))[0]);
      assert.equal(message.accessToken, 't1');
      assert.equal(message.payload['accessToken'], 't1');
    });

    for (const node of [
      { type: 'ota-inform', side: 'platform' },
      { type: 'ota-progress', side: 'platform' },
    ]) {
      it(`is refused where no topic names a device, by ${node.type} of the platform`, async () => {
        const flow = await load(node, 1, bare);
        const { error } = asOut((await flow.messages('caught').atLeast(1))[0]);
        assert.equal(error?.code, 'OTA_BAD_TEMPLATE');
        assert.match(error.message, /\{accessToken\}/);
      });
    }

    it('is refused for pushes where no topic names a device', async () => {
      const flow = await load(pushNode, 2, bare);
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 't1' });
      assert.equal(asOut((await flow.messages('caught').atLeast(1))[0]).error?.code, 'OTA_BAD_TEMPLATE');
    });
  });

  describe('the settings of the service', () => {
    it('name the module in an upgrade also when it is default', async () => {
      const flow = await load(pushNode, 2, { sendDefaultModule: true });
      await client.subscribe('/ota/device/upgrade/t1');
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 't1' });
      const { params } = JSON.parse((await client.atLeast(1))[0]?.text ?? '') as {
        params: { module: string };
      };
      assert.equal(params.module, 'default');
    });

    it('bound the length of a url, and the error names the setting', async () => {
      const url = 'https://example.com/'.padEnd(300, 'a');
      const strict = await load(pushNode, 2, {});
      strict.send('n1', { payload: { ...GOOD_UPGRADE, url }, accessToken: 't1' });
      const { error } = asOut((await strict.messages('caught').atLeast(1))[0]);
      assert.equal(error?.code, 'OTA_BAD_UPGRADE');
      assert.match(error.message, /maxUrlLength/);
      await strict.stop();
      const wide = await load(pushNode, 2, { maxUrlLength: '300' });
      wide.send('n1', { payload: { ...GOOD_UPGRADE, url }, accessToken: 't1' });
      await wide.messages('out0').atLeast(1);
    });

    for (const [what, service, code] of [
      ['an unknown scheme', { scheme: 'aws' }, 'OTA_BAD_TEMPLATE'],
      ['unknown bodies', { bodies: 'xml' }, 'OTA_BAD_TEMPLATE'],
      ['a url of 2,049 characters', { maxUrlLength: '2049' }, 'OTA_BAD_SETTINGS'],
    ] as const) {
      it(`refuse ${what} with ${code}`, async () => {
        const flow = await load(pushNode, 2, service);
        assert.equal(asOut((await flow.messages('caught').atLeast(1))[0]).error?.code, code);
      });
    }
  });

  it('sends a push with its message expiry, with MQTT 5', async () => {
    const five = later(await connectClient(broker.url, { protocolVersion: 5 }));
    const expiries: unknown[] = [];
    five.client.on('message', (_topic, _body, packet) =>
      expiries.push(packet.properties?.messageExpiryInterval),
    );
    await five.subscribe('/ota/device/upgrade/t1');
    const flow = await load({ ...pushNode, expiry: '600' }, 2, {}, { mqtt5: true });
    flow.send('n1', { payload: GOOD_UPGRADE, accessToken: 't1' });
    await five.atLeast(1);
    assert.ok(Number(expiries[0]) > 590 && Number(expiries[0]) <= 600, String(expiries));
  });

  describe('what was retained', () => {
    for (const mqtt5 of [false, true]) {
      it(`is told as such in a version report (MQTT ${mqtt5 ? '5' : '3.1.1'})`, async () => {
        await client.publish(
          '/ota/device/inform/r1',
          { id: '1', params: { version: 'v1' } },
          { retain: true },
        );
        const flow = await load({ type: 'ota-inform', side: 'platform' }, 1, {}, { mqtt5 });
        const out = flow.messages('out0');
        const { payload } = asOut((await out.atLeast(1))[0]);
        assert.equal(payload['retained'], true);
        await client.publish('/ota/device/inform/r1', { id: '2', params: { version: 'v2' } });
        assert.ok(!('retained' in asOut((await out.atLeast(2))[1]).payload));
        await client.publish('/ota/device/inform/r1', '', { retain: true });
      });
    }

    it('is refused in progress reports, and told once a connection', async () => {
      for (const token of ['r1', 'r2', 'r3']) {
        await client.publish(`/ota/device/progress/${token}`, { step: '5' }, { retain: true });
      }
      const flow = await load({ type: 'ota-progress', side: 'platform' }, 1, {});
      const out = flow.messages('out0');
      const caught = flow.messages('caught');
      await caught.atLeast(1);
      await flow.status('n1', /messageRefused/);
      await client.publish('/ota/device/progress/t1', { step: '6' });
      assert.equal(asOut((await out.atLeast(1))[0]).payload['step'], 6);
      assert.deepEqual(
        caught.items.map((item) => asOut(item).error?.code),
        ['OTA_RETAINED'],
      );
      for (const token of ['r1', 'r2', 'r3']) {
        await client.publish(`/ota/device/progress/${token}`, '', { retain: true });
      }
    });

    it('is taken away from upgrades without an error', async () => {
      const flow = await load({ type: 'ota-push', side: 'device' }, 1, {}, { token: 't1' });
      const caught = flow.messages('caught');
      const out = flow.messages('out0');
      await flow.status('n1', /connected/);
      await client.publish('/ota/device/upgrade/t1', '', { retain: true });
      await client.publish('/ota/device/upgrade/t1', { id: '1', params: { version: 'v1', url: 'http://x' } });
      await out.atLeast(1);
      assert.deepEqual(caught.items, []);
    });
  });

  it('is not stopped by a huge message that a kept session holds, with MQTT 5', async () => {
    const service = { clientId: 'kept', persistent: true };
    const node = { type: 'ota-inform', side: 'platform' };
    const first = await load(node, 1, service, { mqtt5: true });
    await first.status('n1', /noReport/);
    await first.stop();
    await client.publish('/ota/device/inform/t1', Buffer.alloc(4 * 1024 * 1024, 0x20));
    await client.publish('/ota/device/inform/t2', { id: '1', params: { version: 'v1' } });
    const second = await load(node, 1, service, { mqtt5: true });
    const caught = second.messages('caught');
    const { payload } = asOut((await second.messages('out0').atLeast(1))[0]);
    assert.equal(payload['accessToken'], 't2');
    assert.deepEqual(caught.items, []);
  });
});

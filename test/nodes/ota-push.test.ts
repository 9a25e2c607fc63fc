import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { asOut, bodyOf, GOOD_UPGRADE, loadBench, TOPIC } from './support';

describe('ota-push', () => {
  let broker: AedesServer;
  let flow: LoadedFlow | null = null;
  let client: TestClient;
  const later = cleanup();

  beforeEach(async () => {
    broker = await startAedes();
    client = await connectClient(broker.url);
  });
  afterEach(async () => {
    await flow?.stop();
    flow = null;
    await client.stop();
    await broker.stop();
  });

  describe('on the platform', () => {
    const load = async (node: object = {}, service: Record<string, unknown> = {}): Promise<LoadedFlow> => {
      flow = await loadBench(broker.port, { type: 'ota-push', side: 'platform', ...node }, 2, { service });
      await flow.status('n1', /connected/);
      return flow;
    };
    beforeEach(async function () {
      // The test's own client would be the slowest part of a push to very many.
      if (!this.currentTest?.title.includes('100,000')) await client.subscribe(`${TOPIC}/upgrade/+`);
    });

    it('pushes an upgrade as the protocol has it, never retained', async () => {
      const loaded = await load();
      const out = loaded.messages('out0');
      const payload = { ...GOOD_UPGRADE, sign: 'A'.repeat(32), module: 'MCU', extData: { a: 1, b: 'x' } };
      loaded.send('n1', { payload, accessToken: 'token-1', keep: 'me' });
      const message = asOut((await out.atLeast(1))[0]);
      const { at, id, ...rest } = message.payload;
      assert.deepEqual(rest, {
        accessToken: 'token-1',
        module: 'MCU',
        version: 'v1.1',
        delivery: 'unknown',
      });
      assert.equal(new Date(String(at)).toISOString(), at);
      assert.equal(message['keep'], 'me');
      assert.equal(message.topic, `${TOPIC}/upgrade/token-1`);
      const sent = (await client.atLeast(1))[0];
      assert.equal(sent?.topic, `${TOPIC}/upgrade/token-1`);
      assert.equal(sent.retain, false);
      assert.equal(sent.qos, 1);
      assert.deepEqual(bodyOf(sent), {
        id,
        code: 200,
        params: {
          version: 'v1.1',
          size: 1024,
          url: GOOD_UPGRADE.url,
          signMethod: 'Md5',
          sign: 'a'.repeat(32),
          module: 'MCU',
          extData: { a: '1', b: 'x' },
        },
      });
    });

    it('leaves module out when it is default, and says MD5 where the service says so', async () => {
      const loaded = await load({}, { signMethodCase: 'MD5' });
      loaded.send('n1', { payload: { ...GOOD_UPGRADE, module: 'default' }, accessToken: 't' });
      const sent = bodyOf((await client.atLeast(1))[0]);
      assert.equal(sent.params.signMethod, 'MD5');
      assert.ok(!('module' in sent.params));
    });

    const refused: [string, object][] = [
      ['no version', { version: '' }],
      ['a number for a version', { version: 1.1 }],
      ['a URL that is not http', { url: 'ftp://example.com/fw' }],
      ['a URL of 257 characters', { url: `https://example.com/${'x'.repeat(237)}` }],
      ['no size', { size: 0 }],
      ['a negative size', { size: -1 }],
      ['no sign', { sign: '' }],
      ['a sign of the wrong length', { sign: 'abc' }],
      ['a sign that is not hex', { sign: 'z'.repeat(32) }],
      ['an unknown sign method', { signMethod: 'CRC' }],
    ];
    for (const [what, fields] of refused) {
      it(`refuses ${what} before anything is sent`, async () => {
        const loaded = await load();
        const caught = loaded.messages('caught');
        loaded.send('n1', { payload: { ...GOOD_UPGRADE, ...fields }, accessToken: ['a', 'b'] });
        assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_UPGRADE');
        loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: 'good' });
        await client.atLeast(1);
        assert.deepEqual(
          client.messages.map(({ topic }) => topic),
          [`${TOPIC}/upgrade/good`],
        );
      });
    }

    it('pushes without size and sign where unsigned packages are allowed', async () => {
      const loaded = await load({ allowUnsigned: true });
      loaded.send('n1', {
        payload: { version: '2', url: 'http://x.example/f' },
        accessToken: 't',
      });
      const sent = bodyOf((await client.atLeast(1))[0]);
      assert.deepEqual(sent.params, { version: '2', url: 'http://x.example/f' });
    });

    it('ends a message without a token in an error', async () => {
      const loaded = await load();
      const caught = loaded.messages('caught');
      loaded.send('n1', { payload: GOOD_UPGRADE });
      assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_TOKEN');
    });

    it('takes blanks for no token: an error alone, output 2 in an array', async () => {
      const loaded = await load();
      const [caught, good, bad] = ['caught', 'out0', 'out1'].map((id) => loaded.messages(id));
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ' \u00a0' });
      assert.equal(asOut((await caught!.atLeast(1))[0]).error?.code, 'OTA_BAD_TOKEN');
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ['  ', 'hall 3', ''] });
      await good!.atLeast(1);
      const told = (await bad!.atLeast(2)).map((item) => asOut(item).payload);
      assert.deepEqual(
        told.map(({ code }) => code),
        ['OTA_BAD_TOKEN', 'OTA_BAD_TOKEN'],
      );
      assert.deepEqual(
        good!.items.map((item) => asOut(item).accessToken),
        ['hall 3'],
      );
    });

    it('tells a bad token on output 2, alone or in an array, and pushes to the others', async () => {
      const loaded = await load();
      const good = loaded.messages('out0');
      const bad = loaded.messages('out1');
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: 'a/b' });
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ['x', '#', 'y', 5, 'x'] });
      await good.atLeast(2);
      await bad.atLeast(3);
      assert.deepEqual(good.items.map((item) => asOut(item).accessToken).sort(), ['x', 'y']);
      assert.deepEqual(
        new Set(bad.items.map((item) => asOut(item).payload['accessToken'])),
        new Set(['a/b', '#', 5]),
      );
      for (const item of bad.items) {
        assert.equal(asOut(item).payload['code'], 'OTA_BAD_TOKEN');
        assert.equal(asOut(item).payload['delivery'], 'refused');
        assert.equal(typeof asOut(item).payload['reason'], 'string');
      }
      await client.atLeast(2);
      assert.equal(client.messages.length, 2);
    });

    it('pushes an array though an empty one came right after it', async () => {
      const loaded = await load();
      const out = loaded.messages('out0');
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ['a', 'b', 'c'] });
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: [] });
      const told = await out.atLeast(3);
      assert.deepEqual(told.map((item) => asOut(item).accessToken).sort(), ['a', 'b', 'c']);
    });

    it('shows an array as finished when each device of it had its push, repeats and all', async () => {
      const loaded = await load();
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ['a', 'a', 'b', 'a'] });
      assert.equal((await loaded.status('n1', '2/2')).fill, 'green');
    });

    it('keeps to the rate: the pushes of an array wait for their time, however fast the broker is', async () => {
      const loaded = await load({ rate: '0.001' });
      const out = loaded.messages('out0');
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: ['a', 'b', 'c'] });
      await out.atLeast(1);
      await client.atLeast(1);
      await loaded.stop();
      flow = null;
      assert.deepEqual(
        client.messages.map(({ topic }) => topic),
        ['/ota/device/upgrade/a'],
      );
      assert.equal(out.items.length, 1);
    });

    it('leaves nobody of an array out where the broker allows a smaller window', async function () {
      this.timeout(240_000);
      mosquittoMissing(this);
      const small = later(await startMosquitto());
      flow = await loadBench(small.port, { type: 'ota-push', side: 'platform' }, 2, {
        broker: { protocolVersion: '5' },
        service: { window: '65535' },
      });
      const told = flow.messages('out1');
      const tokens = Array.from({ length: 10_500 }, (_, i) => `device-${i}`);
      flow.send('n1', { payload: GOOD_UPGRADE, accessToken: tokens });
      const codes = new Set((await told.atLeast(10_500, 200_000)).map((item) => asOut(item).payload['code']));
      assert.deepEqual([...codes], ['OTA_OFFLINE']);
    });

    it('gives an array of 100,000 devices one push each while the event loop stays free', async function () {
      this.timeout(240_000);
      const loaded = await load();
      const tokens = Array.from({ length: 100_000 }, (_, i) => `device-${i}`);
      tokens[500] = 'bad/token';
      let good = 0;
      let bad = 0;
      loaded.node('out0').on('input', () => (good += 1));
      loaded.node('out1').on('input', () => (bad += 1));
      loaded.send('n1', { payload: GOOD_UPGRADE, accessToken: tokens });
      await until(() => good + bad === 100_000, '100,000 outcomes', 200_000);
      assert.equal(bad, 1);
    });
  });

  describe('on the device', () => {
    const upgrade = (fields: object = {}, id: unknown = '1472583690'): object => ({
      id,
      code: '200',
      params: { version: 'v1.1', size: '432945', url: 'http://x.example/f', ...fields },
    });
    const load = async (
      node: object = {},
      accessToken = 'own-token',
      settings: Record<string, unknown> = {},
    ): Promise<LoadedFlow> => {
      flow = await loadBench(broker.port, { type: 'ota-push', side: 'device', ...node }, 1, {
        credentials: { n1: { accessToken } },
        settings,
      });
      return flow;
    };
    const ready = (loaded: LoadedFlow): Promise<unknown> =>
      loaded.status('n1', /connected|sessionNotKept|held/);

    it('gives an upgrade field by field', async () => {
      const loaded = await load();
      await ready(loaded);
      const out = loaded.messages('out0');
      const fields = { signMethod: 'md5', sign: 'AbC', module: 'MCU', extData: { key1: 'value1' } };
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade(fields));
      const message = asOut((await out.atLeast(1))[0]);
      const { at, ...rest } = message.payload;
      assert.equal(typeof at, 'string');
      assert.deepEqual(rest, {
        accessToken: 'own-token',
        id: '1472583690',
        code: 200,
        module: 'MCU',
        version: 'v1.1',
        size: 432945,
        url: 'http://x.example/f',
        signMethod: 'md5',
        sign: 'AbC',
        extData: { key1: 'value1' },
      });
    });

    it('drops a repeat of the same id, and takes an upgrade without an id each time', async () => {
      const loaded = await load();
      await ready(loaded);
      const out = loaded.messages('out0');
      for (const id of ['1', '1', 1, '2', null, null]) {
        await client.publish(`${TOPIC}/upgrade/own-token`, upgrade({}, id));
      }
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade({ version: 'last' }, '3'));
      await until(() => out.items.some((item) => asOut(item).payload['version'] === 'last'), 'the last one');
      assert.deepEqual(
        out.items.map((item) => asOut(item).payload['id']),
        ['1', '2', null, null, '3'],
      );
    });

    it('refuses a retained upgrade with an error', async () => {
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade(), { retain: true });
      const loaded = await load();
      const caught = loaded.messages('caught');
      const out = loaded.messages('out0');
      assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_RETAINED');
      assert.equal(out.items.length, 0);
    });

    it('subscribes nothing and says so where it has no token', async () => {
      const loaded = await load({}, '');
      await loaded.status('n1', 'common.status.noToken');
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade());
      assert.equal(broker.connections, 1, 'only the test is connected');
    });

    it('hears every device where its token is +', async () => {
      const loaded = await load({}, '+');
      await ready(loaded);
      const out = loaded.messages('out0');
      await client.publish(`${TOPIC}/upgrade/a`, upgrade());
      await client.publish(`${TOPIC}/upgrade/b`, upgrade());
      await out.atLeast(2);
      assert.deepEqual(
        out.items.map((item) => asOut(item).accessToken),
        ['a', 'b'],
      );
    });

    it('holds the newest upgrade of each module across a restart, and releases one at a time', async () => {
      const folder = await temporaryFolder('ota-held-');
      try {
        const settings = { userDir: folder.path };
        let loaded = await load({ hold: true }, 'own-token', settings);
        await ready(loaded);
        const before = loaded.messages('out0');
        await client.publish(`${TOPIC}/upgrade/own-token`, upgrade({ version: 'old' }, '1'));
        await client.publish(`${TOPIC}/upgrade/own-token`, upgrade({ version: 'new' }, '2'));
        await client.publish(`${TOPIC}/upgrade/own-token`, upgrade({ version: 'mcu', module: 'MCU' }, '3'));
        const file = path.join(folder.path, 'ota/held/n1.json');
        await until(async () => (await fs.readFile(file, 'utf8')).includes('mcu'), 'the last to be held');
        await loaded.stop();
        assert.equal(before.items.length, 0);
        loaded = await load({ hold: true }, 'own-token', settings);
        await loaded.status('n1', 'ota-push.status.held');
        const out = loaded.messages('out0');
        loaded.send('n1', { payload: 'idle', keep: 'me' });
        await out.atLeast(1);
        loaded.send('n1', { payload: 'idle, but the first is in work' });
        loaded.send('n1', { payload: { action: 'done' } });
        await until(
          async () => !(await fs.readFile(file, 'utf8')).includes('"new"'),
          'the first to have ended',
        );
        loaded.send('n1', { payload: { action: 'release' }, keep: 'me too' });
        await out.atLeast(2);
        assert.deepEqual(
          out.items.map((item) => [asOut(item).payload['version'], asOut(item)['keep']]),
          [
            ['new', 'me'],
            ['mcu', 'me too'],
          ],
        );
      } finally {
        await flow?.stop();
        flow = null;
        await folder.stop();
      }
    });

    it('takes a repeat of an upgrade that it could not hold', async () => {
      const folder = later(await temporaryFolder('ota-held-'));
      const held = Array.from({ length: 10_000 }, (_, i) => ({
        topic: 't',
        payload: { accessToken: `d${i}`, module: 'default', version: 'v1' },
      }));
      await fs.mkdir(path.join(folder.path, 'ota/held'), { recursive: true });
      await fs.writeFile(path.join(folder.path, 'ota/held/n1.json'), JSON.stringify({ upgrades: held }));
      const loaded = await load({ hold: true }, 'own-token', { userDir: folder.path });
      await ready(loaded);
      const caught = loaded.messages('caught');
      const out = loaded.messages('out0');
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade());
      const refused = asOut((await caught.atLeast(1))[0]);
      assert.equal(refused.error?.code, 'OTA_QUEUE_FULL');
      assert.equal(refused.accessToken, 'own-token');
      loaded.send('n1', { payload: 'idle' });
      await out.atLeast(10_000);
      await client.publish(`${TOPIC}/upgrade/own-token`, upgrade());
      await until(() => {
        loaded.send('n1', { payload: 'idle' });
        return out.items.length > 10_000;
      }, 'the upgrade that was pushed again');
      assert.equal(asOut(out.items.at(-1)).accessToken, 'own-token');
    });
  });
});

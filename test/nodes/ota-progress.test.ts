import assert from 'node:assert/strict';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';
import { asOut, bodyOf, loadBench, TOPIC } from './support';

describe('ota-progress', () => {
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
    const load = async (service: object = {}): Promise<LoadedFlow> => {
      const node = { type: 'ota-progress', side: 'platform' };
      flow = await loadBench(broker.port, node, 1, { service: { ...service } });
      await flow.status('n1', /noReport|sessionNotKept/);
      return flow;
    };

    const good: [string, object, object][] = [
      [
        'a percentage as text',
        { step: '37', desc: 'x', module: 'MCU' },
        { module: 'MCU', step: 37, status: 'upgrading', failure: null, desc: 'x' },
      ],
      ['a number', { step: 37.0 }, { module: null, step: 37, status: 'upgrading', failure: null, desc: '' }],
      [
        'leading zeros',
        { step: '037' },
        { module: null, step: 37, status: 'upgrading', failure: null, desc: '' },
      ],
      [
        'a first sign of life',
        { step: 0 },
        { module: null, step: 0, status: 'upgrading', failure: null, desc: '' },
      ],
      ['100', { step: '100' }, { module: null, step: 100, status: 'succeeded', failure: null, desc: '' }],
      [
        'a failed download',
        { step: '-2', desc: '<b>' },
        { module: null, step: -2, status: 'failed', failure: 'download', desc: '<b>' },
      ],
    ];
    for (const [what, body, expected] of good) {
      it(`reads ${what}`, async () => {
        const out = (await load()).messages('out0');
        await client.publish(`${TOPIC}/progress/token-1`, body);
        const message = asOut((await out.atLeast(1))[0]);
        const { at, ...rest } = message.payload;
        assert.equal(typeof at, 'string');
        assert.deepEqual(rest, { accessToken: 'token-1', ...expected });
      });
    }

    it('tells each unreadable step to a Catch node and gives the good ones only', async () => {
      const loaded = await load();
      const out = loaded.messages('out0');
      const caught = loaded.messages('caught');
      const bad = [101, -5, 'abc', 37.5, '1e1', ' 5 ', null, {}, '', '+5', true];
      for (const step of bad) await client.publish(`${TOPIC}/progress/token-1`, { step });
      await client.publish(`${TOPIC}/progress/token-1`, { step: 5 });
      await out.atLeast(1);
      assert.equal(out.items.length, 1);
      assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_STEP');
    });

    it('refuses a report on a topic without a token', async () => {
      // Aedes closes a kept session that acknowledges a topic with an empty last level.
      const loaded = await load({ persistent: false });
      const caught = loaded.messages('caught');
      await client.publish(`${TOPIC}/progress/`, { step: 5 });
      await caught.atLeast(1);
      assert.equal(asOut(caught.items[0]).error?.code, 'OTA_BAD_TOPIC');
    });

    it('refuses a retained report', async () => {
      await client.publish(`${TOPIC}/progress/token-1`, { step: 100 }, { retain: true });
      flow = await loadBench(broker.port, { type: 'ota-progress', side: 'platform' }, 1);
      const caught = flow.messages('caught');
      await caught.atLeast(1);
      assert.equal(asOut(caught.items[0]).error?.code, 'OTA_RETAINED');
    });
  });

  describe('on the device', () => {
    const load = async (node: object = {}): Promise<LoadedFlow> => {
      flow = await loadBench(broker.port, { type: 'ota-progress', side: 'device', ...node }, 1, {
        credentials: { n1: { accessToken: 'own-token' } },
      });
      await flow.status('n1', /connected/);
      await client.subscribe(`${TOPIC}/progress/+`);
      return flow;
    };
    const steps = (): string[] => client.messages.map((sent) => bodyOf(sent).step ?? '');

    it('sends a step as text and says what became of it', async () => {
      const loaded = await load({ module: 'MCU' });
      const out = loaded.messages('out0');
      loaded.send('n1', { payload: { step: 0, desc: 'x'.repeat(200) }, keep: 'me' });
      const message = asOut((await out.atLeast(1))[0]);
      const { at, ...rest } = message.payload;
      assert.equal(typeof at, 'string');
      assert.deepEqual(rest, {
        accessToken: 'own-token',
        module: 'MCU',
        step: 1,
        desc: 'x'.repeat(128),
        delivery: 'unknown',
      });
      assert.equal(message['keep'], 'me');
      assert.deepEqual(bodyOf((await client.atLeast(1))[0]), {
        step: '1',
        desc: 'x'.repeat(128),
        module: 'MCU',
      });
    });

    for (const [what, module] of [
      ['the one of the message', ' \t'],
      ['the setting', ''],
    ] as const) {
      it(`takes blanks for no module: ${what}`, async () => {
        const loaded = await load({ module: module === '' ? '  ' : ' MCU ' });
        loaded.send('n1', { payload: { step: 100, module } });
        const { module: sent } = bodyOf((await client.atLeast(1))[0]) as { module?: string };
        assert.equal(sent, module === '' ? undefined : 'MCU');
      });
    }

    it('never takes blanks for a device: the message ends in OTA_BAD_TOKEN', async () => {
      const loaded = await load();
      const caught = loaded.messages('caught');
      loaded.send('n1', { payload: 100, accessToken: '  ' });
      assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_TOKEN');
      assert.equal(client.messages.length, 0);
    });

    it('merges what comes between the first and 100, which go at once and in order', async () => {
      const loaded = await load();
      for (let step = 1; step <= 100; step += 1) loaded.send('n1', { payload: step });
      await until(() => steps().includes('100'), 'the 100');
      assert.equal(steps()[0], '1');
      assert.equal(steps().at(-1), '100');
      assert.ok(steps().length < 10, steps().join());
    });

    it('sends the newest of the merged ones when the interval ends', async () => {
      const loaded = await load({ minInterval: '0.3' });
      for (const step of [1, 10, 20, 30]) loaded.send('n1', { payload: step });
      await client.atLeast(2);
      assert.deepEqual(steps(), ['1', '30']);
    });

    it('keeps a small change back until maxInterval', async () => {
      const loaded = await load({ minInterval: '0', minDelta: '50', maxInterval: '0.5' });
      const out = loaded.messages('out0');
      loaded.send('n1', { payload: 1 });
      await out.atLeast(1);
      loaded.send('n1', { payload: 60 });
      await out.atLeast(2);
      loaded.send('n1', { payload: 61 });
      await until(() => steps().includes('61'), 'the small change');
      assert.deepEqual(steps(), ['1', '60', '61']);
    });

    it('sends every failure, also twice the same', async () => {
      const loaded = await load();
      for (const step of ['-2', -2, '-1']) loaded.send('n1', { payload: step });
      await client.atLeast(3);
      assert.deepEqual(steps(), ['-2', '-2', '-1']);
    });

    it('tells where nobody listens, on its output and in its status', async function () {
      mosquittoMissing(this);
      const mosquitto = later(await startMosquitto());
      const node = { type: 'ota-progress', side: 'device' };
      flow = await loadBench(mosquitto.port, node, 1, { broker: { protocolVersion: '5' } });
      const out = flow.messages('out0');
      flow.send('n1', { payload: 50, accessToken: 'a' });
      assert.equal(asOut((await out.atLeast(1))[0]).payload['delivery'], 'offline');
      await flow.status('n1', 'common.status.offline');
    });

    it('shows a failure that was reported until the next success', async () => {
      const loaded = await load();
      loaded.send('n1', { payload: -2 });
      await loaded.status('n1', 'ota-progress.status.download');
      loaded.send('n1', { payload: 1 });
      loaded.send('n1', { payload: 100 });
      await loaded.status('n1', '100 %');
      const texts = loaded.statuses('n1').map((status) => (typeof status === 'object' && status.text) || '');
      assert.equal(texts.slice(texts.indexOf('ota-progress.status.download')).includes('1 %'), false);
    });

    it('begins anew after an end: the first of the next upgrade goes at once', async () => {
      const loaded = await load({ minInterval: '3600', maxInterval: '3600' });
      for (const step of [1, 100, 1, 2]) loaded.send('n1', { payload: step });
      await client.atLeast(3);
      assert.deepEqual(steps(), ['1', '100', '1']);
    });

    it('paces each device and module by itself', async () => {
      const loaded = await load({ minInterval: '3600', maxInterval: '3600' });
      for (const accessToken of ['a', 'b']) {
        for (const module of ['m', 'n']) {
          loaded.send('n1', { payload: { step: 5, module }, accessToken });
          loaded.send('n1', { payload: { step: 50, module }, accessToken });
        }
      }
      await client.atLeast(4);
      assert.deepEqual(steps(), ['5', '5', '5', '5']);
    });

    it('sends what still waits when the flow is stopped', async () => {
      const loaded = await load({ minInterval: '3600', maxInterval: '3600' });
      loaded.send('n1', { payload: 1 });
      loaded.send('n1', { payload: 50 });
      await client.atLeast(1);
      await loaded.stop();
      await client.atLeast(2);
      assert.deepEqual(steps(), ['1', '50']);
    });

    it('ends every merged message in done', async () => {
      const loaded = await load({ minInterval: '3600', maxInterval: '3600' });
      let completed = 0;
      loaded.node('n1').on('input', () => undefined);
      const node = loaded.node('n1') as unknown as { _complete: (...args: unknown[]) => void };
      const complete = node._complete;
      node._complete = function (...args) {
        completed += 1;
        return complete.apply(this, args);
      };
      for (const step of [1, 10, 20, 100]) loaded.send('n1', { payload: step });
      await until(() => completed >= 4, 'four ends');
    });

    for (const payload of ['abc', 101, -5, 37.5, {}, { step: 5, desc: 7 }, null]) {
      it(`answers ${JSON.stringify(payload)} with an error`, async () => {
        const loaded = await load();
        const caught = loaded.messages('caught');
        loaded.send('n1', { payload });
        assert.match(asOut((await caught.atLeast(1))[0]).error?.code ?? '', /^OTA_BAD_(STEP|INPUT)$/);
      });
    }
  });
});

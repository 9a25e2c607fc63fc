import assert from 'node:assert/strict';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import type { LoadedFlow } from '../support/helper';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';
import { asOut, bodyOf, loadBench, TOPIC } from './support';

describe('ota-inform', () => {
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
    const load = async (): Promise<LoadedFlow> => {
      flow = await loadBench(broker.port, { type: 'ota-inform', side: 'platform' }, 1);
      await flow.status('n1', /noReport|sessionNotKept/);
      return flow;
    };

    it('gives each report as a flat object that can go straight into a table', async () => {
      const out = (await load()).messages('out0');
      const report = { id: '1472583690', params: { version: 'v1.0.1', module: 'MCU' } };
      await client.publish(`${TOPIC}/inform/token-1`, report);
      const message = asOut((await out.atLeast(1))[0]);
      const { at, ...rest } = message.payload;
      assert.deepEqual(rest, {
        accessToken: 'token-1',
        id: '1472583690',
        module: 'MCU',
        version: 'v1.0.1',
      });
      assert.equal(new Date(String(at)).toISOString(), at);
      assert.equal(message.topic, `${TOPIC}/inform/token-1`);
      assert.equal(message.accessToken, 'token-1');
    });

    it('takes a report without a module for one about the default module', async () => {
      const out = (await load()).messages('out0');
      await client.publish(`${TOPIC}/inform/token-1`, { id: 7, params: { version: '1' } });
      const message = asOut((await out.atLeast(1))[0]);
      assert.equal(message.payload['module'], 'default');
      assert.equal(message.payload['id'], '7');
    });

    it('says "no report yet" until the first report, then its version', async () => {
      const loaded = await load();
      await client.publish(`${TOPIC}/inform/token-1`, { id: 7, params: { version: 'v9' } });
      const status = await loaded.status('n1', 'v9');
      assert.deepEqual(status, { fill: 'green', shape: 'dot', text: 'v9' });
    });

    const rubbish: [string, string | Buffer, string][] = [
      ['text that is not JSON', 'hello', 'OTA_BAD_MESSAGE'],
      ['JSON that is no object', '[1]', 'OTA_BAD_MESSAGE'],
      ['an empty payload', '', 'OTA_BAD_MESSAGE'],
      ['invalid UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 'OTA_BAD_MESSAGE'],
      ['a mebibyte', Buffer.alloc(1 << 20, 0x61), 'OTA_TOO_LARGE'],
      ['deep nesting', `{"params":${'['.repeat(20000)}${']'.repeat(20000)}}`, 'OTA_BAD_MESSAGE'],
      ['no version', '{"id":"1","params":{}}', 'OTA_BAD_MESSAGE'],
      ['a number without an end as id', '{"id":1e400,"params":{"version":"1"}}', 'OTA_BAD_MESSAGE'],
    ];
    for (const [what, body, code] of rubbish) {
      it(`tells ${what} to a Catch node as ${code} and sends nothing`, async () => {
        const loaded = await load();
        const out = loaded.messages('out0');
        const caught = loaded.messages('caught');
        await client.publish(`${TOPIC}/inform/token-1`, body);
        const message = asOut((await caught.atLeast(1))[0]);
        assert.equal(message.error?.code, code);
        assert.ok(!message.error.message.includes('token-1'), 'the token is not in the error text');
        await client.publish(`${TOPIC}/inform/token-2`, { id: '1', params: { version: 'good' } });
        assert.equal(asOut((await out.atLeast(1))[0]).payload['version'], 'good');
        assert.equal(out.items.length, 1);
      });
    }

    it('tells a flood of rubbish with a count of what was left out: each is in one', async () => {
      const loaded = await load();
      const caught = loaded.messages('caught');
      const flood = Array.from({ length: 50 }, () => client.publish(`${TOPIC}/inform/token-1`, 'rubbish'));
      await Promise.all(flood);
      const leftOut = (): number[] =>
        caught.items
          .map((item) => /and (\d+) more like it left out/.exec(asOut(item).error?.message ?? '')?.[1])
          .map((count) => Number(count ?? 0));
      // How many seconds the flood takes is the machine's business; one error a second is told at most.
      const told = (): number => leftOut().reduce((sum, count) => sum + count, caught.items.length);
      await until(() => told() === 50, 'each of 50 to be told or counted');
      assert.ok(caught.items.length < 50, `${caught.items.length} errors`);
    });
  });

  describe('on the device', () => {
    const load = async (node: object, accessToken = 'own-token'): Promise<LoadedFlow> => {
      flow = await loadBench(broker.port, { type: 'ota-inform', side: 'device', ...node }, 1, {
        credentials: { n1: { accessToken } },
      });
      return flow;
    };
    beforeEach(() => client.subscribe(`${TOPIC}/inform/+`));

    it('reports the version of msg.payload and says what became of it', async () => {
      const loaded = await load({});
      const out = loaded.messages('out0');
      loaded.send('n1', { payload: 'v2.0', keep: 'me' });
      const message = asOut((await out.atLeast(1))[0]);
      const { at, id, ...rest } = message.payload;
      assert.deepEqual(rest, {
        accessToken: 'own-token',
        module: 'default',
        version: 'v2.0',
        delivery: 'unknown',
      });
      assert.match(String(id), /^[0-9]{10}$/);
      assert.equal(new Date(String(at)).toISOString(), at);
      assert.equal(message['keep'], 'me');
      const sent = (await client.atLeast(1))[0];
      assert.equal(sent?.topic, `${TOPIC}/inform/own-token`);
      assert.deepEqual(bodyOf(sent), { id, params: { version: 'v2.0', module: 'default' } });
      assert.equal(sent.retain, false);
    });

    it('takes version and module from the settings where the payload is blank', async () => {
      const loaded = await load({ version: '1.0', module: 'modem' });
      for (const payload of ['', ' \n', {}, null]) loaded.send('n1', { payload });
      for (const sent of await client.atLeast(4)) {
        assert.deepEqual(bodyOf(sent).params, { version: '1.0', module: 'modem' });
      }
    });

    it('does not take a Buffer for a blank payload', async () => {
      const loaded = await load({ version: '1.0' });
      const caught = loaded.messages('caught');
      loaded.send('n1', { payload: Buffer.from('v2.0') });
      assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_INPUT');
      assert.equal(client.messages.length, 0);
    });

    it('tells where nobody listens, on its output and in its status', async function () {
      mosquittoMissing(this);
      const mosquitto = later(await startMosquitto());
      const node = { type: 'ota-inform', side: 'device' };
      flow = await loadBench(mosquitto.port, node, 1, { broker: { protocolVersion: '5' } });
      const out = flow.messages('out0');
      flow.send('n1', { payload: 'v2.0', accessToken: 'a' });
      assert.equal(asOut((await out.atLeast(1))[0]).payload['delivery'], 'offline');
      await flow.status('n1', 'common.status.offline');
    });

    it('says in its status that it has no token', async () => {
      const loaded = await load({}, '');
      loaded.send('n1', { payload: 'v2.0' });
      await loaded.status('n1', 'common.status.noToken');
    });

    it('reports for the device of msg.accessToken before its own', async () => {
      const loaded = await load({});
      loaded.send('n1', { payload: { version: '3', module: 'MCU' }, accessToken: 'sub-device' });
      assert.equal((await client.atLeast(1))[0]?.topic, `${TOPIC}/inform/sub-device`);
    });

    it('reports once when the flow starts, if it is told to', async () => {
      await load({ version: '1.0', atStart: true });
      assert.equal(bodyOf((await client.atLeast(1))[0]).params.version, '1.0');
    });

    const wrong: [string, object, string, string][] = [
      ['a number for a version', { payload: 1.1 }, 'own-token', 'OTA_BAD_INPUT'],
      ['no version at all', { payload: '' }, 'own-token', 'OTA_BAD_INPUT'],
      ['a blank token', { payload: '1' }, '', 'OTA_BAD_TOKEN'],
      ['a token with a slash', { payload: '1', accessToken: 'a/b' }, 'own-token', 'OTA_BAD_TOKEN'],
      ['a wildcard for a token', { payload: '1', accessToken: '+' }, 'own-token', 'OTA_BAD_TOKEN'],
      ['+ as its own token', { payload: '1' }, '+', 'OTA_BAD_TOKEN'],
    ];
    for (const [what, message, own, code] of wrong) {
      it(`answers ${what} with ${code} and sends nothing`, async () => {
        const loaded = await load({}, own);
        const caught = loaded.messages('caught');
        loaded.send('n1', message as never);
        assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, code);
        loaded.send('n1', { payload: 'good', accessToken: 'good' });
        assert.deepEqual(
          (await client.atLeast(1)).map(({ topic }) => topic),
          [`${TOPIC}/inform/good`],
        );
      });
    }
  });

  for (const [what, service] of [
    ['no service is chosen', ''],
    ['a node of another type is', 'broker'],
  ]) {
    it(`says OTA_NO_SERVICE at the start and for each message where ${what}`, async () => {
      flow = await loadBench(broker.port, { type: 'ota-inform', side: 'device', service }, 1);
      const caught = flow.messages('caught');
      await flow.status('n1', 'common.status.noService');
      await caught.atLeast(1);
      flow.send('n1', { payload: '1', accessToken: 't' });
      await caught.atLeast(2);
      assert.deepEqual(
        caught.items.map((item) => asOut(item).error?.code),
        ['OTA_NO_SERVICE', 'OTA_NO_SERVICE'],
      );
    });
  }
});

/**
 * A device with a vendor's SDK, upgraded by ota-task from its first report to its last: with each digest, with and
 * without a module, by a push and by its own question; on a broker with the documented access rules.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import type { NodeInitializer } from 'node-red';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { allNodes, asOut, type Out } from '../nodes/support';
import { cleanup } from '../support/cleanup';
import { blockOf, ORIGINAL, readPage } from '../support/docs';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { listen } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { VendorDevice } from '../support/vendor-device';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

const PASSWORD = 'recipe-password';
const PRODUCT = 'a1B2c3D4e5F';
const DEVICE = `${PRODUCT}/DEVICE0001`;
const FIRMWARE = crypto.randomBytes(100_000);
const UPGRADE_TOPIC = '/ota/device/upgrade/PK/DN';
const OLD_TOPIC = '/ota/device/request/PK/DN';
const ASK_TOPIC = '/sys/PK/DN/thing/ota/firmware/get';
const ANSWER_TOPIC = '/sys/PK/DN/thing/ota/firmware/get_reply';

describe('a device with a vendor’s SDK', function () {
  this.timeout(240_000);
  const later = cleanup();
  const untilTheEnd = cleanup(after);
  let broker: Mosquitto;
  let url: string;

  before(async function () {
    mosquittoMissing(this);
    const folder = untilTheEnd(await temporaryFolder('ota-acl-'));
    const file = path.join(folder.path, 'ota.acl');
    await fs.writeFile(file, blockOf(readPage(ORIGINAL, 'device-makers'), 'conf', /^user platform/));
    const users = { platform: PASSWORD, [`DEVICE0001&${PRODUCT}`]: PASSWORD };
    broker = untilTheEnd(await startMosquitto({ users, config: [`acl_file ${file}`] }));
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': FIRMWARE.length });
      response.end(FIRMWARE);
    });
    url = `http://127.0.0.1:${await listen(server)}/fw.bin`;
    untilTheEnd({
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
  });

  async function startPlatform(): Promise<LoadedFlow> {
    const place = { z: 'tab', x: 1, y: 1 };
    const task = { service: 'service', store: 'store', noResponse: '20', wires: [['out'], [], []] };
    const flow = later(
      await loadFlow(
        nodes,
        [
          tabNode(),
          brokerNode('broker', broker.port, { protocolVersion: '5' }),
          { id: 'service', type: 'ota-service', broker: 'broker', scheme: 'aliyun', clientId: 'platform' },
          { id: 'store', type: 'ota-store' },
          { id: 'task', type: 'ota-task', ...place, ...task },
          helperNode('out'),
          catchNode('catch', 'caught'),
          helperNode('caught'),
        ],
        { broker: { user: 'platform', password: PASSWORD } },
      ),
    );
    await until(
      () =>
        flow
          .statuses('task')
          .some((shown) => typeof shown === 'object' && shown.text === 'common.status.noReport'),
      'the subscriptions of the platform',
    );
    return flow;
  }

  let asked = 0;
  async function command(flow: LoadedFlow, payload: object): Promise<Out> {
    asked += 1;
    const mine = asked;
    const all = [flow.messages('out'), flow.messages('caught')];
    flow.send('task', { payload, mine });
    return until(
      () => all.flatMap(({ items }) => items.map(asOut)).find((out) => out['mine'] === mine),
      `an answer to ${JSON.stringify(payload).slice(0, 60)}`,
    );
  }

  const rowOf = async (flow: LoadedFlow, { taskId }: TaskShape): Promise<DeviceShape | undefined> => {
    const { payload } = await command(flow, { action: 'devices', taskId });
    return (payload as unknown as { devices: DeviceShape[] }).devices[0];
  };

  function packageOf(method: 'MD5' | 'SHA256', module: string | null): object {
    const sign = crypto.createHash(method.toLowerCase()).update(FIRMWARE).digest('hex');
    const extData = { key1: 'value1' };
    const pack = { version: '1.0.1', url, size: FIRMWARE.length, sign, signMethod: method, extData };
    return module === null ? pack : { ...pack, module };
  }

  const start = (module: string | null, topics: readonly string[]): Promise<VendorDevice> =>
    VendorDevice.start(
      {
        broker: broker.url,
        productKey: PRODUCT,
        deviceName: 'DEVICE0001',
        password: PASSWORD,
        version: '1.0.0',
        module,
      },
      topics,
    );

  for (const method of ['MD5', 'SHA256'] as const) {
    for (const module of [null, 'MCU']) {
      for (const way of ['a push', method === 'MD5' ? 'its question' : 'its question on the older topic']) {
        const named = module === null ? 'without a module' : 'with a module';
        it(`is upgraded with ${method}, ${named}, by ${way}`, async () => {
          const flow = await startPlatform();
          const topics = way === 'a push' ? [UPGRADE_TOPIC] : [ANSWER_TOPIC, OLD_TOPIC];
          const device = later(await start(module, topics));
          await until(async () => {
            const { payload } = await command(flow, { action: 'device', accessToken: DEVICE });
            return (payload['modules'] as unknown[]).length > 0;
          }, 'the report of the device');
          const created = await command(flow, {
            action: 'create',
            package: packageOf(method, module),
            targets: [DEVICE],
            policy: { offline: 'wait' },
          });
          assert.equal(created.error, undefined);
          const task = created.payload as unknown as TaskShape;
          assert.equal(task.policy.success, 'version', 'what the scheme says');
          assert.equal(created.payload['badTokens'], 0);
          const found =
            way === 'a push'
              ? await device.pushed()
              : way === 'its question'
                ? await device.ask(ASK_TOPIC, ANSWER_TOPIC)
                : await device.ask(OLD_TOPIC, OLD_TOPIC);
          assert.ok(found, device.texts.join());
          assert.equal(found.module, module);
          await device.install(found);
          await until(async () => (await rowOf(flow, task))?.step === 100, 'the 100 of the device');
          assert.equal((await rowOf(flow, task))?.status, 'upgrading');
          await device.restart('1.0.1');
          const row = await until(async () => {
            const now = await rowOf(flow, task);
            return now?.status === 'succeeded' ? now : null;
          }, 'the success of the device');
          assert.deepEqual([row.accessToken, row.attempt, row.currentVersion], [DEVICE, 1, '1.0.1']);
        });
      }
    }
  }

  it('is told that there is nothing to do', async () => {
    await startPlatform();
    const device = later(await start(null, [ANSWER_TOPIC, OLD_TOPIC]));
    assert.equal(await device.ask(ASK_TOPIC, ANSWER_TOPIC), null);
    assert.equal(await device.ask(OLD_TOPIC, OLD_TOPIC), null);
    assert.deepEqual(device.texts, ['{"id":"2","code":200,"data":{}}', '{"id":"3","code":200,"data":{}}']);
  });

  it('gets no package that its SDK could not read: the task is refused, and says what it needs', async () => {
    const flow = await startPlatform();
    for (const [change, why] of [
      [{ size: undefined }, /size/],
      [{ sign: '' }, /sign/],
      [{ extData: { size: '5' } }, /give it another name/],
      [{ url: `${url}?${'a'.repeat(254)}` }, /maxUrlLength/],
    ] as const) {
      const { error } = await command(flow, {
        action: 'create',
        package: { ...packageOf('MD5', null), ...change },
        targets: [DEVICE],
      });
      assert.equal(error?.code, 'OTA_BAD_UPGRADE');
      assert.match(error.message, why);
    }
  });
});

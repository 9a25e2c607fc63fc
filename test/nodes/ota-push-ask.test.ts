/** A device's side that asks for its upgrade, and ota-task that answers: with the topics of Alibaba Cloud. */
import assert from 'node:assert/strict';
import type { NodeInitializer } from 'node-red';
import { cleanup } from '../support/cleanup';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { until } from '../support/wait';
import { allNodes, asOut, GOOD_UPGRADE, loadBench } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

const DEVICE = 'a1B2c3D4e5F/DEVICE0001';

describe('a device that asks for its upgrade', function () {
  this.timeout(240_000);
  const later = cleanup();
  let broker: Mosquitto;

  before(function () {
    mosquittoMissing(this);
  });
  beforeEach(async () => {
    broker = later(await startMosquitto());
  });

  async function load(device: object): Promise<LoadedFlow> {
    const place = { z: 'tab', x: 1, y: 1 };
    const aliyun = { type: 'ota-service', broker: 'broker', scheme: 'aliyun', persistent: false };
    const flow = later(
      await loadFlow(
        nodes,
        [
          tabNode(),
          brokerNode('broker', broker.port, { protocolVersion: '5' }),
          { ...aliyun, id: 'platform', clientId: 'c-platform' },
          { ...aliyun, id: 'gateway', clientId: 'c-gateway' },
          { id: 'store', type: 'ota-store' },
          {
            id: 'task',
            type: 'ota-task',
            ...place,
            service: 'platform',
            store: 'store',
            offline: 'wait',
            wires: [['answers'], [], []],
          },
          {
            id: 'push',
            type: 'ota-push',
            ...place,
            service: 'gateway',
            side: 'device',
            ...device,
            wires: [['upgrades']],
          },
          helperNode('answers'),
          helperNode('upgrades'),
          catchNode('catch', 'caught'),
          helperNode('caught'),
        ],
        { push: { accessToken: DEVICE } },
      ),
    );
    await until(
      () =>
        flow
          .statuses('task')
          .some((shown) => typeof shown === 'object' && shown.text !== 'common.status.connecting'),
      'the platform',
    );
    return flow;
  }

  const create = async (flow: LoadedFlow, draft: boolean): Promise<string> => {
    const answers = flow.messages('answers');
    const upgrade = { ...GOOD_UPGRADE, signMethod: 'Md5' };
    flow.send('task', { payload: { action: 'create', package: upgrade, targets: [DEVICE], draft } });
    const { payload } = asOut((await answers.atLeast(1))[0]);
    return String(payload['taskId']);
  };

  it('asks once connected, where its settings say so', async () => {
    const first = await load({ askAtStart: true });
    await first.status('push', 'ota-push.status.nothing');
  });

  it('is told that there is nothing to do while the task is a draft, and gets its upgrade for a message', async () => {
    const flow = await load({});
    const upgrades = flow.messages('upgrades');
    await flow.status('push', /connected|ready|idle|waiting/i);
    const taskId = await create(flow, true);
    flow.send('push', { payload: { action: 'ask' } });
    await flow.status('push', 'ota-push.status.nothing');
    assert.deepEqual(upgrades.items, []);
    flow.send('task', { payload: { action: 'start', taskId } });
    flow.send('push', { payload: { action: 'ask' } });
    const { payload } = asOut((await upgrades.atLeast(1))[0]);
    assert.equal(payload['version'], GOOD_UPGRADE.version);
    assert.equal(payload['accessToken'], DEVICE);
  });

  it('is refused where the topics know no question', async () => {
    const flow = later(
      await loadBench(broker.port, { type: 'ota-push', side: 'device' }, 1, {
        credentials: { n1: { accessToken: 't1' } },
      }),
    );
    const caught = flow.messages('caught');
    await flow.status('n1', /connected|waiting|ready/i);
    flow.send('n1', { payload: { action: 'ask' } });
    assert.equal(asOut((await caught.atLeast(1))[0]).error?.code, 'OTA_BAD_INPUT');
  });
});

/** Labels that devices report themselves, over a real broker. */
import assert from 'node:assert/strict';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, helperNode, tabNode, taskNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { ask } from './support';
import { taskNodes } from './wires-support';

const TOPIC = '/ota/device';
const PACKAGE = { version: 'v2', url: 'http://192.0.2.1/v2', size: 4, sign: '0'.repeat(32) };

describe('labels from a device’s own report, over MQTT', () => {
  const later = cleanup(after);
  let broker: Mosquitto;
  let flow: LoadedFlow;
  let device: TestClient;

  before(async function () {
    mosquittoMissing(this);
    broker = later(await startMosquitto());
    const { path: userDir } = later(await temporaryFolder('ota-labels-'));
    flow = later(
      await loadFlow(
        taskNodes,
        [
          tabNode(),
          brokerNode('broker', broker.port, { protocolVersion: '5', clientid: 'platform' }),
          { id: 'service', type: 'ota-service', broker: 'broker' },
          { id: 'store', type: 'ota-store' },
          taskNode('n1', { labelsFrom: 'hardware, site', wires: [['out'], [], []] }),
          helperNode('out'),
        ],
        {},
        { userDir },
      ),
    );
    await flow.status('n1', 'common.status.noReport');
    device = later(await connectClient(broker.url, { protocolVersion: 5 }));
    await device.subscribe(`${TOPIC}/upgrade/+`);
  });

  const command = async <T>(payload: object): Promise<T> => (await ask(flow, ['out'], payload)).payload as T;
  const report = (token: string, params: object): Promise<void> =>
    device.publish(`${TOPIC}/inform/${token}`, {
      id: '1',
      params: { version: 'v1', module: 'default', ...params },
    });
  const labels = async (accessToken: string): Promise<Record<string, string>> =>
    (await command<{ labels: Record<string, string> }>({ action: 'device', accessToken })).labels;
  const becomes = (token: string, wanted: object): Promise<unknown> =>
    until(async () => {
      const found = await labels(token);
      return JSON.stringify(Object.entries(found).sort()) === JSON.stringify(Object.entries(wanted).sort());
    }, `the labels of ${token}`);

  it('are those fields that the setting names, and no other', async () => {
    await report('a', { hardware: 'A', site: 7, secret: 'x', nested: { site: 'y' } });
    await becomes('a', { hardware: 'A', site: '7' });
  });

  it('follow the next report, but for one that an operator gave', async () => {
    await command({ action: 'label', accessTokens: ['a'], labels: { site: 'hall 3' } });
    await report('a', { hardware: 'B', site: 8 });
    await becomes('a', { hardware: 'B', site: 'hall 3' });
  });

  it('choose the devices of a task, and the package that each of them gets', async () => {
    await report('b', { hardware: 'C' });
    await report('c', { hardware: 'D' });
    await becomes('c', { hardware: 'D' });
    const variant = (hardware: string): object => ({
      ...PACKAGE,
      url: `${PACKAGE.url}-${hardware}`,
      requires: { hardware },
    });
    await command({
      action: 'create',
      packages: ['C', 'B'].map(variant),
      targets: { labels: { hardware: ['B', 'C'] } },
      policy: { perMinute: 0 },
    });
    await device.atLeast(2);
    const pushed = device.messages.map(({ topic, text }) => [
      topic.split('/').at(-1),
      (JSON.parse(text) as { params: { url: string } }).params.url.at(-1),
    ]);
    assert.deepEqual(pushed.sort(), [
      ['a', 'B'],
      ['b', 'C'],
    ]);
  });
});

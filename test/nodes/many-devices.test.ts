/** Many nodes of devices in one flow, as a simulator has them. */
import assert from 'node:assert/strict';
import helper from 'node-red-node-test-helper';
import { brokerNode, tabNode } from '../support/flow';
import { cleanup } from '../support/cleanup';
import { loadFlow } from '../support/helper';
import { allNodes } from './support';

describe('many device sides of ota-push', () => {
  const later = cleanup();
  const listeners = (): number[] =>
    ['flows:started', 'flows:stopping', 'runtime-event'].map((event) => helper._events.listenerCount(event));

  it('listen to the deploys of Node-RED as one, through deploys too, and leave no listener behind', async () => {
    const devices = Array.from({ length: 12 }, (_, i) => ({
      ...{ id: `push${i}`, type: 'ota-push', z: 'tab', x: 1, y: 1, side: 'device', service: 'service' },
      wires: [],
    }));
    const credentials = Object.fromEntries(devices.map(({ id }) => [id, { accessToken: id }]));
    const service = { id: 'service', type: 'ota-service', broker: 'broker' };
    const config = [tabNode(), brokerNode('broker', 1), service];
    const flow = later(await loadFlow(allNodes, config));
    const before = listeners();
    await flow.deploy([...config, ...devices], 'full', credentials);
    // Two for each: of the flows' start and stop, and of a deploy's end.
    const [started = 0, stopping = 0, states = 0] = before;
    assert.deepEqual(listeners(), [started + 2, stopping + 2, states + 1]);
    await flow.deploy([...config, ...devices], 'full', credentials);
    assert.deepEqual(listeners(), [started + 2, stopping + 2, states + 1]);
    await flow.deploy(config);
    assert.deepEqual(listeners(), before);
  });
});

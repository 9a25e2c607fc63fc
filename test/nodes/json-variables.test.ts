/** Settings that are a variable of the tab which holds JSON. */
import assert from 'node:assert/strict';
import type { NodeInitializer } from 'node-red';
import { cleanup } from '../support/cleanup';
import { brokerNode, catchNode, helperNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { freePort } from '../support/ports';
import { allNodes, ask, type Out } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
  require('../../nodes/ota-verify/ota-verify') as NodeInitializer,
];
/* eslint-enable */

const VARIABLE = ['$', '{OTA_JSON}'].join('');

describe('a setting that is a variable which holds JSON', () => {
  const later = cleanup();

  async function load(
    value: unknown,
    node: { type: string; [setting: string]: unknown },
  ): Promise<LoadedFlow> {
    const env = [{ name: 'OTA_JSON', type: 'json', value: JSON.stringify(value) }];
    const outs = ['out0', 'out1', 'out2'];
    return later(
      await loadFlow(nodes, [
        { id: 'tab', type: 'tab', label: 'tab', env },
        brokerNode('broker', await freePort()),
        { id: 'service', type: 'ota-service', broker: 'broker' },
        { id: 'store', type: 'ota-store' },
        {
          id: 'n1',
          z: 'tab',
          x: 1,
          y: 1,
          service: 'service',
          store: 'store',
          wires: outs.map((id) => [id]),
          ...node,
        },
        ...outs.map((id) => helperNode(id)),
        catchNode('catch', 'caught'),
        helperNode('caught'),
      ]),
    );
  }
  const answer = (flow: LoadedFlow, payload: unknown): Promise<Out> => ask(flow, ['out0', 'caught'], payload);

  it('is what the JSON says where the setting takes it', async () => {
    const flow = await load(
      { from: '01:00', to: '05:00' },
      { type: 'ota-task', transport: 'wires', window: VARIABLE },
    );
    const upgrade = { version: 'v2', url: 'http://127.0.0.1/f', size: 4, sign: '0'.repeat(32) };
    const { payload } = await answer(flow, { action: 'create', package: upgrade, targets: ['a'] });
    const { window } = payload['policy'] as { window: { from: string; to: string } };
    assert.deepEqual([window.from, window.to], ['01:00', '05:00']);
  });

  for (const [type, name, payload] of [
    ['ota-progress', 'module', 50],
    ['ota-verify', 'publicKeys', { version: 'v1' }],
    ['ota-verify', 'proxy', { version: 'v1' }],
    ['ota-task', 'perMinute', { action: 'list' }],
  ] as const) {
    it(`is refused by name where the setting takes none: ${name} of ${type}`, async () => {
      const flow = await load({ any: 1 }, { type, side: 'device', [name]: VARIABLE });
      const { error } = await answer(flow, payload);
      assert.equal(error?.code, 'OTA_BAD_SETTINGS');
      assert.match(error.message, new RegExp(`"${name}" must be`));
    });
  }
});

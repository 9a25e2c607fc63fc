import assert from 'node:assert/strict';
import type { NodeInitializer } from 'node-red';
import type { TaskShape } from '../../nodes/lib/tasks/shapes';
import { catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';
import { allNodes, asOut, type Out } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

const PACKAGE = { version: 'v2', url: 'http://127.0.0.1/v2.bin', size: 4, sign: '0'.repeat(32) };

describe('ota-task by wires', () => {
  let folder: TemporaryFolder;
  let flow: LoadedFlow;

  beforeEach(async () => {
    folder = await temporaryFolder('ota-wires-');
    const task = { id: 'n1', type: 'ota-task', z: 'tab', x: 1, y: 1, store: 'store', perMinute: '0' };
    const wires = [['out0'], ['out1'], ['out2'], ['out3']];
    flow = await loadFlow(
      nodes,
      [
        tabNode(),
        { id: 'store', type: 'ota-store' },
        { ...task, transport: 'wires', fleet: 'lamps', labelsFrom: 'board', offline: 'wait', wires },
        ...['out0', 'out1', 'out2', 'out3', 'caught'].map((id) => helperNode(id)),
        catchNode('catch', 'caught'),
      ],
      {},
      { userDir: folder.path },
    );
    await flow.status('n1', 'common.status.noReport');
  });
  afterEach(async () => {
    await flow.stop();
    await folder.stop();
  });

  const tell = (payload: object): void => flow.send('n1', { payload });
  async function ask<T = TaskShape>(payload: object): Promise<T> {
    const answers = flow.messages('out0');
    tell(payload);
    const [answer] = await answers.atLeast(1);
    answers.stop();
    return asOut(answer).payload as unknown as T;
  }

  it('gives each push to the flow, and ends a task by what the flow reports', async () => {
    const pushes = flow.messages('out3');
    const tasks = flow.messages('out2');
    tell({ action: 'version', accessToken: 'hall 3/+#', version: 'v1', board: 'r1' });
    // A command sees all reports before it.
    const fleet = await ask<{ devices: { accessToken: string; labels: object }[] }>({ action: 'fleet' });
    assert.deepEqual(
      fleet.devices.map(({ accessToken, labels }) => [accessToken, labels]),
      [['hall 3/+#', { board: 'r1' }]],
    );
    const { taskId } = await ask({ action: 'create', package: PACKAGE, targets: 'all' });
    const [push] = (await pushes.atLeast(1)).map(asOut);
    const { id, ...rest } = (push as Out).payload;
    assert.match(String(id), /^\d{10}$/);
    assert.equal((push as Out).accessToken, 'hall 3/+#');
    assert.deepEqual(rest, {
      accessToken: 'hall 3/+#',
      taskId,
      attempt: 1,
      module: 'default',
      version: 'v2',
      size: 4,
      url: PACKAGE.url,
      signMethod: 'Md5',
      sign: PACKAGE.sign,
      extData: null,
    });
    tell({ action: 'progress', accessToken: 'hall 3/+#', step: 40 });
    tell({ action: 'version', accessToken: 'hall 3/+#', version: 'v2' });
    assert.equal((await ask({ action: 'get', taskId })).counts.succeeded, 1);
    assert.ok(tasks.items.length > 0);
  });

  it('waits for a device of which the flow says that it is offline', async () => {
    const pushes = flow.messages('out3');
    const { taskId } = await ask({ action: 'create', package: PACKAGE, targets: ['a'] });
    const [push] = (await pushes.atLeast(1)).map(asOut);
    tell({ action: 'outcome', id: (push as Out).payload['id'], outcome: 'offline' });
    assert.equal((await ask({ action: 'get', taskId })).counts.waiting, 1);
    assert.deepEqual(await ask({ action: 'seen', accessTokens: ['a'] }), { changed: 1, unknown: 0, left: 0 });
    await pushes.atLeast(2);
  });

  it('tells what is wrong with a report', async () => {
    const caught = flow.messages('caught');
    tell({ action: 'version', accessToken: 'a' });
    tell({ action: 'outcome', id: '1', outcome: 'offline' });
    const errors = await caught.atLeast(2);
    assert.deepEqual(
      errors.map((message) => (message as unknown as { error: { code: string } }).error.code),
      ['OTA_BAD_INPUT', 'OTA_BAD_INPUT'],
    );
  });
});

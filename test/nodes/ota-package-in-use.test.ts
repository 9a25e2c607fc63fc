/** A package that a task of the same Node-RED needs. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeInitializer } from 'node-red';
import { cleanup } from '../support/cleanup';
import { catchNode, helperNode, tabNode } from '../support/flow';
import { type CaughtError, loadFlow, type LoadedFlow } from '../support/helper';
import { temporaryFolder } from '../support/temporary-folder';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes = ['ota-package/ota-package', 'ota-store/ota-store', 'ota-task/ota-task'].map(
  (name) => require(`../../nodes/${name}`) as NodeInitializer,
);
/* eslint-enable */

type Payload = Record<string, unknown>;

describe('ota-package beside ota-task', () => {
  const later = cleanup();
  let flow: LoadedFlow;
  let added: Payload;

  beforeEach(() => start('tasks.db'));

  async function start(file: string): Promise<void> {
    const { path: userDir } = later(await temporaryFolder());
    const place = { z: 'tab', x: 1, y: 1 };
    flow = later(
      await loadFlow(
        nodes,
        [
          tabNode(),
          { id: 'store', type: 'ota-store', file },
          { id: 'tasks', type: 'ota-task', ...place, store: 'store', transport: 'wires', wires: [['out']] },
          { id: 'n1', type: 'ota-package', ...place, baseUrl: 'http://192.0.2.1:1880', wires: [['out']] },
          ...['out', 'caught'].map((id) => helperNode(id)),
          catchNode('catch', 'caught'),
        ],
        {},
        { userDir },
      ),
    );
    added = await ask('n1', { action: 'add', version: 'v2' }, { content: Buffer.from('firmware') });
  }

  it('keeps a package while nobody could read yet which tasks need it', async () => {
    await flow.stop();
    const { path: folder } = later(await temporaryFolder());
    await writeFile(path.join(folder, 'plain'), '');
    await start(path.join(folder, 'plain', 'tasks.db'));
    assert.match((await removal()).message, /which packages they need/);
    assert.equal((await ask('n1', { action: 'get', id: added['id'] }))['id'], added['id']);
    await ask('n1', { action: 'remove', id: added['id'], force: true });
  });

  async function ask(id: string, payload: Payload, more: object = {}): Promise<Payload> {
    const out = flow.messages('out');
    flow.send(id, { payload, ...more });
    const [message] = await out.atLeast(1);
    out.stop();
    return message!.payload as Payload;
  }

  const removal = async (): Promise<CaughtError> => {
    const caught = flow.messages('caught');
    flow.send('n1', { payload: { action: 'remove', id: added['id'] } });
    const [message] = await caught.atLeast(1);
    caught.stop();
    return (message as unknown as { error: CaughtError }).error;
  };

  const create = (more: Payload = {}): Promise<Payload> =>
    ask('tasks', { action: 'create', name: 'Pumps of hall 3', package: added, targets: ['a'], ...more });

  it('keeps a package that a task needs, and names the task', async () => {
    const { taskId } = await create();
    const { code, message } = await removal();
    assert.equal(code, 'OTA_PACKAGE_IN_USE');
    assert.match(message, /"Pumps of hall 3"/);
    assert.equal((await ask('n1', { action: 'get', id: added['id'] }))['id'], added['id']);
    await ask('tasks', { action: 'cancel', taskId });
    assert.equal((await ask('n1', { action: 'remove', id: added['id'] }))['id'], added['id']);
  });

  it('keeps one that a draft names among several, or by its address alone', async () => {
    const { version, size, url, sign, signMethod } = added;
    const other = { ...added, id: 'other', url: 'http://192.0.2.1/x' };
    await create({ draft: true, package: undefined, packages: [other, added] });
    assert.equal((await removal()).code, 'OTA_PACKAGE_IN_USE');
    await ask('n1', { action: 'remove', id: added['id'], force: true });
    added = await ask('n1', { action: 'add', version: 'v2' }, { content: Buffer.from('firmware') });
    await create({ package: { version, size, sign, signMethod, url: String(added['url'] ?? url) } });
    assert.equal((await removal()).code, 'OTA_PACKAGE_IN_USE');
  });

  it('names a task without a name by its id', async () => {
    const { taskId } = await create({ name: '' });
    assert.match((await removal()).message, new RegExp(String(taskId)));
  });

  it('removes it all the same where that is said', async () => {
    await create();
    await ask('n1', { action: 'remove', id: added['id'], force: true });
    assert.deepEqual(await ask('n1', { action: 'list' }), []);
  });
});

/** Two Node-REDs, each with an ota-package on one folder: the built package, found as a user's is. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { tabNode } from '../support/flow';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { freePort } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';

const ROOT = path.resolve(__dirname, '../..');

type Answer = Record<string, unknown>;

/** POST /command gives ota-package its payload, with `text` as the file, and answers what comes out. */
function flowOf(directory: string, baseUrl: string): FlowNode[] {
  const node = { z: 'tab', x: 1, y: 1 };
  const func = (id: string, code: string, to: string): FlowNode => ({
    ...{ ...node, id, type: 'function', func: `${code} return msg;`, outputs: 1, wires: [[to]] },
  });
  return [
    tabNode(),
    { ...node, id: 'in', type: 'http in', url: '/command', method: 'post', wires: [['file']] },
    func('file', 'if (msg.payload.text) msg.content = Buffer.from(msg.payload.text);', 'package'),
    { ...node, id: 'package', type: 'ota-package', directory, baseUrl, wires: [['out']] },
    { ...node, id: 'out', type: 'http response', wires: [] },
    { ...node, id: 'catch', type: 'catch', scope: ['package'], uncaught: false, wires: [['told']] },
    func('told', 'msg.payload = { error: msg.error.message };', 'out'),
  ];
}

describe('ota-package in two instances on one folder', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let one: NodeRed;
  let two: NodeRed;

  before(async () => {
    const built = path.join(ROOT, 'dist/nodes/ota-package/ota-package.js');
    assert.ok(existsSync(built), 'build first: npm run build');
    const { path: directory } = later(await temporaryFolder());
    const port = await freePort();
    const start = async (own: number): Promise<NodeRed> => {
      const { path: userDir } = later(await temporaryFolder());
      // One serves, as the base address of both says.
      const flows = flowOf(directory, `http://127.0.0.1:${port}`);
      const red = await startNodeRed({ userDir, nodesDir: [ROOT], port: own, flows });
      return later(Object.assign(red, { stop: () => red.kill() }));
    };
    [one, two] = await Promise.all([start(port), start(await freePort())]);
  });

  const ask = async (red: NodeRed, payload: object): Promise<Answer> =>
    (await red.post('/command', payload)) as Answer;
  const add = (red: NodeRed, version: string): Promise<Answer> =>
    ask(red, { action: 'add', version, text: `firmware ${version}` });
  const idsOf = async (red: NodeRed): Promise<unknown[]> =>
    ((await ask(red, { action: 'list' })) as unknown as Answer[]).map(({ id }) => id);

  it('are served by one what the other has added, at the address that both name', async () => {
    const added = await add(two, 'v1');
    const url = String(added['url']);
    assert.ok(url.startsWith(one.url), url);
    assert.equal(await (await fetch(url)).text(), 'firmware v1');
    assert.deepEqual(await ask(one, { action: 'get', id: added['id'] }), added);
  });

  it('serve each by itself what the other has added, as behind a proxy', async () => {
    const added = await add(one, 'v2');
    const { pathname } = new URL(String(added['url']));
    assert.equal(await (await fetch(two.url + pathname)).text(), 'firmware v2');
    assert.ok((await idsOf(two)).includes(added['id']));
  });

  it('neither list, name nor serve what the other has removed', async () => {
    const added = await add(one, 'v3');
    const url = String(added['url']);
    assert.equal((await fetch(url)).status, 200);
    await ask(two, { action: 'remove', id: added['id'] });
    assert.match(
      String((await ask(one, { action: 'get', id: added['id'] }))['error']),
      /OTA_PACKAGE_NOT_FOUND/,
    );
    assert.ok(!(await idsOf(one)).includes(added['id']));
    assert.equal((await fetch(url)).status, 404);
  });
});

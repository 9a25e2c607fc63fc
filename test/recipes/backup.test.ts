/** The back-up of the recipes, made while Node-RED runs, and restored into another user directory. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { makeKeyPair } from '../../nodes/lib/packages/key-pair';
import { INSTALL_TIMEOUT_MS, userDirectory } from '../packed/installed';
import { startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { brokerNode, tabNode } from '../support/flow';
import { requireProgram } from '../support/missing';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { freePort } from '../support/ports';
import { blocksOf, chapterOf, ORIGINAL } from '../support/docs';

const run = promisify(execFile);

/** POST /packages and POST /tasks take a command and answer what the node answers. */
function flow(brokerPort: number, privateKey: string, redPort: number): FlowNode[] {
  const through = (name: string, node: Record<string, unknown>): FlowNode[] => [
    {
      id: `${name}-in`,
      type: 'http in',
      z: 'tab',
      x: 1,
      y: 1,
      url: `/${name}`,
      method: 'post',
      wires: [[`${name}-file`]],
    },
    {
      id: `${name}-file`,
      type: 'function',
      z: 'tab',
      x: 1,
      y: 1,
      func: "msg.content = Buffer.from('the firmware'); return msg;",
      outputs: 1,
      libs: [],
      wires: [[name]],
    },
    { id: name, z: 'tab', x: 1, y: 1, wires: [[`${name}-out`], [], []], ...node } as unknown as FlowNode,
    { id: `${name}-out`, type: 'http response', z: 'tab', x: 1, y: 1, wires: [] },
  ];
  return [
    tabNode(),
    brokerNode('broker', brokerPort, { clientid: 'backup' }),
    { id: 'service', type: 'ota-service', broker: 'broker' },
    { id: 'store', type: 'ota-store' },
    ...through('packages', {
      type: 'ota-package',
      baseUrl: `http://127.0.0.1:${redPort}`,
      credentials: { privateKey },
    }),
    ...through('tasks', { type: 'ota-task', service: 'service', store: 'store' }),
  ];
}

interface Answer {
  readonly id: string;
  readonly url: string;
  readonly taskId: string;
  readonly total: number;
  readonly extData: { readonly _signature?: string };
  readonly devices: readonly { readonly accessToken: string }[];
}

describe('the back-up of the recipes', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup();

  it('is whole while Node-RED runs, and brings tasks, packages and credentials into another one', async function () {
    requireProgram(this, 'sqlite3');
    const [backUp, restore] = blocksOf(chapterOf(ORIGINAL, 'recipes', 'Back-up and restore'))
      .filter(({ language }) => language === 'sh')
      .map(({ code }) => code);
    const broker = later(await startAedes());
    const port = await freePort();
    const first = later(await userDirectory());
    for (const file of ['settings.js', '.config.runtime.json'])
      await fs.writeFile(path.join(first.path, file), file === 'settings.js' ? 'module.exports = {};' : '{}');
    const shell = (code: string | undefined, cwd: string): Promise<unknown> =>
      run('bash', ['-e', '-c', code ?? 'false'], { cwd });
    const command = async (red: NodeRed, to: string, payload: object): Promise<Answer> =>
      (await red.post(`/${to}`, payload)) as Answer;

    const old = later(await startNodeRed({ userDir: first.path, port }));
    await old.deploy(flow(broker.port, makeKeyPair().privateKey, port));
    const upgrade = await command(old, 'packages', { action: 'add', name: 'fw.bin', version: 'v1.1' });
    const { taskId } = await command(old, 'tasks', {
      action: 'create',
      name: 'before the back-up',
      package: upgrade,
      targets: ['device-1', 'device-2'],
      startAt: '2099-01-01T00:00:00Z',
    });
    await shell(backUp, first.path);
    await command(old, 'tasks', { action: 'cancel', taskId });
    await command(old, 'packages', { action: 'remove', id: upgrade.id });
    await old.stop();

    const second = later(await userDirectory());
    const held = await run('grep', ['-rlE', 'credentialSecret|PRIVATE KEY', 'backup'], {
      cwd: first.path,
    }).then(
      ({ stdout }) => stdout,
      () => '',
    );
    assert.equal(held, '', 'what decrypts the credentials is kept apart from them');
    for (const folder of ['backup', 'backup-secret'])
      await fs.rename(path.join(first.path, folder), path.join(second.path, folder));
    // Of another database: a log that must not be played into the one that is restored.
    await fs.mkdir(path.join(second.path, 'ota'));
    for (const end of ['', '-wal', '-shm'])
      await fs.copyFile(path.join(first.path, 'ota/tasks.db'), path.join(second.path, `ota/tasks.db${end}`));
    await shell(restore, second.path);
    const restored = later(await startNodeRed({ userDir: second.path, port }));
    const page = await command(restored, 'tasks', { action: 'devices', taskId });
    assert.deepEqual(
      page.devices.map(({ accessToken }) => accessToken),
      ['device-1', 'device-2'],
    );
    assert.equal((await command(restored, 'packages', { action: 'get', id: upgrade.id })).url, upgrade.url);
    assert.equal(await (await fetch(upgrade.url)).text(), 'the firmware');
    const next = await command(restored, 'packages', { action: 'add', name: 'fw.bin', version: 'v1.2' });
    assert.ok(next.extData._signature, 'the private key is there again');
  });
});

/** The part of client ids that an installation keeps: its file, and what becomes of sessions where it is lost. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { loadBench } from './support';

describe('the client id of an installation', () => {
  const later = cleanup();
  let broker: AedesServer;
  let userDir: string;
  let file: string;

  beforeEach(async () => {
    broker = later(await startAedes());
    userDir = later(await temporaryFolder('ota-installation-')).path;
    file = path.join(userDir, 'ota', 'installation.json');
  });

  /** Starts a node with its service, and stops it when it is connected: the client id that it had. */
  async function clientId(): Promise<string> {
    const ids: string[] = [];
    const note = (client: { id: string }): void => void ids.push(client.id);
    broker.broker.on('client', note);
    const node = { type: 'ota-inform', side: 'platform' };
    const flow = await loadBench(broker.port, node, 1, { settings: { userDir } });
    const [id] = await until(() => (ids.length > 0 ? ids : null), 'a connection');
    broker.broker.off('client', note);
    await flow.stop();
    return id ?? '';
  }

  it('is made once and is the same after a restart', async () => {
    const first = await clientId();
    assert.equal(await clientId(), first);
    const { id } = JSON.parse(await fs.readFile(file, 'utf8')) as { id: string };
    assert.match(id, /^[0-9a-f]{16}$/);
    assert.ok(first.includes(id), first);
  });

  it('lies in a file that only its owner may read', async function () {
    if (process.platform === 'win32') this.skip();
    await clientId();
    assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
    assert.equal((await fs.stat(path.dirname(file))).mode & 0o777, 0o700);
  });

  for (const [what, content] of [
    ['empty', ''],
    ['half written', '{"version":1,"id":"0123'],
    ['full of NULs', '\0'.repeat(60)],
    ['of another form', '{"version":1,"id":"../../x"}'],
  ] as const) {
    it(`is made anew where the file is ${what}, which is set aside`, async () => {
      await fs.mkdir(path.dirname(file), { recursive: true });
      await fs.writeFile(file, content);
      const made = await clientId();
      assert.equal(await fs.readFile(`${file}.bad`, 'utf8'), content);
      assert.equal(await clientId(), made);
    });
  }
});

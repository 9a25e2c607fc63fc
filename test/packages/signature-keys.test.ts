/** The command that makes a key pair. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { parsePublicKeys, signFields, verifySignature } from '../../nodes/lib/packages/verify/signature';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

const COMMAND = path.resolve(__dirname, '../../nodes/lib/packages/key-pair.ts');
const fields = { module: 'default', version: 'v1', size: 1, sha256: '0'.repeat(64) };

async function command(...args: string[]): Promise<{ code: number; text: string }> {
  try {
    const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', COMMAND, ...args]);
    return { code: 0, text: stdout };
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return { code, text: stdout };
  }
}

function assertPair(privateKey: string, publicKey: string): void {
  assert.ok(verifySignature(parsePublicKeys(publicKey), signFields(privateKey, fields), fields));
}

describe('the key pair command', () => {
  const later = cleanup();

  it('prints a pair that belongs together', async () => {
    const { code, text } = await command();
    assert.equal(code, 0);
    const [privateKey = '', publicKey = ''] = text.match(/-----BEGIN[\s\S]*?END [A-Z ]+-----/g) ?? [];
    assertPair(privateKey, publicKey);
  });

  it('writes a pair into a folder, the private key for its owner only', async () => {
    const folder = path.join(later(await temporaryFolder()).path, 'keys');
    const { code, text } = await command(folder);
    assert.equal(code, 0);
    assert.ok(!text.includes('BEGIN'));
    const file = path.join(folder, 'ota-private.pem');
    assertPair(
      await fs.readFile(file, 'utf8'),
      await fs.readFile(path.join(folder, 'ota-public.pem'), 'utf8'),
    );
    if (process.platform !== 'win32') assert.equal((await fs.stat(file)).mode & 0o777, 0o600);
  });

  it('never overwrites a key', async () => {
    const folder = later(await temporaryFolder()).path;
    await fs.writeFile(path.join(folder, 'ota-public.pem'), 'mine');
    const { code } = await command(folder);
    assert.equal(code, 1);
    assert.deepEqual(await fs.readdir(folder), ['ota-public.pem']);
    assert.equal(await fs.readFile(path.join(folder, 'ota-public.pem'), 'utf8'), 'mine');
  });

  it('says how it is used where it is used wrongly', async () => {
    const { code, text } = await command('--force');
    assert.equal(code, 2);
    assert.match(text, /Usage/);
  });
});

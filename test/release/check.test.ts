/** `npm run check` looks at everything, and says what a machine lacks. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { debianPackages } from '../../scripts/check/packages';
import { lanesOf } from '../../scripts/release/runtimes';
import { ROOT } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

/** The files that specs take, each of which is a folder and all below it. */
function taken(files: readonly string[], specs: readonly string[]): string[] {
  return specs.flatMap((spec) => {
    const [folder = ''] = spec.split('**');
    return files.filter((file) => file.startsWith(folder));
  });
}

async function testFiles(): Promise<string[]> {
  const files = await fs.readdir(path.join(ROOT, 'test'), { recursive: true });
  return files.filter((file) => file.endsWith('.test.ts')).map((file) => path.posix.join('test', file));
}

describe('the whole check', () => {
  const later = cleanup();

  it('takes each file of tests exactly once', async () => {
    const files = await testFiles();
    const inLanes = lanesOf('all').flatMap(({ specs }) => taken(files, specs));
    assert.deepEqual(inLanes.sort(), files.sort());
  });

  it('says which packages a machine without any lacks, by the names that Debian has for them', async function () {
    const tools = later(await temporaryFolder('ota-bare-'));
    // A machine on which nothing is but what the script itself needs.
    for (const tool of ['grep', 'dirname', 'bash']) {
      const { stdout } = await run('bash', ['-c', `command -v ${tool}`]);
      await fs.symlink(stdout.trim(), path.join(tools.path, tool));
    }
    const script = await fs.readFile(path.join(ROOT, '.ci', 'install'), 'utf8');
    const bare = path.join(tools.path, 'install');
    // Its own paths, and files of this machine, would be found.
    await fs.writeFile(bare, script.replace(/^PATH=.*$/m, '').replaceAll('/usr/bin/', `${tools.path}/`));
    const list = await fs.readFile(path.join(ROOT, '.ci', 'packages'), 'utf8');
    await fs.writeFile(path.join(tools.path, 'packages'), list.replaceAll('/usr/lib/', `${tools.path}/`));
    const { stdout } = await run('bash', [bare, '--list'], { env: { PATH: tools.path } });
    assert.deepEqual(
      stdout.trim().split(' '),
      debianPackages().map(({ name }) => name),
    );
  });
});

/** What a release consists of: the tarball, what comes along with it, and their sums. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { packRelease, SBOM, SUMS } from '../../scripts/release/pack';
import { INSTALL_TIMEOUT_MS, readManifest, ROOT } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

interface Bill {
  readonly bomFormat: string;
  readonly metadata: { readonly component: { readonly name: string; readonly version: string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
}

describe('a packed release', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let folder: string;
  let tarball: string;

  before(async () => {
    folder = path.join(later(await temporaryFolder('ota-release-')).path, 'release');
    tarball = await packRelease(folder);
  });

  it('holds the tarball, the SBOM and their sums, which are right', async () => {
    assert.deepEqual((await fs.readdir(folder)).sort(), [path.basename(tarball), SBOM, SUMS].sort());
    const { stdout } = await run('sha256sum', ['--check', '--strict', SUMS], { cwd: folder });
    assert.equal(stdout.trim().split('\n').length, 2);
  });

  it('names in its SBOM what is installed with it, and nothing of the development', async () => {
    const bill = JSON.parse(await fs.readFile(path.join(folder, SBOM), 'utf8')) as Bill;
    const { name, version, dependencies, optionalDependencies = {} } = await readManifest();
    assert.equal(bill.bomFormat, 'CycloneDX');
    assert.equal(`${bill.metadata.component.name} ${bill.metadata.component.version}`, `${name} ${version}`);
    const lock = JSON.parse(await fs.readFile(path.join(ROOT, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { version: string; dev?: boolean }>;
    };
    const locked = Object.entries(lock.packages)
      .filter(([where, { dev }]) => where !== '' && dev !== true)
      .map(([where, entry]) => `${where.replace(/^.*node_modules\//, '')}@${entry.version}`);
    const listed = bill.components.map(({ purl }) => decodeURIComponent(purl.replace('pkg:npm/', '')));
    assert.deepEqual(listed.toSorted(), [...new Set(locked)].sort());
    for (const direct of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)])
      assert.ok(
        listed.some((each) => each.startsWith(`${direct}@`)),
        direct,
      );
  });
});

/** What comes along with the package: nothing that npm warns of, and licences that anybody can live with. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { INSTALL_TIMEOUT_MS, installed, readManifest, ROOT, tarball } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

const LICENCES = /^(MIT|ISC|0BSD|BSD-2-Clause|BSD-3-Clause|Apache-2\.0|BlueOak-1\.0\.0)$/;

/** An entry of the lock file that npm keeps in node_modules. */
interface Locked {
  readonly version: string;
  readonly license?: unknown;
  readonly deprecated?: string;
  readonly hasInstallScript?: boolean;
  readonly inBundle?: boolean;
}

describe('the dependencies of the installed package', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup();
  let all: [name: string, Locked][];

  before(async () => {
    const { folder } = await installed();
    const text = await fs.readFile(path.join(folder, 'node_modules', '.package-lock.json'), 'utf8');
    const { packages } = JSON.parse(text) as { packages: Record<string, Locked> };
    all = Object.entries(packages).map(([where, entry]) => [where.replace(/^.*node_modules\//, ''), entry]);
    assert.ok(all.length > 3);
  });

  it('have licences that ask for no more than to be named', () => {
    const others = all
      .filter(([, { license }]) => typeof license !== 'string' || !LICENCES.test(license))
      .map(([name, { license }]) => `${name}: ${String(license)}`);
    assert.deepEqual(others, []);
  });

  it('are deprecated by nobody', () => {
    assert.deepEqual(
      all.flatMap(([name, { deprecated }]) => (deprecated === undefined ? [] : [`${name}: ${deprecated}`])),
      [],
    );
  });

  it('run no script when they are installed', () => {
    assert.deepEqual(
      all.filter(([, { hasInstallScript }]) => hasInstallScript === true).map(([name]) => name),
      [],
    );
  });

  it('are named in the README with their licences, those that we chose', async () => {
    const readme = await fs.readFile(path.join(ROOT, 'README.md'), 'utf8');
    const chapter = readme.slice(readme.indexOf('\n## Licence'));
    const { dependencies, optionalDependencies = {} } = await readManifest();
    for (const name of [...Object.keys(dependencies), ...Object.keys(optionalDependencies)]) {
      const [, { license } = { license: 'nothing' }] = all.find(([each]) => each === name) ?? [];
      const rows = chapter.split('\n').filter((line) => line.includes(`\`${name}\``));
      assert.ok(
        rows.some((row) => row.includes(String(license))),
        `${name}: ${String(license)}`,
      );
    }
  });

  it('are installed without a warning', async () => {
    const user = later(await temporaryFolder('ota-user-'));
    await fs.writeFile(path.join(user.path, 'package.json'), '{"name":"user","private":true}');
    const { stderr, stdout } = await run(
      'npm',
      ['install', '--prefer-offline', '--no-audit', await tarball()],
      {
        cwd: user.path,
        env: { ...process.env, npm_config_loglevel: 'warn' },
      },
    );
    // What npm says of the machine's own npmrc is nobody's fault here.
    const warnings = `${stderr}\n${stdout}`
      .split('\n')
      .filter((line) => /npm (warn|error)/i.test(line) && !/Unknown (user|env|project) config/.test(line));
    assert.deepEqual(warnings, []);
  });
});

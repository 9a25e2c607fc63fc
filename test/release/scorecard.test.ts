/** The flow library's own check of a package, over what npm would publish. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../../scripts/build/paths';
import { installedTool } from '../../scripts/release/tools';
import { INSTALL_TIMEOUT_MS, tarball } from '../packed/installed';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

const run = promisify(execFile);

const VERSION = '0.1.6';
/** P01 to P08 are about the package, N01 and N02 about nodes, D01 to D03 about dependencies. P02 is switched off. */
const CHECKS = ['P01', 'P03', 'P04', 'P05', 'P06', 'P07', 'P08', 'N01', 'N02', 'D01', 'D02', 'D03'];

type Scorecard = Readonly<Record<string, { readonly test?: boolean }>>;

describe("the flow library's scorecard", function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let scorecard: Scorecard;
  let output: string;

  before(async () => {
    const tool = await installedTool('node-red-dev', VERSION);
    const folder = later(await temporaryFolder('ota-scorecard-'));
    await run('tar', ['-xzf', await tarball(), '-C', folder.path]);
    const unpacked = path.join(folder.path, 'package');
    const quiet = ['--no-audit', '--no-fund', '--prefer-offline', '--loglevel=error'];
    await run('npm', ['install', '--omit=dev', '--ignore-scripts', ...quiet], { cwd: unpacked });
    const file = path.join(folder.path, 'scorecard.json');
    const catalogue = path.join(ROOT, 'scripts', 'release', 'catalogue.cjs');
    const command = path.join(tool, 'node_modules', 'node-red-dev', 'bin', 'run');
    const args = ['-r', catalogue, command, 'validate', '-p', unpacked, '-o', file];
    ({ stdout: output } = await run(process.execPath, args, { cwd: unpacked, timeout: 300_000 }));
    scorecard = JSON.parse(await fs.readFile(file, 'utf8')) as Scorecard;
  });

  for (const check of CHECKS) {
    it(`passes ${check}`, () => {
      assert.equal(scorecard[check]?.test, true, JSON.stringify(scorecard[check]));
    });
  }

  it('was made of all nodes, and knows no check that is not looked at here', () => {
    assert.doesNotMatch(output, /Unable to parse/);
    assert.deepEqual(
      Object.keys(scorecard)
        .filter((name) => name !== 'package')
        .sort(),
      CHECKS.toSorted(),
    );
  });
});

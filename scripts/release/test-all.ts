/**
 * The tests on every release of Node-RED and Node.js that is supported: `npm run test:all`. Arguments choose
 * runs by their number (`npm run test:all -- 2 3`); with `--whole` each of them runs every test, not only what
 * touches Node-RED. Each run ends with mocha's totals; the exit status is 1 where one of them failed.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { version as ownNodeRed } from 'node-red/package.json';
import { build } from '../build';
import { ROOT } from '../build/paths';
import { type Prepared, prepare, RUNTIMES, SPECS } from './runtimes';

const MOCHA = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin', 'mocha.js');

async function main(): Promise<void> {
  const whole = process.argv.includes('--whole');
  const chosen = process.argv
    .slice(2)
    .filter((argument) => argument !== '--whole')
    .map(Number);
  const unknown = chosen.find((number) => RUNTIMES[number - 1] === undefined);
  if (unknown !== undefined) throw new Error(`Runs have the numbers 1 to ${RUNTIMES.length}.`);
  await build();
  const failed: string[] = [];
  for (const [i, runtime] of RUNTIMES.entries()) {
    if (chosen.length > 0 && !chosen.includes(i + 1)) continue;
    const prepared = await prepare(runtime, ownNodeRed);
    console.log(`\n=== ${prepared.title}`);
    if (!(await passes(prepared, SPECS[whole ? 'all' : runtime.scope]))) failed.push(prepared.title);
  }
  for (const title of failed) console.error(`Failed on ${title}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** Runs mocha; true where every test passed. */
function passes({ binFolder, nodeRedFolder }: Prepared, specs: readonly string[]): Promise<boolean> {
  // --spec would be added to those of the configuration file.
  const alone = ['--no-config', '--import=tsx', '--timeout=20000', '--forbid-only', ...specs];
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${binFolder}${path.delimiter}${process.env['PATH'] ?? ''}`,
  };
  if (nodeRedFolder !== null) env['OTA_TEST_NODE_RED'] = nodeRedFolder;
  const node = path.join(binFolder, process.platform === 'win32' ? 'node.exe' : 'node');
  // Real brokers and browsers on a shared machine: what fails once is tried once more, and told as such by mocha.
  const again = process.env['CI'] === undefined ? [] : ['--retries=1'];
  const mocha = spawn(node, [MOCHA, ...again, ...(specs.length === 0 ? [] : alone)], {
    cwd: ROOT,
    env,
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    mocha.once('error', reject);
    mocha.once('exit', (code) => resolve(code === 0));
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

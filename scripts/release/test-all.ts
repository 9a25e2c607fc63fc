/**
 * The tests on every release of Node-RED and Node.js that is supported: `npm run test:all`. Arguments choose
 * runs by their number (`npm run test:all -- 2 3`); with `--whole` each of them runs every test, not only what
 * touches Node-RED. Each run ends with mocha's totals; the exit status is 1 where one of them failed.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { version as ownNodeRed } from 'node-red/package.json';
import { build } from '../build';
import { ROOT } from '../build/paths';
import { type Prepared, prepare, type Runtime, RUNTIMES, SPECS } from './runtimes';

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
  const runs = RUNTIMES.filter((_runtime, i) => chosen.length === 0 || chosen.includes(i + 1));
  const failed: string[] = [];
  for (const group of whole ? runs.map((runtime) => [runtime]) : groupsOf(runs)) {
    const prepared = await Promise.all(
      group.map(async (runtime) => ({
        ...(await prepare(runtime, ownNodeRed)),
        specs: SPECS[whole ? 'all' : runtime.scope],
      })),
    );
    failed.push(...(await runTogether(prepared)));
  }
  for (const title of failed) console.error(`Failed on ${title}`);
  if (failed.length > 0) process.exitCode = 1;
}

/** A run of everything has the machine to itself; those of a part wait more than they work, and go side by side. */
function groupsOf(runs: readonly Runtime[]): Runtime[][] {
  const parts = runs.filter(({ scope }) => scope !== 'all');
  const alone = runs.filter(({ scope }) => scope === 'all').map((runtime) => [runtime]);
  return parts.length === 0 ? alone : [...alone, parts];
}

interface Run extends Prepared {
  readonly specs: readonly string[];
}

/** Returns the titles of those that failed. One alone is shown as it goes, several one after the other. */
async function runTogether(runs: readonly Run[]): Promise<string[]> {
  const [first] = runs;
  if (runs.length === 1 && first !== undefined) {
    console.log(`\n=== ${first.title}`);
    return (await passes(first, process.stdout)) ? [] : [first.title];
  }
  console.log(`\nSide by side: ${runs.map(({ title }) => title).join(', ')}`);
  const ended = await Promise.all(
    runs.map(async (run) => {
      const output = new PassThrough();
      const [ok, said] = await Promise.all([passes(run, output), text(output)]);
      return { ok, said, title: run.title };
    }),
  );
  for (const { title, said } of ended) console.log(`\n=== ${title}\n${said}`);
  return ended.filter(({ ok }) => !ok).map(({ title }) => title);
}

/** Runs mocha; true where every test passed. */
function passes({ binFolder, nodeRedFolder, specs }: Run, output: NodeJS.WritableStream): Promise<boolean> {
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
    stdio: output === process.stdout ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  });
  mocha.stdout?.pipe(output, { end: false });
  mocha.stderr?.pipe(output, { end: false });
  return new Promise((resolve, reject) => {
    mocha.once('error', reject);
    // Not at `exit`: what it said last may still be on its way.
    mocha.once('close', (code) => {
      if (output !== process.stdout) output.end();
      resolve(code === 0);
    });
  });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

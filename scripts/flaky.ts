/**
 * `npm run test:flaky -- [runs] [seed] [files…]`: finds tests that fail now and then. Runs the tests as often as it is
 * told (20 times), each time with another seed and with all processors busy with something else, and prints at the end
 * which tests failed, how often and with which seeds. With runs 1 and a seed it repeats one run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { build } from './build';
import { ROOT } from './build/paths';
import type { Failure, TestResults } from './check/reporter';

const RUNS = 20;
/** Real brokers and browsers beside endless loops: what takes this long hangs. */
const TIMEOUT_MS = 240_000;
const ALL = ['test/**/*.test.ts'];

interface Failed {
  readonly seed: number;
  readonly failure: Failure;
}

async function main(): Promise<void> {
  const [first, second, ...rest] = process.argv.slice(2);
  const numbers = [first, second].filter((text) => text !== undefined && /^\d+$/.test(text)).map(Number);
  const specs = [first, second, ...rest].filter(
    (text): text is string => text !== undefined && !/^\d+$/.test(text),
  );
  const [runs = RUNS, given] = numbers;
  await build();
  // Loops end with this process, also where it is told to end.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const loops = Array.from({ length: os.availableParallelism() }, endlessLoop);
  const failed: Failed[] = [];
  try {
    for (let run = 1; run <= runs; run += 1) {
      const seed = given ?? Math.floor(Math.random() * 2 ** 31);
      const began = Date.now();
      const { passed, failures, log } = await runOnce(seed, specs.length === 0 ? ALL : specs);
      const minutes = ((Date.now() - began) / 60_000).toFixed(1);
      console.log(
        `run ${run} of ${runs}, seed ${seed}: ${passed} passed, ${failures.length} failed, ${minutes} min, ${log}`,
      );
      for (const failure of failures) {
        console.log(`  ${failure.title}\n    ${failure.message}`);
        failed.push({ seed, failure });
      }
    }
  } finally {
    for (const loop of loops) loop.kill('SIGKILL');
  }
  printFailures(failed, runs);
  if (failed.length > 0) process.exitCode = 1;
}

/** A process that never rests. */
function endlessLoop(): ChildProcess {
  const loop = spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' });
  process.once('exit', () => loop.kill('SIGKILL'));
  return loop;
}

/** One whole run; what mocha says goes to a file. */
async function runOnce(
  seed: number,
  specs: readonly string[],
): Promise<{ passed: number; failures: readonly Failure[]; log: string }> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-flaky-'));
  const [results, log] = [path.join(folder, 'results.json'), path.join(folder, 'output.txt')];
  const options = ['--no-config', '--import=tsx', `--timeout=${TIMEOUT_MS}`, '--forbid-only'];
  const extra = ['--require=./test/support/seed.ts', '--reporter=./scripts/check/reporter.ts'];
  const mocha = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin', 'mocha.js');
  const child = spawn(process.execPath, [mocha, ...options, ...extra, ...specs], {
    cwd: ROOT,
    env: { ...process.env, OTA_TEST_SEED: String(seed), OTA_TEST_RESULTS: results },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = createWriteStream(log);
  child.stdout.pipe(output, { end: false });
  child.stderr.pipe(output, { end: false });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  output.end();
  const said = await fs.readFile(results, 'utf8').then(
    (json) => JSON.parse(json) as TestResults,
    () => null,
  );
  const ended: Failure = { title: 'the run itself', message: `ended with status ${code ?? 'none'}` };
  const failures = said?.failures ?? [];
  if (failures.length === 0 && code === 0) {
    await fs.rm(folder, { recursive: true, force: true });
    return { passed: said?.passed ?? 0, failures, log: 'all well' };
  }
  return { passed: said?.passed ?? 0, failures: failures.length > 0 ? failures : [ended], log };
}

/** What failed the most comes first. */
function printFailures(failed: readonly Failed[], runs: number): void {
  const byTitle = new Map<string, number[]>();
  for (const { seed, failure } of failed) {
    byTitle.set(failure.title, [...(byTitle.get(failure.title) ?? []), seed]);
  }
  console.log(`\n${byTitle.size} tests failed in ${runs} runs`);
  for (const [title, seeds] of [...byTitle].sort(([, a], [, b]) => b.length - a.length)) {
    console.log(`${String(seeds.length).padStart(4)}  ${title} (seeds ${seeds.join(', ')})`);
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

/**
 * The tests on the releases of Node-RED and Node.js that are supported: each run of mocha is a process, several of
 * them side by side, since tests wait more than they work. It adds up what they say.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { version as ownNodeRed } from 'node-red/package.json';
import { build } from '../build';
import { ROOT } from '../build/paths';
import type { Failure, TestResults } from '../check/reporter';
import { type Lane, lanesOf, type Prepared, prepare, type Runtime, RUNTIMES } from './runtimes';

const MOCHA = path.join(path.dirname(require.resolve('mocha/package.json')), 'bin', 'mocha.js');
const REPORTER = path.join(__dirname, '../check/reporter.ts');
/** One more than the machine has processors: what waits for a browser or a broker leaves them to the others. */
const SIDE_BY_SIDE = os.availableParallelism() + 1;
const SLOWEST = 20;
/** Several runs share the processors here: what takes this long hangs. */
const TIMEOUT_MS = 240_000;
/** A process of mocha that takes so long waits for something that never comes: tests are over, but a handle isn't. */
const LIMIT_MS = 40 * 60_000;

export interface Outcome {
  readonly passed: number;
  readonly failed: number;
  /** What failed; the title of each begins with the release that it failed on. */
  readonly failures: readonly Failure[];
  readonly skipped: readonly string[];
  /** Releases that couldn't be had, e.g. without a network. */
  readonly absent: readonly string[];
}

/** One process of mocha. */
type Run = Prepared & Lane;

/**
 * Builds, then runs the tests of the chosen runtimes (all, where none is chosen); `whole`: every test on each of
 * them, not only what touches Node-RED. Prints each report when it is complete, and the slowest files at the end.
 */
export async function runTests(chosen: readonly Runtime[], whole: boolean): Promise<Outcome> {
  await build();
  const absent: string[] = [];
  const runs: Run[] = [];
  for (const runtime of chosen.length === 0 ? RUNTIMES : chosen) {
    try {
      const prepared = await prepare(runtime, ownNodeRed);
      const lanes = lanesOf(whole ? 'all' : runtime.scope);
      runs.push(...lanes.map((lane) => ({ ...prepared, ...lane })));
    } catch (error) {
      const name = `Node-RED ${runtime.nodeRed ?? ownNodeRed} on Node.js ${runtime.node ?? 'of this machine'}`;
      console.log(`${name} can't be had: ${String(error).split('\n')[0] ?? ''}`);
      absent.push(name);
    }
  }
  runs.sort((a, b) => b.minutes - a.minutes);
  const results = await inTurns(runs, SIDE_BY_SIDE, report);
  printSlowest(results);
  const failures = results.flatMap((each, i) =>
    each.failures.map(({ title, message }) => ({ title: `${runs[i]?.title ?? ''}: ${title}`, message })),
  );
  return {
    passed: sum(results.map(({ passed }) => passed)),
    failed: sum(results.map(({ failed }) => failed)),
    failures,
    skipped: results.flatMap(({ skipped }) => skipped),
    absent,
  };
}

/** Runs one, and prints what it said in one piece. */
async function report(run: Run, number: number, of: number): Promise<TestResults> {
  const output = new PassThrough();
  const [results, said] = await Promise.all([runMocha(run, output), text(output)]);
  console.log(`\n=== ${run.title} (${number} of ${of})\n${said}`);
  return results;
}

async function inTurns<T, R>(
  items: readonly T[],
  atOnce: number,
  work: (item: T, number: number, of: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      const i = next++;
      results[i] = await work(items[i] as T, i + 1, items.length);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results;
}

/** A run that came to no end, or that ended badly without a failure, counts as one failure more. */
async function runMocha(run: Run, output: PassThrough): Promise<TestResults> {
  const folder = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-results-'));
  try {
    const file = path.join(folder, 'results.json');
    const code = await spawnMocha(run, file, output);
    const none: TestResults = { passed: 0, failed: 0, failures: [], skipped: [], seconds: {} };
    const results = await fs.readFile(file, 'utf8').then(
      (json) => JSON.parse(json) as TestResults,
      () => none,
    );
    const broken = results.failed === 0 && (code !== 0 || results.passed === 0);
    if (!broken) return results;
    const failure = { title: nameOf(run), message: `came to no good end: exit status ${code ?? 'none'}` };
    output.write(`${failure.title} ${failure.message}\n`);
    return { ...results, failed: 1, failures: [failure] };
  } finally {
    output.end();
    await fs.rm(folder, { recursive: true, force: true });
  }
}

const nameOf = ({ specs }: Run): string =>
  `mocha ${specs.slice(0, 3).join(' ')}${specs.length > 3 ? ` and ${specs.length - 3} more` : ''}`;

/** Resolves with the exit code. */
function spawnMocha(run: Run, resultFile: string, output: NodeJS.WritableStream): Promise<number | null> {
  const { binFolder, nodeRedFolder, specs } = run;
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    PATH: `${binFolder}${path.delimiter}${process.env['PATH'] ?? ''}`,
    OTA_TEST_RESULTS: resultFile,
  };
  if (nodeRedFolder !== null) env['OTA_TEST_NODE_RED'] = nodeRedFolder;
  const node = path.join(binFolder, process.platform === 'win32' ? 'node.exe' : 'node');
  // Real brokers and browsers on a shared machine: what fails once is tried once more, and told as such by mocha.
  const again = process.env['CI'] === undefined ? [] : ['--retries=1'];
  // Without the configuration file, to whose specs those of the command line would be added.
  const options = [
    '--no-config',
    '--import=tsx',
    `--timeout=${TIMEOUT_MS}`,
    '--forbid-only',
    `--reporter=${REPORTER}`,
  ];
  const mocha = spawn(node, [MOCHA, ...options, ...again, ...specs], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  mocha.stdout.pipe(output, { end: false });
  mocha.stderr.pipe(output, { end: false });
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => {
      output.write(`${nameOf(run)} has not ended after ${LIMIT_MS / 60_000} minutes: it is killed\n`);
      // Programs that it started may hold its output open.
      mocha.stdout.destroy();
      mocha.stderr.destroy();
      mocha.kill('SIGKILL');
    }, LIMIT_MS);
    mocha.once('error', reject);
    // Not at `exit`: what it said last may still be on its way.
    mocha.once('close', (code) => {
      clearTimeout(limit);
      resolve(code);
    });
  });
}

/** Once more what failed, where whoever reads only the end of a long output finds it. */
export function printFailures(failures: readonly Failure[]): void {
  if (failures.length > 0) console.log('\n=== What failed');
  for (const { title, message } of failures) console.log(`${title}\n    ${message}`);
}

/** Of each file the longest that it took in one run. */
function printSlowest(results: readonly TestResults[]): void {
  const longest = new Map<string, number>();
  for (const [file, seconds] of results.flatMap((each) => Object.entries(each.seconds)))
    longest.set(file, Math.max(seconds, longest.get(file) ?? 0));
  const rows = [...longest].sort(([, a], [, b]) => b - a).slice(0, SLOWEST);
  console.log(`\n=== The slowest ${rows.length} files, in seconds`);
  for (const [file, seconds] of rows) console.log(`${seconds.toFixed(1).padStart(7)}  ${file}`);
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

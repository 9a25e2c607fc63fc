/**
 * `npm run check`: everything that has to hold before a change goes in. Where this is root on a Debian it installs what
 * the tests need and lacks; elsewhere tests whose programs are absent are skipped, and it says which to install.
 * With CI=true nothing may be skipped. The last line is `N passed, N failed`, and the exit status is 1 where one
 * failed: each test counts, and each of the other steps.
 */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { ROOT } from './build/paths';
import { canInstall, missingPackages } from './check/packages';
import { runTests } from './release/run-tests';

const inCi = process.env['CI'] !== undefined;

/** What a step says when it is done. */
interface Said {
  readonly ok: boolean;
  readonly output: string;
}

async function command(program: string, ...args: string[]): Promise<Said> {
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  });
  const code = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [status, ...said] = await Promise.all([code, text(child.stdout), text(child.stderr)]);
  return { ok: status === 0, output: said.join('') };
}

const script = (name: string, ...args: string[]): Promise<Said> =>
  command('npm', 'run', '-s', name, '--', ...args);

/** Known holes of what comes along. A registry that is a mirror may know none: that is told, and no failure. */
async function audit(): Promise<Said> {
  const { ok, output } = await command('npm', 'audit', '--omit=dev');
  if (ok || !output.includes('audit endpoint returned an error')) return { ok, output };
  return { ok: true, output: `${output}This registry answers no audit: known holes were not looked for.\n` };
}

/** Ports are looked for before they are taken: on a shared machine another program may come in between. */
async function once(): Promise<Said> {
  const first = await script('start', '--once');
  return first.ok ? first : script('start', '--once');
}

/** Returns the packages that are still missing. */
async function setUp(): Promise<string[]> {
  const missing = missingPackages() ?? [];
  if (missing.length === 0) return [];
  if (canInstall()) {
    console.log(`=== Installing ${missing.join(' ')}`);
    const { output } = await command('bash', path.join('.ci', 'install'));
    console.log(output);
  }
  return missingPackages() ?? missing;
}

async function main(): Promise<void> {
  const missing = await setUp();
  let passed = 0;
  let failed = inCi ? missing.length : 0;
  const step = async (name: string, work: () => Promise<Said>): Promise<void> => {
    const { ok, output } = await work();
    console.log(`\n=== ${name}${ok ? '' : ' failed'}\n${output.trim()}`);
    if (ok) passed++;
    else failed++;
  };

  // One after the other they would leave a processor idle; each says what it has to say in one piece.
  await Promise.all([
    step('npm audit', audit),
    step('npm run lint', () => script('lint')),
    step('npm run types', () => script('types')),
  ]);
  await step('npm run build', () => script('build'));
  const tests = await runTests([], false);
  passed += tests.passed;
  failed += tests.failed;
  await step('npm start -- --once', once);

  const skipped = tests.skipped.length + tests.absent.length;
  if (missing.length > 0) console.log(`\nNot installed here: apt-get install ${missing.join(' ')}`);
  for (const title of [...tests.absent, ...tests.skipped]) console.log(`Skipped: ${title}`);
  if (inCi && skipped > 0) failed += skipped;
  console.log(`\n${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
});

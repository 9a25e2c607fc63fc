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
import { packRelease } from './release/pack';
import type { Failure } from './check/reporter';
import { printFailures, runTests } from './release/run-tests';

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

/** Neither waits long for a registry that doesn't answer; both say why, also below a silent `npm run -s`. */
const QUICK = ['--fetch-retries=0', '--fetch-timeout=30000', '--loglevel=notice'];

/** Known holes of what comes along. A registry that is a mirror may know none: that is told, and no failure. */
async function audit(): Promise<Said> {
  const said = await command('npm', 'audit', '--omit=dev', ...QUICK);
  return unanswered(
    said,
    /audit endpoint returned an error|npm error network/,
    'known holes were not looked for',
  );
}

/** That every package of node_modules is signed by the registry that it comes from. */
async function signatures(): Promise<Said> {
  const said = await command('npm', 'audit', 'signatures', ...QUICK);
  return unanswered(
    said,
    /found no dependencies|npm error (network|code E)/,
    'signatures were not looked at',
  );
}

function unanswered(said: Said, pattern: RegExp, what: string): Said {
  if (said.ok || !pattern.test(said.output)) return said;
  return { ok: true, output: `${said.output}This registry answers no audit: ${what}.\n` };
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
  const failures: Failure[] = [];
  const step = async (name: string, work: () => Promise<Said>): Promise<void> => {
    const { ok, output } = await work().catch((error: unknown) => ({ ok: false, output: String(error) }));
    console.log(`\n=== ${name}${ok ? '' : ' failed'}\n${output.trim()}`);
    if (ok) {
      passed++;
      return;
    }
    failed++;
    failures.push({ title: name, message: output.trim().split('\n').at(-1) ?? '' });
  };

  await step('npm run build', () => script('build'));
  await step('npm pack', async () => {
    // The tests take this one, and so does a release.
    const tarball = await packRelease();
    process.env['OTA_TEST_TARBALL'] = tarball;
    return { ok: true, output: tarball };
  });
  // Beside the tests, which wait more than they work; each says what it has to say in one piece.
  const [tests] = await Promise.all([
    runTests([], false),
    step('npm audit', audit),
    step('npm audit signatures', signatures),
    step('npm run lint', () => script('lint')),
    step('npm run types', () => script('types')),
  ]);
  passed += tests.passed;
  failed += tests.failed;
  await step('npm start -- --once', once);

  const skipped = tests.skipped.length + tests.absent.length;
  if (missing.length > 0) console.log(`\nNot installed here: apt-get install ${missing.join(' ')}`);
  for (const title of new Set([...tests.absent, ...tests.skipped])) console.log(`Skipped: ${title}`);
  if (inCi && skipped > 0) failed += skipped;
  printFailures([...tests.failures, ...failures]);
  console.log(`\n${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  console.log('\n0 passed, 1 failed');
  process.exitCode = 1;
});

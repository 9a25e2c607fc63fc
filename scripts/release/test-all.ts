/**
 * `npm run test:all`: the tests on every release of Node-RED and Node.js that is supported. Arguments choose runs by
 * their number (`npm run test:all -- 2 3`); with `--whole` each of them runs every test, not only what touches
 * Node-RED. The exit status is 1 where a test failed, or where a release couldn't be had.
 */
import { printFailures, runTests } from './run-tests';
import { RUNTIMES } from './runtimes';

async function main(): Promise<void> {
  const numbers = process.argv
    .slice(2)
    .filter((argument) => argument !== '--whole')
    .map(Number);
  const chosen = numbers.map((number) => {
    const runtime = RUNTIMES[number - 1];
    if (runtime === undefined) throw new Error(`Runs have the numbers 1 to ${RUNTIMES.length}.`);
    return runtime;
  });
  const { passed, failed, failures, skipped, absent } = await runTests(
    chosen,
    process.argv.includes('--whole'),
  );
  printFailures(failures);
  console.log(`\n${passed} passed, ${failed} failed, ${skipped.length} skipped`);
  const strict = process.env['CI'] !== undefined;
  if (failed > 0 || absent.length > 0 || (strict && skipped.length > 0)) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

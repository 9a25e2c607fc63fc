/** Tools of the operating system: a test that lacks one is skipped with what to install, but fails in CI. */
import { spawnSync } from 'node:child_process';

/** True where the program can be started. */
export function hasProgram(program: string): boolean {
  return spawnSync('sh', ['-c', 'command -v "$1"', 'sh', program]).status === 0;
}

/**
 * Skips the test or suite of a mocha context where a program is absent; in CI an absent one is an error.
 * `before(function () { requireProgram(this, 'nginx', 'nginx-light'); });`
 */
export function requireProgram(context: Mocha.Context, program: string, debianPackage = program): void {
  if (hasProgram(program)) return;
  const text = `"${program}" is not installed: apt-get install ${debianPackage}`;
  if (process.env['CI']) throw new Error(text);
  console.warn(`      skipped: ${text}`);
  context.skip();
}

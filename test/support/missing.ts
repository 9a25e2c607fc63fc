/** Tools of the operating system: a test that lacks one is skipped with what to install, but fails in CI. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { debianPackages } from '../../scripts/check/packages';

/** Where Debian has servers, and where a plain user's PATH doesn't look. */
const SERVERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** Where a program lies, in PATH or among the servers; its name where it isn't found: starting it then says so. */
export function programPath(program: string): string {
  if (program.includes(path.sep)) return program;
  const folders = [...(process.env['PATH'] ?? '').split(path.delimiter), ...SERVERS];
  return folders.map((folder) => path.join(folder, program)).find(isProgram) ?? program;
}

/** True where the program can be started. */
export function hasProgram(program: string): boolean {
  return isProgram(programPath(program));
}

function isProgram(file: string): boolean {
  try {
    // A file that nobody can run has a name, too.
    fs.accessSync(file, fs.constants.X_OK);
    return path.isAbsolute(file) && fs.statSync(file).isFile();
  } catch {
    return false;
  }
}

/** What set-up doesn't install would be missing on every new machine. @throws where a package isn't in the list */
function requireListed(debianPackage: string): void {
  const listed = new Set(debianPackages().map(({ name }) => name));
  const unlisted = debianPackage.split(' ').filter((name) => !listed.has(name));
  if (unlisted.length > 0)
    throw new Error(`Add ${unlisted.join(' ')} to .ci/packages, from which it is installed`);
}

/**
 * Skips the test or suite of a mocha context where a program is absent; in CI an absent one is an error.
 * `before(function () { requireProgram(this, 'nginx', 'nginx-light'); });`
 */
export function requireProgram(context: Mocha.Context, program: string, debianPackage = program): void {
  requireListed(debianPackage);
  if (hasProgram(program)) return;
  const text = `"${program}" is not installed: apt-get install ${debianPackage}`;
  if (process.env['CI']) throw new Error(text);
  console.warn(`      skipped: ${text}`);
  context.skip();
}

/** Skips the suite of a mocha context where something that was looked for isn't there, see `requireProgram`. */
export function requireFound(
  context: Mocha.Context,
  found: string | undefined,
  what: string,
  debianPackage: string,
): void {
  requireListed(debianPackage);
  if (found !== undefined) return;
  const text = `${what} is not there: apt-get install ${debianPackage}`;
  if (process.env['CI']) throw new Error(text);
  console.warn(`      skipped: ${text}`);
  context.skip();
}

/** Debian's own interpreter: a package of Debian installs for no other. */
const PYTHON = '/usr/bin/python3';

/** The Python that has a module; skips the suite of a mocha context where there is none, in CI an error. */
export function requirePython(context: Mocha.Context, module: string, debianPackage: string): string {
  requireListed(debianPackage);
  const python = ['python3', PYTHON].find((each) => spawnSync(each, ['-c', `import ${module}`]).status === 0);
  if (python !== undefined) return python;
  const text = `Python has no module "${module}": apt-get install ${debianPackage}`;
  if (process.env['CI']) throw new Error(text);
  console.warn(`      skipped: ${text}`);
  return context.skip();
}

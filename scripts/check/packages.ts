/** The list of Debian packages that the tests need, `.ci/packages`: which one brings a program, which are missing. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../build/paths';

const CI = path.join(ROOT, '.ci');

export interface DebianPackage {
  readonly name: string;
  /** How it is looked for: `program` in PATH, `file` by a pattern, `python` module, `font` for a language. */
  readonly kind: string;
  readonly shownBy: string;
}

export function debianPackages(): DebianPackage[] {
  const lines = fs.readFileSync(path.join(CI, 'packages'), 'utf8').split('\n');
  return lines
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [name = '', kind = '', shownBy = ''] = line.split(/\s+/);
      return { name, kind, shownBy };
    });
}

/** Where packages of Debian can be installed: there is an apt-get, and this is root. */
export function canInstall(): boolean {
  return process.getuid?.() === 0 && spawnSync('sh', ['-c', 'command -v apt-get']).status === 0;
}

/** Names of those that this machine lacks; null where that can't be found out, as there is no bash. */
export function missingPackages(): string[] | null {
  const { status, stdout } = spawnSync('bash', [path.join(CI, 'install'), '--list'], { encoding: 'utf8' });
  return status === 0 ? stdout.split(/\s+/).filter((name) => name !== '') : null;
}

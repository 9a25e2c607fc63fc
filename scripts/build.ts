/** Builds this project's dist/: `npm run build`, or `build()` from a test or another script. */
import { ROOT } from './build/paths';
import { buildProject } from './build/project';

/**
 * Brings dist/ up to date. A dist newer than every source is left as it is, unless `force`.
 * @throws Error a text of all compiler errors, or what is wrong with a source file; dist/ is then unchanged
 */
export function build(options: { force?: boolean } = {}): Promise<void> {
  return buildProject(ROOT, options);
}

if (require.main === module) {
  build({ force: process.argv.includes('--force') }).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}

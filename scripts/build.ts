/**
 * Builds dist/ from nodes/ and icons/: `npm run build`, or `build()` from a test or another script. Owns what
 * dist/ holds and when it is stale; never writes anything but dist/.
 */
import { compileRuntime, checkEditor } from './build/compile';
import { type Output, isFresh, publish } from './build/dist';
import { editorPages } from './build/editor';
import { icons } from './build/icons';
import { locales } from './build/locales';
import { nodeNames } from './build/paths';

/**
 * Brings dist/ up to date. A dist newer than every source is left as it is, unless `force`.
 * @throws Error a text of all compiler errors, or what is wrong with a source file; dist/ is then unchanged
 */
export async function build(options: { force?: boolean } = {}): Promise<void> {
  const startedAt = new Date();
  if (options.force !== true && (await isFresh())) return;
  const names = await nodeNames();
  const output: Output = new Map();
  checkEditor();
  compileRuntime(output);
  await editorPages(names, output);
  await locales(names, output);
  await icons(names, output);
  await publish(output, startedAt);
}

if (require.main === module) {
  build({ force: process.argv.includes('--force') }).catch((error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  });
}

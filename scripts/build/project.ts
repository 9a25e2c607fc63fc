/**
 * The steps of a build, from nodes/ and icons/ to dist/. Owns their order: nothing is written before every
 * step has succeeded. Never writes anything but dist/.
 */
import { checkEditor, compileRuntime } from './compile';
import { isFresh, type Output, publish } from './dist';
import { editorPages } from './editor';
import { icons } from './icons';
import { locales } from './locales';
import { foldersOf, nodeNames } from './paths';
import { editorPlugins } from './plugins';

/** Builds the project in the folder `root`. @see build */
export async function buildProject(root: string, options: { force?: boolean } = {}): Promise<void> {
  const folders = foldersOf(root);
  const startedAt = new Date();
  if (options.force !== true && (await isFresh(folders))) return;
  const names = await nodeNames(folders);
  const output: Output = new Map();
  checkEditor(folders);
  compileRuntime(folders, output);
  await editorPages(folders, names, output);
  await editorPlugins(folders, output);
  await locales(folders, names, output);
  await icons(folders, names, output);
  await publish(folders, output, startedAt);
}

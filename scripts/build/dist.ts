/**
 * The folder dist/: is it fresh, and how it is replaced. Files carry the time at which their build began, so
 * that a source changed meanwhile is newer; each is replaced whole, because other processes may be reading.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DIST, ICONS, NODES, ROOT } from './paths';

/** What dist/ is to hold: paths relative to it, and their contents. */
export type Output = Map<string, string>;

/** True where every file of dist/ is newer than every source. */
export async function isFresh(): Promise<boolean> {
  const built = await walk(DIST);
  if (built.length === 0) return false;
  const sources = [
    ...(await walk(NODES)),
    ...(await walk(ICONS)),
    ...(await walk(path.join(ROOT, 'scripts', 'build'))),
    ...['package.json', 'scripts/build.ts'].map((file) => path.join(ROOT, file)),
    ...(await readdir(ROOT))
      .filter((file) => /^tsconfig.*\.json$/.test(file))
      .map((file) => path.join(ROOT, file)),
  ];
  const oldest = Math.min(...(await times(built.filter((file) => !file.endsWith(path.sep)))));
  const newest = Math.max(...(await times(sources)));
  return oldest > newest;
}

/** Makes dist/ hold `output` and nothing else. */
export async function publish(output: Output, startedAt: Date): Promise<void> {
  await mkdir(path.join(ROOT, 'node_modules'), { recursive: true });
  const staging = await mkdtemp(path.join(ROOT, 'node_modules', '.build-'));
  try {
    let count = 0;
    for (const [name, content] of output) {
      const target = path.join(DIST, name);
      const staged = path.join(staging, String((count += 1)));
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(staged, content);
      await utimes(staged, startedAt, startedAt);
      await rename(staged, target);
    }
    await removeStale(output);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function removeStale(output: Output): Promise<void> {
  const wanted = new Set([...output.keys()].map((name) => path.join(DIST, name)));
  const entries = await walk(DIST);
  for (const file of entries) {
    if (!file.endsWith(path.sep) && !wanted.has(file)) await rm(file, { force: true });
  }
  // Deepest first: a folder that is empty now goes too.
  for (const folder of entries.filter((entry) => entry.endsWith(path.sep)).reverse()) {
    if ((await readdir(folder)).length === 0) await rmdir(folder);
  }
}

/** Files and folders (these end in a separator, and come before what is in them) below a folder. */
async function walk(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return [];
  const found = [folder + path.sep];
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) found.push(...(await walk(full)));
    else found.push(full);
  }
  return found;
}

/** Folders count too: their time tells that a file was taken away. */
async function times(files: string[]): Promise<number[]> {
  return Promise.all(files.map(async (file) => (await stat(file)).mtimeMs));
}

/**
 * The folder dist/: is it fresh, and how it is replaced. Files carry the time at which their build began, so
 * that a source changed meanwhile is newer; each is replaced whole, because other processes may be reading.
 */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm, rmdir, stat, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Folders } from './paths';

/** What dist/ is to hold: paths relative to it, and their contents. */
export type Output = Map<string, string>;

/** True where no source is newer than a file of dist/. */
export async function isFresh({ root, nodes, icons, dist }: Folders): Promise<boolean> {
  const built = (await walk(dist)).filter((file) => !file.endsWith(path.sep));
  if (built.length === 0) return false;
  const settings = (await readdir(root)).filter((file) => /^(package|tsconfig.*)\.json$/.test(file));
  const sources = [
    ...(await walk(nodes)),
    ...(await walk(icons)),
    ...(await walk(path.join(root, 'scripts', 'build'))),
    ...settings.map((file) => path.join(root, file)),
  ];
  const oldest = Math.min(...(await times(built)));
  const newest = Math.max(...(await times(sources)));
  // A build takes its time in whole milliseconds, before it reads anything.
  return Math.round(oldest) >= Math.floor(newest);
}

/** Makes dist/ hold `output` and nothing else. */
export async function publish({ root, dist }: Folders, output: Output, startedAt: Date): Promise<void> {
  await mkdir(path.join(root, 'node_modules'), { recursive: true });
  const staging = await mkdtemp(path.join(root, 'node_modules', '.build-'));
  try {
    let count = 0;
    for (const [name, content] of output) {
      const target = path.join(dist, name);
      const staged = path.join(staging, String((count += 1)));
      await mkdir(path.dirname(target), { recursive: true });
      await writeFile(staged, content);
      await utimes(staged, startedAt, startedAt);
      await rename(staged, target);
    }
    await removeStale(dist, output);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function removeStale(dist: string, output: Output): Promise<void> {
  const wanted = new Set([...output.keys()].map((name) => path.join(dist, name)));
  const entries = await walk(dist);
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

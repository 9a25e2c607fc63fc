/** Where things lie. A node is a folder nodes/ota-x with a file ota-x.ts; nothing else has to be told. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

export const ROOT = path.resolve(__dirname, '..', '..');
export const NODES = path.join(ROOT, 'nodes');
export const ICONS = path.join(ROOT, 'icons');
export const DIST = path.join(ROOT, 'dist');

/** The nodes that can be built: every folder nodes/ota-x that has a runtime. */
export async function nodeNames(): Promise<string[]> {
  const entries = await readdir(NODES, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('ota-'))
    .map((entry) => entry.name)
    .filter((name) => existsSync(path.join(NODES, name, `${name}.ts`)))
    .sort();
}

/** The names in a folder, or none where there is no such folder. */
export async function listDirectory(directory: string): Promise<string[]> {
  return existsSync(directory) ? (await readdir(directory)).sort() : [];
}

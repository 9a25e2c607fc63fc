/** Where things lie. A node is a folder nodes/ota-x with a file ota-x.ts; nothing else has to be told. */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import path from 'node:path';

/** This project. */
export const ROOT = path.resolve(__dirname, '..', '..');

/** The folders of a project, absolute. */
export interface Folders {
  readonly root: string;
  readonly nodes: string;
  readonly icons: string;
  readonly dist: string;
}

export function foldersOf(root: string): Folders {
  const below = (name: string): string => path.join(root, name);
  return { root, nodes: below('nodes'), icons: below('icons'), dist: below('dist') };
}

/** The nodes that can be built: every folder nodes/ota-x that has a runtime. */
export async function nodeNames({ nodes }: Folders): Promise<string[]> {
  const entries = await readdir(nodes, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && entry.name.startsWith('ota-'))
    .map((entry) => entry.name)
    .filter((name) => existsSync(path.join(nodes, name, `${name}.ts`)))
    .sort();
}

/** The names in a folder, or none where there is no such folder. */
export async function listDirectory(directory: string): Promise<string[]> {
  return existsSync(directory) ? (await readdir(directory)).sort() : [];
}

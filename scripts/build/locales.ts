/**
 * Labels and help: each node's locales/<lang>/ota-x.json gets the texts that all nodes share, as `common`;
 * help pages are copied. (Node-RED has one catalogue a node: it can't look into another's.)
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Output } from './dist';
import { type Folders, listDirectory } from './paths';

export async function locales(folders: Folders, names: readonly string[], output: Output): Promise<void> {
  for (const name of names) {
    const folder = path.join(folders.nodes, name, 'locales');
    for (const language of await listDirectory(folder)) {
      const labels = path.join(folder, language, `${name}.json`);
      const help = path.join(folder, language, `${name}.html`);
      const target = path.join('nodes', name, 'locales', language, name);
      if (existsSync(labels)) output.set(`${target}.json`, await withCommon(folders, labels, language));
      if (existsSync(help)) output.set(`${target}.html`, await readFile(help, 'utf8'));
    }
  }
}

async function withCommon({ nodes }: Folders, labels: string, language: string): Promise<string> {
  const own = await readCatalogue(labels);
  const shared = path.join(nodes, 'lib', 'red', 'locales', language, 'common.json');
  const common = existsSync(shared) ? await readCatalogue(shared) : {};
  return `${JSON.stringify({ ...own, ...common }, null, 2)}\n`;
}

async function readCatalogue(file: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`, { cause: error });
  }
}

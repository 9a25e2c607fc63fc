/** Icons: icons/ota-x.svg goes beside the node's file, the only place where Node-RED looks for it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Output } from './dist';
import { ICONS, listDirectory } from './paths';

export async function icons(names: readonly string[], output: Output): Promise<void> {
  for (const file of await listDirectory(ICONS)) {
    const name = path.basename(file, '.svg');
    if (file.endsWith('.svg') && names.includes(name)) {
      output.set(path.join('nodes', name, 'icons', file), await readFile(path.join(ICONS, file), 'utf8'));
    }
  }
}

/** Icons: icons/ota-x.svg goes beside the node's file, the only place where Node-RED looks for it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Output } from './dist';
import { type Folders, listDirectory } from './paths';

export async function icons(folders: Folders, names: readonly string[], output: Output): Promise<void> {
  for (const file of await listDirectory(folders.icons)) {
    const name = path.basename(file, '.svg');
    if (file.endsWith('.svg') && names.includes(name)) {
      output.set(
        path.join('nodes', name, 'icons', file),
        await readFile(path.join(folders.icons, file), 'utf8'),
      );
    }
  }
}

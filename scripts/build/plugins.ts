/**
 * Plugins of the editor that have no runtime: a script, which Node-RED takes from a page, and its texts. Each is a
 * folder of lib/red with the file <name>.editor.ts.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Output } from './dist';
import { bundle } from './editor';
import { type Folders, listDirectory } from './paths';

export async function editorPlugins({ nodes }: Folders, output: Output): Promise<void> {
  const red = path.join('lib', 'red');
  for (const name of await listDirectory(path.join(nodes, red))) {
    const folder = path.join(red, name);
    const files = name.includes('.') ? [] : await listDirectory(path.join(nodes, folder));
    if (!files.includes(`${name}.editor.ts`)) continue;
    const script = await bundle(path.join(nodes, folder, `${name}.editor.ts`));
    const page = `<script type="text/javascript">\n${script.trimEnd()}\n</script>\n`;
    output.set(path.join('nodes', folder, `${name}.html`), page);
    const locales = path.join(folder, 'locales');
    for (const language of await listDirectory(path.join(nodes, locales))) {
      const file = path.join(locales, language, `${name}.json`);
      output.set(path.join('nodes', file), await readFile(path.join(nodes, file), 'utf8'));
    }
  }
}

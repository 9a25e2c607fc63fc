/**
 * The editor's pages: ota-x.html is the form, ota-x.editor.ts (with what it imports) becomes one script in
 * front of it. Readable, not minified; `RED.nodes.registerType('ota-x', { … })` stands in it as a literal,
 * because the flow library reads it there.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type Plugin, rollup } from 'rollup';
import ts from 'typescript';
import type { Output } from './dist';
import type { Folders } from './paths';

/** What all dialogs need of CSS: in each page, because a node may be there without the others. */
const STYLE = 'lib/red/editor/form.css';

export async function editorPages(folders: Folders, names: readonly string[], output: Output): Promise<void> {
  const style = `<style>\n${(await readFile(path.join(folders.nodes, STYLE), 'utf8')).trimEnd()}\n</style>`;
  for (const name of names) {
    const form = path.join(folders.nodes, name, `${name}.html`);
    if (!existsSync(form)) continue;
    const script = await bundle(path.join(folders.nodes, name, `${name}.editor.ts`));
    const parts = [
      `<script type="text/javascript">\n${script.trimEnd()}\n</script>`,
      style,
      await readFile(form, 'utf8'),
    ];
    output.set(path.join('nodes', name, `${name}.html`), parts.join('\n\n'));
  }
}

/** One script without imports, from an entry file. @throws Error where it can't stand in a page */
export async function bundle(entry: string): Promise<string> {
  const built = await rollup({
    input: entry,
    plugins: [typescript],
    onwarn(warning) {
      throw new Error(`${entry}: ${warning.message}`);
    },
  });
  try {
    const { output } = await built.generate({ format: 'iife', indent: '  ' });
    const code = output.map((chunk) => (chunk.type === 'chunk' ? chunk.code : '')).join('\n');
    if (/<\/script/i.test(code)) throw new Error(`${entry}: must not hold "</script".`);
    return code;
  } finally {
    await built.close();
  }
}

const typescript: Plugin = {
  name: 'typescript',
  resolveId(source, importer) {
    if (importer === undefined || !source.startsWith('.')) return null;
    const file = path.resolve(path.dirname(importer), source);
    return [`${file}.ts`, path.join(file, 'index.ts')].find((candidate) => existsSync(candidate)) ?? null;
  },
  transform(code, id) {
    if (!id.endsWith('.ts')) return null;
    const { outputText } = ts.transpileModule(code, {
      fileName: id,
      compilerOptions: { target: ts.ScriptTarget.ES2020, module: ts.ModuleKind.ESNext },
    });
    return { code: outputText, map: null };
  },
};

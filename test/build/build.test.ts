/** The build, on a small project of its own: what dist/ holds afterwards, and when it is left alone. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { buildProject } from '../../scripts/build/project';
import { cleanup } from '../support/cleanup';
import { type TemporaryFolder, temporaryFolder } from '../support/temporary-folder';

const SOURCES: Readonly<Record<string, string>> = {
  'package.json': '{"name":"small"}',
  'tsconfig.json':
    '{"compilerOptions":{"strict":true,"target":"ES2022","lib":["ES2022"],"skipLibCheck":true,"types":[]}}',
  'tsconfig.build.json': JSON.stringify({
    extends: './tsconfig.json',
    compilerOptions: { module: 'Node16', rootDir: 'nodes', outDir: 'dist/nodes' },
    include: ['nodes/**/*.ts'],
    exclude: ['nodes/**/*.editor.ts', 'nodes/lib/red/editor/**'],
  }),
  'tsconfig.editor.json': JSON.stringify({
    extends: './tsconfig.json',
    compilerOptions: { module: 'ESNext', moduleResolution: 'Bundler', noEmit: true },
    include: ['nodes/**/*.editor.ts', 'nodes/lib/red/editor/**/*.ts'],
  }),
  'nodes/lib/rules.ts': 'export const answer: number = 42;\n',
  'nodes/lib/red/editor/form.css': '.ota-form { color: red; }\n',
  'nodes/lib/red/editor/shared.ts': "export function shared(): string {\n  return 'shared text';\n}\n",
  'nodes/lib/red/locales/en-US/common.json': '{"common":{"status":{"ready":"ready"}}}',
  'nodes/ota-one/ota-one.ts': "import { answer } from '../lib/rules';\nexport const one = answer;\n",
  'nodes/ota-one/ota-one.editor.ts':
    "import { shared } from '../lib/red/editor/shared';\ndeclare const RED: { nodes: { registerType(type: string, definition: object): void } };\nRED.nodes.registerType('ota-one', { defaults: { name: { value: shared() } } });\n",
  'nodes/ota-one/ota-one.html': '<script type="text/html" data-template-name="ota-one">form</script>\n',
  'nodes/ota-one/locales/en-US/ota-one.json': '{"ota-one":{"name":"one"}}',
  'nodes/ota-one/locales/en-US/ota-one.html':
    '<script type="text/html" data-help-name="ota-one">help</script>\n',
  'nodes/ota-two/ota-two.ts': 'export const two = 2;\n',
  'icons/ota-one.svg': '<svg/>',
  'icons/ota-later.svg': '<svg/>',
};

describe('the build', function () {
  this.timeout(240_000);
  let project: TemporaryFolder;
  const at = (name: string): string => path.join(project.path, name);
  const read = (name: string): Promise<string> => fs.readFile(at(name), 'utf8');
  const write = async (name: string, content: string): Promise<void> => {
    await fs.mkdir(path.dirname(at(name)), { recursive: true });
    await fs.writeFile(at(name), content);
  };
  const age = async (): Promise<number> => (await fs.stat(at('dist/nodes/ota-one/ota-one.js'))).mtimeMs;

  const create = async (): Promise<void> => {
    project = await temporaryFolder('ota-build-');
    for (const [name, content] of Object.entries(SOURCES)) await write(name, content);
  };

  describe('of a whole project', () => {
    const later = cleanup(after);
    before(async () => {
      await create();
      later(project);
      await buildProject(project.path);
    });

    it('lays out the runtime as CommonJS, page, locales and icon of every node', async () => {
      const files = (await fs.readdir(at('dist'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) =>
          path.relative(at('dist'), path.join(entry.parentPath, entry.name)).split(path.sep).join('/'),
        );
      assert.deepEqual(files.sort(), [
        'nodes/lib/rules.js',
        'nodes/ota-one/icons/ota-one.svg',
        'nodes/ota-one/locales/en-US/ota-one.html',
        'nodes/ota-one/locales/en-US/ota-one.json',
        'nodes/ota-one/ota-one.html',
        'nodes/ota-one/ota-one.js',
        'nodes/ota-two/ota-two.js',
      ]);
      assert.match(await read('dist/nodes/ota-one/ota-one.js'), /require\("\.\.\/lib\/rules"\)/);
    });

    it('puts one script with all that it imports, and the style, in front of the form', async () => {
      const page = await read('dist/nodes/ota-one/ota-one.html');
      assert.match(page, /^<script type="text\/javascript">/);
      assert.match(page, /shared text/);
      assert.doesNotMatch(page, /\bimport\b/);
      assert.match(page, /<style>[^<]*\.ota-form/);
      assert.ok(page.endsWith(SOURCES['nodes/ota-one/ota-one.html']!));
    });

    it('gives each catalogue the texts that all nodes share', async () => {
      assert.deepEqual(JSON.parse(await read('dist/nodes/ota-one/locales/en-US/ota-one.json')), {
        'ota-one': { name: 'one' },
        common: { status: { ready: 'ready' } },
      });
    });

    it('leaves no other trace than dist', async () => {
      const left = (await fs.readdir(at('node_modules'))).length;
      assert.equal(left, 0);
    });
  });

  describe('done again', () => {
    beforeEach(create);
    afterEach(() => project.stop());

    it('leaves a fresh dist as it is', async () => {
      await buildProject(project.path);
      const before = await age();
      await buildProject(project.path);
      assert.equal(await age(), before);
    });

    it('builds again when a source is newer, or forced', async () => {
      await buildProject(project.path);
      await write('nodes/ota-two/ota-two.ts', 'export const two = 22;\n');
      await buildProject(project.path);
      assert.match(await read('dist/nodes/ota-two/ota-two.js'), /22/);
      const before = await age();
      await buildProject(project.path, { force: true });
      assert.ok((await age()) > before);
    });

    it('takes away what no source stands for any more', async () => {
      await buildProject(project.path);
      await fs.rm(at('nodes/ota-two'), { recursive: true });
      await write('dist/nodes/left/over.js', '');
      await buildProject(project.path);
      assert.deepEqual((await fs.readdir(at('dist/nodes'))).sort(), ['lib', 'ota-one']);
    });

    it('fails on a type error of the runtime and leaves dist as it was', async () => {
      await buildProject(project.path);
      await write('nodes/lib/rules.ts', "export const answer: number = 'many';\n");
      await assert.rejects(buildProject(project.path), /rules\.ts.*TS2322/s);
      assert.match(await read('dist/nodes/lib/rules.js'), /42/);
    });

    it("fails on a type error of the editor's script", async () => {
      await write('nodes/lib/red/editor/shared.ts', 'export function shared(): string {\n  return 1;\n}\n');
      await assert.rejects(buildProject(project.path), /shared\.ts.*TS2322/s);
    });

    it('fails on a catalogue that is no JSON, with its name', async () => {
      await write('nodes/ota-one/locales/en-US/ota-one.json', '{');
      await assert.rejects(buildProject(project.path), /ota-one\.json/);
    });
  });
});

/** The installed package in a real Node-RED: what the runtime and the editor find of it. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { languagesIn } from '../support/locales';
import { type NodeRed, startNodeRed } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { INSTALL_TIMEOUT_MS, installed, readManifest, ROOT, startInstalled } from './installed';

/** A set of GET /nodes: one file with its node types. */
interface NodeSet {
  readonly module: string;
  readonly name: string;
  readonly types: readonly string[];
  readonly enabled: boolean;
  readonly err?: unknown;
}

async function setsOf(red: NodeRed, module: string): Promise<NodeSet[]> {
  return ((await red.get('/nodes')) as NodeSet[]).filter((set) => set.module === module);
}

describe('the installed package in Node-RED', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let red: NodeRed;
  let name: string;
  let types: string[];

  before(async () => {
    const manifest = await readManifest();
    name = manifest.name;
    types = Object.keys(manifest['node-red'].nodes).sort();
    red = later(await startInstalled());
  });

  it('has each node type loaded and enabled, without an error', async () => {
    const sets = await setsOf(red, name);
    assert.deepEqual(sets.flatMap((set) => set.types).sort(), types);
    for (const set of sets) {
      assert.deepEqual(
        { type: set.name, enabled: set.enabled, err: set.err },
        { type: set.name, enabled: true, err: undefined },
      );
    }
  });

  it('starts without an error, or a warning about it, in the log', () => {
    const wrong = red.lines.filter((line) => /\[(error|fatal)\]|\[warn\].*ota/.test(line));
    assert.deepEqual(wrong, []);
  });

  it('offers an icon for each node', async () => {
    const icons = (await red.get('/icons')) as Record<string, string[]>;
    assert.deepEqual(
      icons[name]?.slice().sort(),
      types.map((type) => `${type}.svg`),
    );
  });

  it('serves each icon as SVG', async () => {
    const icons = (await red.get('/icons')) as Record<string, string[]>;
    for (const icon of icons[name] ?? []) {
      assert.match(await read(red, `/icons/${name}/${icon}`), /<svg/);
    }
  });

  for (const language of languagesIn()) {
    it(`has labels in ${language}`, async () => {
      for (const type of types) {
        const texts = (await red.get(`/nodes/${name}/${type}/messages?lng=${language}`)) as Record<
          string,
          object
        >;
        const file = path.join(ROOT, `dist/nodes/${type}/locales/${language}/${type}.json`);
        assert.deepEqual(texts, JSON.parse(await fs.readFile(file, 'utf8')), type);
        assert.ok(Object.keys(texts).length > 0);
      }
    });

    it(`has labels of all nodes in the editor's catalogue for ${language}`, async () => {
      const all = (await red.get(`/nodes/messages?lng=${language}`)) as Record<string, unknown>;
      for (const type of types) assert.ok(`${name}/${type}` in all, type);
    });

    it(`has help in ${language}`, async () => {
      const page = await fetch(`${red.url}/nodes`, {
        headers: { accept: 'text/html', 'accept-language': language },
      }).then((answer) => answer.text());
      for (const type of types) {
        const help = new RegExp(`<script[^>]*data-help-name="${type}"[^>]*>([\\s\\S]*?)</script>`).exec(
          page,
        )?.[1];
        assert.ok(help !== undefined && help.includes('<p>'), type);
        const file = path.join(ROOT, `nodes/${type}/locales/${language}/${type}.html`);
        const own = /<script[^>]*>([\s\S]*?)<\/script>/.exec(await fs.readFile(file, 'utf8'))?.[1];
        assert.equal(help.trim(), own?.trim(), `the language of the help of ${type}`);
      }
    });
  }

  it('gives the editor the definition of each node in an inline script', async () => {
    const page = String(await red.get('/nodes', 'text/html'));
    for (const type of types) {
      assert.match(page, new RegExp(`registerType\\(\\s*['"]${type}['"]`), type);
      assert.match(page, new RegExp(`data-template-name="${type}"`), type);
    }
  });

  it('offers its examples in the import dialog', async () => {
    const files = await fs.readdir(path.join(ROOT, 'examples'), { recursive: true });
    for (const file of files.filter((file) => file.endsWith('.json'))) {
      const entry = `/library/examples/flows/${name}/${file.replace(/\.json$/, '')}`;
      assert.deepEqual(
        JSON.parse(await read(red, encodeURI(entry))),
        JSON.parse(await fs.readFile(path.join(ROOT, 'examples', file), 'utf8')),
        file,
      );
    }
  });
});

describe('the package installed without scripts', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup();

  it('has each node type loaded', async () => {
    const { name, 'node-red': nodes } = await readManifest();
    const { folder } = await installed('--ignore-scripts');
    const directory = later(await temporaryFolder('ota-red-'));
    await fs.cp(path.join(folder, 'package.json'), path.join(directory.path, 'package.json'));
    await fs.symlink(path.join(folder, 'node_modules'), path.join(directory.path, 'node_modules'));
    const red = later(await startNodeRed({ userDir: directory.path }));
    const sets = await setsOf(red, name);
    assert.deepEqual(sets.flatMap((set) => set.types).sort(), Object.keys(nodes.nodes).sort());
    assert.deepEqual(
      sets.filter((set) => set.err !== undefined),
      [],
    );
  });
});

async function read(red: NodeRed, target: string): Promise<string> {
  const answer = await fetch(red.url + target);
  assert.equal(answer.status, 200, target);
  return answer.text();
}

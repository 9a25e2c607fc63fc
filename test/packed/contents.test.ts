/** What a user downloads: all that is needed, and nothing else. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { INSTALL_TIMEOUT_MS, installed, packedFiles, readManifest, ROOT } from './installed';
import { languagesIn } from '../support/locales';

describe('the package', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  let files: string[];

  before(async () => {
    files = await packedFiles();
  });

  it('holds dist, examples, README, CHANGELOG, LICENSE and package.json, and nothing else', () => {
    assert.deepEqual(
      [...new Set(files.map((file) => file.split('/')[0]))].sort(),
      ['CHANGELOG.md', 'LICENSE', 'README.md', 'dist', 'examples', 'package.json'].sort(),
    );
  });

  it('holds all that was built and all examples', async () => {
    const onDisk: string[] = [];
    for (const folder of ['dist', 'examples']) {
      const found = await fs.readdir(path.join(ROOT, folder), { recursive: true, withFileTypes: true });
      for (const entry of found) {
        if (entry.isFile()) onDisk.push(path.relative(ROOT, path.join(entry.parentPath, entry.name)));
      }
    }
    const packed = files.filter((file) => /^(dist|examples)\//.test(file));
    assert.deepEqual(packed, onDisk.sort());
  });

  it('holds no source, map or test', () => {
    assert.deepEqual(
      files.filter((file) => /\.(ts|tsx|map)$|\.test\.|\.editor\./.test(file)),
      [],
    );
  });

  it('holds every node type that it names, with page, texts in every language and icon', async () => {
    const { 'node-red': red } = await readManifest();
    for (const [type, script] of Object.entries(red.nodes)) {
      const folder = path.posix.dirname(script);
      const wanted = [script, `${folder}/${type}.html`];
      for (const language of languagesIn()) {
        for (const ending of ['json', 'html']) wanted.push(`${folder}/locales/${language}/${type}.${ending}`);
      }
      for (const file of wanted) assert.ok(files.includes(file), file);
    }
  });

  it('has no node type in dist that it does not name', async () => {
    const { 'node-red': red } = await readManifest();
    const built = files.flatMap((file) => /^dist\/nodes\/(ota-[a-z]+)\/\1\.js$/.exec(file)?.[1] ?? []);
    assert.deepEqual(built.sort(), Object.keys(red.nodes).sort());
  });

  it('has at most six dependencies', async () => {
    const { dependencies } = await readManifest();
    assert.ok(Object.keys(dependencies).length <= 6);
  });

  for (const npmArguments of [[], ['--ignore-scripts']]) {
    it(`installs with "npm install ${['--omit=dev', ...npmArguments].join(' ')}"`, async () => {
      const { packageFolder } = await installed(...npmArguments);
      const there = JSON.parse(await fs.readFile(path.join(packageFolder, 'package.json'), 'utf8')) as {
        version: string;
      };
      assert.equal(there.version, (await readManifest()).version);
    });
  }

  it('brings neither Node-RED nor a test tool along', async () => {
    const { folder } = await installed();
    const modules = await fs.readdir(path.join(folder, 'node_modules'));
    for (const name of ['node-red', 'mocha', 'typescript', 'aedes', 'tsx']) {
      assert.ok(!modules.includes(name), name);
    }
  });
});

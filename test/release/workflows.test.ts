/** What runs at GitHub is what runs here: the workflows hold no steps of their own that could differ. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { RUNTIMES } from '../../scripts/release/runtimes';
import { readManifest, ROOT } from '../packed/installed';

const FOLDER = path.join(ROOT, '.github', 'workflows');
/** The script that the workflows run. */
const check = (): Promise<string> => fs.readFile(path.join(ROOT, '.ci', 'run'), 'utf8');
const read = (name: string): Promise<string> => fs.readFile(path.join(FOLDER, name), 'utf8');

/** A job's part of a workflow. @throws where there is none */
function job(workflow: string, name: string): string {
  const [, text] = new RegExp(`\\n {2}${name}:\\n([^]*?)(?=\\n {2}(?:\\S|# )|$)`).exec(workflow) ?? [];
  if (text === undefined) throw new Error(`There is no job "${name}"`);
  return text;
}

describe('the workflows', () => {
  it('are test and release', async () => {
    assert.deepEqual((await fs.readdir(FOLDER)).sort(), ['release.yml', 'test.yml']);
  });

  for (const name of ['test.yml', 'release.yml']) {
    it(`${name} runs the whole check, before anything is published`, async () => {
      const steps = (await read(name)).split('\n').flatMap((line) => /^ +- run: (.*)$/.exec(line)?.[1] ?? []);
      const check = steps.findIndex((step) => step.endsWith('bash .ci/run'));
      const publish = steps.findIndex((step) => step.startsWith('npm publish'));
      assert.notEqual(check, -1);
      assert.equal(publish !== -1, name === 'release.yml');
      assert.ok(publish === -1 || publish > check);
      // In a job of its own, which waits for the check.
      if (publish !== -1) assert.match(await read(name), /\n {2}publish:\n {4}needs: check\n/);
    });
  }

  it('run every test on each release that is supported', async () => {
    const test = await read('test.yml');
    const runs = Array.from(test.matchAll(/^ +run: (\d+)$/gm), ([, run]) => Number(run));
    assert.deepEqual(
      runs,
      RUNTIMES.map((_runtime, i) => i + 1),
    );
    assert.match(test, /bash \.ci\/install\n[^]*npm run test:all -- --whole \$\{\{ matrix\.run \}\}/);
  });

  it('use actions by the full hash of a commit, with the release that it is', async () => {
    for (const name of await fs.readdir(FOLDER)) {
      const used = (await read(name)).split('\n').filter((line) => /^ +(- )?uses:/.test(line));
      assert.ok(used.length > 0, name);
      for (const line of used)
        assert.match(line, /uses: actions\/[a-z-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/, name);
    }
  });

  it('leave no credentials in the checkout, and run no install scripts', async () => {
    for (const name of await fs.readdir(FOLDER)) {
      for (const [, rest = ''] of (await read(name)).matchAll(/uses: actions\/checkout@.*\n([^]*?)\n {6}- /g))
        assert.match(rest, /^ {8}with:\n {10}persist-credentials: false$/, name);
    }
    const all = [await read('test.yml'), await read('release.yml'), await check()].join('\n');
    for (const [line] of all.matchAll(/^.*npm ci.*$/gm)) assert.match(line, /npm ci --ignore-scripts/);
  });

  it('publish the tarball that was tested, with provenance and without its scripts', async () => {
    const publish = job(await read('release.yml'), 'publish');
    assert.match(publish, /sha256sum --check --strict/);
    assert.match(publish, /npm publish \.\/release\/\*\.tgz --ignore-scripts --provenance/);
    assert.match(publish, /id-token: write/);
    assert.match(job(await read('release.yml'), 'check'), /bash \.ci\/run[^]*path: \.release\//);
    assert.match(job(await read('release.yml'), 'attach'), /gh release create .* release\/\*/);
  });

  it('have a secret only where no code runs but that of npm', async () => {
    assert.doesNotMatch(await read('test.yml'), /secrets\./);
    const release = await read('release.yml');
    for (const name of ['check', 'attach']) assert.doesNotMatch(job(release, name), /secrets\./, name);
    const publish = job(release, 'publish');
    assert.match(publish, /secrets\.NPM_TOKEN/);
    assert.doesNotMatch(publish, /checkout|npm (ci|install|run|exec)|npx|\.ci\//);
    assert.doesNotMatch(job(release, 'check'), /: write/);
  });

  it('run scripts that there are', async () => {
    const { scripts } = await readManifest();
    const named = Array.from(
      (await check()).matchAll(/npm run (?:-s )?([\w:]+)/g),
      ([, script]) => script ?? '',
    );
    assert.deepEqual([...new Set(named)], ['check']);
    for (const script of named) assert.ok(scripts[script], script);
  });
});

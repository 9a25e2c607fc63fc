/** What runs at GitHub is what runs here: the workflows hold no steps of their own that could differ. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { RUNTIMES } from '../../scripts/release/runtimes';
import { readManifest, ROOT } from '../packed/installed';

const FOLDER = path.join(ROOT, '.github', 'workflows');
const read = (name: string): Promise<string> => fs.readFile(path.join(FOLDER, name), 'utf8');

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

  it('publish with provenance', async () => {
    const release = await read('release.yml');
    assert.match(release, /npm publish --provenance/);
    assert.match(release, /id-token: write/);
  });

  it('run scripts that there are', async () => {
    const { scripts } = await readManifest();
    const check = await fs.readFile(path.join(ROOT, '.ci', 'run'), 'utf8');
    const named = Array.from(check.matchAll(/npm run (?:-s )?([\w:]+)/g), ([, script]) => script ?? '');
    assert.deepEqual([...new Set(named)], ['check']);
    for (const script of named) assert.ok(scripts[script], script);
  });
});

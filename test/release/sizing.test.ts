/** The table of sizes in the documents is what its script computes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import { LANGUAGES, readPage } from '../support/docs';

const rowsOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^\| 1[0,]+ +\|/.test(line))
    .map((line) => line.replace(/ +/g, ' '));

describe('the sizes of fleets', () => {
  it('stand in the documents as their script computes them', () => {
    const script = path.join(ROOT, 'scripts/sizing.ts');
    const { stdout } = spawnSync(process.execPath, ['--import=tsx', script], { cwd: ROOT, encoding: 'utf8' });
    const computed = rowsOf(stdout);
    assert.equal(computed.length, 3);
    for (const language of LANGUAGES)
      assert.deepEqual(rowsOf(readPage(language, 'cluster')), computed, language);
  });
});

/** The table of sizes in the documents is what its script computes. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';

const rowsOf = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => /^\| 1[0,]+ +\|/.test(line))
    .map((line) => line.replace(/ +/g, ' '));

describe('the sizes of fleets', () => {
  it('stand in the documents as their script computes them', async () => {
    const script = path.join(ROOT, 'scripts/sizing.ts');
    const { stdout } = spawnSync(process.execPath, ['--import=tsx', script], { cwd: ROOT, encoding: 'utf8' });
    const computed = rowsOf(stdout);
    assert.equal(computed.length, 3);
    for (const language of ['en-US', 'zh-CN']) {
      const text = await fs.readFile(path.join(ROOT, 'docs', language, 'cluster.md'), 'utf8');
      assert.deepEqual(rowsOf(text), computed, language);
    }
  });
});

/** The library and SIGKILL: at any moment of add and remove, the next start has the old state or the new. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Library, type Package } from '../../nodes/lib/packages/library';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { random } from '../support/seed';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { BASE, digest, served } from './library-support';

const KILLS = Number(process.env.OTA_KILLS ?? 5);
const CHILD = path.join(__dirname, 'support', 'library-child.ts');

/** What the child said, as sets of ids. */
function told(lines: readonly string[]): { [verb: string]: string[][] } {
  const verbs: { [verb: string]: string[][] } = { added: [], removing: [], removed: [], moving: [] };
  for (const line of lines) {
    const [verb = '', ...words] = line.split(' ');
    verbs[verb]?.push(words);
  }
  return verbs;
}

describe('the library of packages, killed', () => {
  const later = cleanup();

  const killedAt = async (folder: string, ms: number): Promise<readonly string[]> => {
    const child = startChild(process.execPath, ['--import', 'tsx', CHILD, folder]);
    later({ stop: () => child.end('SIGKILL') });
    await until(() => child.lines.includes('ready'), `the child (${child.lines.join('\n')})`);
    await sleep(ms);
    await child.end('SIGKILL');
    return child.lines;
  };

  it('has each package whole or not at all, at any moment', async function () {
    this.timeout(240_000);
    const folder = later(await temporaryFolder()).path;
    const packages = path.join(folder, 'packages');
    for (let kill = 0; kill < KILLS; kill += 1) {
      const { added, removing, removed, moving } = told(await killedAt(folder, random() * 250));
      const { library, faults } = await Library.open(packages);
      assert.deepEqual(faults, []);
      const list = await library.list(BASE);
      const ids = new Set(list.map(({ id }) => id));
      for (const one of list) assert.equal(digest('sha256', await served(library, one)), one.sha256);
      const going = new Set(removing!.map(([id]) => id));
      for (const [id] of added!) assert.ok(going.has(id) || ids.has(id!), `the package ${id} was lost`);
      for (const [id] of removed!) assert.ok(!ids.has(id!), `the package ${id} is back`);
      await checkMoved(moving!, list, going.size);
      assert.deepEqual((await fs.readdir(packages)).sort(), [...ids].sort());
    }
  });
});

/** The last file that was on its way lies where it was, or is a package: never nowhere. */
async function checkMoved(moving: string[][], list: readonly Package[], gone: number): Promise<void> {
  const [sha256, filename] = moving.at(-1) ?? [];
  if (sha256 === undefined || filename === undefined) return;
  const there = await fs.readFile(filename).catch(() => null);
  const isPackage = list.some((one) => one.sha256 === sha256);
  assert.ok(isPackage || there !== null, `${filename} is nowhere (${gone} removed)`);
  if (there !== null) assert.equal(digest('sha256', there), sha256);
}

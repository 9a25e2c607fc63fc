/** CONTRIBUTING stays true: what it sends people to is there, and each room stands on its map. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { readManifest, ROOT } from '../packed/installed';
import { chapter, rowsOf } from '../support/docs';

const text = fs.readFileSync(path.join(ROOT, 'CONTRIBUTING.md'), 'utf8');
const FOLDERS = ['.ci', 'docs', 'examples', 'icons', 'nodes', 'scripts', 'test'];

/** Files and folders, from the root, with `/`. */
function everything(): string[] {
  return FOLDERS.flatMap((folder) => [
    folder,
    ...fs
      .readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => path.posix.join(folder, name.split(path.sep).join('/'))),
  ]);
}

/** `nodes/ota-x/locales/<language>/` stands for any node and any language, `*` for any name. */
function pattern(named: string): RegExp {
  const escaped = named
    .replace(/\/$/, '')
    .replaceAll(/[.+()]/g, '\\$&')
    .replaceAll('ota-x', 'ota-[a-z]+')
    .replaceAll(/<[a-z]+>|\*/g, '[^/]+');
  return new RegExp(`^${escaped}$`);
}

describe('CONTRIBUTING.md', () => {
  it('names files and folders that are there', () => {
    const all = everything();
    const named = Array.from(
      text.matchAll(/`((?:\.ci|docs|icons|nodes|scripts|test)\/[^`\s]*)`/g),
      ([, at = '']) => at,
    );
    assert.ok(named.length > 20);
    // What a release adds isn't there before.
    const missing = named.filter(
      (at) => !at.includes('<version>') && !all.some((file) => pattern(at).test(file)),
    );
    assert.deepEqual(missing, []);
  });

  it('has each room of nodes/lib on its map, and no other', () => {
    const rooms = fs.readdirSync(path.join(ROOT, 'nodes/lib')).map((name) => `nodes/lib/${name}/`);
    const mapped = rowsOf(chapter(text, 'A map of the rooms')).flatMap(
      ([cell = '']) => cell.match(/nodes\/lib\/\w+\//g) ?? [],
    );
    assert.deepEqual([...new Set(mapped)].sort(), rooms.sort());
  });

  it('names commands that package.json has', async () => {
    const { scripts } = await readManifest();
    const named = Array.from(text.matchAll(/`npm run ([\w:]+)/g), ([, script = '']) => script);
    for (const script of named) assert.ok(scripts[script], script);
  });
});

/** SECURITY.md: whatever it says is done has a test, and says what is left. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';

const SEEN_BY = 'seen by';
const LEFT = 'left to you';

interface Row {
  readonly line: number;
  readonly cells: ReadonlyMap<string, string>;
}

/** The rows of all tables, by the names of their columns. */
function rowsOf(text: string): Row[] {
  const rows: Row[] = [];
  let names: readonly string[] = [];
  text.split('\n').forEach((line, index) => {
    const cells = line.startsWith('|')
      ? line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim())
      : null;
    if (cells === null) names = [];
    else if (names.length === 0) names = cells;
    else if (!/^-+$/.test(cells[0] ?? '')) {
      rows.push({ line: index + 1, cells: new Map(names.map((name, i) => [name, cells[i] ?? ''])) });
    }
  });
  return rows;
}

describe('SECURITY.md', () => {
  const rows = rowsOf(fs.readFileSync(path.join(ROOT, 'SECURITY.md'), 'utf8'));

  it('has a table for each actor', () => {
    assert.ok(rows.length > 30, String(rows.length));
  });

  it('names for each attack the tests that try it, which there are', () => {
    for (const { line, cells } of rows) {
      const files = [...(cells.get(SEEN_BY) ?? '').matchAll(/`(test\/[^`]+)`/g)].map(
        ([, file]) => file ?? '',
      );
      assert.ok(files.length > 0, `line ${line}`);
      for (const file of files) assert.ok(fs.existsSync(path.join(ROOT, file)), `line ${line}: ${file}`);
    }
  });

  it('says for each what is left', () => {
    for (const { line, cells } of rows) {
      for (const [name, cell] of cells) assert.notEqual(cell, '', `line ${line}: ${name}`);
      assert.ok(cells.has(LEFT), `line ${line}`);
    }
  });
});

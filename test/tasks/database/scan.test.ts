import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type Scan, scanPage, type Slice } from '../../../nodes/lib/tasks/database/sqlite/scan';

interface Row {
  readonly token: string;
  readonly fits: boolean;
}

/** Rows of an index, in the order of tokens. */
function scanOf(index: readonly Row[]): Scan<string> {
  const part = ({ after, upTo }: Slice): string[] =>
    index
      .filter(({ token, fits }) => fits && token > after && (upTo === null || token <= upTo))
      .map(({ token }) => token);
  return {
    endOf: (after, size) => index.filter(({ token }) => token > after)[size - 1]?.token ?? null,
    count: (slice) => part(slice).length,
    rows: (slice, { limit, offset }) => part(slice).slice(offset, offset + limit),
  };
}

const index = fc
  .array(fc.boolean(), { maxLength: 60 })
  .map((all) => all.map((fits, i): Row => ({ token: `d${String(i).padStart(3, '0')}`, fits })));

describe('a page of a filter that is looked for in slices', () => {
  const asked = fc.record({ page: fc.integer({ min: 1, max: 6 }), pageSize: fc.integer({ min: 1, max: 9 }) });
  const size = fc.integer({ min: 1, max: 9 });

  it('has the rows that it would have in one look, and all are counted where there are few', async () => {
    await fc.assert(
      fc.asyncProperty(index, asked, size, async (all, { page, pageSize }, slice) => {
        const fitting = all.filter(({ fits }) => fits).map(({ token }) => token);
        const rows = fitting.slice((page - 1) * pageSize, page * pageSize);
        const found = await scanPage(scanOf(all), { page, pageSize }, { size: slice, most: 100 });
        assert.deepEqual(found, { total: fitting.length, rows });
      }),
    );
  });

  it('has them as well where not all are counted, and counts on past its end while more follow', async () => {
    await fc.assert(
      fc.asyncProperty(index, asked, size, async (all, { page, pageSize }, slice) => {
        const fitting = all.filter(({ fits }) => fits).map(({ token }) => token);
        const end = page * pageSize;
        const found = await scanPage(scanOf(all), { page, pageSize }, { size: slice, most: 1 });
        assert.deepEqual(found.rows, fitting.slice(end - pageSize, end));
        assert.ok(found.total <= fitting.length);
        assert.equal(found.total > end, fitting.length > end);
      }),
    );
  });
});

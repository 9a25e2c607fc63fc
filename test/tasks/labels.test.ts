import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  bucketOf,
  effectiveLabels,
  labelsFrom,
  NO_LABELS,
  relabelled,
  reported,
  timeline,
} from '../../nodes/lib/tasks/machine';
import { WALL } from './support';

const many = (n: number, from = 0): Record<string, string> =>
  Object.fromEntries(Array.from({ length: n }, (_, i) => [`l${String(from + i).padStart(2, '0')}`, 'x']));

describe('labels of a device', () => {
  it('of an operator beat its own, and stay when it reports', () => {
    const own = reported(NO_LABELS, { site: 'a', board: 'r1' });
    const set = relabelled(own, { site: 'b' });
    assert.ok(set);
    assert.deepEqual(effectiveLabels(set), { site: 'b', board: 'r1' });
    assert.deepEqual(effectiveLabels(reported(set, { site: 'c' })), { site: 'b' });
    const taken = relabelled(set, { site: null });
    assert.deepEqual(effectiveLabels(taken ?? NO_LABELS), { site: 'a', board: 'r1' });
  });

  it('are sixteen at most, and one more is refused', () => {
    const full = relabelled(NO_LABELS, many(16));
    assert.ok(full);
    assert.equal(relabelled(full, { more: 'x' }), null);
    assert.ok(relabelled(full, { more: 'x', l00: null }));
  });

  it('that it reports itself fill the room that is left', () => {
    const full = relabelled(NO_LABELS, many(14));
    assert.ok(full);
    assert.equal(Object.keys(effectiveLabels(reported(full, many(10, 14)))).length, 16);
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string()), fc.nat(16), (device, n) => {
        const labels = relabelled(NO_LABELS, many(n)) ?? NO_LABELS;
        assert.ok(Object.keys(effectiveLabels(reported(labels, device))).length <= 16);
      }),
    );
  });

  it('come from the fields of a report that are named, where they are flat', () => {
    const params = { version: 'v1', board: 'r1', lot: 7, lab: true, nested: {}, other: 'x' };
    assert.deepEqual(labelsFrom(params, ['board', 'lot', 'lab', 'nested', 'absent', 'toString']), {
      board: 'r1',
      lot: '7',
      lab: 'true',
    });
  });
});

describe('the timeline of a task', () => {
  it('keeps seconds at first, and at most some thousand buckets in a year', () => {
    assert.equal(bucketOf(WALL, WALL), WALL + 1000);
    assert.equal(bucketOf(WALL, WALL + 3_600_000), WALL + 3_660_000);
    const buckets = new Set<number>();
    for (let at = 0; at < 365 * 24 * 3_600_000; at += 30_000) buckets.add(bucketOf(WALL, WALL + at));
    assert.ok(buckets.size < 4000, String(buckets.size));
  });

  it('counts up, takes back what turned out otherwise, and ends with all', () => {
    const bucket = (at: number, succeeded: number, failed: number) => ({
      at,
      succeeded,
      failed,
      cancelled: 0,
    });
    const buckets = [bucket(1000, 2, 1), bucket(5000, 1, -1), bucket(11_000, 1, 0)];
    assert.deepEqual(
      timeline(buckets, 0, 10_000, 5).map(({ at, succeeded, failed }) => [at, succeeded, failed]),
      [
        [2000, 2, 1],
        [4000, 2, 1],
        [6000, 3, 0],
        [8000, 3, 0],
        [10_000, 4, 0],
      ],
    );
  });
});

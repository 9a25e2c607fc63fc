/** Bytes as steps of progress reports, and the waits between tries. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Progress } from '../../nodes/lib/packages/verify';
import { fullJitter } from '../../nodes/lib/packages/transfer/retry';
import { VERIFY } from '../../nodes/lib/rules';

describe('the steps of a download', () => {
  const steps = (share: number, events: readonly (readonly [number, number, number | null])[]): number[] => {
    const told: number[] = [];
    let now = 0;
    const progress = new Progress(
      share,
      ({ step }) => told.push(step),
      () => now,
    );
    for (const [at, bytes, total] of events) {
      now = at;
      progress.bytes(bytes, total);
    }
    progress.end();
    return told;
  };

  it('are at most four a second between the first and the end', () => {
    const events = Array.from({ length: 1000 }, (_, n) => [n, n, 1000] as const);
    assert.deepEqual(steps(90, events), [1, 22, 45, 67, 90]);
  });

  it('are told on a change only', () => {
    assert.deepEqual(
      steps(90, [
        [0, 500, 1000],
        [1000, 501, 1000],
        [2000, 502, 1000],
      ]),
      [45, 90],
    );
  });

  it('are the first and the end where the whole is not known', () => {
    assert.deepEqual(
      steps(90, [
        [0, 10, null],
        [1000, 20, null],
        [2000, 30, null],
      ]),
      [1, 90],
    );
  });

  it('are the first and the end where nothing had to be fetched', () => {
    assert.deepEqual(steps(90, []), [1, 90]);
  });

  it('rise within 1…share, whatever comes, and end there', () => {
    const event = fc.tuple(fc.nat(10_000), fc.nat(5000), fc.option(fc.nat(5000)));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 100 }), fc.array(event), (share, events) => {
        const told = steps(share, events);
        assert.deepEqual(
          told,
          [...told].sort((a, b) => a - b),
        );
        assert.ok(told[0]! >= 1 && told.at(-1) === share);
        assert.ok(told.slice(0, -1).every((step) => step < share || share === 1));
      }),
    );
  });
});

describe('the wait before a retry', () => {
  it('is anything up to 0.5 s, doubling to 30 s', () => {
    const longest = Array.from({ length: 10 }, (_, n) => fullJitter(n + 1, () => 1));
    assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    assert.equal(
      fullJitter(3, () => 0),
      0,
    );
    assert.equal(
      fullJitter(1_000_000, () => 1),
      30_000,
    );
  });

  it('outlasts a server that is gone for ten seconds, nearly always', () => {
    // Always the same numbers, spread evenly (Park and Miller).
    let state = 1;
    const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
    const lives = Array.from({ length: 1000 }, () => {
      let waited = 0;
      for (let retry = 1; retry <= VERIFY.retries.byDefault; retry += 1) waited += fullJitter(retry, random);
      return waited;
    });
    const outlasted = lives.filter((waited) => waited > 10_000).length;
    assert.ok(outlasted > 970, String(outlasted));
  });
});

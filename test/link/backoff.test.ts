import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Backoff } from '../../nodes/lib/link/backoff';

const SHORTEST = (): number => 0;
const LONGEST = (): number => 1;

describe('the back-off', () => {
  it('doubles from one second to thirty', () => {
    const backoff = new Backoff();
    const waits = Array.from({ length: 7 }, () => backoff.next(false, LONGEST));
    assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  });

  it('begins with five seconds after a refusal', () => {
    const backoff = new Backoff();
    const waits = Array.from({ length: 4 }, () => backoff.next(true, LONGEST));
    assert.deepEqual(waits, [5000, 10_000, 20_000, 30_000]);
  });

  it('begins anew after a connection that stood', () => {
    const backoff = new Backoff();
    for (let i = 0; i < 5; i += 1) backoff.next();
    backoff.reset();
    assert.equal(backoff.next(false, LONGEST), 1000);
  });

  it('spreads each wait over its upper half, so that a fleet does not come back as one', () => {
    const shortest = new Backoff();
    const longest = new Backoff();
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(30), (random, tries) => {
        const between = new Backoff();
        for (let i = 0; i < tries; i += 1) between.next();
        const wait = between.next(false, () => random);
        shortest.reset();
        longest.reset();
        for (let i = 0; i < tries; i += 1) {
          shortest.next();
          longest.next();
        }
        const least = shortest.next(false, SHORTEST);
        const most = longest.next(false, LONGEST);
        assert.ok(wait >= least && wait <= most, `${wait} of ${least} to ${most}`);
        assert.equal(least * 2, most);
      }),
    );
  });
});

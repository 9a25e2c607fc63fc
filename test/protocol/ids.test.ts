/** Ids of what we send: ten digits, in 32 bits, never the same twice for one device. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createIdSource, nextId } from '../../nodes/lib/protocol';

/** A source whose clock the test turns, in tenths of a second. */
function withClock(start: number): { next: (token: string) => string; set: (tenths: number) => void } {
  let tenths = start;
  const next = createIdSource(() => tenths);
  return { next, set: (to) => (tenths = to) };
}

const NOW = 17_600_000_000;

describe('the ids of what is sent', () => {
  it('have exactly ten digits, at most 4294967295, at any time', () => {
    fc.assert(
      fc.property(fc.nat(Number.MAX_SAFE_INTEGER - 10), (tenths) => {
        const id = createIdSource(() => tenths)('a');
        assert.match(id, /^[1-4][0-9]{9}$/);
        assert.ok(Number(id) <= 4_294_967_295);
      }),
    );
  });

  it('are unique for a device within a tenth of a second', () => {
    const { next } = withClock(NOW);
    const ids = Array.from({ length: 1000 }, () => next('a'));
    assert.equal(new Set(ids).size, 1000);
  });

  it('may be the same for two devices: nothing is wasted on one that never repeats', () => {
    const { next } = withClock(NOW);
    assert.equal(next('a'), next('b'));
  });

  it('are not repeated after a restart', () => {
    const before = withClock(NOW);
    const first = [before.next('a'), before.next('a')];
    const after = withClock(NOW + 20);
    assert.ok(!first.includes(after.next('a')));
  });

  it('are not repeated after a thousand at once and a restart two seconds later', () => {
    const before = withClock(NOW);
    const after = withClock(NOW + 20);
    const all = [before, after].flatMap(({ next }) => Array.from({ length: 1000 }, () => next('a')));
    assert.equal(new Set(all).size, 2000);
  });

  it('go on after a burst ran ahead of the time', () => {
    const { next, set } = withClock(NOW);
    const ids = new Set(Array.from({ length: 5000 }, () => next('a')));
    for (let tenths = NOW; tenths < NOW + 100; tenths += 1) {
      set(tenths);
      ids.add(next('a'));
    }
    assert.equal(ids.size, 5100);
  });

  it('are not repeated where the clock goes backwards', () => {
    const { next, set } = withClock(NOW);
    const first = next('a');
    set(NOW - 36_000);
    assert.notEqual(next('a'), first);
    assert.ok(Number(next('b')) >= Number(first));
  });

  it('are not repeated by any steps of the clock and any mix of devices', () => {
    const step = fc.tuple(fc.integer({ min: -5, max: 5 }), fc.constantFrom('a', 'b', 'c'));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { next, set } = withClock(NOW);
        const seen = new Set<string>();
        let now = NOW;
        for (const [by, token] of steps) {
          set((now += by));
          const key = `${token} ${next(token)}`;
          assert.ok(!seen.has(key), key);
          seen.add(key);
        }
      }),
    );
  });

  it('differ between two instances whose clocks say the same, and after a restart with a clock that went back', () => {
    const sources = Array.from({ length: 20 }, () => withClock(NOW));
    const firsts = sources.map(({ next }) => next('a'));
    assert.equal(new Set(firsts).size, 20);
  });

  it('grow within a process, and go on at the beginning of the range behind its end', () => {
    const next = createIdSource(() => 0, 3_294_967_294);
    assert.deepEqual([next('a'), next('a'), next('a')], ['4294967294', '4294967295', '1000000000']);
  });

  it('come from one source for the whole process', () => {
    const ids = Array.from({ length: 100 }, () => nextId('shared'));
    assert.equal(new Set(ids).size, 100);
  });

  it('take tokens that objects have as names', () => {
    const { next } = withClock(NOW);
    for (const token of ['__proto__', 'constructor', 'toString']) {
      assert.notEqual(next(token), next(token));
    }
  });
});

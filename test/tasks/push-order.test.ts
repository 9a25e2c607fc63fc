import assert from 'node:assert/strict';
import fc from 'fast-check';
import { pushOrder } from '../../nodes/lib/tasks/engine/push-order';

const tokensOf = (count: number): string[] =>
  Array.from({ length: count }, (_, i) => `dev-${String(i).padStart(6, '0')}`);
const named = (tokens: readonly string[]): { tokens: string[]; sources: (string | null)[] } => ({
  tokens: [...tokens],
  sources: tokens.map((token) => `v-${token}`),
});

describe('the order in which the devices of a task are pushed to', () => {
  it('has each device once, with the version that it runs', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 3000 }), { minLength: 1, maxLength: 4 }),
        fc.boolean(),
        async (sizes, isListed) => {
          const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((sum, size) => sum + size, 0));
          const tokens = tokensOf(ends.at(-1) ?? 0);
          const ordered = await pushOrder(named(tokens), ends, isListed);
          assert.deepEqual([...ordered.tokens].sort(), tokens);
          assert.deepEqual(
            ordered.sources,
            ordered.tokens.map((token) => `v-${token}`),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it('leaves each device of a list in the wave in which it was named', async () => {
    const tokens = tokensOf(10_000);
    const ordered = await pushOrder(named(tokens), [100, 5000, 10_000], true);
    assert.deepEqual(ordered.tokens.slice(0, 100).sort(), tokens.slice(0, 100));
    assert.deepEqual(ordered.tokens.slice(5000).sort(), tokens.slice(5000));
  });

  it('draws each wave from all over a fleet', async () => {
    const ordered = await pushOrder(named(tokensOf(10_000)), [1000, 10_000], false);
    const tenths = new Set(ordered.tokens.slice(0, 1000).map((token) => token.slice(0, 'dev-00x'.length)));
    assert.equal(tenths.size, 10, 'each tenth of the fleet has a device in the first wave');
  });

  it('spreads neighbours: hardly two of them are among ten pushes', async () => {
    const ordered = await pushOrder(named(tokensOf(20_000)), [20_000], false);
    const numbers = ordered.tokens.map((token) => Number(token.slice('dev-'.length)));
    let near = 0;
    for (let i = 10; i < numbers.length; i += 1) {
      const recent = numbers.slice(i - 10, i);
      if (recent.some((other) => Math.abs(other - (numbers[i] ?? 0)) <= 2)) near += 1;
    }
    assert.ok(near < numbers.length / 20, `${near} of ${numbers.length} pushes follow a neighbour`);
  });
});

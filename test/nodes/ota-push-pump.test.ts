import assert from 'node:assert/strict';
import { Pump } from '../../nodes/ota-push/pump';

describe('the pump of ota-push', () => {
  it('goes on with one array where a flow has emptied another', async () => {
    const pump = new Pump({ window: 1, rate: 0 });
    const pushed: unknown[] = [];
    const emptied = ['x', 'y'];
    const waiting: (() => void)[] = [];
    const first = pump.run({
      tokens: emptied,
      push: (token, done) => {
        pushed.push(token);
        emptied.length = 1;
        waiting.push(done);
      },
    });
    const others = [['a', 'b'], ['c']].map((tokens) =>
      pump.run({
        tokens,
        push: (token, done) => {
          pushed.push(token);
          setImmediate(done);
        },
      }),
    );
    const freed = setInterval(() => waiting.shift()?.(), 1);
    await Promise.all([first, ...others]).finally(() => clearInterval(freed));
    assert.deepEqual(pushed.sort(), ['a', 'b', 'c', 'x']);
  });

  it('ends an array without tokens at once, and one that comes after its close', async () => {
    const pump = new Pump({ window: 1, rate: 0 });
    const push = (): void => assert.fail('nothing is to be pushed');
    assert.deepEqual(await pump.run({ tokens: [], push }), { devices: 0, left: 0 });
    pump.close();
    assert.deepEqual(await pump.run({ tokens: ['a', 'a', 'b'], push }), { devices: 2, left: 2 });
  });

  it('counts what a close leaves out of 100,000 tokens in turns with the event loop', async () => {
    const pump = new Pump({ window: 1, rate: 0 });
    const tokens = Array.from({ length: 100_000 }, (_, i) => `device-${i % 60_000}`);
    const ended = pump.run({ tokens, push: () => assert.fail('nothing is to be pushed') });
    pump.close();
    assert.deepEqual(await ended, { devices: 60_000, left: 60_000 });
  });

  it('waits without spinning for a push that the rate puts off for months', async () => {
    const warnings: string[] = [];
    const warned = ({ name }: Error): void => void warnings.push(name);
    process.on('warning', warned);
    const pump = new Pump({ window: 1, rate: 1e-8 });
    const ended = pump.run({ tokens: ['a', 'b'], push: (_token, done) => setImmediate(done) });
    // Warnings come in a later turn than what they warn of.
    await new Promise((resolve) => setTimeout(resolve, 50));
    pump.close();
    assert.deepEqual(await ended, { devices: 2, left: 1 });
    process.off('warning', warned);
    assert.deepEqual(warnings, []);
  });
});

import assert from 'node:assert/strict';
import { type Ended, ClientIdConflictDetector } from '../../nodes/lib/link/client-id-conflict';

const turnedOut = (stoodMs: number): Ended => ({ stoodMs, explained: false });

function verdicts(...ends: Ended[]): boolean[] {
  const detector = new ClientIdConflictDetector();
  return ends.map((end) => detector.ended(end));
}

describe('a conflict of client ids', () => {
  it('is three connections in a row that were closed without a word', () => {
    assert.deepEqual(verdicts(turnedOut(50), turnedOut(900), turnedOut(50)), [false, false, true]);
  });

  it('is seen where the other client takes its time, as a core MQTT node does', () => {
    assert.equal(verdicts(turnedOut(15_000), turnedOut(15_000), turnedOut(15_000)).at(-1), true);
  });

  it('goes on while it is called one', () => {
    assert.equal(verdicts(...Array.from({ length: 5 }, () => turnedOut(50))).at(-1), true);
  });

  const peace: [string, Ended][] = [
    ['a broker that was away', { stoodMs: null, explained: true }],
    ['a connection that stood for long', turnedOut(3_600_000)],
  ];
  for (const [what, between] of peace) {
    it(`is not what has ${what} in between`, () => {
      assert.equal(verdicts(turnedOut(50), turnedOut(50), between, turnedOut(50)).at(-1), false);
    });
  }

  it('is not what ends with an error each time, but an error does not end it', () => {
    const reset: Ended = { stoodMs: 50, explained: true };
    assert.equal(verdicts(reset, reset, reset, reset).at(-1), false);
    assert.equal(verdicts(turnedOut(50), turnedOut(50), reset, turnedOut(50)).at(-1), true);
  });
});

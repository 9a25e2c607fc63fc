/** The short form of the chaos run, see `npm run chaos` for the long one. */
import assert from 'node:assert/strict';
import { mosquittoMissing } from '../support/mosquitto';
import { runChaos } from './chaos';

interface Ran {
  readonly lines: readonly string[];
  readonly found: readonly string[];
}

describe('a platform under kills, cuts, deploys, a full disk, a locked store and a clock that jumps', function () {
  this.timeout(400_000);
  /** Side by side: each waits for its devices most of the time. */
  const runs = new Map<string, Promise<Ran>>();
  before(function () {
    mosquittoMissing(this);
    for (const [name, protocolVersion, seed] of [
      ['MQTT 5', 5, 3],
      ['MQTT 3.1.1', 4, 8],
    ] as const) {
      const running = run(protocolVersion, seed);
      // It may end while the other one's test waits; its own test tells what it ended with.
      running.catch(() => undefined);
      runs.set(name, running);
    }
  });
  // Whatever became of one, the other has stopped what it started.
  after(() => Promise.allSettled(runs.values()));

  for (const name of ['MQTT 5', 'MQTT 3.1.1']) {
    it(`brings every device to an end that its reports allow, with ${name}`, async () => {
      const ran = await runs.get(name);
      assert.deepEqual(ran?.found, [], ran?.lines.join('\n'));
    });
  }
});

async function run(protocolVersion: 4 | 5, seed: number): Promise<Ran> {
  const lines: string[] = [];
  const log = (line: string): void => void lines.push(line);
  // Other tests have the processors beside it.
  const lean = { seconds: 10, devices: 40, waitLimit: 10, patience: 14 };
  const found = await runChaos({ ...lean, seed, protocolVersion, log });
  return { lines, found };
}

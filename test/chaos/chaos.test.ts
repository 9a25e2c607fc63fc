/** The short form of the chaos run, see `npm run chaos` for the long one. */
import assert from 'node:assert/strict';
import { mosquittoMissing } from '../support/mosquitto';
import { runChaos } from './chaos';

describe('a platform under kills, cuts, deploys, a full disk, a locked store and a clock that jumps', function () {
  this.timeout(400_000);
  before(function () {
    mosquittoMissing(this);
  });

  for (const { protocolVersion, name, seed } of [
    { protocolVersion: 5, name: 'MQTT 5', seed: 3 },
    { protocolVersion: 4, name: 'MQTT 3.1.1', seed: 8 },
  ] as const) {
    it(`brings every device to an end that its reports allow, with ${name}`, async () => {
      const lines: string[] = [];
      const log = (line: string): void => void lines.push(line);
      const found = await runChaos({ seed, seconds: 10, protocolVersion, devices: 40, waitLimit: 10, log });
      assert.deepEqual(found, [], lines.join('\n'));
    });
  }
});

/** The short form; `npm run stops` takes 14 SIGTERMs and 40 deploys. */
import assert from 'node:assert/strict';
import { mosquittoMissing } from '../support/mosquitto';
import { runStops } from './stops';

describe('a platform that is ended and deployed under 2,000 reports a second', () => {
  before(function () {
    mosquittoMissing(this);
  });

  it('loses no report', async () => {
    const lines: string[] = [];
    const missing = await runStops({
      devices: 100,
      sigterms: 1,
      deploys: 3,
      log: (line) => lines.push(line),
    });
    assert.deepEqual(missing, [], lines.join('\n'));
  }).timeout(300_000);
});

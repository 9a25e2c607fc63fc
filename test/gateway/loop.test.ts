/** One upgrade for each point at which a gateway's Node-RED may be killed; `npm run gateway-loop` does many. */
import { mosquittoMissing } from '../support/mosquitto';
import { requireProgram } from '../support/missing';
import { Gateway } from './gateway';
import { POINTS, upgrade } from './loop';

describe('a gateway whose Node-RED is killed in the middle of an upgrade', function () {
  this.timeout(900_000);
  let gateway: Gateway | null = null;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    gateway = await Gateway.start();
  });
  after(() => gateway?.stop());

  for (const [i, point] of POINTS.entries()) {
    it(`ends it once when it was ${point}`, async () => {
      const plan = { version: `v1.${i + 1}`, point, brokerAway: point === 'reported', delayMs: 5 * i };
      await upgrade(gateway!, plan, String(2_000_000_000 + i));
    });
  }
});

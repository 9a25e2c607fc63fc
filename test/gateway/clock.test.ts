/** A gateway whose clock is wrong at boot and set later, in the middle of an upgrade. */
import assert from 'node:assert/strict';
import { cleanup } from '../support/cleanup';
import { requireFound, requireProgram } from '../support/missing';
import { mosquittoMissing } from '../support/mosquitto';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS, SPEED } from './gateway';

const HELD = 'held/ota_5fagent_5fpush.json';
const DAY = 86_400;
/** Seconds between now and a day of 1970. */
const IN_1970 = -Math.floor(Date.now() / 1000) + 10 * DAY;

describe('a gateway whose clock jumps in the middle of an upgrade', function () {
  this.timeout(900_000);
  const untilTheEnd = cleanup(after);
  let gateway: Gateway;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    requireFound(this, SPEED === 1 ? undefined : 'libfaketime', 'libfaketime', 'faketime');
    gateway = untilTheEnd(await Gateway.start());
  });

  const restart = async (): Promise<void> => {
    await gateway.kill();
    await gateway.boot();
  };
  const held = async (version: string, id: string): Promise<void> => {
    gateway.forget();
    await gateway.push(version, id);
    await until(() => gateway.read(HELD)?.includes(version), `${version} to be held`, PATIENCE_MS);
  };
  const endedOnce = async (version: string, installsBefore: number): Promise<void> => {
    await until(() => gateway.heard.versions.at(-1) === version, `${version} to be reported`, PATIENCE_MS);
    const steps = gateway.heard.steps.filter((step) => step < 0 || step === 100);
    assert.deepEqual(steps, [100], gateway.texts.join('\n'));
    const starts = gateway.installs().filter((line) => line.startsWith('start'));
    assert.equal(starts.length, installsBefore + 1);
    await until(() => gateway.read(HELD) === null, 'nothing to be in work', PATIENCE_MS);
  };
  const starts = (): number => gateway.installs().filter((line) => line.startsWith('start')).length;

  it('goes on after a power cut in 1970, and comes up with the right time', async () => {
    const before = starts();
    gateway.bootOffset = IN_1970;
    await restart();
    await held('v6.1', '7100000001');
    await gateway.release();
    await until(() => gateway.packages.requests('v6.1') > 0, 'the download', PATIENCE_MS);
    gateway.bootOffset = 0;
    await restart();
    await endedOnce('v6.1', before);
  });

  it('ends it once, where the clock is set from 1970 and put back while it is installed', async () => {
    const before = starts();
    gateway.setClock(IN_1970);
    await restart();
    gateway.installWith('sleep 2');
    await held('v6.2', '7100000002');
    gateway.setClock(0);
    await gateway.release();
    await until(() => starts() > before, 'the installer to start', PATIENCE_MS);
    gateway.setClock(-40 * DAY);
    await endedOnce('v6.2', before);
  });

  it('reports its end where the clock is set while the report waits for a broker that is away', async () => {
    const before = starts();
    gateway.setClock(IN_1970);
    gateway.installWith('sleep 1');
    await held('v6.3', '7100000003');
    await gateway.release();
    await until(() => starts() > before, 'the installer to start', PATIENCE_MS);
    await gateway.brokerAway();
    const waits = (): boolean | undefined =>
      gateway.read('reports/ota_5fagent_5fservice.json')?.includes('"step":100');
    await until(waits, 'the report to lie on disk', PATIENCE_MS);
    gateway.setClock(0);
    await gateway.brokerBack();
    await endedOnce('v6.3', before);
  });
});

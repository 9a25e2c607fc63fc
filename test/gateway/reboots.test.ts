/**
 * An installer that reboots the gateway at once, as many do, and the gateway comes up with the old version: an image
 * that doesn't boot. A reboot is a kill of Node-RED and of all processes of the installer at the same moment.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { requireProgram } from '../support/missing';
import { mosquittoMissing } from '../support/mosquitto';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS } from './gateway';

/** The installer's own process group is the whole of what runs apart from Node-RED. */
const REBOOT = 'kill -9 $(cat node-red.pid) -$(ps -o pgid= -p $$ | tr -d " ")';

describe('a gateway whose installer reboots it into the old version', function () {
  this.timeout(900_000);
  let gateway: Gateway | null = null;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    requireProgram(this, 'ps', 'procps');
    gateway = await Gateway.start(REBOOT);
  });
  after(() => gateway?.stop());

  it('is flashed three times at most, and reports one failure and the version that it runs', async () => {
    const it = gateway!;
    const notePid = (): void => fs.writeFileSync(path.join(it.userDir, 'node-red.pid'), String(it.red.pid));
    const flashes = (): number => it.installs().filter((line) => line.startsWith('start')).length;
    const failures = (): number[] => it.heard.steps.filter((step) => step < 0);
    notePid();
    it.forget();
    await it.push('v9.0', '5000000001');
    await until(() => it.read('held/ota_5fagent_5fpush.json')?.includes('v9.0'), 'the push', PATIENCE_MS);
    await it.release();
    while (failures().length === 0) {
      await until(() => failures().length > 0 || !it.red.running, 'a reboot, or the end', PATIENCE_MS);
      if (it.red.running) continue;
      fs.rmSync(path.join(it.userDir, 'running'), { recursive: true, force: true });
      await it.kill();
      await it.boot();
      notePid();
    }
    assert.deepEqual(failures(), [-1], it.texts.join('\n') + JSON.stringify(it.installs()));
    assert.ok(flashes() >= 1 && flashes() <= 3, `${flashes()} flashes`);
    assert.equal(it.installs().includes('twice'), false);
    assert.equal(it.heard.versions.at(-1), 'v1.0');
    assert.equal(it.heard.steps.includes(100), false);
    // Another upgrade goes through afterwards.
    it.installWith('exit 0');
    await it.push('v9.1', '5000000002');
    await until(
      () => it.read('held/ota_5fagent_5fpush.json')?.includes('v9.1'),
      'the next push',
      PATIENCE_MS,
    );
    await it.release();
    await until(() => it.heard.versions.at(-1) === 'v9.1', 'the next version', PATIENCE_MS);
    assert.deepEqual(failures(), [-1]);
  });
});

/** `npm start -- --cluster`: a task goes on after one of two instances was killed. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import { programsOf } from '../../scripts/demo/cluster';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { mosquittoMissing } from '../support/mosquitto';
import { requirePostgres } from '../support/postgres';
import { until } from '../support/wait';

const LIMIT_MS = 400_000;

describe('npm start -- --cluster', function () {
  this.timeout(LIMIT_MS + 60_000);
  const later = cleanup();

  before(function () {
    mosquittoMissing(this);
    requirePostgres(this);
  });

  it('upgrades every device once though one instance is killed in the middle, and leaves nothing behind', async () => {
    const script = path.join(ROOT, 'scripts/start.ts');
    const demo = startChild(process.execPath, ['--import=tsx', script, '--cluster', '--once'], { cwd: ROOT });
    later({ stop: () => demo.end('SIGTERM', 30_000) });
    await until(() => !demo.running, 'the demo to end by itself', LIMIT_MS);
    const told = demo.lines.join('\n');
    assert.equal(demo.process.exitCode, 0, told);
    const places = ['Killing instance 2: kill -9', 'only instance 1 is left', 'ended: 200 of 200 upgraded'];
    const found = places.map((text) => told.indexOf(text));
    assert.ok(!found.includes(-1), told);
    assert.deepEqual(
      [...found].sort((a, b) => a - b),
      found,
      'in this order',
    );
    const left = await fs.readdir(path.join(ROOT, '.demo'));
    assert.deepEqual(
      left.filter((name) => name.startsWith('cluster-')),
      [],
    );
  });
});

describe('npm start -- --cluster without its programs', () => {
  it('says what to install', () => {
    assert.throws(() => programsOf(null, null), /apt-get install postgresql mosquitto/);
    assert.throws(() => programsOf('/usr/sbin/mosquitto', null), /apt-get install postgresql$/);
  });
});

/** What lies on the disk, flushed, before the broker hears that it was received: seen by the system calls. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { startChild } from '../support/child';
import { requireProgram } from '../support/missing';
import { mosquittoMissing } from '../support/mosquitto';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS } from './gateway';

/** A PUBACK of MQTT 3.1.1 or 5, as strace shows the bytes. */
const PUBACK = /(write|writev|sendto|sendmsg)\(.*"@\\[234]/;

describe('an upgrade that a gateway received', function () {
  this.timeout(600_000);
  let gateway: Gateway | null = null;

  before(async function () {
    mosquittoMissing(this);
    requireProgram(this, 'flock', 'util-linux');
    requireProgram(this, 'strace');
    gateway = await Gateway.start();
  });
  after(() => gateway?.stop());

  it('is flushed, its file and its folder, before its PUBACK', async function () {
    const it = gateway!;
    const trace = path.join(it.userDir, 'trace.txt');
    const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg';
    const strace = startChild('strace', [
      '-f',
      '-s',
      '48',
      '-e',
      calls,
      '-o',
      trace,
      '-p',
      String(it.red.pid),
    ]);
    try {
      const attached = (): boolean => strace.lines.some((line) => line.includes('attached'));
      await until(() => attached() || !strace.running, 'strace to be attached', PATIENCE_MS);
      if (!strace.running) this.skip(); // not allowed to trace here: run this test in a container
      await it.push('v7.0', '7000000001');
      const lines = (): string[] => (fs.existsSync(trace) ? fs.readFileSync(trace, 'utf8').split('\n') : []);
      await until(() => lines().some((line) => PUBACK.test(line)), 'the PUBACK', PATIENCE_MS);
      const all = lines();
      const renamed = all.findIndex((line) => line.includes('rename') && line.includes('held/'));
      const acknowledged = all.findIndex((line) => PUBACK.test(line));
      assert.ok(renamed >= 0 && renamed < acknowledged, 'the file has its name before the PUBACK');
      const flushes = (part: readonly string[]): number =>
        part.filter((line) => line.includes('fsync')).length;
      assert.ok(flushes(all.slice(0, renamed)) >= 1, 'the file is flushed before it has its name');
      assert.ok(flushes(all.slice(renamed, acknowledged)) >= 1, 'its folder is flushed before the PUBACK');
    } finally {
      await strace.end('SIGTERM');
    }
  });
});

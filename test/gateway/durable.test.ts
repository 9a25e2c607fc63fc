/** What lies on the disk, flushed, before the broker hears of it or the flow gets it: seen by the system calls. */
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
/** The request for its package: the upgrade was handed out. */
const FETCHED = /(write|writev|sendto|sendmsg)\(.*"GET \/v7\.0/;
const REPORTED = /(write|writev|sendto|sendmsg)\(.*step\\":\\"100/;

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

  it('lies flushed, file and folder, before its PUBACK, its hand-out and the report of its end', async function () {
    const it = gateway!;
    const trace = path.join(it.userDir, 'trace.txt');
    const calls = 'trace=fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg';
    const pid = String(it.red.pid);
    const strace = startChild('strace', ['-f', '-s', '400', '-e', calls, '-o', trace, '-p', pid]);
    try {
      const attached = (): boolean => strace.lines.some((line) => line.includes('attached'));
      await until(() => attached() || !strace.running, 'strace to be attached', PATIENCE_MS);
      if (!strace.running) this.skip(); // not allowed to trace here: run this test in a container
      const lines = (): string[] => (fs.existsSync(trace) ? fs.readFileSync(trace, 'utf8').split('\n') : []);
      const seen = (what: RegExp): Promise<boolean> =>
        until(() => lines().some((line) => what.test(line)), String(what), PATIENCE_MS);
      await it.push('v7.0', '7000000001');
      await seen(PUBACK);
      await it.release();
      await seen(FETCHED);
      await until(() => it.heard.steps.includes(100), 'the report of its end', PATIENCE_MS);
      await seen(REPORTED);
      const all = lines();
      assertFlushed(all, 0, 'held/', PUBACK);
      assertFlushed(
        all,
        all.findIndex((line) => PUBACK.test(line)),
        'held/',
        FETCHED,
      );
      assertFlushed(
        all,
        all.findIndex((line) => FETCHED.test(line)),
        'reports/',
        REPORTED,
      );
    } finally {
      await strace.end('SIGTERM');
    }
  });
});

/** Between `from` and `then`: a flush, the rename in `folder`, and another flush. */
function assertFlushed(all: readonly string[], from: number, folder: string, then: RegExp): void {
  const end = all.findIndex((line) => then.test(line));
  const renamed = all.findIndex((line, i) => i >= from && line.includes('rename') && line.includes(folder));
  assert.ok(renamed >= 0 && renamed < end, `the file in ${folder} has its name before ${then}`);
  const flushes = (part: readonly string[]): number => part.filter((line) => line.includes('sync(')).length;
  assert.ok(
    flushes(all.slice(from, renamed)) >= 1,
    `the file in ${folder} is flushed before it has its name`,
  );
  assert.ok(flushes(all.slice(renamed, end)) >= 1, `the folder ${folder} is flushed before ${then}`);
}

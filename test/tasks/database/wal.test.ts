/** A store on a disk that takes its time: seen by the system calls of a process. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { SqliteStore } from '../../../nodes/lib/tasks/database';
import { startChild } from '../../support/child';
import { cleanup } from '../../support/cleanup';
import { requireProgram } from '../../support/missing';
import { temporaryFolder } from '../../support/temporary-folder';
import { until } from '../../support/wait';
import { Calls, inform } from './calls';

describe('a SQLite store on a slow disk', function () {
  this.timeout(120_000);
  const later = cleanup();
  before(function () {
    requireProgram(this, 'strace');
  });

  it('flushes what it writes, and its whole log, beside the event loop', async function () {
    const folder = later(await temporaryFolder('ota-wal-'));
    const file = path.join(folder.path, 'tasks.db');
    const trace = path.join(folder.path, 'trace.txt');
    const script = path.join(__dirname, 'wal-child.ts');
    const child = startChild(process.execPath, ['--import=tsx', script, file]);
    later({ stop: () => child.end('SIGKILL') });
    await until(() => child.lines.includes('opened'), 'the store', 60_000);
    const pid = String(child.process.pid);
    const strace = startChild('strace', ['-f', '-e', 'trace=fsync,fdatasync', '-o', trace, '-p', pid]);
    later({ stop: () => strace.end('SIGTERM') });
    const attached = (): boolean => strace.lines.some((line) => line.includes('attached'));
    await until(() => attached() || !strace.running, 'strace to be attached', 60_000);
    if (!strace.running) this.skip(); // not allowed to trace here: run this test in a container
    child.process.kill('SIGUSR2');
    await until(() => child.lines.includes('done'), `the end of ${child.lines.join('; ')}`, 60_000);
    await child.end('SIGKILL');
    await strace.end('SIGTERM');
    const threads = fs
      .readFileSync(trace, 'utf8')
      .split('\n')
      .filter((line) => /f(data)?sync\(/.test(line))
      .map((line) => line.split(' ')[0] ?? '');
    assert.ok(threads.length > 10, `${threads.length} flushes`);
    assert.deepEqual(
      threads.filter((thread) => thread === pid),
      [],
      'flushes that the event loop waits for',
    );
  });
});

describe('the log of a SQLite store', () => {
  const later = cleanup();

  it('is brought into the file while writes go on, and loses none of them', async () => {
    const folder = later(await temporaryFolder('ota-wal-'));
    const file = path.join(folder.path, 'tasks.db');
    const store = new SqliteStore({ file, checkpointAt: 50_000 });
    store.open();
    later({ stop: () => Promise.resolve(store.close()) });
    const calls = new Calls(store.tasks('s'));
    let largest = 0;
    let shrunk = 0;
    let n = 0;
    await until(async () => {
      await Promise.all([0, 1, 2, 3].map(async () => calls.report([inform(`d${(n += 1)}`, 'v1')])));
      const { size } = fs.statSync(`${file}-wal`);
      if (size < largest) shrunk += 1;
      largest = size;
      return shrunk >= 3;
    }, 'the log to be brought into the file three times');
    const tokens = Array.from({ length: n }, (_, i) => `d${i + 1}`);
    assert.equal(store.tasks('s').versions('default', tokens).size, n);
    // What the disk has, without the log of the process that is still there.
    const copy = path.join(folder.path, 'copy.db');
    for (const part of ['', '-wal']) fs.copyFileSync(file + part, copy + part);
    const left = new SqliteStore({ file: copy });
    left.open();
    later({ stop: () => Promise.resolve(left.close()) });
    assert.equal(left.tasks('s').versions('default', tokens).size, n);
  });
});

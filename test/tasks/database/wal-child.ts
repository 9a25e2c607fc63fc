/** A store in a process of its own, to be traced: after SIGUSR2 it writes until its log was brought into the file. */
import fs from 'node:fs';
import { SqliteStore } from '../../../nodes/lib/tasks/database';
import { Calls, inform } from './calls';

const [file = ''] = process.argv.slice(2);
const store = new SqliteStore({ file, checkpointAt: 100_000 });
store.open();
const calls = new Calls(store.tasks('s'));

async function write(): Promise<void> {
  let largest = 0;
  for (let n = 0; ; n += 1) {
    await calls.report([inform(`d${n}`, 'v1')]);
    const { size } = fs.statSync(`${file}-wal`);
    if (size < largest) break;
    largest = size;
  }
  console.log('done');
}

process.once('SIGUSR2', () => void write());
console.log('opened');
// Signals alone keep no process alive.
setInterval(() => undefined, 1000);

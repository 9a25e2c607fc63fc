#!/usr/bin/env node
/**
 * `node-red-ota-store copy FROM TO`: moves what a store has from a SQLite file to PostgreSQL, or back. To be run while
 * no Node-RED uses either.
 */
import { toOtaError } from '../../protocol';
import { type CopyEnd, copyStore, openCopyEnd } from './copy';

const USAGE = `node-red-ota-store copy FROM TO

FROM and TO are a SQLite file (ota/tasks.db in Node-RED's user directory), or
postgresql://user:password@host:5432/database?schema=ota

Stop Node-RED first. TO must be empty. Tasks that run arrive paused.`;
const WIDTH = 30;

async function main([action, from, to, ...rest]: readonly string[]): Promise<number> {
  if (action !== 'copy' || from === undefined || to === undefined || rest.length > 0) {
    process.stderr.write(`${USAGE}\n`);
    return 2;
  }
  const ends: CopyEnd[] = [];
  try {
    const source = await openCopyEnd(from, true);
    ends.push(source);
    const target = await openCopyEnd(to, false);
    ends.push(target);
    const copied = await copyStore(source, target, bar);
    process.stderr.write('\n');
    for (const { table, from: before, to: after } of copied) {
      process.stdout.write(
        `${table.padEnd(16)} ${before} -> ${after}${before === after ? '' : '  DIFFERENT'}\n`,
      );
    }
    const isSame = copied.every(({ from: before, to: after }) => before === after);
    process.stdout.write(isSame ? 'All is there. Tasks that ran are paused.\n' : 'Something is missing.\n');
    return isSame ? 0 : 1;
  } catch (error) {
    const { code, message } = toOtaError(error);
    process.stderr.write(`\n${code}: ${message}\n`);
    return 1;
  } finally {
    for (const end of ends) await end.close();
  }
}

function bar(done: number, total: number, table: string): void {
  const filled = Math.round((done / Math.max(1, total)) * WIDTH);
  const line = `[${'#'.repeat(filled)}${' '.repeat(WIDTH - filled)}] ${done}/${total} ${table}`;
  process.stderr.write(`\r${line.padEnd(WIDTH + 40)}`);
}

void main(process.argv.slice(2)).then((code) => (process.exitCode = code));

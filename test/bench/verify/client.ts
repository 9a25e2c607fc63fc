/**
 * A process that verifies packages once and prints what it took as JSON: fresh for each measurement, so that
 * peak memory is that of this one. argv: a Task as JSON; says "ready" and begins at the first line on stdin.
 */
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import fs from 'node:fs/promises';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { Verifier } from '../../../nodes/lib/packages/verify';
import type { SignMethod } from '../../../nodes/lib/protocol';
import { peakMiB } from '../../support/peak-memory';
import { MIB } from './body';

export interface Task {
  readonly url: string;
  readonly mebibytes: number;
  readonly method: SignMethod;
  readonly sign: string;
  readonly directory: string;
  /** How many at once, each a file of its own. */
  readonly downloads: number;
  /** Looks every millisecond what the loop did; costs a little. */
  readonly watched: boolean;
}

export interface Took {
  /** From the call to the answer, without fsync. */
  readonly ms: number;
  /** Of all threads, user and system. */
  readonly cpuMs: number;
  readonly fsyncMs: number;
  readonly peakMiB: number;
  readonly lagP99Ms: number;
  readonly lagMaxMs: number;
  /**
   * The most processor time of the main thread between two turns of its loop: a block that is ours, and not
   * the machine's, which had others to serve. Null where it wasn't watched, or can't be (it needs Linux).
   */
  readonly blockMs: number | null;
  /** How long the main thread waited for a processor in all; null as above. */
  readonly queuedMs: number | null;
}

async function run(task: Task): Promise<Took> {
  const fsync = await timeFsync(task.directory);
  const verifier = new Verifier({
    source: 'url',
    owner: 'bench',
    directory: task.directory,
    retries: 0,
    stallMs: 30_000,
    totalMs: 600_000,
    maxBytes: task.mebibytes * MIB,
    requireSign: true,
    allowedHosts: [],
    allowLocal: true,
    maxRedirects: 0,
    publicKeys: [],
    rollback: 'off',
    concurrency: task.downloads,
    keep: task.downloads,
    onFault: (error) => console.error(error),
  });
  console.log('ready');
  await once(process.stdin, 'data');
  const turns = task.watched ? watchTurns() : null;
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  // Its first values are of its own start.
  await delay(20);
  lag.reset();
  const cpu = process.cpuUsage();
  const started = performance.now();
  await Promise.all(Array.from({ length: task.downloads }, (_, index) => verifyOne(verifier, task, index)));
  const ms = performance.now() - started;
  const { user, system } = process.cpuUsage(cpu);
  await delay(5);
  lag.disable();
  const { blockMs = null, queuedMs = null } = turns?.() ?? {};
  await verifier.close();
  process.stdin.destroy();
  return {
    ms: ms - fsync.ms,
    cpuMs: (user + system) / 1000 - fsync.cpuMs,
    fsyncMs: fsync.ms,
    peakMiB: peakMiB(),
    lagP99Ms: lag.percentile(99) / 1e6,
    lagMaxMs: lag.max / 1e6,
    blockMs,
    queuedMs,
  };
}

/** @returns ends it and tells; undefined where the kernel doesn't say */
function watchTurns(): () => { blockMs: number; queuedMs: number } | undefined {
  const file = '/proc/self/schedstat';
  if (!existsSync(file)) return () => undefined;
  const descriptor = openSync(file, 'r');
  const buffer = Buffer.alloc(100);
  const look = (): number[] => {
    const length = readSync(descriptor, buffer, 0, buffer.length, 0);
    return buffer.toString('latin1', 0, length).split(' ').map(Number);
  };
  const [ran = NaN, queued = NaN] = look();
  let before = ran;
  let most = 0;
  const timer = setInterval(() => {
    const [now = NaN] = look();
    most = Math.max(most, now - before);
    before = now;
  }, 1);
  return () => {
    clearInterval(timer);
    const [, queuedNow = NaN] = look();
    closeSync(descriptor);
    return { blockMs: most / 1e6, queuedMs: (queuedNow - queued) / 1e6 };
  };
}

function verifyOne(verifier: Verifier, task: Task, index: number): Promise<unknown> {
  const { url, mebibytes, method, sign } = task;
  const upgrade = { module: `M${index}`, version: '1', size: mebibytes * MIB, url, signMethod: method, sign };
  return verifier.verify({ upgrade, onBytes: () => {} });
}

interface Synced {
  sync: (this: unknown) => Promise<void>;
}

/** Counts what it costs to wait until a file is on the disk: the pipe doesn't do that. */
async function timeFsync(directory: string): Promise<{ ms: number; cpuMs: number }> {
  const spent = { ms: 0, cpuMs: 0 };
  const handle = await fs.open(directory, 'r');
  const prototype = Object.getPrototypeOf(handle) as Synced;
  await handle.close();
  const sync = prototype.sync;
  prototype.sync = async function () {
    const started = performance.now();
    const cpu = process.cpuUsage();
    await sync.call(this);
    const { user, system } = process.cpuUsage(cpu);
    spent.ms += performance.now() - started;
    spent.cpuMs += (user + system) / 1000;
  };
  return spent;
}

void run(JSON.parse(process.argv[2] ?? '{}') as Task).then((took) => console.log(JSON.stringify(took)));

/**
 * ota-verify against `curl | tee file | openssl dgst`: speed, CPU, peak memory, lag of the event loop. By
 * itself: `tsx test/bench/verify.ts [--quick]`.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import readline from 'node:readline';
import { promisify } from 'node:util';
import { HASH_NAME, type SignMethod } from '../../nodes/lib/protocol';
import { temporaryFolder } from '../support/temporary-folder';
import { median, printTable, type Row } from './table';
import { digestOf, MIB } from './verify/body';
import type { Task, Took } from './verify/client';

export interface VerifyBenchOptions {
  /** A smaller package and fewer runs: shows that it works, proves nothing. */
  readonly quick?: boolean;
  readonly say?: (line: string) => void;
}

const SMALL_MIB = 16;
const GOALS: { readonly [method in SignMethod]: number } = { SHA256: 1.2, Md5: 1.0 };
const MORE_MIB = 32;
const PEAK_MIB = 160;
const LAG_MS = 50;

/** Runs all of it. @returns rows for the table */
export async function benchVerify(options: VerifyBenchOptions = {}): Promise<Row[]> {
  const { quick = false, say = () => {} } = options;
  const [mebibytes, runs] = quick ? [128, 3] : [1024, 5];
  const folder = await temporaryFolder('ota-bench-');
  const server = startProcess('server');
  try {
    const url = `http://127.0.0.1:${await server.next()}`;
    const bench = new Bench({ url, folder: folder.path, mebibytes, runs, say });
    return [...(await bench.speed('SHA256')), ...(await bench.speed('Md5')), ...(await bench.rest())];
  } finally {
    await server.end();
    await folder.stop();
  }
}

interface Setting {
  readonly url: string;
  readonly folder: string;
  readonly mebibytes: number;
  readonly runs: number;
  readonly say: (line: string) => void;
}

interface PipeTook {
  readonly ms: number;
  readonly cpuMs: number;
  readonly fsyncMs: number;
}

class Bench {
  readonly #setting: Setting;
  readonly #large: Took[] = [];

  constructor(setting: Setting) {
    this.#setting = setting;
  }

  /** Both sides in turn. */
  async speed(method: SignMethod): Promise<Row[]> {
    const { mebibytes, runs, say } = this.#setting;
    const sign = digestOf(mebibytes, method);
    const ours: Took[] = [];
    const pipe: PipeTook[] = [];
    for (let run = 1; run <= runs; run += 1) {
      ours.push(await this.#verify({ mebibytes, method, sign, downloads: 1, watched: false }));
      pipe.push(await this.#pipe(method, sign));
      const [a, b] = [ours.at(-1)?.ms ?? NaN, pipe.at(-1)?.ms ?? NaN];
      say(`${method} ${run} of ${runs}: ota-verify ${a.toFixed()} ms, pipe ${b.toFixed()} ms`);
    }
    this.#large.push(...ours);
    const row = (what: string, of: 'ms' | 'cpuMs' | 'fsyncMs', goal: number | null): Row => {
      const [a, b] = [median(ours.map((took) => took[of])), median(pipe.map((took) => took[of]))];
      return {
        what: `${method}, ${mebibytes} MiB: ${what}`,
        ours: `${a.toFixed()} ms`,
        other: `${b.toFixed()} ms`,
        result: (b / a).toFixed(2),
        goal: goal === null ? '' : `>= ${goal.toFixed(1)}`,
        reached: goal === null ? null : b / a >= goal,
      };
    };
    return [
      row('time', 'ms', GOALS[method]),
      row('CPU without the server', 'cpuMs', null),
      row('fsync, apart', 'fsyncMs', null),
    ];
  }

  /** Memory and the event loop. */
  async rest(): Promise<Row[]> {
    const { mebibytes, runs } = this.#setting;
    const many = async (size: number, downloads: number): Promise<Took[]> => {
      const sign = digestOf(size, 'SHA256');
      const took: Took[] = [];
      for (let run = 0; run < runs; run += 1) {
        took.push(await this.#verify({ mebibytes: size, method: 'SHA256', sign, downloads, watched: true }));
      }
      return took;
    };
    const small = await many(SMALL_MIB, 1);
    const one = await many(mebibytes, 1);
    const two = await many(mebibytes, 2);
    const peaks = this.#large.map((took) => took.peakMiB);
    const least = median(small.map((took) => took.peakMiB));
    const limit = (what: string, value: number, goal: number, unit: string): Row => ({
      what,
      ours: '',
      other: '',
      result: `${value.toFixed(1)} ${unit}`,
      goal: `<= ${goal} ${unit}`,
      reached: value <= goal,
    });
    const told = (what: string, value: string): Row => {
      return { what, ours: '', other: '', result: value, goal: '', reached: null };
    };
    const lag = (what: string, runs: readonly Took[]): Row[] => {
      const queued = median(runs.map((took) => (took.queuedMs ?? NaN) / took.ms));
      const rows = [
        limit(`${what}: lag p99, median of runs`, median(runs.map((took) => took.lagP99Ms)), LAG_MS, 'ms'),
        told(`${what}: longest lag, median`, `${median(runs.map((took) => took.lagMaxMs)).toFixed(1)} ms`),
      ];
      if (Number.isNaN(queued)) return rows;
      const block = Math.max(...runs.map((took) => took.blockMs ?? NaN));
      rows.push(limit(`${what}: longest own work in one turn, of all runs`, block, LAG_MS, 'ms'));
      rows.push(told(`${what}: share of time without a processor`, `${(queued * 100).toFixed()} %`));
      return rows;
    };
    return [
      limit(`peak memory at ${mebibytes} MiB, highest of all runs`, Math.max(...peaks), PEAK_MIB, 'MiB'),
      limit(`and above that at ${SMALL_MIB} MiB, medians`, median(peaks) - least, MORE_MIB, 'MiB'),
      ...lag('one download', one),
      ...lag('two at once', two),
    ];
  }

  async #verify(task: Omit<Task, 'url' | 'directory'>): Promise<Took> {
    const { url, folder } = this.#setting;
    const directory = await fs.mkdtemp(path.join(folder, 'verify-'));
    const full: Task = { ...task, directory, url: `${url}/${task.mebibytes}` };
    const client = startProcess('client', JSON.stringify(full));
    try {
      await client.next();
      await this.#warmUp(task.mebibytes * task.downloads);
      client.begin();
      return JSON.parse(await client.next()) as Took;
    } finally {
      await client.end();
      await fs.rm(directory, { recursive: true });
    }
  }

  async #pipe(method: SignMethod, sign: string): Promise<PipeTook> {
    const { url, folder, mebibytes } = this.#setting;
    const file = path.join(folder, 'pipe.bin');
    await this.#warmUp(mebibytes);
    const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-c', PIPE], {
      env: {
        PATH: process.env['PATH'],
        LC_ALL: 'C',
        URL: `${url}/${mebibytes}`,
        FILE: file,
        DIGEST: `-${HASH_NAME[method]}`,
      },
    });
    if (!stdout.includes(sign)) throw new Error(`The pipe failed: ${stdout}${stderr}`);
    const [real = NaN, user = NaN, system = NaN] = stderr.trim().split(' ').map(Number);
    const fsyncMs = await fsync(file);
    await fs.rm(file);
    return { ms: real * 1000, cpuMs: (user + system) * 1000, fsyncMs };
  }

  /**
   * Writes as much and removes it: in a virtual machine, memory that is used for the first time since a while
   * is slow, and whoever comes first would pay for both.
   */
  async #warmUp(mebibytes: number): Promise<void> {
    const file = path.join(this.#setting.folder, 'warm-up.bin');
    const handle = await fs.open(file, 'w');
    const piece = Buffer.alloc(4 * MIB, 1);
    for (let done = 0; done < mebibytes; done += 4) await handle.write(piece);
    await handle.close();
    await fs.rm(file);
  }
}

const PIPE =
  'set -o pipefail; TIMEFORMAT="%R %U %S"; time (curl -sS "$URL" | tee "$FILE" | openssl dgst "$DIGEST")';

async function fsync(file: string): Promise<number> {
  const handle = await fs.open(file, 'r+');
  const started = performance.now();
  await handle.sync();
  const ms = performance.now() - started;
  await handle.close();
  return ms;
}

interface Process {
  /** Its next line. */
  next(): Promise<string>;
  begin(): void;
  end(): Promise<void>;
}

function startProcess(name: string, ...args: string[]): Process {
  const script = path.join(__dirname, 'verify', `${name}.ts`);
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const gone = once(child, 'exit');
  const lines = readline.createInterface(child.stdout)[Symbol.asyncIterator]();
  return {
    async next() {
      const line = await lines.next();
      if (line.done === true) throw new Error(`The ${name} ended too early.`);
      return line.value;
    },
    begin: () => void child.stdin.write('begin\n'),
    async end() {
      child.kill();
      await gone;
    },
  };
}

if (require.main === module) {
  const quick = process.argv.includes('--quick');
  void benchVerify({ quick, say: (line) => console.error(line) }).then((rows) =>
    console.log(printTable(rows)),
  );
}

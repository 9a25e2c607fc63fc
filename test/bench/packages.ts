/**
 * Packages served and fetched: ota-package beside nginx and beside core nodes; a download that is cut beside one
 * that isn't; the event loop while packages come. By itself: `tsx test/bench/packages.ts [--quick]`.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from '../../scripts/build';
import { type Nginx, startNginx } from '../support/nginx';
import { startTcpProxy } from '../support/tcp-proxy';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import type { Order, Took } from './packages/client';
import { startCore, startOurs } from './packages/servers';
import { machine } from './machine';
import { median, printTable, type Row } from './table';

export interface PackagesBenchOptions {
  /** A smaller package and fewer runs: shows that it works, proves nothing. */
  readonly quick?: boolean;
  readonly say?: (line: string) => void;
}

const MIB = 1024 * 1024;
const CORE_MIB = 64;
const DEVICES = 4;
const CUTS = [0.25, 0.5, 0.75];
const DEFAULT_CONCURRENCY = 2;
const LAG_MS = 50;

/** Runs all of it. @returns rows for the table */
export async function benchPackages(options: PackagesBenchOptions = {}): Promise<Row[]> {
  const { quick = false, say = () => {} } = options;
  const folder = await temporaryFolder('ota-bench-packages-');
  const nginx = await startNginx(folder.path);
  try {
    const bench = new Bench(folder.path, nginx, quick ? 128 : 1024, quick ? 3 : 5, say);
    await bench.prepare();
    return [
      ...(await bench.besideNginx()),
      ...(await bench.besideCore()),
      ...(await bench.resumed()),
      ...(await bench.lag()),
    ];
  } finally {
    await nginx.stop();
    await folder.stop();
  }
}

class Bench {
  readonly #folder: string;
  readonly #nginx: Nginx;
  readonly #size: number;
  readonly #runs: number;
  readonly #say: (line: string) => void;
  #sha256 = '';

  constructor(folder: string, nginx: Nginx, mebibytes: number, runs: number, say: (line: string) => void) {
    this.#folder = folder;
    this.#nginx = nginx;
    this.#size = mebibytes * MIB;
    this.#runs = runs;
    this.#say = say;
  }

  async prepare(): Promise<void> {
    this.#sha256 = await writeFile(this.#file('large.bin'), this.#size);
    await writeFile(this.#file('small.bin'), CORE_MIB * MIB);
  }

  async besideNginx(): Promise<Row[]> {
    const ours = await startOurs(path.join(this.#folder, 'ours'), await this.#copy('large.bin'));
    try {
      const times = await this.#inTurn('served', {
        ours: () => fetchAll([ours.url]),
        other: () => fetchAll([`${this.#nginx.url}/large.bin`]),
      });
      const speed = (ms: number): string => `${(this.#size / MIB / (ms / 1000)).toFixed()} MiB/s`;
      const what = `ota-package serves ${this.#size / MIB} MiB: nginx`;
      return [ratio(what, speed(times.ours), speed(times.other), times.other / times.ours, 0.5)];
    } finally {
      await ours.stop();
    }
  }

  /** One Node-RED a side; memory is what is needed above what it has at rest, by several devices at once. */
  async besideCore(): Promise<Row[]> {
    const ours = await startOurs(path.join(this.#folder, 'ours-small'), await this.#copy('small.bin'));
    const core = await startCore(path.join(this.#folder, 'core'), this.#file('small.bin'));
    try {
      const times = await this.#inTurn('beside core nodes', {
        ours: () => fetchAll([ours.url]),
        other: () => fetchAll([core.url]),
      });
      const many = (url: string): string[] => Array.from({ length: DEVICES }, () => url);
      const mine = await ours.memory(() => fetchAll(many(ours.url)));
      const theirs = await core.memory(() => fetchAll(many(core.url)));
      const what = `${CORE_MIB} MiB by ota-package: http in, file, http response`;
      const ms = (value: number): string => `${value.toFixed()} ms`;
      const mib = (value: number): string => `${value.toFixed()} MiB`;
      return [
        ratio(`${what}: time`, ms(times.ours), ms(times.other), times.other / times.ours, 1),
        {
          what: `${what}: more memory for ${DEVICES} devices`,
          ours: mib(mine),
          other: mib(theirs),
          result: `${(mine - theirs).toFixed()} MiB`,
          goal: 'less',
          reached: mine < theirs,
        },
      ];
    } finally {
      await ours.stop();
      await core.stop();
    }
  }

  /** Through the same proxy, which cuts one of them. The wait before a retry isn't counted. */
  async resumed(): Promise<Row[]> {
    const proxy = await startTcpProxy(this.#nginx.port);
    const url = `http://127.0.0.1:${proxy.port}/large.bin`;
    const sent: number[] = [];
    try {
      const times = await this.#inTurn('cut', {
        ours: async () => {
          const before = await this.#served();
          const took = await this.#download(url, 1, (folder) =>
            this.#cutThreeTimes(folder, () => proxy.cut()),
          );
          // nginx writes its line when it notices.
          const requests = before.length + CUTS.length + 1;
          await until(async () => (await this.#served()).length >= requests, 'a line for each request');
          sent.push(sum((await this.#served()).slice(before.length)));
          return took.ms;
        },
        other: async () => {
          const before = (await this.#served()).length;
          const { ms } = await this.#download(url, 1);
          await until(async () => (await this.#served()).length > before, 'the line of the request');
          return ms;
        },
      });
      const again = (median(sent) - this.#size) / MIB;
      const what = `a download of ${this.#size / MIB} MiB, cut ${CUTS.length} times`;
      const ms = (value: number): string => `${value.toFixed()} ms`;
      return [
        ratio(`${what}: uncut`, ms(times.ours), ms(times.other), times.other / times.ours, 0),
        { ...info(`${what}: sent in vain`), result: `${again.toFixed(1)} MiB` },
      ];
    } finally {
      await proxy.stop();
    }
  }

  async lag(): Promise<Row[]> {
    const rows: Row[] = [];
    for (const downloads of [1, 2, 4]) {
      const took: Took[] = [];
      for (let run = 0; run < this.#runs; run += 1) {
        took.push(await this.#download(`${this.#nginx.url}/large.bin`, downloads));
      }
      const p99 = median(took.map(({ lagP99Ms }) => lagP99Ms));
      const max = median(took.map(({ lagMaxMs }) => lagMaxMs));
      this.#say(`${downloads} at once: lag p99 ${p99.toFixed(1)} ms, at most ${max.toFixed(1)} ms`);
      rows.push({
        ...info(`event loop, ${downloads} downloads at once: lag p99 (most)`),
        result: `${p99.toFixed(1)} ms (${max.toFixed(1)})`,
        goal: downloads === DEFAULT_CONCURRENCY ? `< ${LAG_MS} ms` : '',
        reached: downloads === DEFAULT_CONCURRENCY ? p99 < LAG_MS : null,
      });
    }
    return rows;
  }

  /** Both sides in turn, the first round to warm up. @returns medians in milliseconds */
  async #inTurn(
    what: string,
    sides: Readonly<Record<'ours' | 'other', () => Promise<number>>>,
  ): Promise<{ ours: number; other: number }> {
    const times: { ours: number[]; other: number[] } = { ours: [], other: [] };
    for (let run = 0; run <= this.#runs; run += 1) {
      const order = run % 2 === 0 ? (['ours', 'other'] as const) : (['other', 'ours'] as const);
      for (const side of order) {
        const ms = await sides[side]();
        if (run > 0) times[side].push(ms);
      }
    }
    const found = { ours: median(times.ours), other: median(times.other) };
    this.#say(`${what}: ours ${found.ours.toFixed()} ms, other ${found.other.toFixed()} ms`);
    return found;
  }

  async #download(
    url: string,
    downloads: number,
    meanwhile: (folder: string) => Promise<void> = async () => {},
  ): Promise<Took> {
    const directory = await fs.mkdtemp(path.join(this.#folder, 'verify-'));
    const order: Order = { url, size: this.#size, sha256: this.#sha256, directory, downloads };
    const client = path.join(__dirname, 'packages/client.ts');
    try {
      const [{ stdout }] = await Promise.all([
        promisify(execFile)(process.execPath, ['--import=tsx', client, JSON.stringify(order)]),
        meanwhile(directory),
      ]);
      return JSON.parse(stdout) as Took;
    } finally {
      await fs.rm(directory, { recursive: true });
    }
  }

  async #cutThreeTimes(directory: string, cut: () => void): Promise<void> {
    for (const share of CUTS) {
      await until(
        async () => (await halfDone(directory)) >= share * this.#size,
        'the place of the cut',
        120_000,
      );
      cut();
    }
  }

  /** Bytes of the body of each request that nginx answered. */
  async #served(): Promise<number[]> {
    const lines = (await fs.readFile(this.#nginx.log, 'utf8')).trim().split('\n');
    return lines.map((line) => Number(line.split(' ')[1]));
  }

  #file(name: string): string {
    return path.join(this.#folder, 'files', name);
  }

  /** For ota-package, which moves what it takes. */
  async #copy(name: string): Promise<string> {
    const copy = path.join(this.#folder, name);
    await fs.copyFile(this.#file(name), copy);
    return copy;
  }
}

/** @returns its SHA-256 */
async function writeFile(file: string, size: number): Promise<string> {
  const piece = createHash('sha512').update(file).digest();
  const block = Buffer.alloc(MIB, piece);
  const hash = createHash('sha256');
  const handle = await fs.open(file, 'w');
  for (let written = 0; written < size; written += MIB) {
    hash.update(block);
    await handle.write(block);
  }
  await handle.close();
  return hash.digest('hex');
}

/** Fetches them at once and throws them away. @returns milliseconds */
async function fetchAll(urls: readonly string[]): Promise<number> {
  const started = performance.now();
  await Promise.all(urls.map((url) => promisify(execFile)('curl', ['-sSf', '-o', '/dev/null', url])));
  return performance.now() - started;
}

async function halfDone(directory: string): Promise<number> {
  const name = (await fs.readdir(directory)).find((entry) => entry.endsWith('.part'));
  return name === undefined ? 0 : (await fs.stat(path.join(directory, name))).size;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function ratio(what: string, ours: string, other: string, found: number, least: number): Row {
  const goal = least === 0 ? '' : `>= ${least.toFixed(1)}`;
  const reached = least === 0 ? null : found >= least;
  return { what, ours, other, result: found.toFixed(2), goal, reached };
}

function info(what: string): Row {
  return { what, ours: '', other: '', result: '', goal: '', reached: null };
}

async function main(): Promise<void> {
  await build();
  console.log(machine());
  const quick = process.argv.includes('--quick');
  const rows = await benchPackages({ quick, say: (line) => console.error(line) });
  console.log(printTable(rows));
}

if (require.main === module) void main();

/**
 * `npm run bench` (`-- --quick` for a short look): ours beside bare mqtt.js and Node-RED's core nodes.
 * Each side is a process of its own; they take turns in one run, and the median of the rounds counts.
 */
import fs from 'node:fs';
import path from 'node:path';
import { build } from '../../scripts/build';
import { type Mosquitto, startMosquitto } from '../support/mosquitto';
import { temporaryFolder } from '../support/temporary-folder';
import { benchCluster } from './cluster';
import { benchConsole } from './console';
import { coreFlow, ourFlow } from './flows';
import { machine } from './machine';
import { benchPackages } from './packages';
import { type Result, type Side, startRed, startScript } from './sides';
import { median, printTable, type Row } from './table';
import { benchTasks } from './tasks';

const QUICK = process.argv.includes('--quick');
const ONLY = process.argv.find((argument) => argument.startsWith('--only='))?.slice('--only='.length);
const ROUNDS = QUICK ? 3 : 7;
const REPORTS = QUICK ? 10_000 : 30_000;
const PUSHES = QUICK ? 10_000 : 50_000;
const MANY_REPORTS = QUICK ? 100_000 : 1_000_000;
const REDEPLOYS = QUICK ? 20 : 100;
const SAME_WINDOW = ['max_inflight_messages 200', 'max_queued_messages 0', 'log_type none'];
const DEFAULTS = ['log_type none'];
/** Nothing came for so long: what is missing was dropped by the broker. */
const QUIET_MS = 1000;

type Sides = Readonly<Record<'bare' | 'ours' | 'core', Side>>;
const NAMES = ['bare', 'ours', 'core'] as const;

async function main(): Promise<void> {
  await build();
  console.log(machine());
  const rows: Row[] = [];
  if (wanted('a') || wanted('b')) {
    for (const [name, config] of [
      ['same window', SAME_WINDOW],
      ['Mosquitto as it comes', DEFAULTS],
    ] as const) {
      const broker = await startMosquitto({ config });
      try {
        if (wanted('a')) rows.push(...(await reports(broker, name)));
        if (wanted('b')) rows.push(...(await pushes(broker, name)));
      } finally {
        await broker.stop();
      }
    }
  }
  if (wanted('c')) rows.push(...lettered('c', await verification()));
  if (wanted('d')) rows.push(...(await memory()));
  if (wanted('e')) rows.push(...lettered('e', await packages()));
  if (wanted('f')) rows.push(...(await tasks()));
  if (wanted('g')) rows.push(...(await benchConsole({ quick: QUICK, say: (line) => console.log(line) })));
  if (wanted('h')) rows.push(...(await benchCluster({ quick: QUICK, say: (line) => console.log(line) })));
  console.log(QUICK ? '\nA quick look: so few messages say little.' : '\nMedians:');
  console.log(printTable(rows));
}

/** Rows of a part that names none itself, as `--only` knows it. */
function lettered(point: string, rows: readonly Row[]): Row[] {
  return rows.map((one) => ({ ...one, what: `(${point}) ${one.what}` }));
}

function wanted(point: string): boolean {
  return ONLY === undefined || ONLY.includes(point);
}

/** Starts the three sides of one comparison, runs `work` with them and ends them. */
async function withSides<T>(
  broker: Mosquitto,
  what: 'progress' | 'push',
  work: (sides: Sides) => Promise<T>,
): Promise<T> {
  const folders = [await temporaryFolder('ota-bench-'), await temporaryFolder('ota-bench-')] as const;
  const started: Side[] = [];
  const keep = <S extends Side>(side: S): S => {
    started.push(side);
    return side;
  };
  try {
    const bare = keep(await startScript('bare.ts', [broker.url, topicOf(what, 'bare'), what]));
    const ours = keep(await startRed(folders[0].path, ourFlow(broker.port, what, topicOf(what, 'ours'))));
    const core = keep(await startRed(folders[1].path, coreFlow(broker.port, what, topicOf(what, 'core'))));
    // Their connections come up after their flows.
    await pause(2000);
    return await work({ bare, ours, core });
  } finally {
    for (const side of started) await side.stop();
    for (const folder of folders) await folder.stop();
  }
}

const topicOf = (what: string, side: string): string => `bench/${what}/${side}`;
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Each round measures every side once, in another order. The first round warms up and doesn't count. */
async function rounds(
  measure: (name: (typeof NAMES)[number]) => Promise<Result>,
): Promise<Record<string, Result[]>> {
  const results: Record<string, Result[]> = { bare: [], ours: [], core: [] };
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (let i = 0; i < NAMES.length; i += 1) {
      const name = NAMES[(i + round) % NAMES.length] ?? 'bare';
      const result = await measure(name);
      if (round > 0) results[name]?.push(result);
    }
  }
  return results;
}

/** (a) CPU time of one received progress report. */
async function reports(broker: Mosquitto, column: string): Promise<Row[]> {
  const results = await withSides(broker, 'progress', async (sides) => {
    const flood = await startScript('flood.ts', [broker.url]);
    try {
      return await rounds(async (name) => {
        const side = sides[name];
        const result = side.result();
        side.order({ do: 'count', count: REPORTS });
        const through = new Promise((resolve) => flood.process.once('message', resolve));
        flood.process.send({ topic: topicOf('progress', name), count: REPORTS });
        await through;
        // A default broker drops what its queue can't hold: what came is what counts.
        const quiet = setTimeout(() => side.order({ do: 'stop' }), QUIET_MS);
        const measured = await result;
        clearTimeout(quiet);
        return measured;
      });
    } finally {
      await flood.stop();
    }
  });
  const cpu = (name: string): number =>
    median((results[name] ?? []).map(({ cpuMs, hits }) => (1000 * cpuMs) / Math.max(1, hits)));
  const us = (value: number): string => `${value.toFixed(1)} µs`;
  const what = `(a) ota-progress, CPU a report, ${column}`;
  const ours = cpu('ours');
  return [
    row(
      `${what}: bare mqtt.js`,
      us(ours),
      us(cpu('bare')),
      ours / cpu('bare'),
      'at most 1.25',
      (r) => r <= 1.25,
    ),
    row(`${what}: mqtt in, function`, us(ours), us(cpu('core')), ours / cpu('core'), 'below 1', (r) => r < 1),
  ];
}

/** (b) Pushes a second of one array. */
async function pushes(broker: Mosquitto, column: string): Promise<Row[]> {
  const results = await withSides(broker, 'push', (sides) =>
    rounds((name) => {
      const result = sides[name].result();
      sides[name].order({ do: 'push', count: PUSHES });
      return result;
    }),
  );
  const rate = (name: string): number =>
    median((results[name] ?? []).map(({ hits, ms }) => (1000 * hits) / ms));
  const cpu = (name: string): number =>
    median((results[name] ?? []).map(({ hits, cpuMs }) => (1000 * cpuMs) / hits));
  const shown = (name: string): string => `${Math.round(rate(name))}/s, ${cpu(name).toFixed(1)} µs`;
  const what = `(b) ota-push of ${PUSHES}, ${column}`;
  const ours = rate('ours');
  return [
    row(
      `${what}: bare mqtt.js`,
      shown('ours'),
      shown('bare'),
      ours / rate('bare'),
      'at least 0.8',
      (r) => r >= 0.8,
    ),
    row(
      `${what}: function, mqtt out`,
      shown('ours'),
      shown('core'),
      ours / rate('core'),
      'at least 2',
      (r) => r >= 2,
    ),
  ];
}

/** (c) ota-verify beside the shell's own tools: verify.ts gives the rows. */
async function verification(): Promise<Row[]> {
  const file = path.join(__dirname, 'verify.ts');
  if (!fs.existsSync(file)) return [];
  const { benchVerify } = (await import(file)) as {
    benchVerify: (options: { quick: boolean; say: (line: string) => void }) => Promise<Row[]>;
  };
  return benchVerify({ quick: QUICK, say: (line) => console.log(line) });
}

/** (e) Packages served and fetched: packages.ts gives the rows. */
function packages(): Promise<Row[]> {
  return benchPackages({ quick: QUICK, say: (line) => console.log(line) });
}

/** (f) A fleet upgraded by ota-task: tasks.ts gives the rows. */
function tasks(): Promise<Row[]> {
  return benchTasks({ quick: QUICK, say: (line) => console.log(line) });
}

/** (d) The heap after many reports, and after many redeploys. */
async function memory(): Promise<Row[]> {
  const broker = await startMosquitto({ config: SAME_WINDOW });
  const folder = await temporaryFolder('ota-bench-');
  const topic = topicOf('memory', 'ours');
  const flow = ourFlow(broker.port, 'progress', topic);
  const red = await startRed(folder.path, flow);
  const flood = await startScript('flood.ts', [broker.url]);
  const send = async (count: number): Promise<void> => {
    const result = red.result();
    red.order({ do: 'count', count });
    flood.process.send({ topic, count });
    await result;
  };
  try {
    await pause(2000);
    await send(MANY_REPORTS / 10);
    const before = await red.heap();
    for (let i = 0; i < 10; i += 1) await send(MANY_REPORTS / 10);
    const after = await red.heap();
    const deploy = async (i: number): Promise<void> => {
      const flows = flow.map((node) => (node.id === 'progress' ? { ...node, name: `n${i}` } : node));
      const type = ['full', 'nodes', 'flows'][i % 3] ?? 'full';
      const headers = { 'content-type': 'application/json', 'Node-RED-Deployment-Type': type };
      await fetch(`${red.url}/flows`, { method: 'POST', headers, body: JSON.stringify(flows) });
      await pause(50);
    };
    for (let i = 0; i < 10; i += 1) await deploy(i);
    await pause(3000);
    const settled = await red.heap();
    for (let i = 0; i < REDEPLOYS; i += 1) await deploy(i);
    await pause(3000);
    const redeployed = await red.heap();
    await send(1000);
    return [
      growth(`(d) heap over ${MANY_REPORTS} reports`, before, after),
      growth(`(d) heap over ${REDEPLOYS} redeploys`, settled, redeployed),
    ];
  } finally {
    await flood.stop();
    await red.stop();
    await broker.stop();
    await folder.stop();
  }
}

function row(
  what: string,
  ours: string,
  other: string,
  ratio: number,
  goal: string,
  good: (ratio: number) => boolean,
): Row {
  return { what, ours, other, result: ratio.toFixed(2), goal, reached: good(ratio) };
}

/** Flat: within 5 % and 1 MiB of what it was. */
function growth(what: string, before: number, after: number): Row {
  const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  const flat = after - before < Math.max(before * 0.05, 2 ** 20);
  return {
    what,
    ours: mib(after),
    other: `${mib(before)} before`,
    result: (after / before).toFixed(2),
    goal: 'flat',
    reached: flat,
  };
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});

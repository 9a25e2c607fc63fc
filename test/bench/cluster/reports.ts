/**
 * Upgrades of a fleet by one, two and four instances on one PostgreSQL, beside one on SQLite and beside bare mqtt.js:
 * reports and pushes a second, and what a report costs. On a machine of few cores the broker, the devices and
 * PostgreSQL share them with the instances: what a report costs says more than how many there are.
 */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { temporaryFolder } from '../../support/temporary-folder';
import type { Row } from '../table';
import type { BareOrders } from '../tasks/bare';
import { REPORTS } from '../tasks/fleet';
import type { Process } from '../tasks/orders';
import type { PlatformOrders } from '../tasks/platform';
import { postmaster, treeCpuMs } from './processor';
import { holdToShare, missingProcessorShares } from './processor-share';
import { startWorld, type World } from './world';

export interface Speed {
  readonly perSecond: number;
  /** Microseconds of processor time a report, in the instances together and in PostgreSQL. */
  readonly node: number;
  readonly postgres: number;
}

const LOOK_MS = 50;

/** One task of so many devices, from its first push to its end. */
export async function upgrade(
  world: World,
  instances: readonly Process<PlatformOrders>[],
  { run, count }: { readonly run: string; readonly count: number },
): Promise<Speed> {
  const [first] = instances;
  if (first === undefined) throw new Error('no instance');
  const server = postmaster(world.server.data);
  for (const instance of instances) await instance.ask('measure', {});
  const before = treeCpuMs(server);
  const { taskId } = await first.ask('begin', { run, count });
  const begun = performance.now();
  while ((await first.ask('state', { taskId })).status !== 'ended') await sleep(LOOK_MS);
  const ms = performance.now() - begun;
  const postgres = treeCpuMs(server) - before;
  let node = 0;
  for (const instance of instances) node += (await instance.ask('cost', {})).cpuMs;
  const reports = count * REPORTS;
  return {
    perSecond: (1000 * reports) / ms,
    node: (1000 * node) / reports,
    postgres: (1000 * postgres) / reports,
  };
}

/** Pushes a second to devices that are silent. */
async function claims(
  world: World,
  instances: readonly Process<PlatformOrders>[],
  count: number,
): Promise<number> {
  const [first] = instances;
  if (first === undefined) throw new Error('no instance');
  await world.devices.ask('silent', { silent: true });
  const { taskId } = await first.ask('begin', { run: 'claims', count });
  const begun = performance.now();
  while ((await first.ask('state', { taskId })).pushed < count) await sleep(LOOK_MS);
  return (1000 * count) / (performance.now() - begun);
}

export async function reportRows(count: number, say: (line: string) => void): Promise<Row[]> {
  const { bare, sqlite } = await alone(count);
  say(`bare mqtt.js ${shown(bare)}; SQLite ${shown(sqlite)}`);
  const rows: Row[] = [];
  for (const instances of [1, 2, 4]) {
    const world = await startWorld();
    try {
      const members = await world.instances(instances);
      await upgrade(world, members, { run: 'warm', count: Math.ceil(count / 10) });
      const speed = await upgrade(world, members, { run: 'run', count });
      const perSecond = await claims(world, members, count);
      say(`${instances} on PostgreSQL ${shown(speed)}, ${Math.round(perSecond)} pushes/s`);
      const what = `(h) ${instances} on PostgreSQL, ${count} devices`;
      rows.push(
        beside(`${what}: reports a second, SQLite`, speed, sqlite),
        beside(`${what}: reports a second, bare mqtt.js`, speed, bare),
        told(`${what}: pushes a second to silent devices`, `${Math.round(perSecond)}/s`),
      );
    } finally {
      await world.stop();
    }
  }
  return rows;
}

/** One instance on SQLite, and mqtt.js alone. */
async function alone(count: number): Promise<{ readonly bare: Speed; readonly sqlite: Speed }> {
  const world = await startWorld();
  const folder = await temporaryFolder('ota-bench-');
  const reports = count * REPORTS;
  const speed = ({ ms, cpuMs }: { ms: number; cpuMs: number }): Speed => ({
    perSecond: (1000 * reports) / ms,
    node: (1000 * cpuMs) / reports,
    postgres: 0,
  });
  try {
    const mqtt = await world.start<BareOrders>('bare.ts');
    await mqtt.ask('run', { run: 'warm-bare', count: Math.ceil(count / 10) });
    const bare = speed(await mqtt.ask('run', { run: 'bare', count }));
    await mqtt.kill();
    const platform = await world.start<PlatformOrders>('platform.ts', path.join(folder.path, 'tasks.db'));
    await platform.ask('ready', {});
    await platform.ask('run', { run: 'warm', count: Math.ceil(count / 10) });
    return { bare, sqlite: speed(await platform.ask('run', { run: 'run', count })) };
  } finally {
    await world.stop();
    await folder.stop();
  }
}

/** Milliseconds that every commit waits for the disk. */
const SLOW_COMMIT_MS = 5;
/** What an instance has of one processor: four of them leave enough for PostgreSQL, the broker and the devices. */
const SHARE = 0.1;

/**
 * Four instances beside one, where commits are slow. One that may take a whole machine takes it, and four on that
 * machine can't be faster; so each has a part of a processor that is its own, as on machines of their own.
 */
export async function slowCommitRow(count: number, say: (line: string) => void): Promise<Row> {
  const what = `(h) commit_delay ${SLOW_COMMIT_MS} ms, each ${SHARE} of a processor`;
  const row = { what: `${what}: reports a second of four, of one`, goal: 'at least 3' };
  const missing = missingProcessorShares();
  if (missing !== null) return { ...row, ours: '', other: '', result: missing, reached: null };
  const speeds: Speed[] = [];
  for (const instances of [1, 4]) {
    const world = await startWorld(`commit_delay=${1000 * SLOW_COMMIT_MS}`, 'commit_siblings=0');
    const free: (() => void)[] = [];
    try {
      const members = await world.instances(instances);
      // At full speed, and each as long: what V8 compiles would take its part of a processor for a minute.
      await upgrade(world, members, { run: 'warm', count: (instances * count) / 4 });
      free.push(...members.map(({ pid }) => holdToShare(pid, SHARE)));
      speeds.push(await upgrade(world, members, { run: 'run', count }));
      say(`${what}, ${instances}: ${shown(speeds.at(-1))}`);
    } finally {
      await world.stop();
      for (const remove of free) remove();
    }
  }
  const [one, four] = speeds.map(({ perSecond }) => perSecond);
  const ratio = (four ?? 0) / (one ?? 1);
  return {
    ...row,
    ours: `${Math.round(four ?? 0)}/s`,
    other: `${Math.round(one ?? 0)}/s`,
    result: ratio.toFixed(2),
    reached: ratio >= 3,
  };
}

function shown(speed: Speed | undefined): string {
  if (speed === undefined) return '';
  const { perSecond, node, postgres } = speed;
  const database = postgres === 0 ? '' : ` + ${postgres.toFixed(1)} PostgreSQL`;
  return `${Math.round(perSecond)}/s, ${node.toFixed(1)}${database} µs`;
}

function beside(what: string, ours: Speed, other: Speed): Row {
  return {
    what,
    ours: shown(ours),
    other: shown(other),
    result: (ours.perSecond / other.perSecond).toFixed(2),
    goal: '',
    reached: null,
  };
}

function told(what: string, value: string): Row {
  return { what, ours: value, other: '', result: value, goal: '', reached: null };
}

/**
 * `npm start -- --cluster`: two Node-REDs on one fleet, with a PostgreSQL, a Mosquitto and 200 simulated devices. The
 * person kills one of the two in the middle of a task and sees the other go on; with `--once` this does it by itself.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type DemoBroker, mosquittoProgram, startMosquitto } from './broker';
import { clusterFlow, command, type Task } from './cluster-flow';
import { type DemoDevices, startDevices } from './devices';
import { interrupted } from './interrupt';
import { type DemoNodeRed, startNodeRed } from './node-red';
import { nextFreePort } from './ports';
import { type DemoPostgres, postgresPrograms, startPostgres } from './postgres';

export interface ClusterOptions {
  /** One task, one instance killed in the middle of it, and the end. */
  readonly once: boolean;
  /** User directories are made in it, and removed again. */
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

interface Instance {
  readonly name: string;
  readonly red: DemoNodeRed;
  gone: boolean;
}

const DEVICES = 200;
const INSTANCES = 2;
const ONCE_LIMIT_MS = 180_000;
const LOOK_MS = 1000;
/** A share of the fleet has ended when `--once` kills an instance: the task is in its middle. */
const KILL_AFTER = DEVICES / 5;

/** Runs until Ctrl-C, or with `once` until the task is through. @throws Error with the reason where it can't go on */
export async function runCluster(options: ClusterOptions): Promise<void> {
  const programs = programsOf(mosquittoProgram(), postgresPrograms());
  const stops: (() => Promise<unknown>)[] = [];
  let instances: Instance[] = [];
  try {
    const started = await startAll(programs, options, stops);
    instances = started.instances;
    await Promise.race([work(instances, started.devices, options), interrupted(options.signal)]);
  } catch (error) {
    // Ctrl-C is how it ends where a person looks on.
    if (options.once || !options.signal.aborted) throw error;
  } finally {
    for (const instance of instances) instance.gone = true;
    for (const stop of stops.reverse()) await stop();
  }
}

interface Programs {
  readonly mosquitto: string;
  /** The folder of PostgreSQL's. */
  readonly postgres: string;
}

/** Both; null stands for one that isn't installed. @throws Error with what is to be installed */
export function programsOf(mosquitto: string | null, postgres: string | null): Programs {
  if (mosquitto !== null && postgres !== null) return { mosquitto, postgres };
  const missing = [
    ...(postgres === null ? ['postgresql'] : []),
    ...(mosquitto === null ? ['mosquitto'] : []),
  ];
  throw new Error(
    `"npm start -- --cluster" needs PostgreSQL and Mosquitto. On Debian: sudo apt-get install ${missing.join(' ')}`,
  );
}

async function startAll(
  programs: Programs,
  { once, folder, signal, say }: ClusterOptions,
  stops: (() => Promise<unknown>)[],
): Promise<{ instances: Instance[]; devices: DemoDevices }> {
  const started = <T extends { stop(): Promise<void> }>(thing: T): T => {
    stops.push(() => thing.stop());
    signal.throwIfAborted();
    return thing;
  };
  const home = await fs.mkdtemp(path.join(folder, 'cluster-'));
  stops.push(() => fs.rm(home, { recursive: true, force: true }));
  say('Starting PostgreSQL, Mosquitto and two Node-REDs…');
  const database: DemoPostgres = started(
    await startPostgres(programs.postgres, await nextFreePort(5432), signal),
  );
  const kept = ['persistence true', `persistence_location ${home}/`, 'max_queued_messages 0'];
  const broker: DemoBroker = started(
    await startMosquitto(programs.mosquitto, await nextFreePort(1883), kept),
  );
  const instances: Instance[] = [];
  for (let n = 1; n <= INSTANCES; n += 1) {
    const userDir = path.join(home, `instance-${n}`);
    await fs.mkdir(userDir);
    const http = await nextFreePort(1880);
    const onLine = (line: string): void => {
      if (/\[(?:warn|error)\] \[ota-(?:service|store|task)/.test(line)) say(`  instance ${n}: ${line}`);
    };
    const red = started(await startNodeRed({ userDir, port: http, signal, ...(once ? {} : { onLine }) }));
    const ports = { http, mqtt: broker.port, protocolVersion: broker.protocolVersion };
    await red.deploy(await clusterFlow({ ports, database: database.url, home, pages: !once }));
    instances.push({ name: `instance ${n}`, red, gone: false });
  }
  const speed = { count: DEVICES, version: 'v1.0', slowness: once ? 1 : 2 };
  return { instances, devices: started(await startDevices(broker.port, speed)) };
}

async function work(instances: Instance[], devices: DemoDevices, options: ClusterOptions): Promise<void> {
  const { once, say } = options;
  say('');
  for (const { name, red } of instances) {
    say(`${name}: process ${red.pid}, editor ${red.url}${once ? '' : `, console ${red.url}/dashboard`}`);
  }
  for (const instance of instances) {
    void instance.red.ended.then(() => {
      // Those that are known to have gone were ended by this script.
      if (instance.gone) return;
      instance.gone = true;
      say(`${instance.name} (process ${instance.red.pid}) has ended; the task goes on.`);
    });
  }
  say(`${DEVICES} simulated devices run v1.0.`);
  if (once) {
    const killed = { done: false };
    await runTask(instances, devices, 'v1.1', options, killed);
    if (!killed.done) throw new Error('The task was through before an instance was killed.');
    say(`The task went through with one instance killed: ${DEVICES} devices, one attempt each.`);
    return;
  }
  const second = instances[1]?.red.pid ?? 0;
  say(`Kill one instance while a task runs, in another terminal: kill -9 ${second}`);
  say('The other one takes its session over, and the task goes on. Ctrl-C ends all of it and removes it.');
  for (let minor = 1; ; minor += 1) await runTask(instances, devices, `v1.${minor}`, options, { done: true });
}

/** One task from its creation to its end, told line by line. */
async function runTask(
  instances: readonly Instance[],
  { tokens }: DemoDevices,
  version: string,
  { once, signal, say }: ClusterOptions,
  killed: { done: boolean },
): Promise<void> {
  const limit = once ? Date.now() + ONCE_LIMIT_MS : Infinity;
  const package_ = { version, url: 'http://127.0.0.1/simulated', size: 4, sign: '0'.repeat(32) };
  // Simulated devices download nothing.
  const create = { action: 'create', name: `Demo ${version}`, package: package_, targets: tokens };
  const policy = { perMinute: once ? 0 : 150, noResponse: 600 };
  const { taskId } = await command<Task>(alive(instances), { ...create, policy });
  say(`A task upgrades all to ${version}.`);
  let before = '';
  for (;;) {
    signal.throwIfAborted();
    if (Date.now() > limit)
      throw new Error(`The task was not through within ${ONCE_LIMIT_MS / 1000} seconds.`);
    const task = await look(instances, taskId);
    if (task !== null) {
      const line = describe(task);
      if (line !== before) say(`  ${line}${nameOf(instances)}`);
      before = line;
      if (task.status === 'ended') break;
      if (!killed.done && task.counts.succeeded >= KILL_AFTER) {
        killed.done = true;
        await killSecond(instances, say);
      }
    }
    await sleep(LOOK_MS, null, { signal });
  }
  await checkEnd(instances, taskId);
}

/** What an instance that is left says; null where it was killed while it was asked. @throws Error where none is left */
async function look(instances: readonly Instance[], taskId: string): Promise<Task | null> {
  const red = alive(instances);
  try {
    return await command<Task>(red, { action: 'get', taskId });
  } catch {
    return null;
  }
}

/** @throws Error where a device failed, or was upgraded twice */
async function checkEnd(instances: readonly Instance[], taskId: string): Promise<void> {
  const ask = { action: 'devices', taskId, pageSize: 1000 };
  const { devices } = await command<{ devices: { status: string; attempt: number }[] }>(
    alive(instances),
    ask,
  );
  const wrong = devices.filter(({ status, attempt }) => status !== 'succeeded' || attempt !== 1).length;
  if (wrong > 0 || devices.length !== DEVICES) {
    throw new Error(`${wrong} of ${devices.length} devices did not succeed at the first attempt.`);
  }
}

async function killSecond(instances: readonly Instance[], say: (line: string) => void): Promise<void> {
  const victim = instances.at(-1);
  if (victim === undefined) return;
  say(`Killing ${victim.name}: kill -9 ${victim.red.pid}`);
  victim.gone = true;
  await victim.red.kill();
}

/** The instance that is asked. @throws Error where all were killed */
function alive(instances: readonly Instance[]): DemoNodeRed {
  const found = instances.find(({ gone }) => !gone);
  if (found === undefined) throw new Error('No instance is left. Start again.');
  return found.red;
}

function nameOf(instances: readonly Instance[]): string {
  const left = instances.filter(({ gone }) => !gone).map(({ name }) => name);
  return left.length === instances.length ? '' : ` (only ${left.join(', ')} is left)`;
}

function describe({ counts, status }: Task): string {
  const { total, pending, pushed, upgrading, succeeded, failed } = counts;
  return `${status}: ${succeeded} of ${total} upgraded, ${pushed + upgrading} at it, ${pending} pending, ${failed} failed`;
}

/** What people ask of a million devices in PostgreSQL, how long the task takes to make, and how soon it pushes. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Row } from '../table';
import { REGIONS } from '../tasks/known-fleet';
import type { Process } from '../tasks/orders';
import type { PlatformOrders } from '../tasks/platform';
import { fillFleet } from './known-fleet';
import { startWorld, type World } from './world';

const TIMES = 5;
const FIRST_MS = 20;
const ANY_MS = 60;

export async function queryRows(rows: number, say: (line: string) => void): Promise<Row[]> {
  const world = await startWorld();
  try {
    const [instance] = await world.instances(1);
    if (instance === undefined) throw new Error('no instance');
    await world.devices.ask('silent', { silent: true });
    const found = [await firstClaim(world, instance, Math.ceil(rows * 0.3))];
    const { ms, lagMax } = await instance.ask('create', { run: 'made', count: rows });
    const goal = (30_000 * rows) / 1_000_000;
    found.push(below(`(h) task of ${rows} devices made`, ms, goal));
    found.push(below(`(h) task of ${rows} devices made: longest lag`, lagMax, 50));
    say(`task of ${rows}: ${Math.round(ms)} ms`);
    const large = await instance.ask('begin', { run: 'large', count: rows, policy: { perMinute: 6000 } });
    found.push(...(await taskRows(instance, large.taskId, rows)));
    fillFleet(world.server, 'service', 'fleet-%-c0ffee00', rows);
    found.push(...(await fleetRows(instance, rows)));
    return found;
  } finally {
    await world.stop();
  }
}

/** From the answer to "create" until the first device hears its push. */
async function firstClaim(world: World, instance: Process<PlatformOrders>, count: number): Promise<Row> {
  await world.devices.ask('first', {});
  const { madeAt, taskId } = await instance.ask('begin', { run: 'claim', count });
  let at = 0;
  while (at === 0) {
    await sleep(20);
    ({ at } = await world.devices.ask('first', {}));
  }
  await instance.ask('ask', { payload: { action: 'cancel', taskId }, times: 1 });
  return below(`(h) task of ${count} devices: first push after it was made`, at - madeAt, 100);
}

type Ask = (what: string, payload: object, goal: number) => Promise<Row>;

const asks =
  (instance: Process<PlatformOrders>, title: string): Ask =>
  async (what, payload, goal) => {
    const { ms } = await instance.ask('ask', { payload, times: TIMES });
    return below(`(h) ${title}: ${what}`, ms, goal);
  };

async function taskRows(instance: Process<PlatformOrders>, taskId: string, rows: number): Promise<Row[]> {
  const ask = asks(instance, `running task of ${rows}`);
  const devices = { action: 'devices', taskId };
  const last = Math.floor(rows / 20);
  return [
    await ask('counts, reasons', { action: 'get', taskId }, FIRST_MS),
    await ask('list of tasks', { action: 'list' }, FIRST_MS),
    await ask('first page', devices, FIRST_MS),
    await ask('first page of a status', { ...devices, status: 'pending' }, FIRST_MS),
    await ask('prefix search', { ...devices, search: 'large-0000123' }, FIRST_MS),
    await ask('prefix search that finds most', { ...devices, search: 'large-000' }, FIRST_MS),
    await ask(
      'prefix search that finds most, a status',
      { ...devices, search: 'large-000', status: 'pending' },
      FIRST_MS,
    ),
    await ask('devices that wait', { ...devices, hold: 'wait' }, FIRST_MS),
    await ask('page in the middle', { ...devices, page: last / 2 }, ANY_MS),
    await ask('last page', { ...devices, page: last }, ANY_MS),
    await ask(
      'last page of a status',
      { ...devices, page: Math.floor(last * 0.99), status: 'pending' },
      ANY_MS,
    ),
  ];
}

async function fleetRows(instance: Process<PlatformOrders>, rows: number): Promise<Row[]> {
  const ask = asks(instance, `fleet of ${rows}`);
  const fleet = { action: 'fleet' };
  const last = Math.floor(rows / 20);
  const labels = { region: 'r3' };
  return [
    await ask('first page, counts of versions', fleet, FIRST_MS),
    await ask('first page of a version', { ...fleet, version: 'v3' }, FIRST_MS),
    await ask('prefix search', { ...fleet, search: 'fleet-0000123' }, FIRST_MS),
    await ask('first page of a label', { ...fleet, labels }, FIRST_MS),
    await ask('first page of a label and a version', { ...fleet, labels, version: 'v3' }, FIRST_MS),
    await ask('one device', { action: 'device', accessToken: 'fleet-00001234-c0ffee00' }, FIRST_MS),
    await ask('page in the middle', { ...fleet, page: last / 2 }, ANY_MS),
    await ask('last page', { ...fleet, page: last }, ANY_MS),
    await ask('last page of a version', { ...fleet, version: 'v3', page: Math.floor(last / 7) }, ANY_MS),
    await ask('last page of a label', { ...fleet, labels, page: Math.floor(last / REGIONS) }, ANY_MS),
  ];
}

function below(what: string, ms: number, goal: number): Row {
  const text = `${ms.toFixed(1)} ms`;
  return { what, ours: text, other: '', result: text, goal: `< ${goal} ms`, reached: ms < goal };
}

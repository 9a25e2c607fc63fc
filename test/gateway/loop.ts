/**
 * Upgrades of the example device-agent, with a kill of Node-RED in each: at one of the eight points of an upgrade,
 * or while its report waits for a broker that is away. Tells what became of each; must never mend anything itself
 * but by what a person and a platform do (start Node-RED again, click "idle", push again).
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '../support/wait';
import { Gateway, PATIENCE_MS } from './gateway';

export const POINTS = [
  'received',
  'held',
  'released',
  'in download',
  'verified',
  'handed to the installer',
  'installed',
  'reported',
] as const;
export type Point = (typeof POINTS)[number];

export interface Upgrade {
  readonly version: string;
  readonly point: Point;
  /** The broker is away from before the end of the installation until after the kill. */
  readonly brokerAway: boolean;
  /** Milliseconds between the point and the kill. */
  readonly delayMs: number;
}

const HELD = 'held/ota_5fagent_5fpush.json';
const REPORTS = 'reports/ota_5fagent_5fservice.json';
/** Of the gateway's own, and of the example's: these stay. */
const STAYS = /^(downloads\/[^/]+\.bin|install\.(sh|lock)|version\.(txt|last)|(ended|uses)\/[^/]+\.json)$/;

/** True once an upgrade is at a point. Looks at the disk, at the requests and at what the platform heard. */
function reached(gateway: Gateway, { version, point, brokerAway }: Upgrade, startsBefore: number): boolean {
  const held = gateway.read(HELD) ?? '';
  switch (point) {
    case 'received':
      return true;
    case 'held':
      return held.includes(version);
    case 'released':
      return held.includes('"inWork":[{');
    case 'in download':
      return gateway.packages.requests(version) > 0;
    case 'verified':
      return gateway.files().some((name) => name.includes(version) && name.endsWith('.bin'));
    case 'handed to the installer':
      return gateway.installs().filter((line) => line.startsWith('start')).length > startsBefore;
    case 'installed':
      return gateway.read('result.txt')?.includes(version) === true;
    case 'reported':
      // With the broker away the report lies on disk, else the platform has it.
      if (brokerAway) return gateway.read(REPORTS)?.includes('"step":100') === true;
      return gateway.heard.steps.includes(100);
  }
}

/** The furthest point that an upgrade has come to. */
function pointNow(gateway: Gateway, plan: Upgrade, startsBefore: number): Point {
  return POINTS.findLast((point) => reached(gateway, { ...plan, point }, startsBefore)) ?? 'received';
}

/** Drives one upgrade to its end. Returns the point at which it was when Node-RED was killed. @throws where it doesn't come to it, or anything of it is wrong */
export async function upgrade(gateway: Gateway, plan: Upgrade, id: string): Promise<Point> {
  const { version, point, brokerAway, delayMs } = plan;
  const before = gateway.installs();
  const starts = (): number => gateway.installs().filter((line) => line.startsWith('start')).length;
  const startsBefore = starts();
  gateway.forget();
  gateway.installWith('sleep 0.3');
  await gateway.push(version, id);
  if (point !== 'received' && point !== 'held') {
    await until(() => gateway.read(HELD)?.includes(version), `${version} to be held`, PATIENCE_MS);
    await gateway.release();
  }
  if (brokerAway) {
    await until(() => starts() > startsBefore, 'the installer to start', PATIENCE_MS);
    await gateway.brokerAway();
  }
  await until(() => reached(gateway, plan, startsBefore), `${version} to be ${point}`, PATIENCE_MS);
  await sleep(delayMs);
  const killedAt = pointNow(gateway, plan, startsBefore);
  await gateway.kill();
  await gateway.boot();
  if (brokerAway) await gateway.brokerBack();
  await finished(gateway, version, id);

  const installs = gateway.installs().slice(before.length);
  if (installs.includes('twice')) throw new Error(`${version}: two installers at once: ${installs.join()}`);
  if (starts() - startsBefore !== 1)
    throw new Error(`${version}: installed ${starts() - startsBefore} times`);
  if (!gateway.heard.steps.includes(100)) throw new Error(`${version}: 100 was never reported`);
  const failures = gateway.heard.steps.filter((step) => step < 0);
  if (failures.length > 0) throw new Error(`${version}: failures were reported: ${gateway.texts.join(' ')}`);
  return killedAt;
}

/** Until the platform has heard of the new version, and nothing is left behind. */
async function finished(gateway: Gateway, version: string, id: string): Promise<void> {
  let clicked = 0;
  await until(
    async () => {
      if (gateway.heard.versions.at(-1) === version) return true;
      const held = gateway.read(HELD) ?? '';
      const inWork = held.includes('"inWork":[{');
      const waits = held.includes(version) && !inWork;
      // Nothing of it arrived before the kill: a platform pushes again, with the same id.
      if (!held.includes(version) && !(gateway.read(REPORTS) ?? '').includes('"step":100')) {
        if (gateway.read('intent.json') === null) await gateway.push(version, id);
      }
      if (waits && Date.now() - clicked > 1000) {
        clicked = Date.now();
        await gateway.release();
      }
      await sleep(100);
      return false;
    },
    `${version} to be reported`,
    PATIENCE_MS,
  );
  await until(
    () => gateway.read('version.txt') === version && gateway.files().every((name) => STAYS.test(name)),
    `nothing to be left of ${version}`,
    PATIENCE_MS,
  ).catch((error: unknown) => {
    throw new Error(`${String(error)}; there is ${gateway.files().join()}`);
  });
}

/**
 * A platform that is ended in good order, or deployed, again and again under 2,000 reports a second: what the broker
 * took from a device must stand in its history.
 */
import assert from 'node:assert/strict';
import { until } from '../support/wait';
import { Fleet, type Plan } from '../tasks/support/fleet';
import { Platform } from './platform';

const RATE = 2000;
const STEPS = Array.from({ length: 99 }, (_, i) => i + 1);

export interface Stops {
  /** How many devices there are; each reports 99 steps and its new version. */
  readonly devices: number;
  readonly sigterms: number;
  readonly deploys: number;
  readonly log: (line: string) => void;
}

/** Resolves with the reports that are missing, as `token step`. */
export async function runStops({ devices, sigterms, deploys, log }: Stops): Promise<string[]> {
  const platform = await Platform.start(5, { persistence: false });
  try {
    const first = { version: 'v2', name: 'SIGTERM', stops: sigterms, stop: () => platform.restart() };
    const second = {
      version: 'v3',
      name: 'full deploy',
      stops: deploys,
      stop: () => platform.deploy('full'),
    };
    const missing: string[] = [];
    for (const round of [first, second]) missing.push(...(await runRound(platform, devices, round, log)));
    return missing;
  } finally {
    await platform.stop();
  }
}

interface Round {
  readonly version: string;
  readonly name: string;
  readonly stops: number;
  readonly stop: () => Promise<void>;
}

async function runRound(
  platform: Platform,
  devices: number,
  { version, name, stops, stop }: Round,
  log: (line: string) => void,
): Promise<string[]> {
  const acts = [...STEPS.map((step) => ({ step })), { version }];
  const tokens = Array.from({ length: devices }, (_, i) => `${version}-${i}`);
  const plans = new Map(
    tokens.map((token): [string, Plan] => [token, { attempts: [acts], pause: (1000 * devices) / RATE }]),
  );
  const fleet = await Fleet.start(platform.broker.url, plans);
  try {
    const create = {
      action: 'create',
      package: { version, url: `http://127.0.0.1/${version}`, size: 4, sign: '0'.repeat(32) },
      targets: tokens,
      policy: { perMinute: 0, noResponse: 3600, stalled: 3600, confirm: 3600 },
    };
    const made = await ask(platform, create);
    const taskId = String(made['taskId']);
    await until(() => fleet.heard.size === devices, 'every device to hear its push', 60_000);
    let busy = 0;
    for (let i = 0; i < stops; i += 1) {
      if (!fleet.idle) busy += 1;
      await stop();
    }
    log(`${name}: ${stops} times, ${busy} of them while devices reported`);
    assert.ok(busy > 0, 'no device reported any more');
    await until(() => fleet.idle, 'the devices to come to rest', 300_000);
    const task = (): Promise<Record<string, unknown>> => ask(platform, { action: 'get', taskId });
    const isEnded = async (): Promise<boolean> => (await task())['status'] === 'ended';
    await until(isEnded, 'the end of the task', 300_000).catch(async (error: unknown) => {
      log(`${name}: ${JSON.stringify(await task())}`);
      throw error;
    });
    const missing: string[] = [];
    for (const token of tokens) missing.push(...(await missingOf(platform, taskId, token)));
    log(`${name}: ${devices * (STEPS.length + 1)} reports, ${missing.length} missing`);
    return missing;
  } finally {
    await fleet.stop();
  }
}

async function missingOf(platform: Platform, taskId: string, accessToken: string): Promise<string[]> {
  const { events } = await ask(platform, { action: 'history', taskId, accessToken });
  const steps = new Set((events as readonly { step?: number }[]).map(({ step }) => step));
  return STEPS.filter((step) => !steps.has(step)).map((step) => `${accessToken} ${step}`);
}

async function ask(platform: Platform, payload: Record<string, unknown>): Promise<Record<string, unknown>> {
  const answer = await platform.ask(payload);
  assert.ok(answer?.ok, JSON.stringify(answer));
  return answer.payload;
}

/** Simulated devices on one connection: each hears its upgrade and reports its way to the new version. */
import { setMaxListeners } from 'node:events';
import mqtt from 'mqtt';
import { setTimeout as sleep } from 'node:timers/promises';
import { createScheme, DEFAULT_SCHEME, EVERY_DEVICE, readWire } from '../../nodes/lib/protocol';

export interface DemoDevices {
  readonly tokens: readonly string[];
  stop(): Promise<void>;
}

const STEPS = [20, 40, 60, 80, 100];

/** Connects them; each reports the version that it runs. They take 1.5 to 12 seconds, times `slowness`, for an upgrade. */
export async function startDevices(
  broker: number,
  options: { count: number; version: string; slowness: number },
): Promise<DemoDevices> {
  const scheme = createScheme(DEFAULT_SCHEME);
  const tokens = Array.from({ length: options.count }, (_, i) => `demo-${String(i + 1).padStart(3, '0')}`);
  const places = new Map(tokens.map((token, i) => [token, i]));
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${broker}`, { clientId: 'demo-devices' });
  /** The upgrade that each has taken: a repeat has the same id, and is dropped. */
  const taken = new Map<string, string>();
  const stopped = new AbortController();
  // Each device that pauses listens for it.
  setMaxListeners(0, stopped.signal);
  let messages = 0;

  const send = async (kind: 'inform' | 'progress', token: string, body: object): Promise<void> => {
    if (stopped.signal.aborted) return;
    await client.publishAsync(scheme.topic(kind, token), JSON.stringify(body), { qos: 1 });
  };
  const inform = (token: string, version: string): Promise<void> =>
    send('inform', token, { id: String((messages += 1)), params: { version, module: 'default' } });
  const upgrade = async (token: string, version: string): Promise<void> => {
    const pause = (300 + ((places.get(token) ?? 0) % 20) * 100) * options.slowness;
    for (const step of STEPS) {
      await sleep(pause, null, { signal: stopped.signal });
      await send('progress', token, { step: String(step), desc: '' });
    }
    await inform(token, version);
  };

  client.on('message', (topic, body, { retain }) => {
    const read = readWire(scheme, topic, body, retain);
    if (!read.ok || read.value.kind !== 'upgrade') return;
    const { accessToken, message } = read.value;
    const { id, version } = message;
    if (!places.has(accessToken) || id === null || taken.get(accessToken) === id) return;
    taken.set(accessToken, id);
    // It fails only where the devices are stopped meanwhile.
    upgrade(accessToken, version).catch(() => undefined);
  });
  await client.subscribeAsync([...scheme.filters('upgrade', EVERY_DEVICE)], { qos: 1 });
  await Promise.all(tokens.map((token) => inform(token, options.version)));
  return {
    tokens,
    async stop() {
      stopped.abort();
      await client.endAsync(true);
    },
  };
}

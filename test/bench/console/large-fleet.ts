/**
 * A console with much in it: Node-RED with the example of the console, a broker, and as many packages, devices and
 * tasks as are wanted. Runs without mocha: benchmarks and scripts use it.
 */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import mqtt from 'mqtt';
import { acquireLibrary, readFields } from '../../../nodes/lib/packages/library';
import { startBroker } from '../../../scripts/demo/broker';
import { CONSOLE_ALONE, exampleFlow, type FlowNode } from '../../../scripts/demo/flow';
import { type DemoNodeRed, startNodeRed } from '../../../scripts/demo/node-red';
import { nextFreePort } from '../../../scripts/demo/ports';
import { until } from '../../support/wait';

export interface Sizes {
  readonly devices: number;
  readonly tasks: number;
  readonly packages: number;
}

export interface LargeConsole {
  readonly url: string;
  /** Of the broker. */
  readonly mqtt: string;
  /** The task that has every device in it. */
  readonly task: string;
  /** Sends a command to ota-task and resolves with its answer. */
  command(payload: object): Promise<Record<string, unknown>>;
  /** Ends Node-RED without a warning, and starts it again after `meanwhile`. */
  killAndStart(meanwhile: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

/** Devices of each task but the one of all. */
const PER_TASK = 25;
export const tokenOf = (i: number): string => `meter-${String(i).padStart(5, '0')}`;

/** Starts it all, and resolves when every device has reported and every task is there. */
export async function startLargeConsole({ devices, tasks, packages }: Sizes): Promise<LargeConsole> {
  const userDir = await fs.mkdtemp(path.join(os.tmpdir(), 'ota-large-'));
  const ids = await addPackages(path.join(userDir, 'ota/packages'), packages);
  const broker = await startBroker(await nextFreePort(1883));
  const http = await nextFreePort(1880);
  let red: DemoNodeRed = await startNodeRed({ userDir, port: http });
  const stop = async (): Promise<void> => {
    await red.stop();
    await broker.stop();
    await fs.rm(userDir, { recursive: true, force: true });
  };
  try {
    const ports = { http, mqtt: broker.port, protocolVersion: broker.protocolVersion };
    await red.deploy(withDoor(await exampleFlow(ports, [CONSOLE_ALONE])));
    const command = (payload: object): Promise<Record<string, unknown>> => ask(red.url, payload);
    const url = `mqtt://127.0.0.1:${broker.port}`;
    await report(url, devices, command);
    const create = (i: number, targets: unknown): Promise<Record<string, unknown>> =>
      command({
        action: 'create',
        name: `release ${i}`,
        package: packageOf(ids[i % ids.length] ?? ''),
        targets,
        policy: i % 4 === 0 ? { offline: 'wait', waves: [10, 50, 100] } : { failureThreshold: 0 },
      });
    for (let i = 1; i < tasks; i += 1) {
      await create(
        i,
        Array.from({ length: PER_TASK }, (_, n) => tokenOf((i * PER_TASK + n) % devices)),
      );
    }
    const { taskId } = await create(0, 'all');
    return {
      ...{ url: red.url, mqtt: url, task: String(taskId), command, stop },
      async killAndStart(meanwhile) {
        await red.kill();
        await meanwhile();
        red = await startNodeRed({ userDir, port: http });
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Each device reports once; those that nobody heard report again. */
async function report(
  url: string,
  devices: number,
  command: (payload: object) => Promise<Record<string, unknown>>,
): Promise<void> {
  const client = await mqtt.connectAsync(url, { protocolVersion: 4 });
  const known = async (): Promise<number> =>
    (await command({ action: 'fleet', pageSize: 1 }))['total'] as number;
  await until(
    async () => {
      for (let i = await known(); i < devices; i += 1) {
        const params = { version: `v1.${i % 7}`, module: 'default', site: `site-${i % 40}` };
        await client.publishAsync(`/ota/device/inform/${tokenOf(i)}`, JSON.stringify({ id: '1', params }), {
          qos: 1,
        });
      }
      return (await known()) >= devices;
    },
    'every device to be known',
    120_000,
  );
  await client.endAsync();
}

async function addPackages(folder: string, count: number): Promise<string[]> {
  const lease = await acquireLibrary(folder);
  const ids: string[] = [];
  try {
    for (let i = 0; i < count; i += 1) {
      const described = { name: `meter-firmware-${i % 9}`, product: 'Meter', version: `v2.${i}` };
      const { id } = await lease.library.add({
        fields: readFields(
          { ...described, description: 'What is new. '.repeat(20) },
          { signMethod: 'SHA256' },
        ),
        source: { kind: 'content', content: Buffer.from(`firmware ${i}`) },
        privateKey: null,
        baseUrl: 'http://127.0.0.1',
        maxBytes: 4096,
        hosts: { allowedHosts: [], allowLocal: false },
        stop: new AbortController().signal,
        onBytes: () => undefined,
      });
      ids.push(id);
    }
    return ids;
  } finally {
    lease.release();
  }
}

function packageOf(id: string): object {
  const file = {
    size: 10,
    signMethod: 'SHA256',
    sign: 'a'.repeat(64),
    url: `http://127.0.0.1/ota/files/${id}/f`,
  };
  return { id, name: 'meter-firmware', version: `v3.${id.slice(0, 4)}`, module: 'default', ...file };
}

/** A way in for commands beside the pages: POST /bench to the ota-task node that the pages use. */
function withDoor(flow: FlowNode[]): FlowNode[] {
  const task = flow.find(({ type }) => type === 'ota-task');
  if (task === undefined) throw new Error('The console has no ota-task.');
  const { z, service, store } = task;
  const at = { z, x: 100, y: 2000 };
  return [
    ...flow,
    {
      ...at,
      id: 'door',
      type: 'http in',
      url: '/bench',
      method: 'post',
      upload: false,
      wires: [['door-task']],
    },
    { ...at, id: 'door-task', type: 'ota-task', service, store, wires: [['door-out'], [], []] },
    { ...at, id: 'door-out', type: 'http response', statusCode: '', headers: {}, wires: [] },
    { ...at, id: 'door-catch', type: 'catch', scope: ['door-task'], uncaught: false, wires: [['door-why']] },
    {
      ...{ ...at, id: 'door-why', type: 'function', wires: [['door-out']], outputs: 1, libs: [] },
      func: 'msg.statusCode = 400; msg.payload = msg.error.message; return msg;',
    },
  ];
}

async function ask(url: string, payload: object): Promise<Record<string, unknown>> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${url}/bench`, { method: 'POST', headers, body: JSON.stringify(payload) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${answer.status} ${text}`);
  return JSON.parse(text) as Record<string, unknown>;
}

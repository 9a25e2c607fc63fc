/** How an example is driven to its end, where two clicks won't do: the other side of the wire is played here. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import type { WireMessage } from '../../nodes/lib/protocol';
import { openSqlite } from '../../nodes/lib/tasks/database/sqlite/driver';
import { connectClient, type TestClient } from '../support/client';
import type { FlowNode, NodeRed } from '../support/node-red';
import { listen } from '../support/ports';
import { until } from '../support/wait';

/** A running example. */
export interface Running {
  readonly red: NodeRed;
  readonly flow: readonly FlowNode[];
  /** Messages of the protocol that went over the broker, oldest first. */
  readonly wire: readonly WireMessage[];
  /** Presses the inject node whose name begins so. */
  readonly click: (name: string) => Promise<void>;
}

type MessageOf<K extends WireMessage['kind']> = Extract<WireMessage, { kind: K }>['message'];

/** The messages of one kind that went over the broker. */
export function find<K extends WireMessage['kind']>(wire: readonly WireMessage[], kind: K): MessageOf<K>[] {
  return wire.filter((message) => message.kind === kind).map(({ message }) => message as MessageOf<K>);
}

function devicesIn(file: string): number {
  const db = openSqlite(file);
  try {
    return Number(db.prepare('SELECT count(*) AS n FROM devices').get()?.['n']);
  } finally {
    db.close();
  }
}

/** The gateway reports, holds an upgrade until it is idle, installs it, and reports -4 where that fails. */
export async function deviceAgent({ red, flow, wire, click }: Running): Promise<void> {
  const server = await servePackage();
  const client = await otherSide(flow);
  const held = path.join(red.userDir, 'ota/held');
  const push = async (version: string): Promise<void> => {
    const id = `${Date.now()}`.slice(-10);
    await client.publish('/ota/device/upgrade/demo-gateway', {
      id,
      code: 200,
      params: { version, ...server.of },
    });
    await until(() => fs.existsSync(held) && fs.readdirSync(held).length > 0, `${version} to be held`);
  };
  try {
    const first = await until(() => find(wire, 'inform')[0], 'the first report');
    assert.equal(first.version, 'v1.0');
    await push('v1.1');
    assert.equal(find(wire, 'progress').length, 0, 'nothing begins before the gateway is idle');
    await click('the gateway is idle');
    const second = await until(() => find(wire, 'inform')[1], 'the second report');
    assert.equal(second.version, 'v1.1');
    assert.equal(find(wire, 'progress').at(-1)?.step, 100);
    const kept = path.join(red.userDir, 'ota/version.txt');
    await until(() => fs.readFileSync(kept, 'utf8') === 'v1.1', 'the version to be remembered');

    await red.deploy(
      flow.map((node) => (node.id === 'ota_agent_install' ? { ...node, command: 'false' } : node)),
    );
    await until(() => find(wire, 'inform')[2]?.version === 'v1.1', 'the report after a restart');
    await push('v1.2');
    await click('the gateway is idle');
    const failed = await until(() => find(wire, 'progress').find(({ step }) => step < 0), 'the failure');
    assert.equal(failed.failure, 'flashing');
  } finally {
    await client.stop();
    await server.stop();
  }
}

/** Three meters report, get one package, one after the other, and it is fetched once. Of others nothing is said. */
export async function gatewayMeters({ flow, wire }: Running): Promise<void> {
  const server = await servePackage();
  const client = await otherSide(flow);
  const meters = ['meter-1', 'meter-2', 'meter-3'];
  const reporting = (version: string): string[] =>
    wire.flatMap((one) =>
      one.kind === 'inform' && one.message.version === version ? [one.accessToken] : [],
    );
  try {
    await until(() => reporting('v1.0').length === 3, 'three reports');
    const params = { version: 'v1.1', ...server.of };
    for (const [i, meter] of ['meter-9', ...meters].entries()) {
      const topic = `/ota/device/upgrade/${meter}`;
      await client.publish(topic, { id: `200000000${i}`, code: 200, params });
    }
    await until(() => reporting('v1.1').length === 3, 'three meters with the new version', 60_000);
    assert.deepEqual(reporting('v1.1').sort(), meters);
    const steps = (token: string): number[] =>
      wire.flatMap((one) => (one.kind === 'progress' && one.accessToken === token ? [one.message.step] : []));
    assert.deepEqual(steps('meter-9'), []);
    for (const meter of meters) assert.equal(steps(meter).at(-1), 100);
    // One at a time: no meter's progress stands between another's.
    const tokens = wire.flatMap((one) => (one.kind === 'progress' ? [one.accessToken] : []));
    const turns = tokens.filter((token, i) => token !== tokens[i - 1]);
    assert.equal(turns.length, new Set(tokens).size, turns.join());
    assert.equal(server.requests(), 1);
  } finally {
    await client.stop();
    await server.stop();
  }
}

/** Devices report, those that differ are pushed to, and their progress stands in the table. */
export async function ownPlatform({ red, flow, wire, click }: Running): Promise<void> {
  const client = await otherSide(flow);
  const tab = flow.find(({ type }) => type === 'tab')?.id ?? '';
  const rows = async (): Promise<Record<string, Record<string, unknown>>> => {
    const context = (await red.get(`/context/flow/${tab}/devices`)) as { msg?: string };
    return JSON.parse(context.msg ?? '{}') as Record<string, Record<string, unknown>>;
  };
  const row = async (token: string): Promise<Record<string, unknown>> =>
    (await rows())[JSON.stringify([token, 'default'])] ?? {};
  const inform = (token: string, version: string): Promise<void> =>
    client.publish(`/ota/device/inform/${token}`, { id: '1', params: { version } });
  try {
    await inform('old', 'v1.0');
    await inform('new', 'v1.1');
    await until(async () => (await row('new'))['version'] === 'v1.1', 'both devices in the table');
    await click('a package');
    await click('push to all');
    await until(() => find(wire, 'upgrade').length > 0, 'the push');
    const pushed = wire.filter(({ kind }) => kind === 'upgrade').map(({ accessToken }) => accessToken);
    assert.deepEqual(pushed, ['old']);
    await client.publish('/ota/device/progress/old', { step: '-2', desc: '<b>404</b>' });
    await until(async () => (await row('old'))['reason'] === 'download: <b>404</b>', 'the failure');
    await inform('old', 'v1.1');
    await until(async () => (await row('old'))['status'] === 'succeeded', 'the success');
    await click('devices');
  } finally {
    await client.stop();
  }
}

/** The platform of the first upgrade: a device that is played here gets its package by one click. */
export async function firstPlatform({ flow, wire, click }: Running): Promise<void> {
  const client = await otherSide(flow);
  try {
    await click('upgrade demo-device-1');
    const upgrade = await until(() => find(wire, 'upgrade')[0], 'the push');
    assert.equal(upgrade.version, 'v1.1');
    const served = await fetch(String(upgrade.url));
    assert.equal((await served.arrayBuffer()).byteLength, upgrade.size);
  } finally {
    await client.stop();
  }
}

/** The device of the first upgrade: reports at its start, and a new version after a push. */
export async function firstDevice({ flow, wire }: Running): Promise<void> {
  const server = await servePackage();
  const client = await otherSide(flow);
  try {
    await until(() => find(wire, 'inform').some(({ version }) => version === 'v1.0'), 'the first report');
    const params = { version: 'v1.1', ...server.of };
    await client.publish('/ota/device/upgrade/demo-device-1', { id: '1', code: 200, params });
    await until(() => find(wire, 'inform').some(({ version }) => version === 'v1.1'), 'the new version');
    assert.equal(find(wire, 'progress').at(-1)?.step, 100);
  } finally {
    await client.stop();
    await server.stop();
  }
}

/** A client at the broker of the flow. */
function otherSide(flow: readonly FlowNode[]): Promise<TestClient> {
  const broker = flow.find(({ type }) => type === 'mqtt-broker');
  return connectClient(`mqtt://127.0.0.1:${String(broker?.['port'])}`);
}

interface PackageServer {
  readonly of: {
    readonly url: string;
    readonly size: number;
    readonly signMethod: string;
    readonly sign: string;
  };
  requests(): number;
  stop(): Promise<void>;
}

async function servePackage(): Promise<PackageServer> {
  const bytes = randomBytes(200_000);
  let requests = 0;
  const server = http.createServer((_request, response) => {
    requests += 1;
    response.setHeader('Content-Length', bytes.length);
    response.end(bytes);
  });
  const port = await listen(server);
  const sign = createHash('md5').update(bytes).digest('hex');
  return {
    of: { url: `http://127.0.0.1:${port}/fw.bin`, size: bytes.length, signMethod: 'Md5', sign },
    requests: () => requests,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Twenty devices report, a task upgrades them in two waves, and the two that failed once succeed again. */
export async function fleetTask({ red, wire, click }: Running): Promise<void> {
  const pushed = (): number => find(wire, 'upgrade').length;
  const upgraded = (): Set<string> =>
    new Set(
      wire
        .filter((one) => one.kind === 'inform' && one.message.version === 'v1.1')
        .map(({ accessToken }) => accessToken),
    );
  await click('1.');
  await until(() => find(wire, 'inform').length === 20, 'twenty reports');
  // They were on the wire; ota-task takes them up a moment later, and a task is of those that are known.
  await until(() => devicesIn(path.join(red.userDir, 'ota/tasks.db')) === 20, 'the store to know all');
  await click('2.');
  await until(() => upgraded().size === 18, 'all but the two that fail', 240_000);
  assert.equal(pushed(), 20);
  await until(() => find(wire, 'progress').filter(({ step }) => step === -4).length === 2, 'two failures');
  await until(
    async () => {
      // The last failure is worked on after it went over the wire; a retry of nothing changes nothing.
      await click('3.');
      return upgraded().size === 20;
    },
    'the two that failed',
    60_000,
  );
  await click('the devices');
  await click('all tasks');
}

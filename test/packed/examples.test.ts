/** Every example that ships, imported into a real Node-RED with the installed package and driven to its end. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import type { AedesPublishPacket } from 'aedes' with { 'resolution-mode': 'import' };
import { createScheme, type MessageKind, readWire, type WireMessage } from '../../nodes/lib/protocol';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { type FlowNode, type NodeRed } from '../support/node-red';
import { until } from '../support/wait';
import {
  deviceAgent,
  find,
  firstDevice,
  firstPlatform,
  fleetTask,
  gatewayMeters,
  ownPlatform,
  type Running,
} from './drivers';
import { INSTALL_TIMEOUT_MS, type Manifest, ROOT, startInstalled } from './installed';
import { shelly, tasmota, zigbee2mqtt } from './other-devices-drivers';
import { packageUpload, signedPackage } from './package-drivers';
import { API_TOKEN, approval, homeAssistant, httpApi, notify } from './platform-drivers';

/** How each example is driven to its end: it rejects where the end isn't reached. */
const DRIVERS: Readonly<Record<string, (running: Running) => Promise<void>>> = {
  'approval/approval.json': approval,
  'device-agent.json': deviceAgent,
  'first-upgrade/device.json': firstDevice,
  'first-upgrade/platform.json': firstPlatform,
  'fleet-task.json': fleetTask,
  'gateway-meters.json': gatewayMeters,
  'home-assistant/home-assistant.json': homeAssistant,
  'http-api/http-api.json': httpApi,
  'notify/notify.json': notify,
  'other-devices/shelly.json': shelly,
  'other-devices/tasmota.json': tasmota,
  'other-devices/zigbee2mqtt.json': zigbee2mqtt,
  'own-platform.json': ownPlatform,
  'package-upload.json': packageUpload,
  'signed-package.json': signedPackage,
  'whole-upgrade.json': wholeUpgrade,
};

/** Settings of Node-RED that an example must live with. */
const SETTINGS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  // Where core file nodes write, and no program that an exec node starts.
  'device-agent.json': { fileWorkingDirectory: path.join(os.tmpdir(), 'ota-elsewhere') },
};

const FOLDER = path.join(ROOT, 'examples');
const MANIFEST = JSON.parse(fs.readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as Manifest;
const FILES = fs
  .readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.json'))
  .sort();

function readExample(file: string): FlowNode[] {
  return JSON.parse(fs.readFileSync(path.join(FOLDER, file), 'utf8')) as FlowNode[];
}

/** An export names the modules that it needs beside Node-RED's own and ours: those have tests of their own. */
function isCoreOnly(file: string): boolean {
  const modules = readExample(file).flatMap((node) =>
    node.type === 'global-config' ? Object.keys(node['modules'] ?? {}) : [],
  );
  return modules.every((name) => name === MANIFEST.name);
}

/** The device reports, is upgraded, and reports the new version, by two clicks. */
async function wholeUpgrade({ click, wire }: Running): Promise<void> {
  await click('1.');
  const before = await until(() => find(wire, 'inform')[0], 'the first report');
  assert.equal(before.version, 'v1.0');
  await click('2.');
  const upgrade = await until(() => find(wire, 'upgrade')[0], 'the push');
  assert.equal(upgrade.version, 'v1.1');
  const after = await until(() => find(wire, 'inform')[1], 'the second report');
  assert.equal(after.version, 'v1.1');
  const steps = find(wire, 'progress').map(({ step }) => step);
  assert.equal(steps.at(-1), 100);
  assert.deepEqual(
    steps,
    steps.toSorted((a, b) => a - b),
  );
}

/** The example as it ships, with the addresses of this test. */
function adapted(file: string, broker: AedesServer, red: NodeRed): FlowNode[] {
  return readExample(file).map((node) => {
    // Aedes speaks MQTT 3.1.1 only.
    const local = { broker: '127.0.0.1', port: String(broker.port), protocolVersion: '4' };
    if (node.type === 'mqtt-broker') return { ...node, ...local };
    if (!Array.isArray(node['env'])) return node;
    const values: Record<string, object> = {
      BASE_URL: { value: red.url },
      API_TOKEN: { value: API_TOKEN, type: 'str' },
    };
    const env = (node['env'] as { name: string; value: string }[]).map((entry) => ({
      ...entry,
      ...values[entry.name],
    }));
    return { ...node, env };
  });
}

/** The kinds of message that a node of a flow listens to. */
function kindsHeard({ type, side, transport }: FlowNode): readonly MessageKind[] {
  // By wires nothing is subscribed.
  if (type === 'ota-task') return transport === 'wires' ? [] : ['inform', 'progress'];
  if (type === 'ota-push') return side === 'device' ? ['upgrade'] : [];
  if (side !== 'platform') return [];
  if (type === 'ota-inform') return ['inform'];
  return type === 'ota-progress' ? ['progress'] : [];
}

/** Collects the filters that are subscribed at the broker. */
function filters(broker: AedesServer): string[] {
  const topics: string[] = [];
  broker.broker.on('subscribe', (subscriptions) => {
    topics.push(...subscriptions.map(({ topic }) => topic));
  });
  return topics;
}

function watch(broker: AedesServer): WireMessage[] {
  const scheme = createScheme('thingspanel');
  const wire: WireMessage[] = [];
  broker.broker.on('publish', (packet: AedesPublishPacket, client) => {
    if (client === null) return;
    const result = readWire(scheme, packet.topic, Buffer.from(packet.payload), packet.retain);
    if (result.ok) wire.push(result.value);
  });
  return wire;
}

describe('the examples', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup();

  it('are there', () => assert.notEqual(FILES.length, 0));

  it('speak MQTT 5, with which a platform learns who is offline', () => {
    for (const file of FILES) {
      const brokers = readExample(file).filter(({ type }) => type === 'mqtt-broker');
      for (const node of brokers) assert.equal(node['protocolVersion'], '5', file);
    }
  });

  it('share their broker, service and store: whoever imports three has one of each', () => {
    const kept = new Map<string, object>();
    // A gateway is another machine than the platform, and people's scripts know its nodes by their ids.
    for (const node of FILES.filter((file) => file !== 'device-agent.json').flatMap(readExample)) {
      if (!['mqtt-broker', 'ota-service', 'ota-store'].includes(node.type)) continue;
      assert.deepEqual(node, kept.get(node.type) ?? node);
      kept.set(node.type, node);
    }
    assert.deepEqual([...kept.values()].map((node) => (node as FlowNode).id).sort(), [
      'ota_broker',
      'ota_service',
      'ota_store',
    ]);
  });

  it('have a config node before those that use it: else the editor calls it unused after the first deploy', () => {
    for (const file of FILES) {
      const configs = readExample(file).filter((node) => node['x'] === undefined && node.type !== 'tab');
      configs.forEach((node, i) => {
        const later = new Set(configs.slice(i + 1).map(({ id }) => id));
        const used = Object.values(node).filter((value) => typeof value === 'string' && later.has(value));
        assert.deepEqual(used, [], `${file}: ${node.id}`);
      });
    }
  });

  it('name no node that is in another file', () => {
    const flows = FILES.map(readExample);
    const all = new Set(flows.flat().map(({ id }) => id));
    const named = (value: unknown): string[] =>
      Array.isArray(value)
        ? value.flatMap(named)
        : typeof value === 'string' && all.has(value)
          ? [value]
          : [];
    flows.forEach((flow, i) => {
      const own = new Set(flow.map(({ id }) => id));
      for (const node of flow) {
        const foreign = Object.values(node).flatMap(named);
        assert.deepEqual(
          foreign.filter((id) => !own.has(id)),
          [],
          `${FILES[i]}: ${node.id}`,
        );
      }
    });
  });

  it('keep the ids of the gateway that scripts go by', () => {
    const ids = new Set(readExample('device-agent.json').map(({ id }) => id));
    for (const name of ['broker', 'push', 'install', 'catch']) assert.ok(ids.has(`ota_agent_${name}`), name);
  });

  it('show every node type', async () => {
    const shown = FILES.map((file) => fs.readFileSync(path.join(FOLDER, file), 'utf8')).join('\n');
    for (const type of Object.keys(MANIFEST['node-red'].nodes)) {
      assert.ok(shown.includes(`"${type}"`), type);
    }
  });

  for (const file of FILES.filter(isCoreOnly)) {
    it(`${file} runs to its end`, async () => {
      const drive = DRIVERS[file.replaceAll(path.sep, '/')];
      assert.ok(drive, 'nobody knows how to drive it: add it to DRIVERS');
      const broker = later(await startAedes());
      const wire = watch(broker);
      const subscribed = filters(broker);
      const red = later(await startInstalled({ settings: SETTINGS[file] ?? {} }));
      const flow = adapted(file, broker, red);
      await red.deploy(flow);
      for (const kind of new Set(flow.flatMap(kindsHeard))) {
        const filter = `/ota/device/${kind}/`;
        await until(
          () => subscribed.some((topic) => topic.startsWith(filter)),
          `a subscription of ${filter}`,
        );
      }
      await drive({
        red,
        flow,
        wire,
        click: async (name) => {
          const node = flow.find((one) => one.type === 'inject' && String(one['name']).startsWith(name));
          assert.ok(node, `an inject node "${name}…"`);
          await red.post(`/inject/${node.id}`, {});
        },
      });
      assert.deepEqual(
        red.lines.filter((line) => /\[(error|fatal)\]/.test(line)),
        [],
      );
    });
  }

  for (const file of FILES) {
    it(`${file} holds no secret, and an id for each node`, () => {
      const flow = readExample(file);
      assert.equal(new Set(flow.map(({ id }) => id)).size, flow.length);
      for (const node of flow) {
        const credentials = (node['credentials'] ?? {}) as Record<string, string>;
        for (const value of Object.values(credentials)) assert.match(value, /demo|\$\{|^\+$/, node.id);
      }
    });
  }
});

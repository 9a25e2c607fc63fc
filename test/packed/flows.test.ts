/** Flows of the installed package in a real Node-RED: both sides over a broker, and redeploys under traffic. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, tabNode } from '../support/flow';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type DeployType, type FlowNode, type NodeRed } from '../support/node-red';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy';
import { until } from '../support/wait';
import { INSTALL_TIMEOUT_MS, startInstalled } from './installed';

const TOKEN = 'device-1';
const SIGN = '0'.repeat(32);

/** A function node that writes what it receives into the log, as one line of JSON. */
function logNode(id: string): FlowNode {
  const func = `node.warn('SEEN ' + JSON.stringify({ id: '${id}', topic: msg.topic, payload: msg.payload }));`;
  return { id, type: 'function', z: 'tab', x: 1, y: 1, func, outputs: 0, wires: [] };
}

/** What reached a log node so far. */
function seen(red: NodeRed, id: string): Record<string, unknown>[] {
  return red.lines
    .map((line) => /SEEN (\{.*\})/.exec(line)?.[1])
    .filter((text) => text !== undefined)
    .map((text) => JSON.parse(text) as { id: string; payload: Record<string, unknown> })
    .filter((entry) => entry.id === id)
    .map((entry) => entry.payload);
}

function clickNode(id: string, payload: unknown, to: string): FlowNode {
  const props = [{ p: 'payload' }, { p: 'accessToken', v: TOKEN, vt: 'str' }];
  const value = { payload: JSON.stringify(payload), payloadType: 'json' };
  return { id, type: 'inject', z: 'tab', x: 1, y: 1, props, ...value, wires: [[to]] };
}

function ota(
  id: string,
  type: string,
  settings: Readonly<Record<string, unknown>>,
  ...wires: string[][]
): FlowNode {
  return { id, type, z: 'tab', x: 1, y: 1, service: 'service', ...settings, wires };
}

/** Both sides of each message on one canvas, the outputs written to the log. */
function bothSides(port: number): FlowNode[] {
  const platform = { side: 'platform' };
  const device = { side: 'device', credentials: { accessToken: TOKEN } };
  const upgrade = { version: 'v2', url: 'http://example.com/fw', size: 7, signMethod: 'MD5', sign: SIGN };
  return [
    tabNode(),
    brokerNode('broker', port),
    { id: 'service', type: 'ota-service', broker: 'broker', scheme: 'thingspanel', clientId: 'the-service' },
    ota('inform-p', 'ota-inform', { ...platform, inputs: 0, outputs: 1 }, ['reports']),
    ota('progress-p', 'ota-progress', { ...platform, inputs: 0, outputs: 1 }, ['progresses']),
    ota('push-p', 'ota-push', { ...platform, inputs: 1, outputs: 2 }, ['pushed'], ['failed']),
    ota('inform-d', 'ota-inform', { ...device, inputs: 1, outputs: 1 }, ['reported']),
    ota('progress-d', 'ota-progress', { ...device, inputs: 1, outputs: 1 }, ['told']),
    ota('push-d', 'ota-push', { ...device, inputs: 0, outputs: 1 }, ['upgrades']),
    clickNode('click-inform', 'v1', 'inform-d'),
    clickNode('click-push', upgrade, 'push-p'),
    clickNode('click-progress', { step: 100, desc: 'done' }, 'progress-d'),
    ...['reports', 'progresses', 'pushed', 'failed', 'reported', 'told', 'upgrades'].map(logNode),
  ];
}

describe('flows of the installed package', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let broker: AedesServer;
  let red: NodeRed;

  const click = (id: string): Promise<unknown> => red.post(`/inject/${id}`, {});
  const first = async (id: string): Promise<Record<string, unknown>> =>
    (await until(() => (seen(red, id).length > 0 ? seen(red, id) : null), `a message at ${id}`))[0]!;

  before(async () => {
    broker = later(await startAedes());
    red = later(await startInstalled());
    await red.deploy(bothSides(broker.port));
    await until(() => broker.connections === 1, 'the connection of the service');
  });

  it('bring a version report from the device to the platform', async () => {
    await click('click-inform');
    const { at, id, ...report } = await first('reports');
    assert.deepEqual(report, { accessToken: TOKEN, module: 'default', version: 'v1' });
    assert.match(String(id), /^[0-9]{10}$/);
    assert.match(String(at), /^\d{4}-\d\d-\d\dT/);
  });

  it('bring an upgrade from the platform to the device', async () => {
    await click('click-push');
    const { id, delivery } = await first('pushed');
    assert.equal(delivery, 'unknown', 'MQTT 3.1.1 knows no more');
    const upgrade = await first('upgrades');
    assert.deepEqual({ id: upgrade['id'], version: upgrade['version'] }, { id, version: 'v2' });
  });

  it('bring progress from the device to the platform', async () => {
    await click('click-progress');
    const { accessToken, step, status } = await first('progresses');
    assert.deepEqual({ accessToken, step, status }, { accessToken: TOKEN, step: 100, status: 'succeeded' });
  });

  it('keep the token of a node out of what is exported', async () => {
    assert.ok(!JSON.stringify(await red.get('/flows')).includes('credentials'));
  });

  it('share one connection to the broker', () => assert.equal(broker.connections, 1));
});

/** Reports from the wire, each with a version of its own, until it is told to stop. */
async function traffic(client: TestClient): Promise<{ stop(): Promise<string[]> }> {
  const sent: string[] = [];
  const state = { stopped: false };
  const loop = async (): Promise<void> => {
    while (!state.stopped) {
      const version = `v${sent.length}`;
      await client.publish(`/ota/device/inform/${TOKEN}`, { id: `${sent.length}`, params: { version } });
      sent.push(version);
      await sleep(2);
    }
  };
  const running = loop();
  return {
    async stop() {
      state.stopped = true;
      await running;
      return sent;
    },
  };
}

const DEPLOYS: readonly DeployType[] = ['full', 'flows', 'nodes'];

// Mosquitto: a kept session of aedes repeats and loses messages by itself when its client goes and comes.
// That nothing is lost can't be seen here: Node-RED drops what is on a wire when a redeploy closes its end.
describe('ten redeploys under traffic', function () {
  this.timeout(INSTALL_TIMEOUT_MS);
  const later = cleanup(after);
  let broker: Mosquitto;
  let line: TcpProxy;
  let red: NodeRed;

  before(async function () {
    mosquittoMissing(this);
    broker = later(await startMosquitto({ config: ['max_queued_messages 0', 'sys_interval 1'] }));
    // Only the service goes this way: its connections are those of the proxy.
    line = later(await startTcpProxy(broker.port));
    red = later(await startInstalled());
    await red.deploy(bothSides(line.port));
    await until(() => line.connections === 1, 'the connection of the service');
    const client = later(await connectClient(broker.url));
    await until(async () => {
      await client.publish(`/ota/device/inform/${TOKEN}`, { id: '1', params: { version: 'probe' } });
      return seen(red, 'reports').length > 0;
    }, 'the subscription');
    const reports = await traffic(client);
    for (let i = 0; i < 10; i += 1) {
      const flow = bothSides(line.port).map((node) => {
        // Each deploy changes a platform node; every fourth the service too, so that all its users restart.
        const changed = node.id === 'inform-p' || (node.id === 'service' && i % 4 === 3);
        return changed ? { ...node, name: `change ${i}` } : node;
      });
      await red.deploy(flow, DEPLOYS[i % DEPLOYS.length]);
      const count = seen(red, 'reports').length;
      await until(() => seen(red, 'reports').length > count + 5, `reports after redeploy ${i}`);
    }
    const last = (await reports.stop()).at(-1);
    await until(() => seen(red, 'reports').some(({ version }) => version === last), 'the last report');
  });

  it('leave one connection', () => assert.equal(line.connections, 1));

  it('leave one subscription for each topic', async () => {
    const topic = '$SYS/broker/subscriptions/count';
    const counter = later(await connectClient(broker.url));
    await counter.subscribe(topic);
    // Inform and progress of every device, the upgrades of one, and the one that asks.
    await until(
      () => counter.messages.at(-1)?.text === '4',
      `4 subscriptions (${JSON.stringify(counter.messages)})`,
    );
  });

  it('hand on no report twice', () => {
    const versions = seen(red, 'reports')
      .map(({ version }) => String(version))
      .filter((version) => version !== 'probe');
    const repeated = versions.filter((version, i) => versions.indexOf(version) !== i);
    assert.deepEqual(repeated, []);
  });

  it('log no error', () => {
    assert.deepEqual(
      red.lines.filter((line) => /\[(error|fatal)\]/.test(line)),
      [],
    );
  });
});

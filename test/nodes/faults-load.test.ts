import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import mqttPacket from 'mqtt-packet';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { brokerNode, tabNode } from '../support/flow';
import { loadFlow } from '../support/helper';
import { requireProgram } from '../support/missing';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type FlowNode, startNodeRed } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { platformFlow } from './service-support';
import { allNodes, asOut, TOPIC } from './support';

const BODY = JSON.stringify({ id: '1', params: { version: 'v1', module: 'default' } });
const ROOT = path.join(__dirname, '../..');

describe('faults under load', () => {
  const later = cleanup();

  it('ten redeploys under traffic: one connection, one subscription each, nothing twice, no growth', async function () {
    this.timeout(240_000);
    mosquittoMissing(this);
    const broker = later(await startMosquitto());
    const seen: unknown[] = [];
    // A node of the test's own: what it got outlives each redeploy.
    const sink = (RED: NodeAPI): void => {
      RED.nodes.registerType('test-sink', function (this: Node, config: NodeDef) {
        RED.nodes.createNode(this, config);
        this.on('input', (msg, _send, done) => {
          seen.push(asOut(msg).accessToken);
          done();
        });
      });
    };
    const nodes = platformFlow(broker.port, {
      service: { clientId: 'platform' },
      more: [{ id: 'sink', type: 'test-sink', z: 'tab', x: 1, y: 1, wires: [] }],
    }).map((node) => (node.id === 'inform' ? { ...node, wires: [['sink']] } : node));
    const warnings: string[] = [];
    const onWarning = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', onWarning);
    later({ stop: () => void process.off('warning', onWarning) });
    const flow = later(await loadFlow([sink, ...allNodes], nodes));
    await flow.status('inform', 'common.status.noReport');

    const device = later(await connectClient(broker.url, { clientId: 'device' }));
    const traffic = { on: true };
    let sent = 0;
    const sending = (async () => {
      while (traffic.on) {
        sent += 1;
        await device.publish(`${TOPIC}/inform/d${sent}`, BODY);
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    const changed = (i: number): FlowNode[] =>
      nodes.map((node) => (['inform', 'push'].includes(node.id) ? { ...node, name: `n${i}` } : node));
    const sockets = (): number =>
      process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
    let before = 0;
    const types = [
      'full',
      'nodes',
      'flows',
      'full',
      'nodes',
      'flows',
      'full',
      'nodes',
      'flows',
      'nodes',
    ] as const;
    for (const [i, type] of types.entries()) {
      const count = seen.length;
      await flow.deploy(changed(i), type);
      await until(() => seen.length > count, `reports after the deploy (${type})`);
      if (i === 0) before = sockets();
    }
    traffic.on = false;
    await sending;
    await device.publish(`${TOPIC}/inform/marker`, BODY);
    await until(() => seen.includes('marker'), 'the last report');
    assert.equal(new Set(seen).size, seen.length, 'nothing came twice');
    // The log has "<time>: platform 1 <filter>" for each subscription.
    const logged = (text: string): number => broker.lines.filter((line) => line.includes(text)).length;
    const connections = 1 + types.filter((type) => type === 'full').length;
    assert.equal(logged(' as platform ('), connections);
    assert.equal(logged(`platform 1 ${TOPIC}/inform/+`), connections);
    assert.equal(logged(`platform 1 ${TOPIC}/progress/+`), connections);
    assert.equal(logged('Received UNSUBSCRIBE'), 0);
    assert.equal(logged('already connected'), 0, 'never two connections at a time');
    assert.ok(sockets() <= before, `${sockets()} sockets, ${before} before`);
    assert.deepEqual(warnings, []);
  });

  it('10,000 devices reconnect and report at once: nothing lost, memory bounded, the editor answers', async function () {
    this.timeout(240_000);
    mosquittoMissing(this);
    requireProgram(this, 'ps', 'procps');
    if (!fs.existsSync(path.join(ROOT, 'dist/nodes/ota-inform/ota-inform.js'))) {
      throw new Error('dist/ is not built: npm run build');
    }
    // Its log would be half of the work.
    const config = ['max_queued_messages 0', 'max_inflight_messages 200', 'log_type none'];
    const broker = later(await startMosquitto({ config }));
    const folder = later(await temporaryFolder());
    const service = { id: 'service', type: 'ota-service', broker: 'broker', clientId: 'platform' };
    const count = `const s = context.get('s') || new Set(); s.add(msg.accessToken); context.set('s', s);
return { topic: 'seen', payload: s.size };`;
    const at = { z: 'tab', x: 1, y: 1 };
    const red = later(
      await startNodeRed({
        userDir: folder.path,
        nodesDir: [ROOT],
        flows: [
          tabNode(),
          brokerNode('broker', broker.port),
          service,
          {
            id: 'inform',
            type: 'ota-inform',
            ...at,
            side: 'platform',
            service: 'service',
            wires: [['count']],
          },
          { id: 'count', type: 'function', ...at, func: count, outputs: 1, wires: [['out']] },
          { id: 'out', type: 'mqtt out', ...at, qos: '0', retain: '', broker: 'broker', wires: [] },
        ],
      }),
    );
    const monitor = later(await connectClient(broker.url));
    let seen = 0;
    monitor.client.on('message', (_topic, payload) => (seen = Math.max(seen, Number(payload.toString()))));
    await monitor.subscribe('seen', 0);
    await until(async () => {
      await monitor.publish(`${TOPIC}/inform/first`, BODY);
      return seen === 1;
    }, 'the platform to be ready');
    const rss = (): number =>
      Number(execFileSync('ps', ['-o', 'rss=', '-p', String(red.pid)]).toString()) / 1024;
    const before = rss();
    let next = 0;
    let answers = 0;
    const devices = Array.from({ length: 300 }, async () => {
      while (next < 10_000) {
        next += 1;
        await reconnectAndReport(broker.port, `device-${next}`);
        if (next % 1000 === 0) {
          await red.get('/settings');
          answers += 1;
        }
      }
    });
    await Promise.all(devices);
    await until(() => seen === 10_001, `all reports (${seen})`);
    assert.ok(answers > 0);
    const growth = rss() - before;
    assert.ok(growth < 150, `grew by ${Math.round(growth)} MiB`);
  });
});

/** One device, as small as can be: CONNECT and a report in one piece, gone after the PUBACK. */
function reconnectAndReport(port: number, token: string): Promise<void> {
  const topic = `${TOPIC}/inform/${token}`;
  const first = mqttPacket.generate({ cmd: 'connect', clientId: token, keepalive: 60, clean: true });
  const report = {
    cmd: 'publish',
    topic,
    payload: BODY,
    qos: 1,
    messageId: 1,
    dup: false,
    retain: false,
  } as const;
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.write(Buffer.concat([first, mqttPacket.generate(report)]));
    });
    const parser = mqttPacket.parser();
    parser.on('packet', (packet) => {
      if (packet.cmd !== 'puback') return;
      socket.destroy();
      resolve();
    });
    socket.on('data', (data) => parser.parse(data));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${token} was cut off`)));
  });
}

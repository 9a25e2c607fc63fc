/** A device's Node-RED that is killed while it downloads: the built package, found as a user's is. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { digestOf, upgradeTo } from '../packages/support/packages';
import { type Answer, etagOf, good, head, type PackageServer, startServer } from '../packages/support/server';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, tabNode } from '../support/flow';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

const ROOT = path.resolve(__dirname, '../..');
const BODY = randomBytes(4_000_000);
const PIECE = 50_000;
const TOKEN = 'gateway-1';

/** The file in pieces that never stop coming before its last: whenever it is killed, it is in the middle. */
const slowly: Answer = (socket) => {
  socket.write(head(200, { 'Content-Length': BODY.length, ETag: etagOf(BODY) }));
  let at = 0;
  const timer = setInterval(() => {
    if (at + PIECE < BODY.length) socket.write(BODY.subarray(at, (at += PIECE)));
  }, 5);
  socket.once('close', () => clearInterval(timer));
};

/** What a device has: ota-push, ota-verify, ota-progress. */
function deviceFlow(port: number): FlowNode[] {
  const node = { z: 'tab', x: 1, y: 1, service: 'service', side: 'device' };
  const credentials = { accessToken: TOKEN };
  return [
    tabNode(),
    brokerNode('broker', port, { clientid: 'gateway' }),
    { id: 'service', type: 'ota-service', broker: 'broker' },
    { ...node, id: 'push', type: 'ota-push', inputs: 0, outputs: 1, wires: [['verify']], credentials },
    {
      ...{ id: 'verify', type: 'ota-verify', z: 'tab', x: 1, y: 1 },
      ...{ allowLocal: true, wires: [[], ['progress']] },
    },
    { ...node, id: 'progress', type: 'ota-progress', inputs: 1, outputs: 1, wires: [[]], credentials },
  ];
}

describe('a download in a Node-RED that is killed', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
    assert.ok(
      existsSync(path.join(ROOT, 'dist/nodes/ota-verify/ota-verify.js')),
      'build first: npm run build',
    );
  });

  it('goes on at the byte that is on the disk, when the upgrade is pushed again', async () => {
    const { path: userDir } = later(await temporaryFolder('ota-verify-killed-'));
    const folder = path.join(userDir, 'ota/downloads');
    const broker = later(await startMosquitto());
    const server = later(await startServer([slowly, good(BODY)]));
    const platform = later(await connectClient(broker.url));
    await platform.subscribe('/ota/device/progress/#');
    let red: NodeRed | null = null;
    later({ stop: async () => red?.kill() });
    red = await startNodeRed({ userDir, nodesDir: [ROOT], flows: [] });
    await red.deploy(deviceFlow(broker.port));
    await until(() => pushed(platform, server), 'the download to begin');
    await until(async () => (await halfDone(folder)) > 1_000_000, 'a megabyte on the disk');

    await red.kill('SIGKILL');
    const kept = await halfDone(folder);
    assert.deepEqual(await verified(folder), []);
    red = await startNodeRed({ userDir, nodesDir: [ROOT] });
    await until(() => pushed(platform, server, 2), 'the download to go on');
    await until(() => steps(platform).includes(90), 'the report of the end');

    const { range, 'if-range': ifRange } = server.asked[1]?.headers ?? {};
    assert.deepEqual([range, ifRange], [`bytes=${kept}-`, etagOf(BODY)]);
    assert.equal(server.asked.length, 2);
    const [name = '', ...more] = await fs.readdir(folder);
    assert.deepEqual([path.extname(name), more], ['.bin', []]);
    assert.equal(digestOf(await fs.readFile(path.join(folder, name))), digestOf(BODY));
    assert.ok(
      steps(platform).every((step) => step > 0),
      String(steps(platform)),
    );
  });
});

/** Pushes, always the same, as long as nobody asks for the file: Node-RED runs before it is connected. */
async function pushed(platform: TestClient, server: PackageServer, requests = 1): Promise<boolean> {
  if (server.asked.length >= requests) return true;
  const { id, code, ...params } = upgradeTo(BODY, server.url);
  await platform.publish(`/ota/device/upgrade/${TOKEN}`, { id, code, params });
  return false;
}

function steps(platform: TestClient): number[] {
  return platform.messages.map(({ text }) => Number((JSON.parse(text) as { step: string }).step));
}

/** Bytes of the half-done file. */
async function halfDone(folder: string): Promise<number> {
  const name = (await fs.readdir(folder)).find((entry) => entry.endsWith('.part'));
  return name === undefined ? 0 : (await fs.stat(path.join(folder, name))).size;
}

async function verified(folder: string): Promise<string[]> {
  return (await fs.readdir(folder)).filter((name) => name.endsWith('.bin'));
}

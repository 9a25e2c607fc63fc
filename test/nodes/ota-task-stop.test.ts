/** Reports while Node-RED is stopped in good order, or deployed: each that the broker had accepted is in the store. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, tabNode, taskNode } from '../support/flow';
import { requireProgram } from '../support/missing';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

const ROOT = path.resolve(__dirname, '../..');

describe('ota-task under a stream of reports', function () {
  this.timeout(240_000);
  const later = cleanup();
  let broker: Mosquitto;

  before(function () {
    mosquittoMissing(this);
    requireProgram(this, 'sqlite3');
    assert.ok(existsSync(path.join(ROOT, 'dist/nodes/ota-task/ota-task.js')), 'build first: npm run build');
  });
  beforeEach(async () => {
    broker = later(await startMosquitto({ config: ['max_queued_messages 0', 'max_inflight_messages 200'] }));
  });

  const task: FlowNode = taskNode('task');
  const flow = (): FlowNode[] => [
    tabNode(),
    brokerNode('broker', broker.port, { clientid: 'nr', protocolVersion: '5' }),
    { id: 'service', type: 'ota-service', broker: 'broker' },
    { id: 'store', type: 'ota-store', file: 'tasks.db' },
    task,
  ];

  /** Reports of ever new devices, until it is ended; resolves with how many the broker accepted. */
  function reports(client: TestClient): { readonly accepted: number; end(): Promise<number> } {
    let next = 0;
    let accepted = 0;
    let ended = false;
    const lines = Array.from({ length: 20 }, async () => {
      while (!ended) {
        next += 1;
        await client.publish(`/ota/device/inform/d${next}`, { id: '1', params: { version: 'v1' } });
        accepted += 1;
        // About 2,000 a second: a broker takes far more than any store.
        await sleep(10);
      }
    });
    return {
      get accepted() {
        return accepted;
      },
      async end() {
        ended = true;
        await Promise.all(lines);
        return accepted;
      },
    };
  }

  /** Waits until every accepted report is in the store. */
  async function allStored(file: string, accepted: number): Promise<void> {
    let said = '';
    const count = (): number => {
      const ran = spawnSync('sqlite3', ['-readonly', file, 'SELECT count(*) FROM devices']);
      said = `${ran.stdout.toString()}${ran.stderr.toString()}`;
      return Number(ran.stdout.toString());
    };
    try {
      await until(() => count() >= accepted, `${accepted} devices in the store`, 60_000);
    } catch (error) {
      throw new Error(`${(error as Error).message}; sqlite3 says ${said}`, { cause: error });
    }
    assert.equal(count(), accepted);
  }

  for (const [what, times, disturb] of [
    [
      'is stopped in good order',
      4,
      async (red: NodeRed, start: () => Promise<NodeRed>): Promise<NodeRed> => {
        await red.stop();
        return start();
      },
    ],
    [
      'is deployed in full',
      8,
      async (red: NodeRed): Promise<NodeRed> => {
        await red.deploy(flow(), 'full');
        return red;
      },
    ],
  ] as const) {
    it(`loses none while Node-RED ${what}`, async () => {
      const folder = later(await temporaryFolder('ota-task-stop-'));
      const options = { userDir: folder.path, nodesDir: [ROOT] };
      const start = (): Promise<NodeRed> => startNodeRed({ ...options, flows: flow() });
      let red = await start();
      later({ stop: () => red.kill() });
      const client = later(await connectClient(broker.url));
      // The session has to be there before the first report.
      await until(
        () => broker.lines.some((line) => line.includes('/ota/device/inform/+ (QoS 1)')),
        'the subscription',
      );
      const stream = reports(client);
      for (let i = 0; i < times; i += 1) {
        const before = stream.accepted;
        await until(() => stream.accepted > before + 500, 'more reports');
        red = await disturb(red, start);
      }
      const accepted = await stream.end();
      await allStored(path.join(folder.path, 'tasks.db'), accepted);
    });
  }
});

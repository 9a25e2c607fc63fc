/** ota-task in a real Node-RED that is killed: the built package, found as a user's is. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { SqliteStore } from '../../nodes/lib/tasks/database';
import { cleanup } from '../support/cleanup';
import { brokerNode, tabNode, taskNode } from '../support/flow';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { random } from '../support/seed';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { Fleet, type Plan } from '../tasks/support/fleet';

const ROOT = path.resolve(__dirname, '../..');
const KILLS = 3;
const DEVICES = 100;

describe('ota-task in a Node-RED that is killed', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
    assert.ok(existsSync(path.join(ROOT, 'dist/nodes/ota-task/ota-task.js')), 'build first: npm run build');
  });

  it('goes on with its task and misses no report', async () => {
    const folder = later(await temporaryFolder('ota-task-kill-'));
    const broker = later(await startMosquitto({ config: ['max_queued_messages 0'] }));
    const tokens = Array.from({ length: DEVICES }, (_, i) => `dev-${i}`);
    const acts = [{ step: 30 }, { wait: 1500 }, { step: 60 }, { wait: 1500 }, { step: 100 }];
    const plans = new Map<string, Plan>(tokens.map((token) => [token, { attempts: [acts] }]));
    const fleet = later(await Fleet.start(broker.url, plans));
    const create = {
      action: 'create',
      package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
      targets: tokens,
      policy: { perMinute: 900 },
    };
    const flow = (once: boolean): FlowNode[] => [
      tabNode(),
      brokerNode('broker', broker.port, { clientid: 'nr', protocolVersion: '5' }),
      { id: 'service', type: 'ota-service', broker: 'broker' },
      { id: 'store', type: 'ota-store', file: 'tasks.db' },
      taskNode('task'),
      {
        id: 'go',
        type: 'inject',
        z: 'tab',
        x: 1,
        y: 1,
        once,
        onceDelay: 0.1,
        props: [{ p: 'payload' }],
        payload: JSON.stringify(create),
        payloadType: 'json',
        repeat: '',
        crontab: '',
        wires: [['task']],
      },
    ];
    let red: NodeRed | null = null;
    later({ stop: async () => red?.kill() });
    const options = { userDir: folder.path, nodesDir: [ROOT] };
    red = await startNodeRed({ ...options, flows: flow(true) });
    await until(() => fleet.heard.size > 10, 'the first pushes');
    for (let kill = 0; kill < KILLS; kill += 1) {
      await sleep(random() * 700);
      await red.kill('SIGKILL');
      red = await startNodeRed({ ...options, flows: flow(false) });
    }
    const store = new SqliteStore({ file: path.join(folder.path, 'tasks.db') });
    store.open();
    later({ stop: () => store.close() });
    const tasks = store.tasks('service');
    const task = await until(
      () => {
        const found = tasks.list({ page: 1, pageSize: 2 });
        return found.total === 1 && found.tasks[0]?.status === 'ended' ? found.tasks[0] : null;
      },
      'the end',
      120_000,
    );
    assert.deepEqual([task.counts.succeeded, task.counts.failed], [DEVICES, 0]);
    for (const token of tokens) assert.equal(fleet.ids(token).size, 1, token);
  });
});

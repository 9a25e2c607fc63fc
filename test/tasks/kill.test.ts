import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import ts from 'typescript';
import type { OtaError } from '../../nodes/lib/protocol';
import { SqliteStore } from '../../nodes/lib/tasks/database';
import { type Child, startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { mosquittoMissing, startMosquitto } from '../support/mosquitto';
import { random } from '../support/seed';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { Fleet, type Plan } from './support/fleet';

const KILLS = 20;
const DEVICES = 300;
const STEPS = [25, 50, 75, 100];

const SCRIPT = path.join(__dirname, 'support', 'platform.ts');
const BUILT = path.resolve('dist/nodes/lib');

/** The script as JavaScript on the built package: loading the sources anew would take most of the time. */
async function compile(folder: string): Promise<string> {
  const { outputText } = ts.transpileModule(await readFile(SCRIPT, 'utf8'), {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 },
  });
  const file = path.join(folder, 'platform.js');
  await writeFile(file, outputText.replaceAll('../../../nodes/lib', BUILT));
  return file;
}

describe('a platform that is killed twenty times in one task', () => {
  const later = cleanup();
  before(function () {
    mosquittoMissing(this);
  });

  it('brings each device to its right end, with one attempt, and misses no report', async () => {
    const folder = later(await temporaryFolder('ota-kill-'));
    const file = path.join(folder.path, 'tasks.db');
    const broker = later(
      await startMosquitto({ config: ['max_queued_messages 0', 'max_inflight_messages 200'] }),
    );
    const plans = new Map<string, Plan>();
    for (let i = 0; i < DEVICES; i += 1) {
      const good = [...STEPS.map((step) => ({ step })), { version: 'v2' }];
      const bad = [{ step: 25 }, { step: -2, desc: 'no route' }];
      plans.set(`dev-${i}`, { attempts: [i % 5 === 0 ? bad : good], pause: 20 + (i % 7) * 60 });
    }
    const fleet = later(await Fleet.start(broker.url, plans));
    const create = {
      package: { version: 'v2', url: 'http://127.0.0.1/v2', size: 4, sign: '0'.repeat(32) },
      targets: [...plans.keys()],
      policy: { perMinute: 1200, noResponse: 600 },
    };
    const args = [await compile(folder.path), broker.url, file, JSON.stringify(create)];
    let platform: Child | null = null;
    later({ stop: async () => platform?.end('SIGKILL') });
    const start = async (): Promise<Child> => {
      const child = startChild(process.execPath, args);
      await until(() => child.lines.includes('running') || !child.running, 'the platform to run');
      assert.ok(child.running, child.lines.join('\n'));
      return child;
    };
    for (let kill = 0; kill < KILLS; kill += 1) {
      platform = await start();
      await sleep(random() * 800);
      await platform.end('SIGKILL');
    }
    platform = await start();

    const store = new SqliteStore({ file });
    // The platform writes to it: it may be locked for a moment.
    await until(() => isOpened(store), 'the store to open');
    later({ stop: () => store.close() });
    const tasks = store.tasks('service');
    const found = tasks.list({ page: 1, pageSize: 10 }).tasks;
    assert.equal(found.length, 1);
    const taskId = found[0]?.taskId ?? '';
    const task = await until(
      () => (tasks.task(taskId)?.status === 'ended' ? tasks.task(taskId) : null),
      'the end',
      60_000,
    );
    await until(() => fleet.idle, 'the devices to come to rest');

    const { devices } = await tasks.devices({ task, status: null, search: '', page: 1, pageSize: 1000 });
    const wrong = devices.filter(({ accessToken, status, reason, attempt }) => {
      const bad = Number(accessToken.slice(4)) % 5 === 0;
      const end = bad ? 'failed download' : 'succeeded null';
      return `${status} ${String(reason)}` !== end || attempt !== 1;
    });
    assert.deepEqual(wrong, []);
    for (const token of plans.keys())
      assert.equal(fleet.ids(token).size, 1, `${token} got more than one attempt`);
    await until(
      () => [...plans.keys()].every((token) => hasAll(token)),
      'every acknowledged report in the history',
    );

    function hasAll(token: string): boolean {
      const steps = (tasks.history(task.id, token) ?? []).filter((event) => event.event === 'progress');
      const bad = Number(token.slice(4)) % 5 === 0;
      return (bad ? [25, -2] : STEPS).every((step) => steps.some((event) => event.step === step));
    }
  });
});

function isOpened(store: SqliteStore): boolean {
  try {
    store.open();
    return true;
  } catch (error) {
    if ((error as OtaError).code === 'OTA_STORE_BUSY') return false;
    throw error;
  }
}

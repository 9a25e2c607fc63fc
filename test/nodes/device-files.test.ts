/** The files of a device's side: damaged ones, a disk without room, and reports that wait for the broker. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { freePort } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { allNodes, asOut, GOOD_UPGRADE, TOPIC } from './support';

const TOKEN = 'gateway-7';
const upgrade = { id: '1', code: 200, params: GOOD_UPGRADE };

describe("the files of a device's side", () => {
  const later = cleanup();
  let port: number;
  let userDir: string;

  beforeEach(async () => {
    port = await freePort();
    userDir = later(await temporaryFolder()).path;
  });

  /** Receives, reports steps and versions, all for one device. */
  const load = async (): Promise<LoadedFlow> => {
    const own = { z: 'tab', x: 1, y: 1, service: 'service', side: 'device' };
    const flow: FlowNode[] = [
      tabNode(),
      brokerNode('broker', port),
      { id: 'service', type: 'ota-service', broker: 'broker' },
      { id: 'push', type: 'ota-push', ...own, settingsVersion: '2', wires: [['out']] },
      { id: 'progress', type: 'ota-progress', ...own, wires: [[]] },
      { id: 'inform', type: 'ota-inform', ...own, wires: [[]] },
      helperNode('out'),
      catchNode('catch', 'caught'),
      helperNode('caught'),
    ];
    const token = { accessToken: TOKEN };
    const credentials = { push: token, progress: token, inform: token };
    return later(await loadFlow(allNodes, flow, credentials, { userDir }));
  };

  const broker = async (): Promise<{ server: AedesServer; client: TestClient }> => {
    const server = later(await startAedes({ port }));
    const client = later(await connectClient(server.url));
    await client.subscribe([`${TOPIC}/progress/+`, `${TOPIC}/inform/+`]);
    return { server, client };
  };

  const file = (name: string): string => path.join(userDir, 'ota', name);

  for (const [what, name] of [
    ['of upgrades that wait and are in work', 'held/push.json'],
    ['of upgrades that ended', 'ended/push.json'],
    ['of reports', 'reports/service.json'],
  ] as const) {
    for (const [how, content] of [
      ['empty', ''],
      ['half', '{"version":2,"upgrades":[{"top'],
      ['full of NULs', '\0'.repeat(300)],
      ['a list', '[]'],
    ] as const) {
      it(`${what}, where it is ${how}, is set aside and told once, and upgrades go on`, async () => {
        fs.mkdirSync(path.dirname(file(name)), { recursive: true });
        fs.writeFileSync(file(name), content);
        const { client } = await broker();
        const flow = await load();
        const [out, caught] = [flow.messages('out'), flow.messages('caught')];
        await flow.status('push', 'common.status.connected');
        await client.publish(`${TOPIC}/upgrade/${TOKEN}`, upgrade);
        await out.atLeast(1);
        flow.send('progress', { payload: 100 });
        await until(() => client.messages.some(({ text }) => text.includes('"100"')), 'the report');
        await until(() => caught.items.length > 0, 'the fault to be told');
        assert.equal(fs.readFileSync(`${file(name)}.bad`, 'utf8'), content);
        const codes = caught.items.map((item) => asOut(item).error?.code);
        assert.deepEqual(codes, ['OTA_FILE']);
      });
    }
  }

  for (const [what, fault, spoil] of [
    ['full', 'OTA_DISK_FULL', (disk: string) => fill(path.join(disk, 'filled'))],
    ['read-only', 'OTA_FILE', (disk: string) => void execFileSync('mount', ['-o', 'remount,ro', disk])],
  ] as const) {
    it(`hand an upgrade out and report its end all the same on a disk that is ${what}, and say so`, async function () {
      const disk = file('');
      fs.mkdirSync(disk, { recursive: true });
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'tmpfs', disk], { stdio: 'pipe' });
      } catch {
        this.skip(); // only root may mount: run this test in a container
      }
      later({ stop: () => void execFileSync('umount', [disk]) });
      spoil(disk);
      const { client } = await broker();
      const flow = await load();
      const [out, caught] = [flow.messages('out'), flow.messages('caught')];
      await flow.status('push', 'common.status.connected');
      await client.publish(`${TOPIC}/upgrade/${TOKEN}`, upgrade);
      const [given] = await out.atLeast(1);
      assert.equal(asOut(given).payload['version'], GOOD_UPGRADE.version);
      flow.send('progress', { payload: 100 });
      flow.send('inform', { payload: GOOD_UPGRADE.version });
      await until(() => client.messages.length >= 2, 'the step and the version');
      const told = caught.items.map((item) => asOut(item).error?.code);
      assert.ok(told.includes(fault), told.join());
      // Its end is known all the same: the next upgrade goes out.
      const next = { ...upgrade, id: '2', params: { ...GOOD_UPGRADE, version: 'v9' } };
      await client.publish(`${TOPIC}/upgrade/${TOKEN}`, next);
      await out.atLeast(2);
      await flow.stop();
    });
  }

  it('that are damaged in a part lose that part only, and say so once', async () => {
    const entry = (module: string, topic: unknown = 'ota'): object => {
      const payload = { ...GOOD_UPGRADE, accessToken: TOKEN, id: '7', module, at: new Date().toISOString() };
      return { topic, payload };
    };
    const saved = {
      version: 2,
      upgrades: [entry('A', null), entry('B'), 'no upgrade'],
      inWork: [{ key: 1 }],
    };
    fs.mkdirSync(path.dirname(file('held/push.json')), { recursive: true });
    fs.writeFileSync(file('held/push.json'), JSON.stringify(saved));
    await broker();
    const flow = await load();
    const [out, caught] = [flow.messages('out'), flow.messages('caught')];
    const [given] = await out.atLeast(1);
    assert.equal(asOut(given).payload['module'], 'B');
    await caught.atLeast(1);
    assert.deepEqual(
      caught.items.map((item) => asOut(item).error?.code),
      ['OTA_FILE'],
    );
    assert.deepEqual(JSON.parse(fs.readFileSync(`${file('held/push.json')}.bad`, 'utf8')), saved);
  });

  it('keep 100 and the version while the broker is away, the newest of each module, step first', async () => {
    const flow = await load();
    const caught = flow.messages('caught');
    const say = (id: string, payload: unknown): void => flow.send(id, { payload });
    say('inform', { version: 'v0', module: 'MCU' });
    say('inform', { version: 'v1', module: 'MCU' });
    say('progress', { step: -4, module: 'MCU', desc: 'first try' });
    say('progress', { step: 100, module: 'MCU' });
    say('inform', { version: 'v9' });
    const kept = (): { reports: { step?: number; version?: string; module: string | null }[] } =>
      JSON.parse(fs.readFileSync(file('reports/service.json'), 'utf8')) as never;
    const shown = (): unknown[] =>
      kept().reports.map(({ module, step, version }) => [module, step ?? version]);
    await until(() => shown().length === 3, 'the newest of each module to be on disk');
    assert.deepEqual(shown(), [
      ['MCU', 'v1'],
      ['MCU', 100],
      ['default', 'v9'],
    ]);
    const { client } = await broker();
    await until(() => client.messages.length === 3, 'the reports', 60_000);
    const steps = client.messages.map(({ topic, text }) => (topic.includes('progress') ? 'step' : text));
    assert.equal(steps[0], 'step');
    assert.deepEqual(
      client.messages.slice(1).map(({ text }) => (JSON.parse(text) as { params: object }).params),
      [
        { version: 'v1', module: 'MCU' },
        { version: 'v9', module: 'default' },
      ],
    );
    await until(() => !fs.existsSync(file('reports/service.json')), 'nothing to be left');
    const codes = caught.items.map((item) => asOut(item).error?.code);
    assert.equal(codes.includes('OTA_NOT_CONNECTED'), false);
  });

  it('send no earlier step behind a failure that came while both waited for the broker', async () => {
    const flow = await load();
    for (const payload of [100, 5, -2]) flow.send('progress', { payload });
    const kept = file('reports/service.json');
    const written = (): string => (fs.existsSync(kept) ? fs.readFileSync(kept, 'utf8') : '');
    await until(() => written().includes('"step":-2'), 'the failure to be on disk');
    const server = later(await startAedes({ port }));
    const steps: (string | undefined)[] = [];
    server.broker.on('publish', ({ topic, payload }) => {
      if (topic.includes('/progress/'))
        steps.push((JSON.parse(payload.toString()) as { step?: string }).step);
    });
    await until(() => steps.includes('-2'), 'the failure to be sent', 60_000);
    flow.send('progress', { payload: 7 });
    await until(() => steps.includes('7'), 'the step of the next upgrade');
    assert.deepEqual(steps, ['-2', '7']);
  });
});

/** Until its disk is full. */
function fill(name: string): void {
  try {
    fs.writeFileSync(name, Buffer.alloc(1024 * 1024));
  } catch {
    // It is full now.
  }
}

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { NodeInitializer, NodeStatus } from 'node-red';
import type { DeviceShape, TaskShape } from '../../nodes/lib/tasks/shapes';
import { openSqlite } from '../../nodes/lib/tasks/database/sqlite/driver';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, catchNode, helperNode, tabNode, taskNode } from '../support/flow';
import { loadFlow, type LoadedFlow } from '../support/helper';
import { cleanup } from '../support/cleanup';
import { type Mosquitto, mosquittoMissing, startMosquitto } from '../support/mosquitto';
import type { FlowNode } from '../support/node-red';
import { requireNodeRed } from '../support/runtime';
import { temporaryFolder, type TemporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { allNodes, ask as askNode, asOut, bodyOf, type Out, TOPIC } from './support';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  ...allNodes,
  require('../../nodes/ota-store/ota-store') as NodeInitializer,
  require('../../nodes/ota-task/ota-task') as NodeInitializer,
];
/* eslint-enable */

const PACKAGE = {
  version: 'v2',
  url: 'http://127.0.0.1/v2.bin',
  size: 4,
  sign: '0'.repeat(32),
  signMethod: 'MD5',
};

/** Node-RED's log. */
interface Log {
  addHandler(handler: object): void;
  removeHandler(handler: object): void;
}

const textOf = (status: NodeStatus | undefined): string => (typeof status === 'object' && status.text) || '';

describe('ota-task', () => {
  const untilTheEnd = cleanup(after);
  let broker: Mosquitto;
  let folder: TemporaryFolder;
  let flow: LoadedFlow | null = null;
  let device: TestClient;

  before(async function () {
    mosquittoMissing(this);
    broker = untilTheEnd(await startMosquitto());
  });
  beforeEach(async () => {
    folder = await temporaryFolder('ota-task-');
    device = await connectClient(broker.url);
  });
  afterEach(async () => {
    await flow?.stop();
    flow = null;
    await device.stop();
    await folder.stop();
  });

  const config = (port: number, more: object = {}, task: object = {}): FlowNode[] => [
    tabNode(),
    brokerNode('broker', port, { protocolVersion: '5', clientid: `nr-${process.pid}` }),
    { id: 'service', type: 'ota-service', broker: 'broker' },
    { id: 'store', type: 'ota-store', ...more },
    taskNode('n1', { perMinute: '0', wires: [['out0'], ['out1'], ['out2']], ...task }),
    helperNode('out0'),
    helperNode('out1'),
    helperNode('out2'),
    catchNode('catch', 'caught'),
    helperNode('caught'),
  ];

  async function load(more: object = {}, task: object = {}): Promise<LoadedFlow> {
    flow = await loadFlow(nodes, config(broker.port, more, task), {}, { userDir: folder.path });
    return flow;
  }

  const ready = async (): Promise<LoadedFlow> => {
    const loaded = await load();
    await loaded.status('n1', 'common.status.noReport');
    return loaded;
  };

  /** Sends a command and gives its answer, or the error that a Catch node gets. */
  const ask = (loaded: LoadedFlow, payload: unknown): Promise<Out> =>
    askNode(loaded, ['out0', 'caught'], payload);

  const create = async (loaded: LoadedFlow, targets: unknown, policy: object = {}): Promise<TaskShape> =>
    (await ask(loaded, { action: 'create', name: 'T', package: PACKAGE, targets, policy }))
      .payload as unknown as TaskShape;

  const report = (kind: 'inform' | 'progress', token: string, body: object): Promise<void> =>
    device.publish(`${TOPIC}/${kind}/${token}`, body);

  for (const { how, env, setting } of [
    { how: 'the environment', env: 'true', setting: {} },
    { how: 'its setting', env: undefined, setting: { startPaused: true } },
  ]) {
    it(`comes up paused in a store that was restored, where ${how} says so, and once only`, async () => {
      const files = ['first.db', 'restored.db'].map((name) => path.join(folder.path, name));
      const start = async (file: string | undefined, task: object): Promise<LoadedFlow> => {
        await flow?.stop();
        return load({ file }, task);
      };
      const { taskId } = await create(await start(files[0], {}), ['dev-1']);
      await flow?.stop();
      for (const part of ['', '-wal'].filter((one) => existsSync(`${files[0] ?? ''}${one}`))) {
        await copyFile(`${files[0] ?? ''}${part}`, `${files[1] ?? ''}${part}`);
      }
      const status = async (loaded: LoadedFlow): Promise<unknown> => {
        const { payload } = await ask(loaded, { action: 'get', taskId });
        return [payload['status'] ?? payload, payload['reason']];
      };
      if (env !== undefined) process.env['OTA_START_PAUSED'] = env;
      try {
        assert.deepEqual(await status(await start(files[1], setting)), ['paused', 'start-paused']);
        await ask(flow as unknown as LoadedFlow, { action: 'resume', taskId });
        assert.deepEqual(await status(await start(files[1], setting)), ['running', null]);
      } finally {
        delete process.env['OTA_START_PAUSED'];
      }
    });
  }

  it('comes up paused also where its store could not be opened at the first start', async () => {
    const file = path.join(folder.path, 'first.db');
    const { taskId } = await create(await load({ file }), ['dev-1']);
    await flow?.stop();
    const restored = path.join(folder.path, 'place', 'restored.db');
    await writeFile(path.dirname(restored), '');
    const failed = await load({ file: restored }, { startPaused: true });
    await ask(failed, { action: 'list' });
    await flow?.stop();
    await rm(path.dirname(restored));
    await mkdir(path.dirname(restored));
    await copyFile(file, restored);
    const { payload } = await ask(await load({ file: restored }, { startPaused: true }), {
      action: 'get',
      taskId,
    });
    assert.deepEqual([payload['status'], payload['reason']], ['paused', 'start-paused']);
  });

  it('pushes, follows and ends a task', async () => {
    const loaded = await ready();
    const changes = loaded.messages('out1');
    const told = loaded.messages('out2');
    await device.subscribe(`${TOPIC}/upgrade/dev-1`);
    const task = await create(loaded, ['dev-1']);
    assert.equal(task.counts.total, 1);
    const [push] = await device.atLeast(1);
    assert.deepEqual([bodyOf(push).params['version'], push?.qos, push?.retain], ['v2', 1, false]);
    await report('progress', 'dev-1', { step: '50' });
    await report('progress', 'dev-1', { step: '100' });
    await changes.atLeast(3);
    const first = asOut(changes.items[0]);
    assert.deepEqual([first.topic, first.accessToken], [`${TOPIC}/upgrade/dev-1`, 'dev-1']);
    const { at, ...rest } = first.payload;
    assert.ok(Date.parse(String(at)) > 0);
    assert.deepEqual(rest, {
      taskId: task.taskId,
      accessToken: 'dev-1',
      module: 'default',
      from: 'pending',
      to: 'pushed',
      status: 'pushed',
      hold: null,
      step: null,
      attempt: 1,
      reason: null,
      desc: '',
    });
    assert.deepEqual(
      changes.items.map((message) => asOut(message).payload['to']),
      ['pushed', 'upgrading', 'succeeded'],
    );
    const end = await until(
      () => told.items.map((m) => asOut(m).payload).find((payload) => payload['status'] === 'ended'),
      'the end',
    );
    assert.deepEqual(end['counts'], {
      total: 1,
      waiting: 0,
      pending: 0,
      pushed: 0,
      upgrading: 0,
      succeeded: 1,
      failed: 0,
      cancelled: 0,
    });
  });

  it('knows from the broker that a device is offline', async () => {
    const loaded = await ready();
    const changes = loaded.messages('out1');
    await create(loaded, ['nobody']);
    await changes.atLeast(2);
    assert.deepEqual(asOut(changes.items[1]).payload['reason'], 'offline');
  });

  it('fails a token that can not be in a topic', async () => {
    const loaded = await ready();
    const changes = loaded.messages('out1');
    await create(loaded, ['a/b', '+']);
    await changes.atLeast(4);
    const ended = changes.items
      .map((message) => asOut(message).payload)
      .filter((payload) => payload['to'] === 'failed');
    assert.deepEqual(
      ended.map((payload) => payload['reason']),
      ['refused', 'refused'],
    );
  });

  it('tells of a token that makes no topic of the templates', async () => {
    flow = await loadFlow(
      nodes,
      config(broker.port).map((node) =>
        node.id === 'service'
          ? {
              ...node,
              scheme: 'custom',
              informTopic: '{accessToken}/inform',
              upgradeTopic: '{accessToken}/upgrade',
              progressTopic: '{accessToken}/progress',
            }
          : node,
      ),
      {},
      { userDir: folder.path },
    );
    await flow.status('n1', 'common.status.noReport');
    const changes = flow.messages('out1');
    await create(flow, ['$dev']);
    await changes.atLeast(2);
    const last = asOut(changes.items[1]);
    assert.deepEqual([last.topic, last.accessToken, last.payload['reason']], ['', '$dev', 'refused']);
  });

  it('tells which tasks nobody works on, and takes them up by the name of their fleet', async () => {
    const first = await ready();
    await create(first, ['dev-1']);
    await first.stop();
    flow = null;
    const anew = (fleet: string): FlowNode[] =>
      config(broker.port, {}, { service: 'new' }).map((node) =>
        node.id === 'service' ? { ...node, id: 'new', fleet } : node,
      );
    const { log } = requireNodeRed('@node-red/util') as { log: Log };
    const told: string[] = [];
    const handler = { emit: (_: string, { msg }: { msg?: unknown }) => void told.push(String(msg)) };
    log.addHandler(handler);
    try {
      flow = await loadFlow(nodes, anew(''), {}, { userDir: folder.path });
      const warning = (): string | undefined => told.find((text) => text.startsWith('OTA_FLEET_UNUSED'));
      assert.match(await until(warning, 'a warning'), /1 tasks of the fleet "service"/);
      await flow.stop();
    } finally {
      log.removeHandler(handler);
    }
    flow = await loadFlow(nodes, anew('service'), {}, { userDir: folder.path });
    const { payload } = await ask(flow, { action: 'list' });
    assert.equal(payload['total'], 1);
  });

  for (const [scheme, success] of [
    ['aliyun', 'version'],
    ['thingspanel', 'progress'],
  ] as const) {
    it(`takes for a success, unless told, what the scheme ${scheme} says: ${success}`, async () => {
      const nodesOf = config(broker.port, {}, { success: '' }).map((node) =>
        node.id === 'service' ? { ...node, scheme } : node,
      );
      flow = await loadFlow(nodes, nodesOf, {}, { userDir: folder.path });
      await flow.status('n1', 'common.status.noReport');
      const targets = scheme === 'aliyun' ? ['key/dev-1'] : ['dev-1'];
      const answer = async (policy: object): Promise<TaskShape> =>
        (await ask(loaded, { action: 'create', package: PACKAGE, targets, policy, draft: true }))
          .payload as unknown as TaskShape;
      const loaded = flow;
      assert.equal((await answer({})).policy.success, success);
      assert.equal((await answer({ success: 'version' })).policy.success, 'version');
    });
  }

  it('answers a command with the task, the message kept', async () => {
    const loaded = await ready();
    const { payload, ...rest } = await ask(loaded, {
      action: 'create',
      package: PACKAGE,
      targets: ['x'],
      startAt: '2999-01-01T00:00:00Z',
    });
    assert.equal(payload['status'], 'scheduled');
    assert.deepEqual(
      Object.keys(payload).sort(),
      [
        'badTokens',
        'counts',
        'createdAt',
        'description',
        'endAt',
        'endedAt',
        'gate',
        'name',
        'package',
        'packages',
        'policy',
        'reason',
        'skipped',
        'startAt',
        'startedAt',
        'status',
        'taskId',
        'unknownTokens',
        'wave',
        'waves',
      ].sort(),
    );
    assert.equal(typeof rest['mine'], 'number');
    const taskId = payload['taskId'];
    const { payload: found } = await ask(loaded, { action: 'devices', taskId, search: 'x' });
    const [row] = found['devices'] as DeviceShape[];
    assert.deepEqual(
      Object.keys(row ?? {}).sort(),
      [
        'accessToken',
        'attempt',
        'at',
        'currentVersion',
        'desc',
        'hold',
        'module',
        'reason',
        'status',
        'step',
        'targetVersion',
        'versionBefore',
        'wave',
      ].sort(),
    );
    assert.equal((await ask(loaded, { action: 'list' })).payload['total'], 1);
    assert.deepEqual((await ask(loaded, { action: 'history', taskId, accessToken: 'x' })).payload, {
      taskId,
      accessToken: 'x',
      events: [],
    });
  });

  const bad: [string, unknown, string, RegExp][] = [
    ['no object', 'create', 'OTA_BAD_INPUT', /payload/],
    ['an action that is none', { action: 'delete' }, 'OTA_BAD_INPUT', /"action"/],
    [
      'a package without a url',
      { action: 'create', package: { ...PACKAGE, url: undefined }, targets: ['a'] },
      'OTA_BAD_UPGRADE',
      /"url"/,
    ],
    ['no package', { action: 'create', targets: ['a'] }, 'OTA_BAD_INPUT', /"package"/],
    ['no targets', { action: 'create', package: PACKAGE }, 'OTA_BAD_INPUT', /"targets"/],
    [
      'an empty list of targets',
      { action: 'create', package: PACKAGE, targets: [] },
      'OTA_BAD_INPUT',
      /"targets"/,
    ],
    [
      'targets that are nobody',
      { action: 'create', package: PACKAGE, targets: { version: 'none' } },
      'OTA_BAD_INPUT',
      /"targets"/,
    ],
    [
      'a policy out of range',
      { action: 'create', package: PACKAGE, targets: ['a'], policy: { retries: -1 } },
      'OTA_BAD_INPUT',
      /"policy\.retries"/,
    ],
    [
      'a policy that is none',
      { action: 'create', package: PACKAGE, targets: ['a'], policy: { retry: 1 } },
      'OTA_BAD_INPUT',
      /"policy\.retry"/,
    ],
    [
      'waves that fall',
      { action: 'create', package: PACKAGE, targets: ['a'], policy: { waves: [50, 10, 100] } },
      'OTA_BAD_INPUT',
      /"policy\.waves"/,
    ],
    [
      'a time that is none',
      { action: 'create', package: PACKAGE, targets: ['a'], startAt: 'soon' },
      'OTA_BAD_INPUT',
      /"startAt"/,
    ],
    ['a task that is unknown', { action: 'get', taskId: 'nope' }, 'OTA_UNKNOWN_TASK', /nope/],
    ['a page that is none', { action: 'list', page: 0 }, 'OTA_BAD_INPUT', /"page"/],
    [
      'a status that is none',
      { action: 'devices', taskId: 'x', status: 'done' },
      'OTA_BAD_INPUT',
      /"status"/,
    ],
  ];
  it('refuses what it can not do, names the field and stores nothing', async () => {
    const loaded = await ready();
    for (const [what, payload, code, message] of bad) {
      const { error } = await ask(loaded, payload);
      assert.equal(error?.code, code, what);
      assert.match(error.message, message, what);
    }
    assert.equal((await ask(loaded, { action: 'list' })).payload['total'], 0);
  });

  it('has one engine for several nodes', async () => {
    const second = {
      id: 'n2',
      type: 'ota-task',
      z: 'tab',
      x: 1,
      y: 1,
      service: 'service',
      store: 'store',
      perMinute: '0',
      wires: [[], ['out1'], []],
    };
    flow = await loadFlow(nodes, [...config(broker.port), second], {}, { userDir: folder.path });
    await flow.status('n1', 'common.status.noReport');
    await device.subscribe(`${TOPIC}/upgrade/+`);
    const changes = flow.messages('out1');
    await create(flow, ['dev-1']);
    await changes.atLeast(2);
    assert.equal((await device.atLeast(1)).length, 1, 'one push');
    assert.deepEqual(
      changes.items.map((message) => asOut(message).payload['to']),
      ['pushed', 'pushed'],
    );
  });

  describe('with a second store on the same file', () => {
    /** `n2` on a store of its own, whose file is the first one's by another name. */
    const second = (store = 'store2', file = 'link/tasks.db', service = 'service'): FlowNode[] => [
      { id: 'store2', type: 'ota-store', name: 'Second', file },
      { id: 'service2', type: 'ota-service', broker: 'broker' },
      {
        id: 'n2',
        type: 'ota-task',
        z: 'tab',
        x: 1,
        y: 1,
        service,
        store,
        perMinute: '0',
        wires: [[], ['out1'], []],
      },
    ];
    const both = (...more: Parameters<typeof second>): FlowNode[] => [
      ...config(broker.port, { name: 'First' }),
      ...second(...more),
    ];
    const codeOf = async (loaded: LoadedFlow, id: string): Promise<string | undefined> =>
      (await askNode(loaded, ['caught', 'answers'], { action: 'list' }, id)).error?.code;
    const withAnswers = (nodesOfFlow: FlowNode[]): FlowNode[] => [
      ...nodesOfFlow.map((node) =>
        node.type === 'ota-task'
          ? { ...node, wires: [['answers'], ...(node['wires'] as string[][]).slice(1)] }
          : node,
      ),
      helperNode('answers'),
    ];

    beforeEach(async () => {
      await mkdir(path.join(folder.path, 'ota'));
      await symlink(path.join(folder.path, 'ota'), path.join(folder.path, 'link'));
    });

    it('refuses it for the same service, names the first, and has one engine', async () => {
      flow = await loadFlow(nodes, both(), {}, { userDir: folder.path });
      await flow.status('n1', 'common.status.noReport');
      await flow.status('n2', 'common.status.badSettings');
      const caught = flow.messages('caught');
      flow.send('n2', { payload: { action: 'list' } });
      const [refused] = (await caught.atLeast(1)).map(asOut);
      assert.equal(refused?.error?.code, 'OTA_BAD_SETTINGS');
      assert.match(refused.error.message, /"First".*use one ota-store for both/);
      await device.subscribe(`${TOPIC}/upgrade/+`);
      await create(flow, ['dev-1']);
      assert.equal((await device.atLeast(1)).length, 1, 'one push');
    });

    it('takes it for another service', async () => {
      flow = await loadFlow(
        nodes,
        withAnswers(both('store2', 'link/tasks.db', 'service2')),
        {},
        { userDir: folder.path },
      );
      assert.deepEqual([await codeOf(flow, 'n1'), await codeOf(flow, 'n2')], [undefined, undefined]);
    });

    for (const type of ['full', 'nodes', 'flows'] as const) {
      it(`knows after a deploy of ${type} which store has the file`, async () => {
        flow = await loadFlow(nodes, withAnswers(both()), {}, { userDir: folder.path });
        const loaded = flow;
        const codes = async (): Promise<unknown[]> => [
          await codeOf(loaded, 'n1'),
          await codeOf(loaded, 'n2'),
        ];
        assert.deepEqual(await codes(), [undefined, 'OTA_BAD_SETTINGS'], 'the first has it');
        await loaded.deploy(withAnswers(both('store')), type);
        assert.deepEqual(await codes(), [undefined, undefined], 'one store for both');
        await loaded.deploy(withAnswers(both('store2', 'other.db')), type);
        assert.deepEqual(await codes(), [undefined, undefined], 'another file');
        // Each gets the file that the other had.
        const swapped = both('store2', '').map((node) =>
          node.id === 'store' ? { ...node, file: 'other.db' } : node,
        );
        await loaded.deploy(withAnswers(swapped), type);
        assert.deepEqual(await codes(), [undefined, undefined], 'the files changed over');
        const alone = swapped.filter(({ id }) => id !== 'n1' && id !== 'store');
        await loaded.deploy(withAnswers(alone), type);
        assert.equal(await codeOf(loaded, 'n2'), undefined, 'the first is gone');
      });
    }
  });

  it('takes the devices that reported, and what it knows survives a redeploy', async () => {
    const loaded = await ready();
    for (const token of ['a', 'b']) await report('inform', token, { id: '1', params: { version: 'v1' } });
    await until(
      async () =>
        (await ask(loaded, { action: 'preview', package: PACKAGE, targets: 'all' })).payload['total'] === 2,
      'both devices',
    );
    await loaded.deploy(config(broker.port), 'full');
    const { payload } = await ask(loaded, { action: 'preview', package: PACKAGE, targets: 'all' });
    assert.deepEqual(
      (payload['devices'] as DeviceShape[]).map((row) => [row.accessToken, row.currentVersion]),
      [
        ['a', 'v1'],
        ['b', 'v1'],
      ],
    );
  });

  it('hears what was reported while it was away', async () => {
    const loaded = await ready();
    await device.subscribe(`${TOPIC}/upgrade/+`);
    const { taskId } = await create(loaded, ['dev-1']);
    await device.atLeast(1);
    await loaded.stop();
    flow = null;
    await report('progress', 'dev-1', { step: 100 });
    const again = await load();
    const found = await until(async () => {
      const { payload } = await ask(again, { action: 'get', taskId });
      return payload['status'] === 'ended' ? payload : null;
    }, 'the end');
    assert.equal((found['counts'] as TaskShape['counts']).succeeded, 1);
  });

  it('says in its status that nothing was reported yet, then that it is ready', async () => {
    const loaded = await load();
    await loaded.status('n1', 'common.status.noReport');
    await report('inform', 'dev-1', { id: '1', params: { version: 'v1' } });
    await loaded.status('n1', 'common.status.ready');
  });

  it('hears what was reported while it was away, also where its store is locked when it comes back', async () => {
    const loaded = await load({ file: 'tasks.db' });
    await loaded.status('n1', 'common.status.noReport');
    await loaded.stop();
    flow = null;
    await report('inform', 'dev-1', { id: '1', params: { version: 'v1' } });
    const other = openSqlite(path.join(folder.path, 'tasks.db'));
    other.exec('BEGIN EXCLUSIVE');
    const again = await load({ file: 'tasks.db' });
    const caught = again.messages('caught');
    // Longer than a message is held: the connection was ended, the report left to the broker.
    await until(
      () => caught.items.some((item) => asOut(item).error?.code === 'OTA_COMMIT_FAILED'),
      'the end of the connection',
    ).finally(() => {
      other.exec('ROLLBACK');
      other.close();
    });
    await again.status('n1', 'common.status.ready');
    await until(async () => {
      const { payload } = await ask(again, { action: 'preview', package: PACKAGE, targets: 'all' });
      return payload['total'] === 1;
    }, 'the device that reported meanwhile');
  });

  it('tells a Catch node what can not be read, and changes nothing', async () => {
    const loaded = await ready();
    const caught = loaded.messages('caught');
    await device.subscribe(`${TOPIC}/upgrade/dev-1`);
    const { taskId } = await create(loaded, ['dev-1']);
    await device.atLeast(1, `${TOPIC}/upgrade/dev-1`);
    for (const body of [
      '',
      'x',
      '[]',
      '{"step":101}',
      '{"step":null}',
      '{"__proto__":{"step":100}}',
      Buffer.from([0xff, 0xfe]),
    ]) {
      await device.publish(`${TOPIC}/progress/dev-1`, body);
    }
    await caught.atLeast(1);
    // Behind a report that can be read all of them have been.
    await device.publish(`${TOPIC}/progress/dev-1`, { step: '10' });
    const row = await until(async () => {
      const { payload } = await ask(loaded, { action: 'devices', taskId });
      const [found] = payload['devices'] as DeviceShape[];
      return found?.status === 'upgrading' ? found : null;
    }, 'the good report');
    assert.deepEqual([row.status, row.step], ['upgrading', 10]);
  });

  it('says that no store is chosen', async () => {
    const loaded = await load({}, { store: '' });
    await loaded.status('n1', 'ota-task.status.noStore');
    assert.equal((await ask(loaded, { action: 'list' })).error?.code, 'OTA_NO_STORE');
  });

  it('says that its store can not be used', async () => {
    const loaded = await load({ file: '/dev/null/x.db' });
    await loaded.status('n1', 'ota-task.status.storeFailed');
    assert.equal((await ask(loaded, { action: 'list' })).error?.code, 'OTA_STORE_FAILED');
  });

  it('says which setting is wrong', async () => {
    const loaded = await load({}, { waves: '1,2' });
    await loaded.status('n1', 'common.status.badSettings');
    assert.match((await ask(loaded, { action: 'list' })).error?.message ?? '', /"waves"/);
  });

  it('takes its settings for the default of every task', async () => {
    const loaded = await load(
      {},
      { success: 'version', waves: '10, 100', window: '01:00-05:00 UTC', retries: '2', skipCurrent: false },
    );
    const { policy } = await create(loaded, ['a'], { retries: 1 });
    assert.deepEqual(
      [policy.success, policy.waves, policy.window, policy.retries, policy.skipCurrent, policy.noResponse],
      ['version', [10, 100], { from: '01:00', to: '05:00', timeZone: 'UTC' }, 1, false, 300],
    );
  });

  it('says that the broker is gone, on its status and with the task', async () => {
    const loaded = await ready();
    await device.subscribe(`${TOPIC}/upgrade/+`);
    await create(loaded, ['dev-1']);
    await loaded.status('n1', '0/1');
    const told = loaded.messages('out2');
    await broker.kill();
    try {
      await until(
        () => told.items.find((message) => asOut(message).payload['reason'] === 'not-connected'),
        'the reason',
      );
      await loaded.status('n1', /connectionLost|unreachable/);
    } finally {
      await brokerAgain();
    }
    await until(() => asOut(told.items.at(-1)).payload['reason'] === null, 'that it is back');
    await until(() => textOf(loaded.statuses('n1').at(-1)) === '0/1', 'the count on the status again');
  });

  /** All tests of this file share it. */
  async function brokerAgain(): Promise<void> {
    await broker.restart();
    await device.stop();
    device = await connectClient(broker.url);
  }

  it('says with each face and each task that a subscription is refused', async () => {
    const strict = await startMosquitto({
      dynsec: [{ username: 'u', password: 'p', refuseSubscribe: [`${TOPIC}/progress/+`] }],
    });
    try {
      const second = { id: 'n2', type: 'ota-task', z: 'tab', x: 1, y: 1, service: 'service', store: 'store' };
      const flows = [...config(strict.port), { ...second, wires: [] }];
      const login = { broker: { user: 'u', password: 'p' } };
      flow = await loadFlow(nodes, flows, login, { userDir: folder.path });
      await flow.status('n1', 'common.status.subscribeRefused');
      await flow.status('n2', 'common.status.subscribeRefused');
      const told = flow.messages('out2');
      await create(flow, ['dev-1']);
      await told.atLeast(1);
      assert.equal(asOut(told.items[0]).payload['reason'], 'subscribe-refused');
    } finally {
      await flow?.stop();
      flow = null;
      await strict.stop();
    }
  });

  it('says at its start that the broker is not there', async () => {
    const loaded = await ready();
    await device.subscribe(`${TOPIC}/upgrade/+`);
    await create(loaded, ['dev-1']);
    await device.atLeast(1);
    await loaded.stop();
    flow = null;
    await broker.kill();
    let message: unknown;
    try {
      const again = await load();
      [message] = await again.messages('out2').atLeast(1);
    } finally {
      await brokerAgain();
    }
    assert.deepEqual(
      [asOut(message).payload['status'], asOut(message).payload['reason']],
      ['running', 'not-connected'],
    );
  });
});

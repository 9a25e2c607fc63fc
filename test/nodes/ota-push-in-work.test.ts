/** What a device's ota-push node keeps in work: seen from its messages, its errors and the wire. */
import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import type { Node, NodeDef, NodeInitializer } from 'node-red';
import helper from 'node-red-node-test-helper';
import { upgradeInterrupted } from '../../nodes/lib/device';
import { type AedesServer, startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient, type TestClient } from '../support/client';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { type Credentials, loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { allNodes, asOut, GOOD_UPGRADE, TOPIC } from './support';

const TOKEN = 'gateway-8';
type Collection = ReturnType<LoadedFlow['messages']>;

/** "closing" of a node of the type gate, with what lets it close. */
const gates = new EventEmitter();

/** Passes messages on; a test decides when it has closed. */
const gateNode: NodeInitializer = (RED) => {
  function gate(this: Node, config: NodeDef): void {
    RED.nodes.createNode(this, config);
    this.on('input', (msg, send, done) => {
      send(msg);
      done();
    });
    this.on('close', (done: () => void) => {
      if (!gates.emit('closing', done)) done();
    });
  }
  RED.nodes.registerType('gate', gate);
};

describe('an upgrade in work', () => {
  const later = cleanup();
  let server: AedesServer;
  let platform: TestClient;
  let userDir: string;

  beforeEach(async () => {
    server = later(await startAedes());
    platform = later(await connectClient(server.url));
    await platform.subscribe([`${TOPIC}/progress/+`, `${TOPIC}/inform/+`]);
    userDir = later(await temporaryFolder()).path;
  });

  const flowOf = (push: object = {}, gate: object = {}): FlowNode[] => {
    const own = { z: 'tab', x: 1, y: 1, service: 'service', side: 'device' };
    return [
      tabNode(),
      brokerNode('broker', server.port),
      { id: 'service', type: 'ota-service', broker: 'broker' },
      { id: 'push', type: 'ota-push', ...own, settingsVersion: '2', wires: [['out']], ...push },
      { id: 'progress', type: 'ota-progress', ...own, wires: [[]] },
      { id: 'inform', type: 'ota-inform', ...own, wires: [[]] },
      { id: 'gate', type: 'gate', z: 'tab', x: 1, y: 1, wires: [['out']], ...gate },
      helperNode('out'),
      catchNode('catch', 'caught'),
      helperNode('caught'),
    ];
  };
  const credentialsOf = (token: string): Credentials => {
    const accessToken = { accessToken: token };
    return { push: accessToken, progress: accessToken, inform: accessToken };
  };
  const load = async (push: object = {}, token = TOKEN): Promise<LoadedFlow> =>
    later(await loadFlow([...allNodes, gateNode], flowOf(push), credentialsOf(token), { userDir }));
  const ready = (flow: LoadedFlow): Promise<unknown> => flow.status('push', /connected|sessionNotKept/);
  const push = (id: string, fields: object = {}, token = TOKEN): Promise<void> =>
    platform.publish(`${TOPIC}/upgrade/${token}`, { id, code: 200, params: { ...GOOD_UPGRADE, ...fields } });
  const file = (node = 'push'): string => path.join(userDir, `ota/held/${node}.json`);
  const saved = (node?: string): string =>
    fs.existsSync(file(node)) ? fs.readFileSync(file(node), 'utf8') : '';
  const given = (out: Collection): unknown[] => out.items.map((item) => asOut(item).payload['version']);
  const codes = (caught: Collection): unknown[] => caught.items.map((item) => asOut(item).error?.code);
  const reported = (text: string): Promise<boolean> =>
    until(() => platform.messages.some((message) => message.text.includes(text)), text);

  it('is handed out again after a deploy, which is no attempt, and no more once its end is reported', async () => {
    let flow = await load();
    let out = flow.messages('out');
    await ready(flow);
    await push('1');
    await out.atLeast(1);
    await flow.status('push', 'ota-push.status.inWork');
    const { payload } = asOut(out.items[0]);
    assert.equal('resumed' in payload || 'attempt' in payload, false);
    await flow.stop();
    flow = await load();
    out = flow.messages('out');
    await out.atLeast(1);
    assert.deepEqual(asOut(out.items[0]).payload, { ...payload, resumed: true, attempt: 1 });
    flow.send('progress', { payload: 100 });
    await reported('"100"');
    await until(() => saved() === '', 'nothing to be in work');
    await flow.stop();
    flow = await load();
    out = flow.messages('out');
    await ready(flow);
    await push('2', { version: 'v9' });
    await out.atLeast(1);
    assert.deepEqual(given(out), ['v9']);
  });

  it('keeps the next one of its device back until its end is reported', async () => {
    const flow = await load();
    const out = flow.messages('out');
    await ready(flow);
    await push('1', { version: 'v1' });
    await push('2', { version: 'mcu', module: 'MCU' });
    await push('3', { version: 'old' });
    await push('4', { version: 'v2' });
    await until(() => saved().includes('"v2"'), 'the last to be kept');
    await flow.status('push', 'ota-push.status.several');
    assert.deepEqual(given(out), ['v1']);
    flow.send('progress', { payload: { step: -4, desc: 'no room' } });
    await out.atLeast(2);
    flow.send('inform', { payload: { version: 'mcu', module: 'MCU' } });
    await out.atLeast(3);
    assert.deepEqual(given(out), ['v1', 'mcu', 'v2']);
  });

  it('goes on where another version or another module is reported', async () => {
    const flow = await load();
    const out = flow.messages('out');
    await ready(flow);
    await push('1', { version: 'v1' });
    await push('2', { version: 'v2' });
    await out.atLeast(1);
    flow.send('inform', { payload: 'v0' });
    flow.send('progress', { payload: { step: 100, module: 'MCU' } });
    await reported('"v0"');
    await reported('MCU');
    assert.deepEqual(given(out), ['v1']);
    flow.send('inform', { payload: 'v1' });
    await out.atLeast(2);
  });

  it('is one for all devices of a gateway with parallel 1', async () => {
    const flow = await load({ parallel: '1' }, '+');
    const out = flow.messages('out');
    await ready(flow);
    for (const token of ['a', 'b']) await push('1', {}, token);
    await until(() => saved().includes('"b"'), 'the second to be kept');
    assert.equal(out.items.length, 1);
    flow.send('progress', { accessToken: 'a', payload: 100 });
    await out.atLeast(2);
    assert.deepEqual(
      out.items.map((item) => asOut(item).accessToken),
      ['a', 'b'],
    );
  });

  it('is the same by its content, whatever its id; another content under its id is another', async () => {
    let flow = await load();
    let out = flow.messages('out');
    await ready(flow);
    await push('1', { version: 'v1' });
    await out.atLeast(1);
    await push('77', { version: 'v1', url: 'http://elsewhere.example/f' });
    await until(() => saved().includes('"77"'), 'its id to be renewed');
    assert.deepEqual(given(out), ['v1']);
    await flow.stop();
    flow = await load();
    out = flow.messages('out');
    await out.atLeast(1);
    assert.equal(asOut(out.items[0]).payload['url'], 'http://elsewhere.example/f');
    flow.send('progress', { payload: 100 });
    await reported('"100"');
    await until(() => saved() === '', 'nothing to be in work');
    await push('77', { version: 'v1' });
    await push('77', { version: 'v2' });
    await out.atLeast(2);
    assert.deepEqual(given(out), ['v1', 'v2']);
  });

  it('is given up after as many starts as allowed: -1 for its module, and the next one goes out', async () => {
    const upgrade = { topic: 't', payload: { ...GOOD_UPGRADE, accessToken: TOKEN, id: '1', module: 'MCU' } };
    const work = { key: 'k', upgrade, attempt: 3, run: 'another', since: '', quietMs: 0, reporting: false };
    fs.mkdirSync(path.dirname(file()), { recursive: true });
    fs.writeFileSync(file(), JSON.stringify({ version: 2, upgrades: [], inWork: [work] }));
    const flow = await load();
    const [out, caught] = [flow.messages('out'), flow.messages('caught')];
    await flow.status('push', /connected|inWork|several/);
    await push('2', { version: 'v2' });
    await until(() => codes(caught).includes('OTA_GAVE_UP'), 'it to be told', 60_000);
    await out.atLeast(1);
    assert.deepEqual(given(out), ['v2']);
    const [failure] = platform.messages.map(({ text }) => JSON.parse(text) as Record<string, unknown>);
    assert.deepEqual(failure, { step: '-1', desc: 'given up after 3 starts', module: 'MCU' });
  });

  it('is set aside where nothing is heard of it for workTimeout', async () => {
    const flow = await load({ workTimeout: '1' });
    const [out, caught] = [flow.messages('out'), flow.messages('caught')];
    await ready(flow);
    await push('1', { version: 'v1' });
    await push('2', { version: 'v2' });
    await out.atLeast(2);
    assert.deepEqual(codes(caught).slice(0, 1), ['OTA_STUCK']);
    assert.equal(asOut(caught.items[0]).payload['version'], 'v1');
  });

  it('ends by a message, and only by one that says which', async () => {
    const flow = await load({ hold: true }, '+');
    const [out, caught] = [flow.messages('out'), flow.messages('caught')];
    await ready(flow);
    await push('1', { version: 'v1', module: 'A' });
    await push('2', { version: 'v2', module: 'B' });
    await push('3', { version: 'v3', module: 'C' });
    await until(() => saved().includes('"v3"'), 'all to be held');
    const wrong: [Record<string, unknown>, string][] = [
      [{ payload: { action: 'go' } }, 'OTA_BAD_INPUT'],
      [{ payload: { action: 'ask' }, accessToken: TOKEN }, 'OTA_BAD_INPUT'],
      [{ payload: { action: 'done' } }, 'OTA_BAD_TOKEN'],
      [{ payload: { action: 'drop' }, accessToken: TOKEN }, 'OTA_BAD_INPUT'],
      [{ payload: { action: 'done', module: 'A' }, accessToken: TOKEN }, 'OTA_BAD_INPUT'],
    ];
    for (const [i, [message]] of wrong.entries()) {
      flow.send('push', message);
      await caught.atLeast(i + 1);
    }
    assert.deepEqual(
      codes(caught),
      wrong.map(([, code]) => code),
    );
    assert.equal(out.items.length, 0);
    flow.send('push', { payload: { action: 'drop', module: 'B' }, accessToken: TOKEN });
    await until(() => !saved().includes('"v2"'), 'the second to be dropped');
    flow.send('push', { payload: { action: 'release' } });
    await out.atLeast(1);
    flow.send('push', { payload: { action: 'done' }, accessToken: TOKEN });
    await until(() => !saved().includes('"v1"'), 'the first to have ended');
    flow.send('push', { payload: '' });
    await out.atLeast(2);
    assert.deepEqual(given(out), ['v1', 'v3']);
  });

  describe('while another node is deployed', () => {
    /** Begins to deploy the node behind ota-push; resolves with what lets that node close. */
    const closing = async (flow: LoadedFlow, to: object): Promise<{ open: () => Promise<void> }> => {
      const closes = once(gates, 'closing') as Promise<[() => void]>;
      const deployed = flow.deploy(flowOf(to, { name: 'changed' }), 'nodes', credentialsOf(TOKEN));
      const [done] = await closes;
      return {
        open: () => {
          done();
          return deployed;
        },
      };
    };

    for (const [what, settings] of [
      ['waits', {}],
      ['waits, with keepInWork off,', { keepInWork: false }],
    ] as const) {
      it(`${what} until the flows run, when it comes in meanwhile`, async () => {
        const settingsOfPush = { wires: [['gate']], ...settings };
        const flow = await load(settingsOfPush);
        const out = flow.messages('out');
        await ready(flow);
        const gate = await closing(flow, settingsOfPush);
        await push('1', { version: 'v1' });
        await until(() => saved().includes('"v1"'), 'it to be kept');
        await gate.open();
        await out.atLeast(1);
        assert.deepEqual(given(out), ['v1']);
      });
    }

    it('ends by what is reported while its own node is deployed, and does not go out again', async () => {
      const settingsOfPush = { wires: [['gate']] };
      const flow = await load(settingsOfPush);
      const out = flow.messages('out');
      await ready(flow);
      await push('1', { version: 'v1' });
      await out.atLeast(1);
      const gate = await closing(flow, { ...settingsOfPush, name: 'changed' });
      flow.send('progress', { payload: 100 });
      await until(() => saved('../reports/service').includes('100'), 'the report to be kept');
      await gate.open();
      await reported('"100"');
      await until(() => saved() === '', 'nothing to be in work');
      await push('2', { version: 'v2' });
      await out.atLeast(2);
      assert.deepEqual(given(out), ['v1', 'v2']);
    });

    /** Deploys a node of a type that isn't there: Node-RED closes what changed, and starts nothing. */
    const deployInVain = (to: object): Promise<unknown> => {
      const unknown = { id: 'unknown', type: 'not-installed', z: 'tab', x: 1, y: 1, wires: [] };
      const flows = [...flowOf(to, { name: 'changed' }), unknown];
      return helper._redNodes.setFlows(structuredClone(flows), credentialsOf(TOKEN), 'nodes');
    };

    it('goes out though the deploy started nothing, for want of a type of node', async () => {
      const flow = await load();
      const out = flow.messages('out');
      await ready(flow);
      await deployInVain({});
      await push('1', { version: 'v1' });
      await out.atLeast(1);
      assert.deepEqual(given(out), ['v1']);
    });

    it('ends by what is reported though that deploy closed its own node, and does not go out again', async () => {
      const flow = await load();
      const out = flow.messages('out');
      await ready(flow);
      await push('1', { version: 'v1' });
      await out.atLeast(1);
      await deployInVain({ name: 'changed' });
      flow.send('progress', { payload: 100 });
      await reported('"100"');
      await until(() => saved('../reports/service') === '', 'the report to be acknowledged');
      await flow.deploy(flowOf({ name: 'changed' }), 'nodes', credentialsOf(TOKEN));
      await until(() => saved() === '', 'nothing to be in work');
      await push('2', { version: 'v2' });
      await out.atLeast(2);
      assert.deepEqual(given(out), ['v1', 'v2']);
    });

    it('goes out once more when the flows run, where the deploy broke its work off', async () => {
      const settingsOfPush = { wires: [['gate']] };
      const flow = await load(settingsOfPush);
      const out = flow.messages('out');
      await ready(flow);
      await push('1', { version: 'v1' });
      await out.atLeast(1);
      const gate = await closing(flow, settingsOfPush);
      upgradeInterrupted(TOKEN, 'default');
      // A node that closes for longer than ota-push takes to look for what is due.
      await new Promise((goOn) => setTimeout(goOn, 1000));
      await gate.open();
      await out.atLeast(2);
      assert.deepEqual(given(out), ['v1', 'v1']);
    });
  });

  it('ends in each node that has it in work, by one report', async () => {
    const more = { ...flowOf().find(({ id }) => id === 'push'), id: 'push2' } as FlowNode;
    const credentials = { ...credentialsOf(TOKEN), push2: { accessToken: '+' } };
    const flow = later(
      await loadFlow([...allNodes, gateNode], [...flowOf(), more], credentials, { userDir }),
    );
    const out = flow.messages('out');
    await ready(flow);
    await flow.status('push2', /connected|sessionNotKept/);
    await push('1');
    await out.atLeast(2);
    flow.send('progress', { payload: 100, accessToken: TOKEN });
    await until(() => saved() === '' && saved('push2') === '', 'nothing to be in work in either');
  });

  for (const [what, settings, atOnce] of [
    ['keepInWork off', { keepInWork: false }, 2],
    ['settings from before it was there', { settingsVersion: '1' }, 2],
    ['settings from before it was there, and hold', { settingsVersion: '1', hold: true }, 1],
  ] as const) {
    it(`is ${atOnce === 2 ? 'none' : 'one'} with ${what}`, async () => {
      const flow = await load(settings);
      const out = flow.messages('out');
      await ready(flow);
      await push('1', { version: 'v1' });
      await push('2', { version: 'mcu', module: 'MCU' });
      if ('hold' in settings) {
        await until(() => saved().includes('"mcu"'), 'both to be held');
        flow.send('push', { payload: 'idle' });
      }
      await out.atLeast(atOnce);
      await until(() => (atOnce === 2 ? saved() === '' : saved().includes('"inWork":[{')), 'the file');
      assert.equal(out.items.length, atOnce);
    });
  }
});

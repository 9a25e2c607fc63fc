/** Flows that an older release saved: they load and work; and the one place that makes them so. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { migrate } from '../../nodes/lib/red/migrate';
import { type Saved as Settings, SETTINGS_VERSION, type Step } from '../../nodes/lib/rules';
import { INSTALL_TIMEOUT_MS, startInstalled } from '../packed/installed';
import { startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { type FlowNode, type NodeRed } from '../support/node-red';
import { shippedNodes } from '../support/shipped-nodes';
import { until } from '../support/wait';
import { definitions } from './definitions';

const FIXTURES = path.join(__dirname, 'fixtures');
/** A folder for each release, with a flow as its editor saved it, every setting in it. */
const RELEASES = fs.readdirSync(FIXTURES).filter((name) => /^\d+\.\d+\.\d+$/.test(name));

function saved(release: string): FlowNode[] {
  return JSON.parse(fs.readFileSync(path.join(FIXTURES, release, 'flows.json'), 'utf8')) as FlowNode[];
}

/** What Node-RED keeps beside the settings of a node. */
const NOT_SETTINGS = ['id', 'type', 'x', 'y', 'z', 'wires', 'credentials'];

for (const release of RELEASES) {
  describe(`a flow saved by release ${release}`, function () {
    this.timeout(INSTALL_TIMEOUT_MS);
    const later = cleanup(after);
    const flow = saved(release);
    let red: NodeRed;
    const wire: { topic: string; text: string }[] = [];
    const click = async (name: string): Promise<void> => {
      const node = flow.find((one) => one.type === 'inject' && String(one['name']).startsWith(name));
      assert.ok(node, name);
      await red.post(`/inject/${node.id}`, {});
    };

    before(async () => {
      const broker = later(await startAedes());
      const watcher = later(await connectClient(broker.url));
      await watcher.subscribe('/ota/#');
      red = later(await startInstalled());
      const subscribed: string[] = [];
      broker.broker.on('subscribe', (list) => void subscribed.push(...list.map(({ topic }) => topic)));
      await red.deploy(
        flow.map((node) => {
          if (node.type === 'mqtt-broker') return { ...node, broker: '127.0.0.1', port: String(broker.port) };
          if (!Array.isArray(node['env'])) return node;
          const env = (node['env'] as { name: string }[]).map((entry) => ({ ...entry, value: red.url }));
          return { ...node, env };
        }),
      );
      await until(() => subscribed.length >= 3, 'three subscriptions');
      watcher.messages.length = 0;
      await click('1.');
      await until(() => watcher.messages.some(({ topic }) => topic.includes('inform')), 'the report');
      await click('2.');
      await until(
        () => watcher.messages.filter(({ topic }) => topic.includes('inform')).length === 2,
        'the report after the upgrade',
      );
      wire.push(...watcher.messages);
    });

    it('upgrades a device from the first report to the last', () => {
      assert.match(wire.find(({ topic }) => topic.includes('/inform/'))?.text ?? '', /v1\.0/);
      assert.match(wire.findLast(({ topic }) => topic.includes('/inform/'))?.text ?? '', /v1\.1/);
      assert.match(wire.findLast(({ topic }) => topic.includes('/progress/'))?.text ?? '', /"100"/);
    });

    it('answers for its packages and its tasks, from the folders that it names', async () => {
      await click('packages');
      assert.match(await red.logged(/ANSWER \[/), /ANSWER \[\]/);
      await click('tasks');
      assert.match(await red.logged(/ANSWER \{/), /"total":0/);
      for (const name of ['fixture/packages', 'fixture/tasks.db']) {
        assert.ok(fs.existsSync(path.join(red.userDir, name)), name);
      }
    });

    it('logs no error', () => {
      assert.deepEqual(
        red.lines.filter((line) => /\[(error|fatal)\]/.test(line)),
        [],
      );
    });

    it('has no setting that this release knows no more', async () => {
      const pages = await definitions();
      for (const node of flow) {
        const page = pages.get(node.type);
        if (page === undefined) continue;
        const settings = migrate(node.type, node);
        const unknown = Object.keys(settings).filter(
          (name) => !NOT_SETTINGS.includes(name) && !(name in page.defaults),
        );
        assert.deepEqual(unknown, [], `${node.type}: a step in nodes/lib/rules/steps.ts is missing`);
      }
    });

    it('is refused by every node that a newer release saved, with what to do', async () => {
      const from = red.lines.length;
      // Without a Catch node an error is in the log.
      const newer = flow
        .filter(({ type }) => type !== 'catch')
        .map((node) =>
          node.type.startsWith('ota-') && 'z' in node ? { ...node, settingsVersion: '99' } : node,
        );
      await red.deploy(newer);
      for (const { type } of newer.filter(({ settingsVersion }) => settingsVersion === '99')) {
        await red.logged(new RegExp(`\\[error\\] \\[${type}:.*\\] OTA_BAD_SETTINGS: A newer release`), from);
      }
    });
  });
}

describe('the settings version', () => {
  it('has a saved flow of the first release, with every node type', async () => {
    const types = new Set(saved('0.1.0').map(({ type }) => type));
    for (const type of Object.keys(await shippedNodes())) assert.ok(types.has(type), type);
  });

  it('that the pages write is the newest', async function () {
    this.timeout(240_000);
    for (const [type, { defaults }] of await definitions()) {
      assert.equal(defaults['settingsVersion']?.value, String(SETTINGS_VERSION), type);
    }
  });

  // What a later release may have to do: a setting renamed, then another unit.
  const renamed: Step = (type, { waitSeconds, ...rest }) =>
    type === 'ota-example' ? { ...rest, wait: waitSeconds } : { ...rest, waitSeconds };
  const minutes: Step = (_type, settings) => ({ ...settings, wait: Number(settings['wait']) / 60 });
  const steps = [renamed, minutes];
  const old: Settings = { id: 'n1', waitSeconds: '120' };

  it('takes old settings through every step, in order', () => {
    assert.deepEqual(migrate('ota-example', { ...old, settingsVersion: '1' }, steps), {
      id: 'n1',
      settingsVersion: '1',
      wait: 2,
    });
  });

  it('takes settings without a version for the first', () => {
    assert.deepEqual(migrate('ota-example', old, steps), { id: 'n1', wait: 2 });
  });

  it('leaves the steps out that are behind it', () => {
    const settings = { wait: '180', settingsVersion: '2' };
    assert.deepEqual(migrate('ota-example', settings, steps), { ...settings, wait: 3 });
  });

  it('leaves the newest settings, and what Node-RED saved, as they are', () => {
    const settings = Object.freeze({ wait: 5, settingsVersion: '3' });
    assert.equal(migrate('ota-example', settings, steps), settings);
    const first = Object.freeze({ ...old });
    migrate('ota-example', first, steps);
    assert.deepEqual(first, old);
  });

  for (const settingsVersion of ['4', 'x', '0', '1.5', '-1']) {
    it(`refuses "${settingsVersion}": OTA_BAD_SETTINGS`, () => {
      assert.throws(() => migrate('ota-example', { settingsVersion }, steps), { code: 'OTA_BAD_SETTINGS' });
    });
  }
});

/** Nodes on the canvas: a real Node-RED 4.1 in a real Chromium, used as a person does. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import type { Editor } from './support/editor';
import { placed } from './support/flows';
import { useEditor } from './support/use-editor';

const VARIABLE = ['$', '{OTA_VALUE}'].join('');

describe('on the canvas', function () {
  this.timeout(240_000);
  const used = useEditor();

  describe('a node that is dragged in', () => {
    const EXPECTED = {
      'ota-inform': {
        label: 'version reports',
        ports: [0, 1],
        settings: { side: 'platform', service: '', module: '', version: '', atStart: false },
      },
      'ota-push': {
        label: 'push upgrade',
        ports: [1, 2],
        settings: { side: 'platform', service: '', rate: '', hold: false, allowUnsigned: false },
      },
      'ota-progress': {
        label: 'progress reports',
        ports: [0, 1],
        settings: { side: 'platform', service: '', minInterval: '1', minDelta: '5', maxInterval: '60' },
      },
      'ota-verify': {
        label: 'verify package',
        ports: [1, 2],
        settings: {
          source: 'url',
          directory: '',
          downloadShare: '90',
          retries: '7',
          stallTimeout: '30',
          totalTimeout: '3600',
          maxBytes: '1073741824',
          requireSign: true,
          allowedHosts: '',
          allowLocal: false,
          maxRedirects: '3',
          tls: '',
          publicKeys: '',
          rollback: 'off',
          concurrency: '2',
          keep: '2',
        },
      },
    } as const;

    before(() => used.editor.show([]));

    for (const [type, expected] of Object.entries(EXPECTED)) {
      it(`is called "${expected.label}" and has its defaults (${type})`, async () => {
        const node = await used.editor.node(await used.editor.drag(type));
        assert.equal(node.label, expected.label);
        assert.deepEqual([node.inputs, node.outputs], expected.ports);
        for (const [name, value] of Object.entries({ ...expected.settings, settingsVersion: '2' })) {
          assert.deepEqual(node.settings[name], value, name);
        }
      });
    }

    it('needs a service, and says so', async () => {
      const node = await used.editor.node(await used.editor.drag('ota-push'));
      assert.equal(node.valid, false);
      assert.match(node.reasons.join(), /Service/);
    });

    it('takes the only service and the only store there are, and none of two', async () => {
      await used.editor.show([...used.service, { id: 'store', type: 'ota-store', name: '', file: '' }]);
      const { settings, reasons } = await used.editor.node(await used.editor.drag('ota-task'));
      assert.deepEqual([settings['service'], settings['store'], reasons], ['service', 'store', []]);
      await used.editor.show([
        ...used.service,
        ...used.service.slice(1).map((node) => ({ ...node, id: 'second' })),
      ]);
      const undecided = await used.editor.node(await used.editor.drag('ota-push'));
      assert.equal(undecided.settings['service'], '');
    });

    it('has an icon that is there', async () => {
      const icons = (await used.host.nodeRed.get('/icons')) as Record<string, string[]>;
      for (const icon of icons['@mqtt-ota/node-red-ota']!) {
        assert.match(
          String(await used.host.nodeRed.get(`/icons/@mqtt-ota/node-red-ota/${icon}`, 'image/*')),
          /<svg/,
        );
      }
      assert.ok(icons['@mqtt-ota/node-red-ota']!.includes('ota-push.svg'));
    });
  });

  describe('changing the side', () => {
    beforeEach(() =>
      used.editor.show([
        ...used.service,
        placed('source0', 'inject', { props: [] }, [['push1']]),
        placed('push1', 'ota-push', { service: 'service', side: 'platform', inputs: 1, outputs: 2 }, [
          ['to2'],
          ['to3'],
        ]),
        placed('to2', 'debug'),
        placed('to3', 'debug'),
      ]),
    );

    it('changes ports, label and rows at once, and takes off the wires that no longer fit', async () => {
      await used.editor.open('push1');
      assert.equal(await used.editor.field('accessToken').isVisible(), false);
      await used.editor.fill('side', 'device');
      assert.equal(await used.editor.field('accessToken').isVisible(), true);
      await used.editor.done();
      const node = await used.editor.node('push1');
      assert.equal(node.label, 'receive upgrade');
      // A device always has an input: messages release, ask, end and drop upgrades.
      assert.deepEqual([node.inputs, node.outputs], [1, 1]);
      assert.deepEqual([node.from, node.to], [['source0'], ['0:to2']]);
      assert.equal(await used.editor.page.locator('#push1 .red-ui-flow-port-output').count(), 1);
      assert.equal(await used.editor.page.locator('#push1 .red-ui-flow-port-input').count(), 1);
    });

    it('is undone whole', async () => {
      await used.editor.open('push1');
      await used.editor.fill('side', 'device');
      await used.editor.done();
      await used.editor.undo();
      const node = await used.editor.node('push1');
      assert.deepEqual([node.label, node.inputs, node.outputs], ['push upgrade', 1, 2]);
      assert.deepEqual([node.from, node.to], [['source0'], ['0:to2', '1:to3']]);
    });

    it('gives a device that holds upgrades an input', async () => {
      await used.editor.open('push1');
      await used.editor.fill('side', 'device');
      await used.editor.fill('hold', true);
      await used.editor.done();
      const node = await used.editor.node('push1');
      assert.deepEqual([node.inputs, node.outputs, node.from], [1, 1, ['source0']]);
    });

    it('leaves everything as it was when the dialog is cancelled', async () => {
      await used.editor.open('push1');
      await used.editor.fill('side', 'device');
      await used.editor.cancel();
      const node = await used.editor.node('push1');
      assert.deepEqual([node.label, node.inputs, node.outputs, node.changed], ['push upgrade', 1, 2, false]);
    });

    for (const [type, label] of [
      ['ota-inform', 'report version'],
      ['ota-progress', 'report progress'],
    ] as const) {
      it(`gives a device's ${type} an input and the label "${label}"`, async () => {
        await used.editor.show([
          ...used.service,
          placed('node', type, { service: 'service', side: 'platform' }),
        ]);
        await used.editor.open('node');
        await used.editor.fill('side', 'device');
        await used.editor.done();
        const node = await used.editor.node('node');
        assert.deepEqual([node.label, node.inputs, node.outputs], [label, 1, 1]);
      });
    }
  });

  describe('deployed', () => {
    it('a platform node needs a broker and nothing else, and shows its status', async () => {
      await used.editor.show(used.service.slice(0, 1));
      const id = await used.editor.drag('ota-inform');
      await used.editor.open(id);
      await used.editor.page.locator('#node-input-btn-service-add').click();
      await used.editor.field('broker').waitFor();
      await used.editor.fill('broker', 'broker');
      await used.editor.done();
      await used.editor.page.locator('#node-input-service').waitFor();
      await used.editor.done();
      assert.deepEqual((await used.editor.node(id)).reasons, []);
      await used.editor.deploy();
      assert.equal(await used.editor.status(id, /no report/), 'no report yet');
    });

    it('a device node needs its token besides, which is kept as a credential', async () => {
      await used.editor.show([
        ...used.service,
        placed('device', 'ota-push', { service: 'service', side: 'device', inputs: 0, outputs: 1 }),
      ]);
      await used.editor.open('device');
      assert.match((await used.editor.field('accessToken').getAttribute('class')) ?? '', /input-error/);
      await used.editor.fill('accessToken', 'device-1');
      await used.editor.done();
      await used.editor.deploy();
      assert.equal(await used.editor.status('device', 'connected'), 'connected');
      const flows = JSON.stringify(await used.host.nodeRed.get('/flows'));
      assert.ok(!flows.includes('device-1'));
    });

    it('a device node needs none where its service holds the own token of the gateway', async () => {
      const [broker, service] = used.service;
      assert.ok(broker && service);
      // A service of its own: Node-RED keeps its credential, which another test's service must not have.
      await used.editor.show([
        broker,
        { ...service, id: 'gateways' },
        placed('device', 'ota-push', { service: 'gateways', side: 'device', inputs: 1, outputs: 1 }),
      ]);
      await used.editor.open('device');
      await used.editor.page.locator('#node-input-btn-service-edit').click();
      await used.editor.field('scheme').waitFor();
      await used.editor.fill('accessToken', 'gateway-1');
      const eye = used.editor.page.locator('.red-ui-tray').last().locator('.ota-eye');
      await eye.click();
      assert.equal(await used.editor.field('accessToken').getAttribute('type'), 'text', 'it is shown');
      await used.editor.done();
      await used.editor.field('side').waitFor();
      const token = used.editor.field('accessToken');
      await used.editor.page.waitForFunction(
        () => !document.querySelector('#node-input-accessToken')?.classList.contains('input-error'),
      );
      assert.equal(await token.getAttribute('placeholder'), 'from the service');
      await used.editor.done();
      await used.editor.deploy();
      assert.equal(await used.editor.status('device', 'connected'), 'connected');
      const flows = JSON.stringify(await used.host.nodeRed.get('/flows'));
      assert.ok(!flows.includes('gateway-1'), 'it is a credential');
    });

    it('a token is of the form that the topics of the service have', async () => {
      const [broker, service] = used.service;
      assert.ok(broker && service);
      await used.editor.show([
        broker,
        { ...service, scheme: 'aliyun' },
        placed('pair', 'ota-inform', { service: 'service', side: 'device', inputs: 1, outputs: 1 }),
      ]);
      await used.editor.open('pair');
      const token = used.editor.field('accessToken');
      await used.editor.fill('accessToken', 'device-1');
      assert.match((await token.getAttribute('class')) ?? '', /input-error/);
      await used.editor.fill('accessToken', 'a1B2c3D4e5F/DEVICE0001');
      assert.doesNotMatch((await token.getAttribute('class')) ?? '', /input-error/);
      await used.editor.done();
      assert.deepEqual((await used.editor.node('pair')).reasons, []);
    });

    it('a device node without a token says what it lacks', async () => {
      await used.editor.show([
        ...used.service,
        placed('bare1', 'ota-push', { service: 'service', side: 'device', inputs: 0, outputs: 1 }),
      ]);
      await used.editor.deploy();
      assert.equal(await used.editor.status('bare1', /token/), 'no access token');
    });

    it('a status that counts says the number', async () => {
      await used.editor.show([placed('packages', 'ota-package', { baseUrl: 'http://192.0.2.1:1880' })]);
      await used.editor.deploy();
      assert.equal(await used.editor.status('packages', /packages/), '0 packages');
    });

    it('settings are in the flow file: ports as numbers, numbers as text', async () => {
      await used.editor.show([
        ...used.service,
        placed('progress', 'ota-progress', { service: 'service', side: 'platform' }),
      ]);
      await used.editor.open('progress');
      await used.editor.fill('side', 'device');
      await used.editor.fill('minInterval', VARIABLE);
      await used.editor.done();
      await used.editor.deploy();
      const flows = (await used.host.nodeRed.get('/flows')) as Record<string, unknown>[];
      const { inputs, outputs, minInterval, minDelta } = flows.find(({ id }) => id === 'progress')!;
      assert.deepEqual(
        { inputs, outputs, minInterval, minDelta },
        { inputs: 1, outputs: 1, minInterval: VARIABLE, minDelta: '5' },
      );
    });
  });

  describe('an example', () => {
    const folder = path.join(ROOT, 'examples');
    // The console's have nodes of Dashboard 2.0, which this editor lacks.
    const files = (fs.readdirSync(folder, { recursive: true }) as string[]).filter(
      (name) => name.endsWith('.json') && !name.startsWith('console'),
    );
    for (const file of files) {
      it(`shows every node, and all of it (${file})`, async () => {
        const flow = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')) as { type: string }[];
        await used.editor.show(flow.map((node) => ('z' in node ? { ...node, z: 'tab' } : node)));
        assert.deepEqual(await used.editor.covered(), []);
        const cut = await used.editor.page.evaluate(() => {
          const found: string[] = [];
          RED.nodes.eachNode(({ id, x, w }) => {
            if (x - w / 2 < 0) found.push(id);
          });
          return found;
        });
        assert.deepEqual(cut, [], 'begins left of the canvas');
      });
    }

    it('beside two others shares their broker, service and store, as "Import copy" adds it', async () => {
      const files = ['fleet-task.json', 'http-api/http-api.json', 'notify/notify.json'];
      const flows = files.map(
        (file) => JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8')) as object,
      );
      const types = await used.editor.page.evaluate((all) => {
        RED.nodes.clear();
        all.forEach((flow, i) => RED.nodes.import(flow, { generateIds: i > 0 }));
        const found: string[] = [];
        RED.nodes.eachConfig(({ type }) => void found.push(type));
        return found;
      }, flows);
      for (const type of ['mqtt-broker', 'ota-service', 'ota-store'])
        assert.equal(types.filter((one) => one === type).length, 1, type);
    });
  });

  describe('in Chinese', () => {
    let chinese: Editor;
    before(async () => {
      chinese = await used.host.open('zh-CN');
    });

    it('labels, reasons and status are Chinese', async () => {
      await chinese.show([
        ...used.service,
        placed('node', 'ota-inform', { service: 'service', side: 'platform', inputs: 0, outputs: 1 }),
        placed('push', 'ota-push', { service: 'service', side: 'platform', rate: 'x' }),
      ]);
      assert.equal((await chinese.node('node')).label, '接收版本上报');
      assert.match((await chinese.node('push')).reasons.join(), /速率：必须是数字/);
    });

    it('no bare key is shown in any dialog', async () => {
      const types = ['ota-inform', 'ota-push', 'ota-progress', 'ota-verify'];
      await chinese.show([
        ...used.service,
        ...types.map((type) => placed(type, type, { side: 'device', service: 'service' })),
      ]);
      for (const type of types) {
        await chinese.open(type);
        await chinese.page.evaluate(() =>
          document.querySelectorAll('details').forEach((part) => (part.open = true)),
        );
        const text = await chinese.page.locator('#dialog-form').innerText();
        assert.doesNotMatch(text, /(?:common|ota-\w+)\.[a-z]+\./i);
        assert.match(text, /名称/);
        await chinese.cancel();
      }
    });

    for (const type of ['ota-service', 'ota-inform', 'ota-push', 'ota-progress', 'ota-verify']) {
      it(`the help of ${type} is there`, async () => {
        const { text, headings } = await chinese.help(type);
        assert.ok(headings.includes('详细'));
        assert.match(text, /[\u4e00-\u9fff]{4}/);
      });
    }
  });
});

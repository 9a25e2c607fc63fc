/** The nodes' dialogs and their help: a real Node-RED 4.1 in a real Chromium, used as a person does. */
import assert from 'node:assert/strict';
import type { Editor } from './support/editor';
import { shippedNodes } from '../support/shipped-nodes';
import { placed } from './support/flows';
import { useEditor } from './support/use-editor';

interface EditorType {
  readonly defaults: Record<string, Setting>;
  readonly credentials?: Record<string, Setting>;
}

interface Setting {
  readonly value?: unknown;
  readonly label?: string;
  readonly validate?: unknown;
  /** The type of a config node: Node-RED itself checks what is chosen. */
  readonly type?: string;
}

const VARIABLE = ['$', '{OTA_VALUE}'].join('');

describe('in the dialogs', function () {
  this.timeout(240_000);
  const used = useEditor();

  describe('a wrong value', () => {
    before(() =>
      used.editor.show([
        ...used.service,
        placed('push', 'ota-push', { service: 'service', side: 'platform', rate: '' }),
      ]),
    );
    beforeEach(() => used.editor.open('push'));
    afterEach(() => used.editor.cancel());

    it('is marked and tells its reason', async () => {
      await used.editor.fill('rate', 'many');
      assert.match((await used.editor.field('rate').getAttribute('class')) ?? '', /input-error/);
      await used.editor.field('rate').hover();
      const reason = used.editor.page.locator('.red-ui-popover', { hasText: 'Rate' });
      await reason.waitFor();
      assert.equal((await reason.innerText()).trim(), 'Rate: must be a number');
    });

    it('is no longer marked once it is right', async () => {
      await used.editor.fill('rate', '-1');
      assert.match((await used.editor.field('rate').getAttribute('class')) ?? '', /input-error/);
      await used.editor.fill('rate', '2.5');
      assert.doesNotMatch((await used.editor.field('rate').getAttribute('class')) ?? '', /input-error/);
    });

    it('is not seen in a whole environment variable', async () => {
      await used.editor.fill('rate', VARIABLE);
      assert.doesNotMatch((await used.editor.field('rate').getAttribute('class')) ?? '', /input-error/);
    });

    it('of the other side, which nobody sees, is not held against the node', async () => {
      await used.editor.fill('rate', 'many');
      await used.editor.fill('side', 'device');
      assert.equal(await used.editor.field('rate').isVisible(), false);
      assert.doesNotMatch((await used.editor.field('rate').getAttribute('class')) ?? '', /input-error/);
    });
  });

  describe('a dialog', () => {
    it('that is opened and left by Done changes nothing', async () => {
      await used.editor.show([
        ...used.service,
        placed('node', 'ota-inform', await freshSettings(used.editor, 'ota-inform')),
      ]);
      await used.editor.open('node');
      await used.editor.done();
      assert.equal((await used.editor.node('node')).changed, false);
    });

    it('shows the default of a setting that the flow file lacks, and keeps it', async () => {
      await used.editor.show([placed('verify', 'ota-verify')]);
      await used.editor.open('verify');
      assert.equal(await used.editor.field('requireSign').isChecked(), true);
      await used.editor.done();
      const { settings } = await used.editor.node('verify');
      assert.deepEqual([settings['requireSign'], settings['keep'], settings['rollback']], [true, '2', 'off']);
    });

    for (const [hold, keepInWork] of [
      [false, false],
      [true, true],
    ]) {
      it(`shows an ota-push of an older release as it runs, and Done keeps that: hold ${hold}`, async () => {
        await used.editor.show([
          ...used.service,
          placed('push', 'ota-push', { service: 'service', side: 'device', hold }),
        ]);
        await used.editor.open('push');
        assert.equal(await used.editor.field('keepInWork').isChecked(), keepInWork);
        await used.editor.done();
        const { settings } = await used.editor.node('push');
        assert.deepEqual([settings['keepInWork'], settings['settingsVersion']], [keepInWork, '2']);
      });
    }

    it('of ota-verify shows five settings, and the rest when it is asked to', async () => {
      await used.editor.show([placed('verify', 'ota-verify')]);
      await used.editor.open('verify');
      const rows = used.editor.page.locator('#dialog-form .form-row:visible');
      assert.equal(await rows.count(), 5);
      await used.editor.page.locator('#dialog-form summary').click();
      assert.equal(await rows.count(), 20);
      await used.editor.cancel();
    });

    it('of ota-verify opens the rest by itself where something in it is wrong', async () => {
      await used.editor.show([placed('verify', 'ota-verify', { keep: 'none' })]);
      await used.editor.open('verify');
      await used.editor.field('keep').waitFor();
      await used.editor.cancel();
    });

    it('of ota-verify takes a proxy node or the address of a proxy', async () => {
      await used.editor.show([placed('verify', 'ota-verify')]);
      await used.editor.open('verify');
      await used.editor.page.locator('#dialog-form summary').click();
      await used.editor.page.locator('#ota-verify-proxy-address').fill('http://proxy.example.com:3128');
      await used.editor.done();
      const saved = await used.editor.page.evaluate(
        () => (RED.nodes.node('verify') as { proxy?: string } | null)?.proxy,
      );
      assert.equal(saved, 'http://proxy.example.com:3128');
      await used.editor.open('verify');
      const address = used.editor.page.locator('#ota-verify-proxy-address');
      assert.equal(await address.inputValue(), 'http://proxy.example.com:3128');
      await used.editor.cancel();
    });

    it('of ota-task keeps every setting that a node has', async () => {
      const store = placed('store', 'ota-store');
      const node = placed('task', 'ota-task', { ...OTHER_TASK_SETTINGS, service: 'service', store: 'store' });
      await used.editor.show([...used.service, store, node]);
      const before = await used.editor.node('task');
      await used.editor.open('task');
      await used.editor.fill('fleet', 'halls');
      await used.editor.done();
      const { settings, reasons } = await used.editor.node('task');
      const { defaults } = await definitionOf(used.editor, 'ota-task');
      const same = Object.keys(defaults).filter(
        (name) => !PORTS_AND_VERSION.includes(name) && settings[name] === defaults[name]?.value,
      );
      assert.deepEqual(settings, { ...before.settings, fleet: 'halls' });
      assert.deepEqual(reasons, []);
      assert.deepEqual(same, [], 'each differs from its default, so that a lost one would be seen');
    });

    it('of ota-task shows all reasons of a retry, however many there are', async () => {
      const reasons = 'upgrade, download, verification, flashing, offline, no-response, stalled, unconfirmed';
      await used.editor.show([placed('task', 'ota-task', { retryOn: `${reasons}, rolled-back` })]);
      await used.editor.open('task');
      const field = used.editor.field('retryOn');
      await field.evaluate((one) => one.closest('details')?.setAttribute('open', ''));
      await field.waitFor();
      const hidden = await field.evaluate((one) => [
        one.scrollWidth - one.clientWidth,
        one.scrollHeight - one.clientHeight,
      ]);
      assert.deepEqual(hidden, [0, 0]);
      await used.editor.cancel();
    });

    it('of ota-task asks for a service with MQTT, and for a fleet by wires, where pushes leave by an output of their own', async () => {
      await used.editor.show([placed('store', 'ota-store'), placed('task', 'ota-task', { store: 'store' })]);
      assert.equal((await used.editor.node('task')).valid, false);
      await used.editor.open('task');
      assert.deepEqual(await shown(used.editor, ['service', 'fleet']), ['service']);
      await used.editor.fill('transport', 'wires');
      assert.deepEqual(await shown(used.editor, ['service', 'fleet']), ['fleet']);
      await used.editor.done();
      const { valid, outputs, reasons } = await used.editor.node('task');
      assert.deepEqual({ valid, outputs, reasons }, { valid: true, outputs: 4, reasons: [] });
      await used.editor.open('task');
      await used.editor.fill('transport', 'mqtt');
      await used.editor.done();
      assert.equal((await used.editor.node('task')).outputs, 3);
    });

    it('of ota-task has its settings in parts that fit into the dialog', async () => {
      await used.editor.show([placed('store', 'ota-store'), placed('task', 'ota-task', { store: 'store' })]);
      await used.editor.open('task');
      const parts = used.editor.page.locator('#dialog-form details');
      assert.equal(await parts.count(), 8);
      await parts.evaluateAll((all) => all.forEach((part) => part.setAttribute('open', '')));
      const outside = await used.editor.page.evaluate(findOutside);
      await used.editor.cancel();
      assert.deepEqual(outside, []);
    });

    it("of ota-service asks for topics in the scheme of one's own only, and says what is wrong with one", async () => {
      await used.editor.show([
        ...used.service,
        placed('push', 'ota-push', { service: 'service', side: 'platform' }),
      ]);
      await used.editor.open('push');
      await used.editor.page.locator('#node-input-btn-service-edit').click();
      await used.editor.field('scheme').waitFor();
      assert.equal(await used.editor.field('informTopic').isVisible(), false);
      await used.editor.fill('scheme', 'custom');
      await used.editor.fill('informTopic', 'a/{accessToken}');
      await used.editor.fill('upgradeTopic', 'b/{accessToken}');
      await used.editor.fill('progressTopic', 'c/+');
      const marked = used.editor.page.locator('#node-config-dialog-edit-form .input-error');
      assert.deepEqual(await marked.evaluateAll((all) => all.map(({ id }) => id)), [
        'node-config-input-progressTopic',
      ]);
      await used.editor.cancel();
      await used.editor.cancel();
    });
  });

  it('every setting and credential has a label, by which its errors are told', async () => {
    for (const type of Object.keys(await shippedNodes())) {
      const unnamed = await used.editor.page.evaluate((wanted) => {
        const { defaults, credentials } = RED.nodes.getType(wanted) as unknown as EditorType;
        const all = Object.entries({ ...defaults, ...credentials });
        return all.filter(([, { label }]) => !label || /[a-z]\.[a-z]/.test(label)).map(([name]) => name);
      }, type);
      assert.deepEqual(unnamed, [], type);
    }
  });

  it('every setting and credential is checked', async () => {
    for (const type of Object.keys(await shippedNodes())) {
      const unchecked = await used.editor.page.evaluate((wanted) => {
        const { defaults, credentials } = RED.nodes.getType(wanted) as unknown as EditorType;
        const all = Object.entries({ ...defaults, ...credentials });
        const free = all.filter(([, { type }]) => type === undefined || type === 'password');
        return free.filter(([, { validate }]) => !validate).map(([name]) => name);
      }, type);
      assert.deepEqual(unchecked, [], type);
    }
  });

  it('dialogs and help call a node by its type, whatever the palette had to break', async () => {
    for (const type of ['ota-progress', 'ota-package', 'ota-task']) {
      await used.editor.show([placed('node', type, { side: 'platform' })]);
      await used.editor.open('node');
      const title = await used.editor.page.locator('.red-ui-tray-breadcrumbs').last().innerText();
      await used.editor.cancel();
      await used.editor.help(type);
      const heading = await used.editor.page.locator('.red-ui-help h1').first().innerText();
      for (const text of [title, heading]) assert.ok(text.replace('\u2011', '-').includes(type), text);
    }
  });

  describe('the help', () => {
    for (const [type, word] of [
      ['ota-service', 'connection of its own'],
      ['ota-inform', 'no report yet'],
      ['ota-push', 'connection of its own'],
      ['ota-progress', 'no report yet'],
      ['ota-verify', 'digest'],
    ] as const) {
      it(`of ${type} is there`, async () => {
        const { text, headings } = await used.editor.help(type);
        assert.ok(text.includes(word), text);
        assert.ok(headings.includes('Details'));
      });
    }

    it('fits into the sidebar, whatever a command answers', async () => {
      for (const type of ['ota-task', 'ota-package', 'ota-store', 'ota-verify']) {
        await used.editor.help(type);
        const help = used.editor.page.locator('.red-ui-help').filter({ has: used.editor.page.locator('h1') });
        const over = await help.first().evaluate((element) => element.scrollWidth - element.clientWidth);
        assert.ok(over <= 0, `${type}: ${over} pixels are cut off`);
      }
    });
  });
});

const PORTS_AND_VERSION = ['outputs', 'settingsVersion', 'service', 'store'];

/** Each has another value than by default. */
const OTHER_TASK_SETTINGS = {
  name: 'Tasks',
  transport: 'wires',
  fleet: 'lamps',
  labelsFrom: 'board, region',
  success: 'version',
  offline: 'wait',
  waitLimit: '3600',
  seenWithin: '86400',
  repush: '1',
  noResponse: '60',
  stalled: '600',
  confirm: '120',
  retries: '2',
  retryDelay: '30',
  perMinute: '100',
  concurrency: '10',
  waves: '1, 10, 100',
  successThreshold: '90',
  failureThreshold: '5',
  minExecuted: '100',
  onFailure: 'cancel',
  window: '01:00-05:00 Europe/Berlin sat,sun',
  skipCurrent: false,
  fromVersions: '1.0, 1.1',
  waveAdvance: 'threshold',
  soak: '900',
  afterWave: 'pause',
  maxWaiting: '20',
  supersede: true,
  retryOn: 'offline, no-response',
  retryBackoff: 'exponential',
  startPaused: true,
  outputs: 4,
  settingsVersion: '2',
};

/** Those of the fields that a person sees in the open dialog. */
async function shown(editor: Editor, names: readonly string[]): Promise<string[]> {
  const visible = await Promise.all(names.map((name) => editor.field(name).isVisible()));
  return names.filter((_, i) => visible[i]);
}

/** Runs in the page: what of the open dialog's form is wider than the form, or lies beside it. */
function findOutside(): string[] {
  const form = document.querySelector('#dialog-form .ota-form');
  const right = form?.getBoundingClientRect().right ?? 0;
  return Array.from(form?.querySelectorAll('*') ?? [])
    .filter((element) => element.getBoundingClientRect().right > right + 1)
    .map((element) => element.id || element.outerHTML.slice(0, 80));
}

async function definitionOf(editor: Editor, type: string): Promise<EditorType> {
  return editor.page.evaluate((wanted) => {
    const all = RED.nodes.getType(wanted)?.defaults as Record<string, { value: unknown }>;
    return {
      defaults: Object.fromEntries(Object.entries(all).map(([name, { value }]) => [name, { value }])),
    };
  }, type);
}

/** The settings that a node has when it comes from the palette. */
async function freshSettings(editor: Editor, type: string): Promise<object> {
  const defaults = await editor.page.evaluate((wanted) => {
    const all = RED.nodes.getType(wanted)?.defaults as Record<string, { value: unknown }>;
    return Object.fromEntries(Object.entries(all).map(([name, { value }]) => [name, value]));
  }, type);
  return { ...defaults, service: 'service' };
}

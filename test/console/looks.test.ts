/** Pages that anybody can read: no finding of axe, nothing off the screen, no English on a Chinese page. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import type { AxeResults } from 'axe-core';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import {
  addPackage,
  type Console,
  LANGUAGES,
  NARROW,
  type Person,
  requireChromium,
  startConsole,
  startTask,
  WIDE,
} from './support';

const AXE = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** What stays as it is in Chinese: the protocol's words, names that people gave, units. */
const NOT_TRANSLATED =
  /\b(OTA|AccessToken|English|SHA256|MD5|default|firmware\.bin|sim-\d+|v[\d.]+|[KMG]?iB|B|E-\d+|UTC|CSV|mon|tue)\b|[0-9a-f]{12}…/g;
/** A dark theme, as somebody might set it. */
const DARK = {
  surface: '#1c222b',
  primary: '#6db1ff',
  bgPage: '#12161c',
  groupBg: '#1c222b',
  groupOutline: '#39424f',
};

describe('the console’s looks', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole('console-and-simulator'));
    const person = await ota.open('packages');
    await addPackage(person, 'v1.1');
    await startTask(person, 'v1.1');
  });

  /** What is on the page and stays there, at every width. */
  async function check(person: Person, what: string): Promise<void> {
    // The narrowest screen on which a table has columns.
    await person.page.setViewportSize({ width: 1041, height: 900 });
    const cut = await person.page.evaluate(() =>
      Array.from(document.querySelectorAll('.ota-page')).map((one) => one.scrollWidth - one.clientWidth),
    );
    assert.ok(
      cut.every((pixels) => pixels <= 0),
      `the columns of ${what} need ${cut.join()} pixels more`,
    );
    for (const width of [WIDE, NARROW]) {
      await person.page.setViewportSize({ width, height: 900 });
      await checkAt(width, person, what);
    }
  }

  async function checkAt(width: number, person: Person, what: string): Promise<void> {
    const { page, language } = person;
    // Dialogs and notices come and go slowly; half faded in, their contrast is nobody's concern.
    await page.evaluate(async () => {
      const ending = document
        .getAnimations()
        .filter((one) => one.effect?.getTiming().iterations !== Infinity);
      await Promise.allSettled(ending.map(({ finished }) => finished));
    });
    if (!(await page.evaluate(() => 'axe' in globalThis))) await page.evaluate(AXE);
    const found = await page.evaluate(() =>
      (globalThis as unknown as { axe: { run(options: object): Promise<AxeResults> } }).axe.run({
        resultTypes: ['violations'],
        // Style sheets needn't be fetched once more: no rule that is looked at reads them.
        preload: false,
      }),
    );
    assert.deepEqual(
      found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html ?? ''}`),
      [],
      what,
    );
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(wide <= 0, `${what} is ${wide} pixels too wide at ${width}`);
    if (language === 'en-US') return;
    const texts = await page.evaluate(() => {
      const labels = Array.from(document.querySelectorAll('[aria-label], [title], [placeholder]')).flatMap(
        (one) => ['aria-label', 'title', 'placeholder'].map((name) => one.getAttribute(name) ?? ''),
      );
      return [document.title, document.body.innerText, ...labels].join('\n');
    });
    const english = texts.replace(NOT_TRANSLATED, '').match(/[A-Za-z]{2,}.*/g);
    assert.equal(english, null, what);
  }

  for (const language of LANGUAGES) {
    it(`hold in ${language} at every width, dialogs open and closed`, async () => {
      const person = await ota.open('packages', { language });
      const { page } = person;
      await person.row('v1.1').waitFor();
      assert.equal(await page.evaluate(() => document.documentElement.lang), language);
      await check(person, 'packages');
      await person.button('packages.add').first().click();
      await person.button('package.addRow').click();
      await check(person, 'the form of a package');
      await person.button('action.close').click();
      await person.button('packages.removeOne', { name: 'firmware.bin', version: 'v1.1' }).click();
      await check(person, 'the question before a package is removed');
      await person.button('action.back').click();

      await person.goto('fleet');
      await person.row('sim-001').waitFor();
      await check(person, 'the fleet');
      await person.row('sim-001').locator('input').check();
      await person.button('fleet.label').click();
      await check(person, 'the form of labels');
      await person.button('action.close').click();
      await person.goto('device?token=sim-001');
      await page.locator('.ota-card').first().waitFor();
      await check(person, 'a device');

      await person.goto('tasks');
      await person.row('v1.1').waitFor();
      await check(person, 'tasks');
      await person.button('tasks.add').first().click();
      await page.locator('summary').click();
      await check(person, 'the form of a task');
      await person.button('action.close').click();

      await person.goto('devices');
      await person.row('sim-001').waitFor();
      assert.equal(await page.getByRole('main').count(), 1, 'one main part');
      for (const chart of await page.locator('svg[role=img]').all())
        assert.notEqual(await chart.getAttribute('aria-label'), null, 'a chart has words');
      await check(person, 'devices');
      await person.button('devices.historyOne', { name: 'sim-001' }).click();
      await check(person, 'the history of a device');
      await person.button('action.close').click();

      await person.goto('simulator');
      await page.locator('.ota-tiles').waitFor();
      await check(person, 'the simulator');
    });
  }

  it('hold on a dark dashboard', async () => {
    await ota.red.deploy(ota.flow.map((one) => (one.type === 'ui-theme' ? { ...one, colors: DARK } : one)));
    const person = await ota.open('fleet');
    await person.row('sim-001').waitFor();
    await checkAt(WIDE, person, 'the dark fleet');
    await person.goto('tasks');
    await person.row('v1.1').waitFor();
    await checkAt(WIDE, person, 'dark tasks');
    await person.button('tasks.add').first().click();
    await person.page.locator('summary').click();
    await checkAt(WIDE, person, 'the dark form of a task');
    await person.button('action.close').click();
    await person.goto('devices');
    await person.row('sim-001').waitFor();
    await checkAt(WIDE, person, 'dark devices');
    await ota.red.deploy(ota.flow);
  });

  it('break long names, in tables and dialogs, at every width', async () => {
    const name = 'W'.repeat(128);
    const person = await ota.open('packages', { width: NARROW });
    const { page } = person;
    await person.button('packages.add').first().click();
    await page
      .locator('input[type=file]')
      .setInputFiles({ name: 'meter.bin', mimeType: '', buffer: Buffer.alloc(9) });
    await person.field('package.name').fill(name);
    await person.field('package.version').fill('v9');
    await person.dialog.locator('button[type=submit]').click();
    await person.row(name).waitFor();
    // Nothing of what holds texts is wider inside than it is.
    const isWhole = async (what: string): Promise<void> => {
      const wide = await page.evaluate(() =>
        Array.from(document.querySelectorAll('.ota-page *, .ota-dialog, .ota-dialog *:not(input, select)'))
          .filter((one) => one.closest('.v-ripple__container, .v-progress-linear') === null)
          .filter((one) => one.clientWidth > 0 && one.scrollWidth > one.clientWidth + 1)
          .map((one) => one.outerHTML.slice(0, 80)),
      );
      assert.deepEqual(wide, [], what);
    };
    for (const width of [NARROW, 768, WIDE]) {
      await page.setViewportSize({ width, height: 900 });
      await isWhole(`packages at ${width}`);
      await person.button('packages.removeOne', { name, version: 'v9' }).click();
      await person.dialog.getByText(name).waitFor();
      await isWhole(`the question at ${width}`);
      await page.keyboard.press('Escape');
      await person.dialog.waitFor({ state: 'hidden' });
    }
    await person.row(name).getByRole('button').first().click();
    await page.setViewportSize({ width: NARROW, height: 900 });
    await page.locator('.ota-preview strong').waitFor();
    await isWhole('the form of a task');
  });

  it('are used with the keyboard: Escape closes a dialog, and the focus is where it was', async () => {
    const person = await ota.open('packages');
    const { page } = person;
    const add = person.button('packages.add').first();
    for (const button of [
      add,
      person.button('packages.removeOne', { name: 'firmware.bin', version: 'v1.1' }),
    ]) {
      await button.focus();
      await page.keyboard.press('Enter');
      await person.dialog.waitFor();
      await page.keyboard.press('Escape');
      await person.dialog.waitFor({ state: 'hidden' });
      await until(() => button.evaluate((one) => one === document.activeElement), 'the focus to come back');
    }
  });

  it('say what is wrong with a field in the language of the page, not of the browser', async () => {
    const person = await ota.open('simulator', { language: 'zh-CN' });
    const field = person.field('simulator.failing');
    const told = (): Promise<string> => field.evaluate((one) => (one as HTMLInputElement).validationMessage);
    await field.fill('101');
    await person.button('simulator.apply').click();
    assert.equal(await told(), person.word('field.most', { max: 100 }));
    await field.fill('');
    await person.button('simulator.apply').click();
    assert.equal(await told(), person.word('field.missing'));
    await field.fill('5');
    assert.equal(await told(), '');
  });

  it('switch language at once, and name the tab in it', async () => {
    const person = await ota.open('tasks');
    await person.page.getByLabel('Language').selectOption('zh-CN');
    await person.sees('升级任务');
    assert.equal(await person.page.title(), '任务 · OTA 控制台');
  });
});

describe('the simulator', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole('console-and-simulator'));
  });

  it('upgrades as many devices as are wanted, which fail as often as is wanted', async () => {
    const person = await ota.open('simulator');
    await person.field('simulator.devices').fill('5');
    await person.field('simulator.seconds').fill('1');
    await person.field('simulator.failing').fill('100');
    await person.button('simulator.apply').click();
    await person.page.locator('.ota-tiles div', { hasText: /^5\s*Idle/ }).waitFor();
    await addPackage(person, 'v1.1');
    await startTask(person, 'v1.1');
    await person.page.locator('.ota-tiles .failed b', { hasText: /^5$/ }).waitFor();
    await person.goto('simulator');
    await person.field('simulator.failing').fill('0');
    await person.button('simulator.apply').click();
    await person.goto('devices');
    await person.button('devices.retryAll').click();
    await person.dialog.locator('button').last().click();
    await person.page.locator('.ota-tiles .succeeded b', { hasText: /^5$/ }).waitFor();
    await person.goto('simulator');
    await person.row('v1.1').getByText('5', { exact: true }).waitFor();
  });
});

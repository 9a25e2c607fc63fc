/** The fleet, one device and the rules of a task, through the pages: what an operator looks for at night. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import {
  addPackage,
  type Console,
  deviceTalk,
  type Person,
  requireChromium,
  rowsFit,
  startConsole,
  startTask,
} from './support';

describe('the fleet and its tasks', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  let talk: ReturnType<typeof deviceTalk>;
  let person: Person;
  const token = (i: number): string => `meter-${i}`;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole());
    talk = deviceTalk(ota.device);
    for (let i = 1; i <= 6; i += 1) await talk.inform(token(i), i === 6 ? 'v2.0' : 'v1.0');
    person = await ota.open('packages');
    await addPackage(person, 'v1.1');
  });

  it('show how many devices run which version, and those that a click on one chooses', async () => {
    await person.goto('fleet');
    const share = person.page.locator('.ota-shares button', { hasText: 'v1.0' });
    await until(async () => (await share.innerText()).includes('5'), 'five devices at v1.0');
    await share.click();
    await rowsFit(person, ({ length }) => length === 5, 'these five');
    assert.match(person.page.url(), /version=v1\.0/);
    await share.click();
    await rowsFit(person, ({ length }) => length === 6, 'all');
    const link = person.row(token(1)).getByRole('link').first();
    assert.equal(await link.getAttribute('href'), `device?token=${token(1)}`);
  });

  it('label the devices that are chosen, and find them by it', async () => {
    await person.goto('fleet');
    for (const i of [1, 2]) await person.row(token(i)).locator('input').check();
    await person.button('fleet.label').click();
    await person.field('label.name').fill('site');
    await person.field('label.value').fill('Berlin');
    await person.button('label.save').click();
    await person.row(token(2)).getByText('site: Berlin').waitFor();
    await person.page.getByPlaceholder(person.word('fleet.labelsHint')).fill('site: Berlin');
    await rowsFit(person, ({ length }) => length === 2, 'the labelled ones');
  });

  it('show nobody for labels that can not be read, and say so', async () => {
    await person.goto('fleet?labels=canary');
    await person.page.getByText(person.word('rule.label', { part: 'canary' })).waitFor();
    assert.deepEqual(await person.rows(), []);
  });

  it('look for no device by labels that can not be read', async () => {
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    await person.dialog.locator('select').first().selectOption({ index: 1 });
    await person.field('task.targets').selectOption('labels');
    await person.field('targets.labelsHint').fill('canary');
    await person.dialog.getByText(person.word('rule.label', { part: 'canary' })).waitFor();
    assert.equal(await person.button('tasks.start').isDisabled(), true);
    await person.field('targets.labelsHint').fill('site：Berlin');
    await person.dialog.getByText(person.word('preview.total', { total: 2 })).waitFor();
    await person.dialog.locator('button[type=button]').last().click();
  });

  it('take a label whose value holds colons as a whole, in the search too', async () => {
    await person.goto('fleet');
    await person.row(token(3)).locator('input').check();
    await person.button('fleet.label').click();
    await person.field('label.name').fill('mac');
    await person.field('label.value').fill('AA:BB:3');
    await person.button('label.save').click();
    await person.row(token(3)).getByText('mac: AA:BB:3').waitFor();
    await person.page.getByPlaceholder(person.word('fleet.labelsHint')).fill('mac: AA:BB:3');
    await rowsFit(person, ({ length }) => length === 1, 'the labelled one');
  });

  it('upgrade the devices that are chosen, after a look at whom that would take in', async () => {
    await person.goto('fleet');
    for (const i of [3, 6]) await person.row(token(i)).locator('input').check();
    await person.button('fleet.upgradeChosen', { count: 2 }).click();
    await person.dialog.getByText(person.word('preview.total', { total: 2 })).waitFor();
    await person.dialog.getByText(person.word('preview.downgrade', { count: 1, target: 'v1.1' })).waitFor();
    await person.field('targets.someHint').fill(`${token(3)}\nnobody\n#`);
    await person.dialog.getByText(person.word('preview.unknownTokens', { count: 2 })).waitFor();
    await person.dialog.getByText(person.word('preview.badTokens', { count: 1 })).waitFor();
  });

  it('say that more tokens were pasted than are sent at once, and stay connected', async () => {
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    await person.field('task.targets').selectOption('some');
    const many = Array.from({ length: 1000 }, (_, i) => `meter-${i}`.padEnd(1000, 'x')).join('\n');
    // At once, as a paste: typing so much takes a browser minutes.
    await person.field('targets.someHint').evaluate((field, text) => {
      (field as HTMLTextAreaElement).value = text;
      field.dispatchEvent(new Event('input'));
    }, many);
    await person.dialog.getByText(person.word('rule.large', { size: '900\u00a0KiB' })).waitFor();
    await person.field('targets.someHint').fill(token(1));
    await person.dialog.getByText(person.word('preview.total', { total: 1 })).waitFor();
    await person.dialog.locator('button[type=button]').last().click();
  });

  it('keep a half-filled form when Escape closes it', async () => {
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    await person.field('task.name').fill('half filled');
    await person.page.keyboard.press('Escape');
    await person.dialog.waitFor({ state: 'hidden' });
    await person.button('tasks.add').first().click();
    assert.equal(await person.field('task.name').inputValue(), 'half filled');
  });

  it('show the real value in a field that nobody has filled in', async () => {
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    await person.page.locator('summary').click();
    const field = person.field('policy.noResponse');
    await until(
      async () => (await field.getAttribute('placeholder')) === person.word('unit.min', { n: 5 }),
      'five minutes',
    );
  });

  it('tell of a task by which rules it runs, what the next wave waits for, and who did what', async () => {
    await person.goto('packages');
    await startTask(person, 'v1.1', { waves: '40, 100' });
    const { page } = person;
    await page.locator('.ota-gate').waitFor();
    await page.locator('.ota-rules li').first().waitFor();
    await page.locator('.ota-waves tr').nth(1).waitFor();
    await page.locator('.ota-card .ota-history li').first().waitFor();
    await person.button('taskOf.pause').click();
    await page.locator('.ota-card .ota-history').getByText(person.word('log.paused')).waitFor();
  });

  it('count failures by reason, and upgrade those of one reason again', async () => {
    await person.goto('devices');
    await person.button('taskOf.resume').click();
    await person.page.locator('.ota-tiles .pushed b', { hasText: /^[1-9]/ }).waitFor();
    const rows = await rowsFit(
      person,
      (all) => all.some((row) => row.includes(person.word('status.pushed'))),
      'one',
    );
    const first = rows.find((row) => row.includes(person.word('status.pushed'))) ?? '';
    const [name = ''] = /meter-\d/.exec(first) ?? [];
    await talk.progress(name, -4, 'E-17');
    const reason = person.page.locator('.ota-reasons li', { hasText: person.word('reason.flashing') });
    await reason.getByText('1').waitFor();
    await reason.getByRole('button').last().click();
    await person.dialog.locator('button').last().click();
    await person.page.locator('.ota-tiles .failed b', { hasText: /^0$/ }).waitFor();
  });

  it('change the rules of a running task, and say so in its log', async () => {
    await person.goto('devices');
    await person.button('taskOf.update').click();
    await person.field('taskOf.remark').fill('the night is short');
    await person.field('policy.retries').fill('2');
    await person.button('taskOf.save').click();
    await person.page.locator('.ota-card .ota-history').getByText('the night is short').waitFor();
  });

  it('save the devices of a task as a file, with no formula in it', async () => {
    await person.goto('devices');
    await person.page.locator('.ota-tiles').waitFor();
    const [download] = await Promise.all([
      person.page.waitForEvent('download'),
      person.button('devices.export').click(),
    ]);
    const lines = (await fs.readFile(await download.path(), 'utf8')).trim().split('\r\n');
    assert.match(lines[0] ?? '', /^\ufeff?accessToken,module,status,/);
    const total = await person.page.locator('.ota-tiles .total b').innerText();
    assert.equal(lines.length - 1, Number(total));
  });

  it('show all of one device: what it runs, its labels, its tasks', async () => {
    await person.goto(`device?token=${token(1)}`);
    await person.page.getByRole('heading', { name: token(1) }).waitFor();
    await person.page.locator('.ota-card dd', { hasText: 'v1.0' }).waitFor();
    await person.page.locator('.ota-labels', { hasText: 'site: Berlin' }).waitFor();
    await person.button('label.remove', { name: 'site' }).click();
    await person.page.getByText(person.word('deviceOf.noLabels')).waitFor();
  });

  it('take an operator through a night: wave two fails, is understood, mended and finished', async () => {
    const night = (i: number): string => `night-${String(i).padStart(2, '0')}`;
    const all = Array.from({ length: 10 }, (_, i) => night(i + 1));
    for (const name of all) await talk.inform(name, 'v1.0');
    await person.goto('packages');
    const { page } = person;
    await addPackage(person, 'v3.0');
    await person
      .row('v3.0')
      .getByRole('button', { name: person.word('packages.upgrade') })
      .click();
    await person.field('task.name').fill('the night');
    await person.field('task.targets').selectOption('some');
    await person.field('targets.someHint').fill(all.join('\n'));
    await page.locator('summary').click();
    await person.field('policy.waves').fill('20, 100');
    await person.button('tasks.start').click();
    const tile = (status: string, count: number): Promise<void> =>
      page.locator(`.ota-tiles .${status} b`, { hasText: new RegExp(`^${count}$`) }).waitFor();
    await tile('pushed', 2);
    for (const name of [night(1), night(2)]) await talk.progress(name, 100);
    await tile('pushed', 8);

    // Three of wave two fail. The page says how many and why, and each of them what it said itself.
    const long = `E-17, ${'the flash did not answer in time, '.repeat(8)}`;
    for (const i of [3, 4, 5]) await talk.progress(night(i), -4, i === 5 ? long : 'E-17');
    await tile('failed', 3);
    await page
      .locator('.ota-reasons li', { hasText: person.word('reason.flashing') })
      .getByText('3')
      .waitFor();
    await person.row(night(3)).getByText('E-17').waitFor();
    await person.row(night(5)).getByText('in time').waitFor();
    const names = await page
      .locator('.ota-table td.name a')
      .evaluateAll((all) => all.map((one) => one.getClientRects().length));
    assert.deepEqual(names, Array(10).fill(1), 'no name breaks because another row has a long detail');
    await person.button('taskOf.pause').click();
    await person.button('taskOf.resume').waitFor();

    // Two are tried again while everything stands still; the limit is changed, with a word for the log.
    for (const i of [3, 4]) await person.button('devices.retryOne', { name: night(i) }).click();
    await tile('failed', 1);
    await person.button('taskOf.update').click();
    await person.field('policy.failureThreshold').fill('60');
    await person.field('taskOf.remark').fill('E-17 is a loose cable');
    await person.button('taskOf.save').click();
    await page.locator('.ota-card .ota-history').getByText('E-17 is a loose cable').waitFor();

    await person.button('taskOf.resume').click();
    await tile('pushed', 7);
    for (const i of [3, 4, 6, 7, 8, 9, 10]) await talk.progress(night(i), 100);
    await tile('succeeded', 9);
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      person.button('devices.export').click(),
    ]);
    const lines = (await fs.readFile(await download.path(), 'utf8')).trim().split('\r\n').slice(1);
    assert.deepEqual(lines.map((line) => line.split(',')[0]).sort(), all);
    assert.deepEqual(lines.filter((line) => line.includes(',failed,')).length, 1);
    const [done] = lines.filter((line) => line.startsWith(night(1)));
    assert.match(done ?? '', /v1\.0/, 'the version before the upgrade');
  });

  it('tell what going on means in the middle of a wave, and that a task paused again', async () => {
    const { page } = person;
    const all = ['gate-1', 'gate-2', 'gate-3', 'gate-4'];
    for (const name of all) await talk.inform(name, 'v1.0');
    await person.goto('packages');
    await person
      .row('v3.0')
      .getByRole('button', { name: person.word('packages.upgrade') })
      .click();
    await person.field('task.targets').selectOption('some');
    await person.field('targets.someHint').fill(all.join('\n'));
    await page.locator('summary').click();
    await person.field('policy.waves').fill('50, 100');
    await person.field('policy.failureThreshold').fill('50');
    await person.field('policy.minExecuted').fill('1');
    await person.button('tasks.start').click();
    await page.locator('.ota-tiles .pushed b', { hasText: /^2$/ }).waitFor();
    for (const name of all.slice(0, 2)) await talk.progress(name, -4);
    await page.locator('.ota-gate', { hasText: person.word('gate.stopped', { wave: 1, next: 2 }) }).waitFor();
    await page.locator('.ota-tiles .failed b', { hasText: /^2$/ }).waitFor();
    // The curve's points are older than the counts beside it.
    await page.locator('.ota-curve .failed', { hasText: '2' }).waitFor();
    await person.button('taskOf.resume').click();
    const reason = person.word('reason.wave-below-threshold');
    await page.getByText(person.word('tasks.resumeAgain', { name: 'firmware.bin v3.0', reason })).waitFor();
    await page.locator('.ota-gate', { hasText: person.word('gate.person', { wave: 1, next: 2 }) }).waitFor();
  });

  it('name the task that a device waits for, and lead to it', async () => {
    await talk.inform('meter-busy', 'v1.0');
    await person.goto('packages');
    for (const name of ['the first', 'the second']) {
      await person.goto('packages');
      await person
        .row('v1.1')
        .getByRole('button', { name: person.word('packages.upgrade') })
        .click();
      await person.field('task.name').fill(name);
      await person.field('task.targets').selectOption('some');
      await person.field('targets.someHint').fill('meter-busy');
      await person.button('tasks.start').click();
      await person.page.getByRole('heading', { name, level: 1 }).waitFor();
    }
    const row = person.row('meter-busy');
    await row.getByText(person.word('reason.busy')).waitFor();
    await row.getByRole('link', { name: 'the first' }).click();
    await person.page.getByRole('heading', { name: 'the first', level: 1 }).waitFor();
    await row.getByText(person.word('status.pushed')).waitFor();
  });

  it('say in the language of the page which rule refused a value', async () => {
    const person = await ota.open('tasks', { language: 'zh-CN' });
    await person.button('tasks.add').first().click();
    await person.field('task.package').selectOption({ index: 1 });
    await person.page.locator('summary').click();
    await person.field('policy.waves').fill('50, 10');
    const alert = person.dialog.getByRole('alert');
    await alert.waitFor();
    assert.match(await alert.innerText(), /百分比/);
  });

  it('start a task with variants of a package, and take its end and its window away again', async () => {
    await person.goto('packages');
    const { page } = person;
    for (const name of ['type-A', 'the rest']) {
      await person.button('packages.add').first().click();
      const buffer = Buffer.from(name);
      await page.locator('input[type=file]').setInputFiles({ name: 'pump.bin', mimeType: '', buffer });
      await person.field('package.name').fill(name);
      await person.field('package.version').fill('v7');
      if (name === 'type-A') await person.field('package.requires').fill('hardware: A');
      await person.dialog.locator('button[type=submit]').click();
      await person.row(name).waitFor();
    }
    const upgrade = { name: person.word('packages.upgrade') };
    await person.row('type-A').getByRole('button', upgrade).click();
    await person.dialog.getByText(person.word('preview.total', { total: 0 })).waitFor();
    await person.button('task.addVariant').click();
    await person.field('task.variant').selectOption({ label: 'the rest v7' });
    await person.field('task.endAt').fill('2099-01-01T02:00');
    await page.locator('summary').click();
    await person.field('policy.from').fill('01:00');
    await person.field('policy.to').fill('05:00');
    await person.button('tasks.start').click();
    await page.waitForURL(/\/devices/);
    const rules = page.locator('.ota-rules');
    await rules.getByText('type-A v7 (hardware: A); the rest v7').waitFor();
    await rules.getByText('01:00–05:00').waitFor();
    await person.button('taskOf.update').click();
    await person.dialog.getByLabel(person.word('task.noEnd')).check();
    await person.dialog.getByLabel(person.word('policy.noWindow')).check();
    await person.button('taskOf.save').click();
    await rules.getByText('01:00–05:00').waitFor({ state: 'detached' });
    await rules.getByText('2099').waitFor({ state: 'detached' });
    assert.match(person.received.join(), /"endAt":null/);
    await person.button('taskOf.cancel').click();
    await person.dialog.locator('button').last().click();
  });

  it('send nothing while the connection is lost, and say so', async () => {
    await person.goto('tasks');
    await person.page.locator('.ota-table').waitFor();
    await person.button('tasks.add').first().click();
    await person.page.context().setOffline(true);
    await ota.red.kill();
    await person.page.getByText(person.word('connection.lost')).waitFor({ timeout: 60_000 });
    await person.button('connection.wait').waitFor();
    assert.equal(await person.button('connection.wait').isDisabled(), true);
    const commands = person.page.locator('.ota-table .ota-end button');
    for (const button of await commands.all()) {
      assert.equal(await button.isDisabled(), true);
      assert.equal(await button.getAttribute('title'), person.word('connection.wait'));
    }
  });
});

/** A fleet that fills many pages, on Mosquitto and MQTT 5: what a browser is sent, and what an operator is told. */
import assert from 'node:assert/strict';
import mqtt from 'mqtt';
import { type LargeConsole, startLargeConsole } from '../bench/console/large-fleet';
import { cleanup } from '../support/cleanup';
import { requireProgram } from '../support/missing';
import { until } from '../support/wait';
import { openAt, type Person, requireChromium } from './support';

/** Rows of the longest table on a page. */
const PAGE = 20;

describe('the console of a fleet that fills many pages', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let large: LargeConsole;
  /** Goes from page to page. */
  let person: Person;
  before(async function () {
    requireChromium(this);
    requireProgram(this, 'mosquitto');
    large = later(await startLargeConsole({ devices: 60, tasks: 45, packages: 45 }));
    person = await openAt(large.url, 'fleet');
  });

  /** The answers that a page was sent, each as its lists of rows by name. */
  function answers({ received }: Person): { name: string; rows: number }[] {
    const frames = received.filter((frame) => frame.includes('"topic":"answer"'));
    return frames.flatMap((frame) => {
      const [, message] = JSON.parse(frame.slice(frame.indexOf('['))) as [string, { payload?: unknown }];
      return listsOf(message.payload);
    });
  }
  function listsOf(value: unknown, name = ''): { name: string; rows: number }[] {
    if (typeof value !== 'object' || value === null) return [];
    const own = Array.isArray(value) ? [{ name, rows: value.length }] : [];
    const inner = Object.entries(value).flatMap(([key, one]) =>
      listsOf(one, Array.isArray(value) ? name : key),
    );
    return [...own, ...inner];
  }

  it('sends a browser no more than one page of rows at once, on every page and in every form', async () => {
    const { page } = person;
    const rows = page.locator('.ota-table tbody tr');
    await until(async () => (await rows.count()) === PAGE, 'a page of devices');
    await person.goto('packages');
    await until(async () => (await rows.count()) === 10, 'a page of packages');
    await person.field('packages.search').fill('meter');
    await person.goto('tasks?sort=name');
    await until(async () => (await rows.count()) === 10, 'a page of tasks, in another order');
    assert.match((await person.rows())[1] ?? '', /^release 1\b/);
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    const choice = person.field('task.package');
    await until(
      async () => (await choice.locator('option').count()) === PAGE + 1,
      'a page of packages to choose from',
    );
    await person.field('task.findPackage').fill('v2.7');
    await until(async () => (await choice.locator('option').count()) === 2, 'the one that is searched for');
    await choice.selectOption({ index: 1 });
    await person.dialog.getByText(person.word('preview.total', { total: 60 })).waitFor();
    await person.goto(`devices?task=${large.task}`);
    await until(async () => (await rows.count()) === PAGE, 'a page of a task');
    await person.goto('device?token=meter-00030');
    await rows.first().waitFor();

    const all = answers(person);
    for (const name of ['devices', 'packages', 'tasks', 'versions', 'events', 'points'])
      assert.ok(
        all.some((one) => one.name === name),
        `${name} were among them`,
      );
    // A curve is drawn through 60 points.
    assert.deepEqual(
      all.filter(({ name, rows }) => rows > (name === 'points' ? 60 : PAGE)),
      [],
    );
  });

  it('sends an answer to the page that asked, and to no other', async () => {
    const fresh = await openAt(large.url, 'packages');
    await fresh.row('v2.44').waitFor();
    const answered = fresh.received.filter((frame) => frame.includes('"topic":"answer"'));
    assert.equal(new Set(answered.map((frame) => /msg-input:([\w-]+)/.exec(frame)?.[1])).size, 1);
  });

  it('tells that a device is offline: over MQTT 5 the broker knows', async () => {
    const { tasks } = (await large.command({ action: 'list', search: 'release 1' })) as {
      tasks: { taskId: string }[];
    };
    await person.goto(`devices?task=${tasks.at(-1)?.taskId ?? ''}`);
    const reason = person.page.locator('.ota-reasons li', { hasText: person.word('reason.offline') });
    await reason.getByText('25').waitFor();
  });

  it('tells by which rules a task runs, how its waves stand, and which gate is missing', async () => {
    await person.goto(`devices?task=${large.task}`);
    const { page } = person;
    const gate = person.word('gate.waiting', { wave: 1, waiting: 6 });
    await until(
      async () => (await page.locator('.ota-gate').innerText()).includes(gate),
      'the gate of wave 1',
    );
    const waves = await page.locator('.ota-waves tr').allInnerTexts();
    assert.match(waves[1] ?? '', /0 of 24 succeeded/);
    const rules = (await page.locator('.ota-rules').innerText()).split('\n');
    assert.ok(rules.includes(person.word('rule.offline.wait', { time: person.word('unit.d', { n: 7 }) })));
  });

  it('tells that a task stands still because its time window is closed', async () => {
    const hour = (new Date().getUTCHours() + 12) % 24;
    const [from, to] = [hour, (hour + 1) % 24].map((one) => `${String(one).padStart(2, '0')}:00`);
    const window = { from, to, timeZone: 'UTC' };
    await large.command({ action: 'update', taskId: large.task, policy: { window } });
    await person.goto(`devices?task=${large.task}`);
    await person.page
      .locator('.ota-gate')
      .getByText(person.word('stands.window', { window: `${from ?? ''}–${to ?? ''}, UTC` }))
      .waitFor();
  });

  it('shows each field of a new task with the value that holds, its unit and the time zone', async () => {
    await person.goto('tasks');
    await person.button('tasks.add').first().click();
    const { dialog } = person;
    await dialog.locator('summary').click();
    const wait = dialog.locator('.ota-duration', { hasText: person.word('policy.waitLimit') });
    assert.equal(await wait.locator('input').getAttribute('placeholder'), person.word('unit.d', { n: 7 }));
    assert.equal(await wait.locator('select').inputValue(), 'd');
    assert.equal(await person.field('policy.perMinute').getAttribute('placeholder'), '1000');
    const text = await dialog.innerText();
    const zone = await person.page.evaluate(() => Intl.DateTimeFormat().resolvedOptions().timeZone);
    assert.ok(text.includes(person.word('task.zone', { zone })), text);
    assert.equal(await dialog.getByLabel(person.word('reason.stalled'), { exact: true }).isChecked(), true);
    assert.doesNotMatch(text, /\bdefault\b/);
  });

  it('hears what a device said while Node-RED was down: the session is kept without a client id', async () => {
    await large.killAndStart(async () => {
      const client = await mqtt.connectAsync(large.mqtt);
      const report = { id: '2', params: { version: 'v1.9', module: 'default' } };
      await client.publishAsync('/ota/device/inform/meter-away', JSON.stringify(report), { qos: 1 });
      await client.endAsync();
    });
    await person.goto('fleet?search=meter-away');
    await person.row('meter-away').getByText('v1.9').waitFor();
  });
});

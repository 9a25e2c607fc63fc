/** Tasks and their devices through the pages: every action, live, in both languages. */
import assert from 'node:assert/strict';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import {
  addPackage,
  type Console,
  deviceTalk,
  LANGUAGES,
  type Person,
  requireChromium,
  rowsFit,
  startConsole,
  startTask,
} from './support';

describe('tasks and their devices', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  let talk: ReturnType<typeof deviceTalk>;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole());
    talk = deviceTalk(ota.device);
  });

  const tile = (person: Person, status: string, count: number): Promise<void> =>
    person.page.locator(`.ota-tiles .${status} b`, { hasText: new RegExp(`^${count}$`) }).waitFor();
  const icon = (person: Person, key: string, name: string) => person.button(key, { name });
  const confirm = (person: Person): Promise<void> => person.dialog.locator('button').last().click();

  it('says what to do while there is nothing', async () => {
    const person = await ota.open('tasks');
    await person.sees(person.word('tasks.emptyHint'));
    await person.goto('devices');
    await person.sees(person.word('devices.emptyHint'));
  });

  for (const language of LANGUAGES) {
    describe(language, () => {
      // The devices of one language don't run what the next one brings.
      const version = `v${2 + LANGUAGES.indexOf(language)}.0`;
      const token = (n: number): string => `${language}-${n}`;
      let person: Person;
      before(async () => {
        person = await ota.open('packages', { language });
        for (const n of [1, 2, 3]) await talk.inform(token(n), 'v1.0');
        await addPackage(person, version);
      });

      it('previews who a task is for, starts it, and shows each device', async () => {
        await person
          .row(version)
          .getByRole('button', { name: person.word('packages.upgrade') })
          .click();
        await person.field('task.name').fill(`task ${language}`);
        await person.field('task.targets').selectOption('some');
        await person.field('targets.someHint').fill([1, 2, 3].map(token).join('\n'));
        await person.sees(person.word('preview.total', { total: 3 }));
        await person.dialog.getByText(token(3)).first().waitFor();
        await person.button('tasks.start').click();
        await tile(person, 'pushed', 3);
        const rows = await rowsFit(person, ({ length }) => length === 3, 'three devices');
        assert.ok(rows.every((row) => row.includes('v1.0') && row.includes(version)));
      });

      it('shows what devices report without a reload', async () => {
        await talk.progress(token(1), 37);
        await person.row(token(1)).getByText('37 %').waitFor();
        await talk.progress(token(1), 100);
        await tile(person, 'succeeded', 1);
        await talk.progress(token(2), -4, 'E-17');
        const row = person.row(token(2));
        await row.getByText(person.word('reason.flashing')).waitFor();
        await row.getByText('E-17').waitFor();
      });

      it('shows the devices of a status by a click on its tile', async () => {
        await person.page.locator('.ota-tiles .failed').click();
        const rows = await rowsFit(person, ({ length }) => length === 1, 'the failed one');
        assert.ok(rows[0]?.includes(token(2)));
        await person.page.locator('.ota-tiles .total').click();
        await rowsFit(person, ({ length }) => length === 3, 'all three');
      });

      it('searches by the beginning of a token', async () => {
        await person.field('devices.search').fill(token(3));
        const rows = await rowsFit(person, ({ length }) => length === 1, 'the one that was searched for');
        assert.ok(rows[0]?.includes(token(3)));
        await person.field('devices.search').fill('nobody');
        await person.sees(person.word('devices.none'));
        await person.field('devices.search').fill('');
        await rowsFit(person, ({ length }) => length === 3, 'all three');
      });

      it('shows the history of a device', async () => {
        await icon(person, 'devices.historyOne', token(2)).click();
        await person.dialog.getByText(person.word('event.push'), { exact: true }).first().waitFor();
        await person.dialog.getByText('E-17').waitFor();
        await person.button('action.close').click();
      });

      it('upgrades one again, and cancels one after a question that names it', async () => {
        await icon(person, 'devices.retryOne', token(2)).click();
        await tile(person, 'failed', 0);
        await icon(person, 'devices.cancelOne', token(3)).click();
        await person.dialog.getByText(person.word('devices.cancelText', { name: token(3) })).waitFor();
        await person.button('action.back').click();
        await person.dialog.waitFor({ state: 'hidden' });
        assert.equal(person.sent.filter((frame) => frame.includes('"topic":"cancel"')).length, 0);
        await icon(person, 'devices.cancelOne', token(3)).click();
        await confirm(person);
        await tile(person, 'cancelled', 1);
      });

      it('upgrades all that failed again, and cancels all, after a question that names how many', async () => {
        await talk.progress(token(2), -1);
        await tile(person, 'failed', 1);
        await person.button('devices.retryAll').click();
        const task = `task ${language}`;
        await person.dialog.getByText(person.word('devices.retryAllText', { task, count: 1 })).waitFor();
        await confirm(person);
        await tile(person, 'failed', 0);
        // What was cancelled stays so until it is upgraded again by itself.
        await tile(person, 'cancelled', 1);
        await icon(person, 'devices.retryOne', token(3)).click();
        await tile(person, 'cancelled', 0);
        await person.button('devices.cancelAll').click();
        await person.dialog.getByText(person.word('devices.cancelAllText', { task, count: 2 })).waitFor();
        await confirm(person);
        await tile(person, 'cancelled', 2);
      });

      it('removes a task after a question that names it', async () => {
        await person.goto('tasks');
        const name = `task ${language}`;
        await icon(person, 'tasks.removeOne', name).click();
        await person.dialog.getByText(person.word('tasks.removeText', { name, total: 3 })).waitFor();
        await confirm(person);
        await person.row(name).waitFor({ state: 'detached' });
      });

      it('starts a task at a time, with policies, pauses, resumes and cancels one', async () => {
        await person.goto('tasks');
        await person.button('tasks.add').first().click();
        await person.field('task.name').fill(`later ${language}`);
        await person.field('task.package').selectOption({ label: `firmware.bin ${version}` });
        await person.field('task.startAt').fill('2099-01-01T02:00');
        await person.page.locator('summary').click();
        await person.field('policy.waves').fill('50, 100');
        await person.field('policy.retries').fill('2');
        await person.field('policy.offline').selectOption('wait');
        await person.field('policy.from').fill('01:00');
        // Half a window is none: it says so, and names the field as the page does.
        await person.dialog.getByRole('alert').waitFor();
        const alert = await person.dialog.getByRole('alert').innerText();
        assert.ok(alert.includes(person.word('quoted', { text: person.word('policy.window') })), alert);
        await person.field('policy.to').fill('05:00');
        await person.button('tasks.start').click();
        await person.page.waitForURL(/\/devices/);
        assert.match(person.received.join(), /"retries":2/);
        assert.match(person.received.join(), /"window":\{"from":"01:00","to":"05:00"/);
        await person.goto('tasks');
        const row = person.row(`later ${language}`);
        await row.getByText(person.word('task.is.scheduled')).waitFor();
        await icon(person, 'tasks.cancelOne', `later ${language}`).click();
        await confirm(person);
        await row.getByText(person.word('task.is.cancelled')).waitFor();

        await startTask(person, version);
        await person.goto('tasks');
        const running = person.row(`firmware.bin ${version}`).first();
        const name = `firmware.bin ${version}`;
        await icon(person, 'tasks.pauseOne', name).click();
        await running.getByText(person.word('task.is.paused')).waitFor();
        await icon(person, 'tasks.resumeOne', name).click();
        await running.getByText(person.word('task.is.running')).waitFor();
        await icon(person, 'tasks.cancelOne', name).click();
        await confirm(person);
        await running.getByText(person.word('task.is.cancelled')).waitFor();
      });
    });
  }

  it('shows what a device sends as text', async () => {
    const evil = '<img src=x onerror="window.wasRun = true">';
    const person = await ota.open('packages');
    await talk.inform('evil', evil);
    await addPackage(person, 'v4.0');
    const task = await startTask(person, 'v4.0');
    await person.field('devices.search').fill('evil');
    await talk.progress('evil', -1, evil);
    const row = person.row('evil');
    await until(async () => (await row.innerText()).split(evil).length === 3, 'it as version and as detail');
    await icon(person, 'devices.historyOne', 'evil').click();
    await person.dialog.getByText('onerror').first().waitFor();
    assert.equal(await person.page.locator('img[src="x"]').count(), 0);
    assert.equal(await person.page.evaluate(() => 'wasRun' in globalThis), false);
    await person.goto(`tasks?was=${task}`);
  });

  it('goes back to the last page where an address names one beyond it', async () => {
    const person = await ota.open('tasks?page=7');
    await person.page.locator('.ota-table tbody tr').first().waitFor();
    await person.goto('devices?page=7&status=nothing');
    await person.page.locator('.ota-table tbody tr').first().waitFor();
  });

  it('finds the task of a page gone and shows another', async () => {
    const person = await ota.open('devices?task=nobody-knows');
    await until(() => !person.page.url().includes('nobody-knows'), 'the address of another task');
    await person.page.locator('.ota-tiles').waitFor();
  });
});

/** Packages through the page: form, upload, table, remove. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { cleanup } from '../support/cleanup';
import { until } from '../support/wait';
import {
  addPackage,
  beginUpload,
  bytesOf,
  type Console,
  LANGUAGES,
  requireChromium,
  startConsole,
} from './support';

const MIB = 1024 ** 2;

describe('the packages page', function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let ota: Console;
  before(async function () {
    requireChromium(this);
    ota = later(await startConsole());
  });

  it('says what to do while there is nothing', async () => {
    const person = await ota.open('packages');
    await person.sees(person.word('packages.emptyHint'));
  });

  for (const language of LANGUAGES) {
    it(`adds a package with all that the form asks for (${language})`, async () => {
      const person = await ota.open('packages', { language });
      await person.button('packages.add').first().click();
      await person.page
        .locator('input[type=file]')
        // Another file for each language: an equal package would be answered with the one that is there.
        .setInputFiles({ name: 'meter.bin', mimeType: '', buffer: bytesOf(5000 + language.charCodeAt(0)) });
      await person.field('package.name').fill(`meter ${language}`);
      await person.field('package.product').fill('M-1');
      await person.field('package.module').fill('MCU');
      await person.field('package.version').fill('v2.0');
      await person.field('package.signMethod').selectOption('MD5');
      await person.field('package.type').selectOption('differential');
      await person.field('package.fromVersion').fill('v1.9');
      await person.field('package.description').fill('what is new');
      await person.button('package.addRow').click();
      await person.field('package.value').fill('red');
      await person.dialog.locator('button[type=submit]').click();
      const key = person.field('package.key');
      const told = await key.evaluate((one) => (one as HTMLInputElement).validationMessage);
      assert.equal(told, person.word('field.missing'), 'a value without a key');
      await key.fill('color');
      await person.dialog.locator('button[type=submit]').click();
      const row = await person.row(`meter ${language}`).innerText();
      for (const text of [
        'M-1',
        'MCU',
        'v2.0',
        'MD5',
        'what is new',
        person.word('package.from', { version: 'v1.9' }),
      ]) {
        assert.ok(row.includes(text), `${text} in ${row}`);
      }
      assert.match(person.received.join(), /"extData":\{"color":"red"\}/);
    });
  }

  it('shows a new package to other browsers without a reload', async () => {
    const [one, other] = [await ota.open('packages'), await ota.open('packages')];
    await addPackage(one, 'v-shared');
    await other.row('v-shared').waitFor();
  });

  it('uploads 50 MiB as they are', async () => {
    const person = await ota.open('packages');
    await beginUpload(person, 50 * MIB, 'v50');
    await person.row('v50').waitFor({ timeout: 40_000 });
    const sha256 = createHash('sha256')
      .update(bytesOf(50 * MIB))
      .digest('hex');
    assert.ok(person.received.join().includes(sha256), 'the digest of the file that was chosen');
    await until(() => ota.leftovers().length === 0, 'the upload to be removed');
  });

  it('shows how far an upload is, and leaves nothing behind when it is cancelled', async () => {
    const person = await ota.open('packages');
    await beginUpload(person, 45 * MIB, 'v-cancelled');
    await person.page.getByRole('progressbar').waitFor();
    await person.button('upload.cancel').click();
    await person.button('action.close').waitFor();
    await until(() => ota.leftovers().length === 0, 'the upload to be removed');
    await person.button('action.close').click();
    assert.equal(await person.row('v-cancelled').count(), 0);
  });

  it('leaves nothing behind when the browser goes away in the middle', async () => {
    const person = await ota.open('packages');
    await beginUpload(person, 45 * MIB, 'v-gone');
    await until(() => ota.leftovers().length > 0, 'the upload to begin');
    await person.page.close();
    await until(() => ota.leftovers().length === 0, 'the upload to be removed');
  });

  it('says why a package was refused, and leaves nothing behind', async () => {
    const person = await ota.open('packages');
    await beginUpload(person, 1000, 'bad\u0007version');
    await person.dialog.getByRole('alert').waitFor();
    assert.match(await person.dialog.getByRole('alert').innerText(), /control characters/);
    await until(() => ota.leftovers().length === 0, 'the upload to be removed');
  });

  for (const language of LANGUAGES) {
    it(`asks before it removes, and names what (${language})`, async () => {
      const person = await ota.open('packages', { language });
      const version = `v-remove-${language}`;
      await addPackage(person, version);
      const remove = person.button('packages.removeOne', { name: 'firmware.bin', version });
      await remove.click();
      await person.dialog
        .getByText(person.word('packages.removeText', { name: 'firmware.bin', version }))
        .waitFor();
      await person.button('action.back').click();
      await person.dialog.waitFor({ state: 'hidden' });
      assert.equal(person.sent.filter((frame) => frame.includes('"topic":"remove"')).length, 0);
      await remove.click();
      await person.button('packages.remove').click();
      await person.row(version).waitFor({ state: 'detached' });
    });
  }

  it('leaves nothing behind when Node-RED is killed in the middle', async () => {
    const person = await ota.open('packages');
    await beginUpload(person, 45 * MIB, 'v-killed');
    await until(() => ota.leftovers().length > 0, 'the upload to begin');
    await ota.killAndStart();
    await until(() => ota.leftovers().length === 0, 'the upload to be removed');
  });
});

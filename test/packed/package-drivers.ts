/** How the examples of packages are driven to their end: a browser's form, and keys that sign. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { until } from '../support/wait';
import { find, type Running } from './drivers';

const FORM = '/ota-example/upload';

/** A file is uploaded by the form, pushed to the device, served to it, and listed. */
export async function packageUpload({ red, wire, click }: Running): Promise<void> {
  const bytes = randomBytes(300_000);
  const send = async (
    fields: Record<string, string>,
    file?: Blob,
    headers: Record<string, string> = {},
  ): Promise<Response> => {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.set(name, value);
    if (file !== undefined) form.set('file', file, '水泵固件 <1>.bin');
    return fetch(red.url + FORM, { method: 'POST', body: form, headers });
  };
  const page = await fetch(red.url + FORM);
  assert.match(await page.text(), /<form method="post" enctype="multipart\/form-data">/);

  const fields = { version: 'v1.1', module: 'MCU', signMethod: 'MD5', accessToken: 'demo-device-1' };
  const added = await send(fields, new Blob([bytes]));
  assert.equal(added.status, 200);
  const text = await added.text();
  assert.match(text, /水泵固件 &lt;1&gt;\.bin v1\.1/);
  assert.match(text, /Push to demo-device-1: unknown/);
  const { url, sign, size, module } = await until(() => find(wire, 'upgrade')[0], 'the push');
  assert.equal(module, 'MCU');
  assert.equal(size, bytes.length);
  assert.equal(sign, createHash('md5').update(bytes).digest('hex'));
  const served = await fetch(String(url));
  assert.deepEqual(Buffer.from(await served.arrayBuffer()), bytes);

  // Another site's page, as browsers of today and of yesterday tell it.
  const sites: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { origin: 'https://evil.example' },
  ];
  for (const foreign of sites) {
    const answer = await send(fields, new Blob([bytes]), foreign);
    assert.equal(answer.status, 400);
    assert.match(await answer.text(), /another site/);
  }
  const alone = await send({ version: 'v1.2', accessToken: '' }, new Blob([bytes]));
  assert.match(await alone.text(), /Not pushed/);
  const refused = await send({ version: 'v1.3' });
  assert.equal(refused.status, 400);
  assert.match(await refused.text(), /OTA_BAD_INPUT/);
  assert.equal(find(wire, 'upgrade').length, 1);
  await click('list packages');
}

/** The device takes the signed package, and refuses the forged and the unsigned one before it downloads. */
export async function signedPackage({ wire, click }: Running): Promise<void> {
  const ends = (): { step: number; desc: string }[] =>
    find(wire, 'progress').filter(({ step }) => step < 0 || step === 100);
  await click('1.');
  const good = await until(() => ends()[0], 'the first end');
  assert.equal(good.step, 100);
  assert.match(good.desc, /v1\.1/);
  await click('2.');
  const forged = await until(() => ends()[1], 'the forged one to be refused');
  assert.equal(forged.step, -3);
  assert.match(forged.desc, /none of the public keys/);
  await click('3.');
  const unsigned = await until(() => ends()[2], 'the unsigned one to be refused');
  assert.equal(unsigned.step, -3);
  assert.match(unsigned.desc, /not signed/);
}

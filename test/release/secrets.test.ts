/**
 * Access tokens are secrets: no token that was used stands whole in what the nodes log, show or complain of. That
 * support/secrets.ts looks for it after all tests of each process is of use only where it notes what is said.
 */
import assert from 'node:assert/strict';
import { startAedes } from '../support/aedes';
import { cleanup } from '../support/cleanup';
import { connectClient } from '../support/client';
import { heard, leaks } from '../support/secrets';
import { until } from '../support/wait';
import { asOut, loadBench } from '../nodes/support';

describe('what the nodes say of a device', () => {
  const later = cleanup();

  it('names it by the first four characters of its token at most', async () => {
    const token = 'Zq7w-secret-of-a-device';
    const broker = later(await startAedes());
    const flow = later(await loadBench(broker.port, { type: 'ota-progress', side: 'platform' }, 1));
    const caught = flow.messages('caught');
    const device = later(await connectClient(broker.url));
    const before = heard();
    await until(async () => {
      await device.publish(`/ota/device/progress/${token}`, { step: 'none of the steps', token });
      return caught.items.length > 0;
    }, 'the report to be refused');
    const { error } = asOut(caught.items[0]);
    assert.equal(error?.code, 'OTA_BAD_STEP');
    assert.match(error.message, /Zq7w…/);
    assert.ok(!error.message.includes(token.slice(0, 5)));
    assert.ok(heard().tokens > before.tokens && heard().texts > before.texts, 'both were noted');
  });

  it('would be found where a token stands in it whole', () => {
    const texts: [string, string][] = [
      ['OTA_OFFLINE: Zq7w… is offline', 'a log'],
      ['OTA_OFFLINE: Zq7w-secret is offline', 'a status'],
    ];
    assert.deepEqual(leaks(['Zq7w-secret'], texts), [
      { token: 'Zq7w-secret', text: 'OTA_OFFLINE: Zq7w-secret is offline', where: 'a status' },
    ]);
  });

  it('would not be found in a part of a longer word', () => {
    const texts: [string, string][] = [
      ['give Ed25519 keys', 'an error'],
      ['d25519 is offline', 'a log'],
    ];
    assert.deepEqual(
      leaks(['d25519'], texts).map(({ where }) => where),
      ['a log'],
    );
  });
});

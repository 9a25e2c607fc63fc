/** The rollback guard, and signatures as the verifier uses them. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { signFields } from '../../nodes/lib/packages/verify/signature';
import { compareVersions, refuseRollback } from '../../nodes/lib/packages/verify/rollback';
import { cleanup } from '../support/cleanup';
import { digestOf, FIRMWARE, startVerifier, upgradeTo } from './support/packages';
import { good, startServer } from './support/server';

const later = cleanup();

describe('comparing versions', () => {
  const table: [string, string, string | null][] = [
    ['1.10', '>', '1.9'],
    ['v1.2', '>', '1.1.9'],
    ['1.0', '=', '1.0.0'],
    ['1.2.3.4', '<', '1.2.3.5'],
    ['20260101', '>', '20251231'],
    ['V2', '>', 'v1.9.9'],
    ['fw_1.4', '>', 'fw_1.3'],
    ['1.0-rc1', '<', '1.0'],
    ['1.0-rc10', '>', '1.0-rc9'],
    ['1.0-beta', '<', '1.0-rc'],
    ['1.0+build5', '=', '1.0+build4'],
    ['1.2-3', '>', '1.2-2'],
    ['1.2.3b10', '>', '1.2.3b9'],
    ['1.0 build 7', '<', '1.0 Build 8'],
    ['1.0a', '?', '1.0b'],
    ['99999999999999999999999', '>', '99999999999999999999998'],
    ['banana', '?', '1.0'],
    ['1.0', '?', ''],
    ['1.0a', '?', '1.0'],
  ];
  for (const [a, sign, b] of table) {
    it(`${a} ${sign} ${b}`, () => {
      const order = compareVersions(a, b ?? '');
      assert.equal(order === null ? '?' : order < 0 ? '<' : order > 0 ? '>' : '=', sign);
    });
  }

  it('is the same backwards, for any two texts', () => {
    const version = fc.stringMatching(/^v?[0-9]{1,3}(\.[0-9]{1,3}){0,3}(-rc[0-9]{0,2})?$/);
    fc.assert(
      fc.property(fc.oneof(version, fc.string()), fc.oneof(version, fc.string()), (a, b) => {
        const [there, back] = [compareVersions(a, b), compareVersions(b, a)];
        assert.equal(
          there === null ? null : Math.sign(there) + 0,
          back === null ? null : -Math.sign(back) + 0,
        );
      }),
    );
  });

  it('refuses a lower version, one that cannot be compared, and an unknown running one', () => {
    refuseRollback('1.1', '1.0');
    refuseRollback('1.0', '1.0');
    for (const [version, current] of [
      ['1.0', '1.1'],
      ['new', '1.0'],
      ['', '1.0'],
      ['1.0', undefined],
      ['1.0', 1],
    ]) {
      assert.throws(() => refuseRollback(String(version), current), { code: 'OTA_ROLLBACK' });
    }
  });
});

describe('the rollback guard of a download', () => {
  it('refuses before anything is asked for', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ rollback: 'refuse' }));
    const upgrade = upgradeTo(FIRMWARE, server.url, { version: 'v1.1' });
    assert.equal((await test.failure(upgrade, { currentVersion: 'v1.2' })).code, 'OTA_ROLLBACK');
    assert.equal((await test.failure(upgrade)).code, 'OTA_ROLLBACK');
    assert.equal(server.asked.length, 0);
    await test.verify(upgrade, { currentVersion: 'v1.0' });
  });
});

describe('the signature of a download', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const other = generateKeyPairSync('ed25519');
  const fields = { module: 'MCU', version: 'v1.1', size: FIRMWARE.length, sha256: digestOf(FIRMWARE) };
  const signed = (more: object = {}, key = privateKey): object => ({
    extData: { _signature: signFields(key, { ...fields, ...more }) },
  });

  it('stands for a blank sign, and for an unknown size', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ publicKeys: [other.publicKey, publicKey] }));
    const upgrade = upgradeTo(FIRMWARE, server.url, { ...signed(), sign: '', size: null });
    assert.equal((await test.verify(upgrade)).expected.size, FIRMWARE.length);
  });

  it('is checked before anything is asked for', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ publicKeys: [publicKey] }));
    const refused: [object, string][] = [
      [{}, 'OTA_BAD_SIGNATURE'],
      [{ extData: null }, 'OTA_BAD_SIGNATURE'],
      [{ extData: { _signature: 5 } }, 'OTA_BAD_SIGNATURE'],
      [signed({}, other.privateKey), 'OTA_BAD_SIGNATURE'],
      [{ ...signed(), version: 'v1.2' }, 'OTA_BAD_SIGNATURE'],
      [{ ...signed(), module: 'modem' }, 'OTA_BAD_SIGNATURE'],
      [{ ...signed(), size: 5 }, 'OTA_BAD_SIGNATURE'],
      [signed({ expires: '2020-01-01T00:00:00Z' }), 'OTA_SIGNATURE_EXPIRED'],
    ];
    for (const [more, code] of refused) {
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url, more))).code, code);
    }
    assert.equal(server.asked.length, 0);
  });

  it('refuses a file with the right sign and another SHA-256 than the signed one', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ publicKeys: [publicKey] }));
    const sign = { sign: digestOf(FIRMWARE, 'md5'), signMethod: 'Md5' };
    const wrong = { ...sign, ...signed({ sha256: digestOf(Buffer.from('other')) }) };
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url, wrong))).code, 'OTA_DIGEST_MISMATCH');
    const right = await test.verify(upgradeTo(FIRMWARE, server.url, { ...sign, ...signed() }));
    assert.equal(right.digest, sign.sign);
  });
});

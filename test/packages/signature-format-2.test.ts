/** Format 2 of a package's signature: what it covers besides, and the clock that judges its end. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, verify } from 'node:crypto';
import fc from 'fast-check';
import { signFields, signPackage, verifySignature } from '../../nodes/lib/packages/verify/signature';

const ours = generateKeyPairSync('ed25519');
const keys = [ours.publicKey];
const sha256 = createHash('sha256').update('firmware').digest('hex');
const fields = { module: 'default', version: 'v1.2', size: 432_945 };
const pkg = {
  ...fields,
  sha256,
  signed: '2026-03-01T10:00:00.000Z',
  product: 'gateway',
  requires: { board: ['a', 'b'], region: 'eu' },
  extData: { channel: 'stable', note: 'größer' },
};
const text = signPackage(ours.privateKey, pkg);
const upgrade = { ...fields, extData: { ...pkg.extData, _signature: text } };
const NOW = new Date('2026-06-01');

const check = (changed: object, now = NOW): unknown =>
  verifySignature(keys, text, { ...upgrade, ...changed }, now);
const refused = (code: string): object => ({ code });

describe('format 2 of the signature', () => {
  it('gives back what was signed, from an upgrade that names neither product nor labels', () => {
    assert.deepEqual(check({}), { ...fields, sha256 });
  });

  it('signs netstrings that any language can build', () => {
    const parts = text.split('.');
    assert.deepEqual(parts.slice(0, 2), ['2', '432945']);
    const about = JSON.stringify({ product: 'gateway', requires: pkg.requires });
    assert.equal(Buffer.from(parts[5]!, 'base64url').toString(), about);
    const signed = String(Date.parse(pkg.signed) / 1000);
    const texts = ['ota-signature-2', 'default', 'v1.2', '432945', sha256, signed, '', parts[5]!];
    const all = [...texts, 'channel', 'stable', 'note', 'größer'];
    const bytes = all.map((part) => `${Buffer.byteLength(part)}:${part},`).join('');
    assert.ok(verify(null, Buffer.from(bytes), ours.publicKey, Buffer.from(parts.at(-1)!, 'base64url')));
  });

  const changes: [string, object][] = [
    ['another value in extData', { extData: { ...pkg.extData, channel: 'beta' } }],
    ['a key more in extData', { extData: { ...pkg.extData, more: 'x' } }],
    ['a key less in extData', { extData: { channel: 'stable' } }],
    ['no extData', { extData: undefined }],
    ['a value that is no text in extData', { extData: { ...pkg.extData, note: 5 } }],
    ['another version', { version: 'v1.3' }],
    ['another module', { module: 'modem' }],
    ['another size', { size: 1 }],
    ['another product', { product: 'meter' }],
    ['other labels', { requires: { board: ['a', 'b'] } }],
  ];
  for (const [what, changed] of changes) {
    it(`refuses ${what} than was signed`, () => {
      assert.throws(() => check(changed), refused('OTA_BAD_SIGNATURE'));
    });
  }

  it('takes the product and the labels that were signed, in any order of keys', () => {
    const requires = { region: 'eu', board: ['a', 'b'] };
    assert.ok(check({ product: 'gateway', requires, extData: { note: 'größer', channel: 'stable' } }));
  });

  it('refuses every change of one character', () => {
    const base64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    for (let at = 0; at < text.length; at += 1) {
      const other = base64[(base64.indexOf(text[at]!) + 1) % base64.length]!;
      const wrong = text.slice(0, at) + other + text.slice(at + 1);
      let result: unknown = null;
      try {
        result = verifySignature(keys, wrong, upgrade, NOW);
      } catch {
        continue;
      }
      // The last character of a digest or a signature has bits that stand for nothing.
      assert.deepEqual(result, { ...fields, sha256 });
    }
  });

  it('fits no other fields than its own, whatever they hold', () => {
    const word = fc.string({ maxLength: 6, unit: 'grapheme' });
    fc.assert(
      fc.property(word, word, word, word, (a, b, c, d) => {
        const one = { ...pkg, requires: null, product: '', extData: { [`k${a}`]: b } };
        const signed = signPackage(ours.privateKey, one);
        const fits = (extData: object): boolean => {
          try {
            return Boolean(verifySignature(keys, signed, { ...fields, extData }, NOW));
          } catch {
            return false;
          }
        };
        assert.equal(fits({ [`k${c}`]: d }), a === c && b === d);
      }),
    );
  });

  it('ends at a clock that is right, and a clock before the time of signing is not believed', () => {
    const ends = signPackage(ours.privateKey, { ...pkg, expires: '2026-05-01T00:00:00Z' });
    const at = (time: string): unknown => verifySignature(keys, ends, upgrade, new Date(time));
    assert.ok(at('2026-04-01'));
    assert.ok(at('1970-01-01'));
    assert.throws(() => at('2026-05-01'), refused('OTA_SIGNATURE_EXPIRED'));
    const never = signPackage(ours.privateKey, { ...pkg, expires: '2026-02-01T00:00:00Z' });
    assert.throws(() => verifySignature(keys, never, upgrade, new Date(0)), refused('OTA_SIGNATURE_EXPIRED'));
  });

  it('stands beside format 1, which older releases made', () => {
    const older = signFields(ours.privateKey, { ...fields, sha256 });
    assert.deepEqual(verifySignature(keys, older, { ...fields, extData: { any: 'thing' } }), {
      ...fields,
      sha256,
    });
  });

  it('is refused from another key, and where its parts are no signature', () => {
    const other = generateKeyPairSync('ed25519');
    const wrong = [
      signPackage(other.privateKey, pkg),
      `3${text.slice(1)}`,
      `${text}.x`,
      '2.'.repeat(100_000),
    ];
    for (const each of wrong) {
      assert.throws(() => verifySignature(keys, each, upgrade), refused('OTA_BAD_SIGNATURE'));
    }
  });

  it('is not thrown off by labels that are a ring or endlessly deep', () => {
    const ring: Record<string, unknown> = {};
    ring['ring'] = ring;
    let deep: unknown = 'x';
    for (let level = 0; level < 20_000; level += 1) deep = [deep];
    for (const requires of [ring, deep]) {
      assert.throws(() => check({ requires }), refused('OTA_BAD_SIGNATURE'));
    }
  });
});

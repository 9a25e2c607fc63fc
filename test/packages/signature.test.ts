/** The signature of a package: what it covers, what it refuses, and how keys may be written. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject, verify } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import {
  parsePrivateKey,
  parsePublicKeys,
  type SignedFields,
  signFields,
  verifySignature,
} from '../../nodes/lib/packages/verify/signature';
import type { OtaError } from '../../nodes/lib/protocol';

const ours = generateKeyPairSync('ed25519');
const other = generateKeyPairSync('ed25519');
const keys = [ours.publicKey];
const fields: SignedFields = {
  module: 'default',
  version: 'v1.2',
  size: 432_945,
  sha256: createHash('sha256').update('firmware').digest('hex'),
};

function code(expected: string): (error: OtaError) => boolean {
  return (error) => {
    assert.equal(error.code, expected);
    return true;
  };
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: key.type === 'private' ? 'pkcs8' : 'spki' }) as string;
}

describe('signature', () => {
  it('gives back what was signed', () => {
    const text = signFields(ours.privateKey, fields);
    assert.deepEqual(verifySignature(keys, text, fields), fields);
  });

  it('gives back the end of its validity, to the second', () => {
    const text = signFields(ours.privateKey, { ...fields, expires: '2030-01-02T03:04:05.678Z' });
    const signed = verifySignature(keys, text, fields, new Date('2029-01-01'));
    assert.equal(signed.expires, '2030-01-02T03:04:05.000Z');
  });

  it('is short ASCII without quotes, blanks or backslashes', () => {
    const text = signFields(ours.privateKey, { ...fields, expires: '2030-01-02T03:04:05Z' });
    assert.match(text, /^[\w.-]+$/);
    assert.ok(text.length <= 180, `${text.length} characters`);
  });

  it('signs netstrings that any language can build', () => {
    const text = signFields(ours.privateKey, fields);
    const parts = ['ota-signature-1', 'default', 'v1.2', '432945', fields.sha256, ''];
    const bytes = parts.map((part) => `${part.length}:${part},`).join('');
    const bare = Buffer.from(text.split('.').at(-1)!, 'base64url');
    assert.ok(verify(null, Buffer.from(bytes), ours.publicKey, bare));
  });

  it('passes where the upgrade names no size, and tells the signed one', () => {
    const text = signFields(ours.privateKey, fields);
    assert.equal(verifySignature(keys, text, { ...fields, size: null }).size, fields.size);
  });

  it('passes with any of several keys', () => {
    const text = signFields(ours.privateKey, fields);
    assert.ok(verifySignature([other.publicKey, ours.publicKey], text, fields));
  });

  it('refuses the signature of another key, and no key at all', () => {
    const text = signFields(other.privateKey, fields);
    assert.throws(() => verifySignature(keys, text, fields), code('OTA_BAD_SIGNATURE'));
    assert.throws(() => verifySignature([], text, fields), code('OTA_BAD_SIGNATURE'));
  });

  for (const [what, changed] of [
    ['another module', { module: 'MCU' }],
    ['another version', { version: 'v1.3' }],
    ['another size', { size: 1 }],
  ] as const) {
    it(`refuses ${what} than was signed`, () => {
      const text = signFields(ours.privateKey, fields);
      assert.throws(() => verifySignature(keys, text, { ...fields, ...changed }), code('OTA_BAD_SIGNATURE'));
    });
  }

  it('tells an expired signature, but only of a known key', () => {
    const expires = '2024-01-01T00:00:00Z';
    const now = new Date('2024-01-01T00:00:00Z');
    const mine = signFields(ours.privateKey, { ...fields, expires });
    assert.throws(() => verifySignature(keys, mine, fields, now), code('OTA_SIGNATURE_EXPIRED'));
    assert.ok(verifySignature(keys, mine, fields, new Date(now.getTime() - 1)));
    const forged = signFields(other.privateKey, { ...fields, expires });
    assert.throws(() => verifySignature(keys, forged, fields, now), code('OTA_BAD_SIGNATURE'));
  });

  for (const value of [undefined, null, '', 'x', '1.1.1.1.1', 7, {}, [], 'A'.repeat(100_000)]) {
    it(`refuses ${inspect(value).slice(0, 20)} as a signature`, () => {
      assert.throws(() => verifySignature(keys, value, fields), code('OTA_BAD_SIGNATURE'));
    });
  }

  it('refuses every change of one character', () => {
    const text = signFields(ours.privateKey, { ...fields, expires: '2099-01-01T00:00:00Z' });
    fc.assert(
      fc.property(
        fc.nat(text.length - 1),
        fc.constantFrom('A', '1', '.', '_', '-', 'z', '='),
        (at, character) => {
          fc.pre(text[at] !== character);
          const changed = text.slice(0, at) + character + text.slice(at + 1);
          // The last character of base64url has bits that say nothing.
          fc.pre(!sameBytes(text, changed));
          assert.throws(
            () => verifySignature(keys, changed, { ...fields, size: null }),
            code('OTA_BAD_SIGNATURE'),
          );
        },
      ),
    );
  });

  it('fits no other fields than its own, whatever they hold', () => {
    const set = fc.record({
      module: fc.string({ unit: 'binary', maxLength: 8 }),
      version: fc.string({ unit: 'binary', maxLength: 8 }),
      size: fc.integer({ min: 1, max: 99 }),
    });
    fc.assert(
      fc.property(set, set, (a, b) => {
        const text = signFields(ours.privateKey, { ...fields, ...a });
        if (a.module === b.module && a.version === b.version && a.size === b.size) {
          assert.ok(verifySignature(keys, text, b));
        } else {
          assert.throws(() => verifySignature(keys, text, b), code('OTA_BAD_SIGNATURE'));
        }
      }),
    );
  });

  it('does not take one broken surrogate for another', () => {
    const text = signFields(ours.privateKey, { ...fields, version: '\uFFFD' });
    assert.throws(
      () => verifySignature(keys, text, { ...fields, version: '\uD800' }),
      code('OTA_BAD_SIGNATURE'),
    );
    assert.throws(
      () => signFields(ours.privateKey, { ...fields, version: '\uD800' }),
      code('OTA_BAD_PACKAGE'),
    );
  });

  for (const [what, wrong] of [
    ['a size of 0', { size: 0 }],
    ['a digest of the wrong length', { sha256: 'abc' }],
    ['a digest in upper case', { sha256: fields.sha256.toUpperCase() }],
    ['an end that is no date', { expires: 'tomorrow' }],
  ] as const) {
    it(`does not sign ${what}`, () => {
      assert.throws(() => signFields(ours.privateKey, { ...fields, ...wrong }), code('OTA_BAD_PACKAGE'));
    });
  }
});

describe('keys of a signature', () => {
  const spki = ours.publicKey.export({ format: 'der', type: 'spki' });
  const text = signFields(ours.privateKey, fields);
  const works = (written: string): void => {
    const [key, ...more] = parsePublicKeys(written);
    assert.equal(more.length, 0);
    assert.ok(verifySignature([key!], text, fields));
  };

  it('reads a public key as PEM', () => works(pem(ours.publicKey)));
  it('reads a PEM block whose lines became blanks', () => works(pem(ours.publicKey).replace(/\n/g, ' ')));
  it('reads a PEM block whose lines were joined', () => works(pem(ours.publicKey).replace(/\n/g, '')));
  for (const end of ['\\n', '\\r\\n', '\r\n']) {
    it(`reads a PEM block whose ends of lines are ${JSON.stringify(end)}`, () =>
      works(pem(ours.publicKey).replace(/\n/g, end)));
  }
  it('reads base64 of SPKI', () => works(spki.toString('base64')));
  it('reads base64 of the raw 32 bytes', () => works(spki.subarray(-32).toString('base64')));
  it('reads base64url', () => works(spki.subarray(-32).toString('base64url')));

  it('reads several keys in several forms', () => {
    const raw = spki.subarray(-32).toString('base64');
    const read = parsePublicKeys(`${raw}, ${pem(other.publicKey)}\n\n${raw}`);
    assert.equal(read.length, 3);
  });

  it('reads nothing from a blank text', () => assert.deepEqual(parsePublicKeys(' \n '), []));

  for (const [what, written] of [
    ['a private key', pem(ours.privateKey)],
    ['a key of another kind', pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey)],
    ['a PEM block that is cut off', pem(ours.publicKey).slice(0, 60)],
    ['words', 'not a key at all!'],
    ['base64 of the wrong length', Buffer.alloc(31).toString('base64')],
  ] as const) {
    it(`refuses ${what} as a public key`, () => {
      assert.throws(() => parsePublicKeys(written), code('OTA_BAD_SETTINGS'));
    });
  }

  it('signs with a private key as PEM, also on one line', () => {
    for (const written of [pem(ours.privateKey), pem(ours.privateKey).replace(/\n/g, ' ')]) {
      assert.ok(verifySignature(keys, signFields(written, fields), fields));
    }
  });

  for (const [what, written] of [
    [
      'an encrypted key',
      ours.privateKey.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: 'x' }),
    ],
    ['a public key', pem(ours.publicKey)],
    ['a key of another kind', pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)],
    ['words', 'secret words'],
  ] as const) {
    it(`refuses ${what} as a private key, and shows none of it`, () => {
      assert.throws(
        () => parsePrivateKey(written as string),
        (error: OtaError) => {
          assert.equal(error.code, 'OTA_BAD_SETTINGS');
          assert.ok(!error.message.includes('secret words'));
          assert.equal(error.cause, undefined);
          return true;
        },
      );
    });
  }
});

function sameBytes(a: string, b: string): boolean {
  const bytes = (text: string): string =>
    text
      .split('.')
      .map((part, i) => (i === 2 || i === 4 ? Buffer.from(part, 'base64url').toString('hex') : part))
      .join('.');
  return bytes(a) === bytes(b);
}

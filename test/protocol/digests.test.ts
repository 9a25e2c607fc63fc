/** The digests of packages: their forms on the wire. */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fc from 'fast-check';
import { HASH_NAME, isSign, methodOfSign, SIGN_LENGTH, type SignMethod } from '../../nodes/lib/protocol';
import { MD5, SHA256 } from './wire';

describe('a digest', () => {
  for (const method of ['Md5', 'SHA256'] as const) {
    it(`of ${method} has the form that node:crypto gives`, () => {
      const digest = crypto.createHash(HASH_NAME[method]).update('firmware').digest('hex');
      assert.equal(digest.length, SIGN_LENGTH[method]);
      assert.equal(isSign(digest, method), true);
      assert.equal(methodOfSign(digest), method);
    });
  }

  for (const [what, sign, method, fits] of [
    ['in upper case', MD5.toUpperCase(), 'Md5', true],
    ['in mixed case', SHA256.toUpperCase().replace('E', 'e'), 'SHA256', true],
    ['of the other method', SHA256, 'Md5', false],
    ['of the other method', MD5, 'SHA256', false],
    ['that is empty', '', 'Md5', false],
    ['one character short', MD5.slice(1), 'Md5', false],
    ['one character long', MD5 + '0', 'Md5', false],
    ['with a letter that is no hex', 'g' + MD5.slice(1), 'Md5', false],
    ['with a blank', ' ' + MD5.slice(1), 'Md5', false],
    ['with a line feed behind', MD5.slice(1) + '\n', 'Md5', false],
    ['with a prefix', '0x' + MD5.slice(2), 'Md5', false],
    ['in full-width digits', '０' + MD5.slice(1), 'Md5', false],
  ] as [string, string, SignMethod, boolean][]) {
    it(`${what} ${fits ? 'fits' : "doesn't fit"} ${method}`, () => assert.equal(isSign(sign, method), fits));
  }

  it('of neither length belongs to no method', () => {
    for (const sign of ['', 'a243fgh4b9v', 'z'.repeat(32), 'z'.repeat(64), '0'.repeat(40)]) {
      assert.equal(methodOfSign(sign), null);
    }
  });

  it('fits exactly where decoding its hex and encoding it again gives it back', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 70 }), fc.stringMatching(/^[0-9a-g]{32}$/)), (sign) => {
        const again = Buffer.from(sign, 'hex').toString('hex');
        assert.equal(isSign(sign, 'Md5'), again.length === 32 && again === sign.toLowerCase());
      }),
    );
  });
});

/** What an access token may look like, and how little of it is ever shown. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { checkToken, createScheme, isToken, maskToken } from '../../nodes/lib/protocol';
import { otaError } from './wire';

const GOOD: [string, string][] = [
  ['one character', 'a'],
  ['128 characters', 'x'.repeat(128)],
  ['128 characters of two units each', '😀'.repeat(128)],
  ['Chinese', '设备一号'],
  ['blanks, dots and dollars', ' $a.b-c_d:e '],
  ['a name that objects have', '__proto__'],
];

const BAD: [string, unknown][] = [
  ['129 characters', 'x'.repeat(129)],
  ['a slash', 'a/b'],
  ['a plus', 'a+b'],
  ['a lone plus', '+'],
  ['a hash', '#'],
  ['NUL', 'a\0b'],
  ['a line feed', 'a\n'],
  ['a tab', 'a\tb'],
  ['DEL', 'a\x7f'],
  ['a C1 control character', 'a\x85'],
  ['half a surrogate pair', 'a\ud83d'],
  ['U+FFFF, which brokers take for a broken packet', 'a\uffff'],
  ['a noncharacter beyond the first plane', 'a\u{1fffe}'],
  ['a noncharacter in the middle of a plane', 'a\ufdd0'],
  ['a number', 5],
  ['an array', ['a']],
  ['an object', {}],
];

describe('an access token', () => {
  for (const [what, token] of GOOD) {
    it(`may have ${what}`, () => {
      assert.equal(checkToken(token), token);
      assert.equal(isToken(token), true);
    });
  }

  for (const [what, token] of BAD) {
    it(`is refused with ${what}`, () => {
      assert.equal(isToken(token), false);
      assert.throws(() => checkToken(token), otaError('OTA_BAD_TOKEN'));
    });
  }

  for (const token of [undefined, null, '']) {
    it(`is asked for where it is ${inspect(token)}`, () => {
      assert.throws(() => checkToken(token), otaError('OTA_BAD_TOKEN', /set msg\.accessToken/));
    });
  }

  it('is not shown by the error that refuses it', () => {
    const secret = 'se/cret-and-more';
    assert.throws(
      () => checkToken(secret),
      (error) => error instanceof Error && !error.message.includes('cret'),
    );
  });

  it('is refused before it becomes a topic', () => {
    const scheme = createScheme('thingspanel');
    for (const [, token] of BAD) {
      assert.throws(() => scheme.topic('upgrade', token), otaError('OTA_BAD_TOKEN'));
    }
    assert.throws(() => scheme.topic('inform', ''), otaError('OTA_BAD_TOKEN'));
  });

  describe('masked', () => {
    for (const [token, shown] of [
      ['abcdefgh', 'abcd…'],
      ['abcdefghijklmnop', 'abcd…'],
      ['abcd', 'ab…'],
      ['abc', 'a…'],
      ['a', '…'],
      ['', '…'],
    ] as const) {
      it(`${JSON.stringify(token)} shows ${JSON.stringify(shown)}`, () => {
        assert.equal(maskToken(token), shown);
      });
    }

    it('shows neither control characters nor halves of characters', () => {
      assert.equal(maskToken('\n\0ab-secret'), '??ab…');
      assert.equal(maskToken('abc😀-secret'), 'abc?…');
    });

    it('shows at most half of any token and four characters', () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (token) => {
          const shown = maskToken(token).slice(0, -1);
          assert.ok(shown.length <= 4 && shown.length <= token.length / 2);
          assert.doesNotMatch(shown, /[\p{Cc}\p{Cs}]/u);
        }),
      );
    });
  });
});

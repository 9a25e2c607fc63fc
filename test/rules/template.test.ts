/** What the topics of the custom scheme may be, by themselves and together. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { type IdentityForm, readTemplate, templateForm, togetherReason } from '../../nodes/lib/rules';

const ALL: readonly IdentityForm[] = ['token', 'pair', 'none'];

describe('the rule of a topic template', () => {
  for (const [template, form] of [
    ['a/{accessToken}', 'token'],
    ['{accessToken}', 'token'],
    ['a/{productKey}/{deviceName}', 'pair'],
    ['{deviceName}/a/{productKey}', 'pair'],
    ['a/b', 'none'],
    ['a/{other}', 'none'],
    ['{accessToken}/{accessToken}', null],
    ['a/{productKey}', null],
    ['{productKey}/{deviceName}/{deviceName}', null],
    ['{accessToken}/{productKey}/{deviceName}', null],
    ['x{accessToken}', null],
    ['{accessToken}/x{productKey}', null],
    ['{productKey}{deviceName}', null],
  ] as const) {
    it(`sees in ${template} ${form === null ? 'no form of identity' : `the form "${form}"`}`, () => {
      assert.equal(templateForm(template), form);
      const { reason } = readTemplate(template, ALL);
      assert.equal(reason?.key ?? null, form === null ? 'templateToken' : null);
    });
  }

  it('takes only the forms that it was told', () => {
    assert.equal(readTemplate('a/{accessToken}', ['token']).reason, null);
    assert.equal(readTemplate('a/b', ['token']).reason?.key, 'templateToken');
    assert.equal(readTemplate('{productKey}/{deviceName}', ['token']).reason?.key, 'templateToken');
    assert.equal(readTemplate('a/b', ['token', 'none']).reason, null);
  });

  it('takes 1024 bytes and no more', () => {
    const long = (bytes: number): string => '{accessToken}/'.padEnd(bytes, 'x');
    assert.equal(readTemplate(long(1024)).reason, null);
    assert.deepEqual(readTemplate(long(1025)).reason, { key: 'templateLength', values: { max: 1024 } });
  });

  it('says what is wrong', () => {
    for (const [template, key] of [
      ['', 'missing'],
      [undefined, 'missing'],
      [1, 'text'],
      ['a/+/{accessToken}', 'templateCharacters'],
      ['a\0/{accessToken}', 'templateCharacters'],
      ['a\uffff/{accessToken}', 'templateCharacters'],
      ['$share/g/{accessToken}', 'templateStart'],
      ['$SYS/{accessToken}', 'templateStart'],
    ] as const) {
      assert.equal(readTemplate(template).reason?.key, key, String(template));
    }
  });
});

describe('the rule of two templates together', () => {
  it('wants the device named in the same way in both', () => {
    assert.equal(togetherReason('a/{accessToken}', 'b/{productKey}/{deviceName}')?.key, 'templateMixed');
    assert.equal(togetherReason('a/{accessToken}', 'b'), null);
    assert.equal(togetherReason('a', 'b'), null);
  });

  it('refuses two that one topic could fit', () => {
    const level = fc.constantFrom('a', 'b', '');
    const topic = fc.array(level, { minLength: 1, maxLength: 3 });
    /** The topic with some of its levels replaced by the placeholder. */
    const template = (levels: readonly string[], at: number): string =>
      levels.map((each, i) => (i === at ? '{accessToken}' : each)).join('/');
    fc.assert(
      fc.property(topic, fc.nat(2), fc.nat(2), (levels, one, other) => {
        const places = [one % levels.length, other % levels.length] as const;
        assert.equal(
          togetherReason(template(levels, places[0]), template(levels, places[1]))?.key,
          'templateSame',
        );
      }),
    );
    assert.equal(togetherReason('a/{accessToken}', 'b/{accessToken}'), null);
    assert.equal(togetherReason('a/{accessToken}', 'a/{accessToken}/b'), null);
  });
});

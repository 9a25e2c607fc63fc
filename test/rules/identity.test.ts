/** What a device's identity may be: one level of a topic, or two. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createScheme } from '../../nodes/lib/protocol';
import {
  identityRule,
  isPair,
  isToken,
  MAX_IDENTITY,
  pairRule,
  SCHEMES,
  tokenRule,
} from '../../nodes/lib/rules';

/** Texts near to identities: letters, separators, wildcards, controls, halves of surrogate pairs. */
const near = fc
  .array(fc.constantFrom('a', 'é', '😀', '/', '+', '#', '\0', '\n', '\u2028', '\ud83d', '\uffff', ' ', '$'), {
    maxLength: 8,
  })
  .map((parts) => parts.join(''));

describe('the rule of an identity', () => {
  it('takes one level of 1 to 128 characters, counted as code points', () => {
    for (const token of ['a', ' ', '$', 'a'.repeat(128), '😀'.repeat(128)]) assert.ok(isToken(token), token);
    for (const token of ['', 'a'.repeat(129), '😀'.repeat(129)]) assert.ok(!isToken(token), token);
  });

  it('takes two levels of 128 characters together', () => {
    const rest = MAX_IDENTITY - 2;
    for (const pair of ['a/b', `a/${'b'.repeat(rest)}`, `😀/${'😀'.repeat(rest)}`, 'a/\u2028']) {
      assert.ok(isPair(pair), pair);
    }
    for (const pair of ['', '/', 'a', 'a/', '/b', 'a//b', 'a/b/c', `a/${'b'.repeat(rest + 1)}`]) {
      assert.ok(!isPair(pair), pair);
    }
  });

  it('takes two levels where each of them is one that could stand alone', () => {
    fc.assert(
      fc.property(near, (text) => {
        const levels = text.split('/');
        assert.equal(isPair(text), levels.length === 2 && levels.every(isToken));
      }),
      { numRuns: 2000 },
    );
  });

  it('says why: missing, no text, or of the wrong form', () => {
    for (const rule of [tokenRule, pairRule]) {
      for (const none of [undefined, null, '']) assert.equal(rule.read(none).reason?.key, 'missing');
      for (const other of [1, {}, [], true]) assert.equal(rule.read(other).reason?.key, 'text');
    }
    assert.equal(tokenRule.read('a/b').reason?.key, 'token');
    assert.equal(pairRule.read('ab').reason?.key, 'pair');
    assert.deepEqual(tokenRule.read('ab'), { value: 'ab', reason: null });
    assert.deepEqual(pairRule.read('a/b'), { value: 'a/b', reason: null });
  });

  describe('with the topics of a service', () => {
    const two = ['a/{productKey}/{deviceName}', 'b/{productKey}/{deviceName}', 'c/{productKey}/{deviceName}'];
    const one = two.map((template) => template.replace('{productKey}/{deviceName}', '{accessToken}'));
    const takes = (scheme: unknown, templates: readonly unknown[], identity: string): boolean =>
      identityRule(scheme, templates).read(identity).reason === null;

    for (const scheme of SCHEMES) {
      it(`is what the runtime takes, in the editor too: ${scheme}`, () => {
        for (const templates of scheme === 'custom' ? [one, two] : [[]]) {
          const [informTopic, upgradeTopic, progressTopic] = templates;
          const { identity } = createScheme(scheme, {
            inform: informTopic,
            upgrade: upgradeTopic,
            progress: progressTopic,
          });
          for (const text of ['a', 'a/b', 'a/b/c', 'a+']) {
            assert.equal(takes(scheme, templates, text), identity.is(text), text);
          }
        }
      });
    }

    it('has either form where the topics are known only where the flow runs', () => {
      const variable = (name: string): string => `\${${name}}`;
      for (const scheme of [undefined, variable('SCHEME'), 'custom']) {
        assert.ok(takes(scheme, [variable('TOPIC'), undefined], 'a'));
        assert.ok(takes(scheme, [variable('TOPIC'), undefined], 'a/b'));
        assert.ok(!takes(scheme, [], 'a/b/c'));
      }
    });
  });
});

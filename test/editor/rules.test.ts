/** What the editor refuses and what the runtime refuses are the same: neither surprises the other's user. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createScheme, isToken } from '../../nodes/lib/protocol';
import {
  hostsReason,
  isVariable,
  numberReason,
  shareGroupReason,
  templateReason,
  templatesOverlap,
  tokenReason,
} from '../../nodes/lib/red/editor/rules';
import { numberSetting } from '../../nodes/lib/red/settings';

const accepts = (check: () => unknown): boolean => {
  try {
    check();
    return true;
  } catch {
    return false;
  }
};

/** Texts that are near to topics: levels, the placeholder, wildcards and odd characters. */
const level = fc.constantFrom(
  '',
  'a',
  'ota',
  '{accessToken}',
  'x{accessToken}',
  '+',
  '#',
  '\u0000',
  '$share',
  '$SYS',
  'é',
);
const template = fc.array(level, { maxLength: 5 }).map((levels) => levels.join('/'));
const scheme = (inform: string, upgrade: string, progress: string): boolean =>
  accepts(() => createScheme('custom', { inform, upgrade, progress }));

describe("the editor's rules", () => {
  it('accept the same access tokens as the protocol', () => {
    const token = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 130 }),
      fc.string({ minLength: 126, maxLength: 131 }),
    );
    fc.assert(
      fc.property(token, (text) => {
        fc.pre(text.trim() === text && !isVariable(text));
        assert.equal(tokenReason(text) === null, isToken(text));
      }),
    );
  });

  it('accept the same topics as the protocol', () => {
    fc.assert(
      fc.property(template, (text) => {
        const others = ['/other/one/{accessToken}/x/y/z', '/other/two/{accessToken}/x/y/z/z'] as const;
        assert.equal(templateReason(text) === null, scheme(text, ...others));
      }),
      { numRuns: 1000 },
    );
  });

  it('accept a topic of 1024 bytes and no longer one', () => {
    const long = (bytes: number): string => '{accessToken}/'.padEnd(bytes, 'x');
    assert.equal(templateReason(long(1024)), null);
    assert.deepEqual(templateReason(long(1025)), { key: 'templateLength' });
  });

  it('see the same topics as too alike', () => {
    const good = template.filter((text) => templateReason(text) === null);
    fc.assert(
      fc.property(good, good, (a, b) => {
        assert.equal(templatesOverlap(a, b), !scheme(a, b, '/a/third/{accessToken}/of/seven/levels'));
      }),
    );
  });

  it('accept the same numbers as the runtime', () => {
    const text = fc.oneof(
      fc.double().map(String),
      fc.integer().map(String),
      fc.string(),
      fc.constantFrom('', ' ', '1e1', '0x10', '90'),
    );
    fc.assert(
      fc.property(text, (value) => {
        fc.pre(!isVariable(value.trim()));
        const limits = { min: 1, max: 100 };
        const runtime = accepts(() => numberSetting('share', value, 90, limits));
        assert.equal(numberReason(value, limits) === null, runtime);
      }),
    );
  });

  it('say what is wrong with a number', () => {
    assert.deepEqual(numberReason('many', { min: 1 }), { key: 'number' });
    assert.deepEqual(numberReason('1.5', { min: 1, integer: true }), { key: 'integer' });
    assert.deepEqual(numberReason('0', { min: 1 }), { key: 'atLeast', values: { min: 1 } });
    assert.deepEqual(numberReason('101', { min: 1, max: 100 }), {
      key: 'between',
      values: { min: 1, max: 100 },
    });
  });

  it('take a whole variable for anything, because its value is known only where the flow runs', () => {
    const variable = '${' + 'MY_VALUE}';
    assert.equal(numberReason(variable, { min: 1 }), null);
    assert.equal(tokenReason(variable), null);
    assert.equal(templateReason(variable), null);
    assert.equal(shareGroupReason(variable), null);
    assert.equal(hostsReason(variable), null);
  });

  it('take an absent setting for its default', () => {
    assert.equal(numberReason(undefined, { min: 1 }), null);
    assert.equal(hostsReason(undefined), null);
    assert.equal(shareGroupReason(undefined), null);
  });

  it('want host names and not addresses of pages', () => {
    assert.equal(hostsReason('a.example.com, *.b.example.com; 10.0.0.1'), null);
    assert.deepEqual(hostsReason('https://a.example.com'), { key: 'hosts' });
    assert.deepEqual(hostsReason('a.example.com/files'), { key: 'hosts' });
  });
});

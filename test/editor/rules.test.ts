/** What the editor refuses and what the runtime refuses are the same: neither surprises the other's user. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { generateKeyPairSync } from 'node:crypto';
import { parsePublicKeys } from '../../nodes/lib/packages/verify/signature';
import { parseHostList } from '../../nodes/lib/packages/verify';
import { createScheme, isToken } from '../../nodes/lib/protocol';
import {
  isVariable,
  numberReason,
  shareGroupReason,
  templateReason,
  templatesOverlap,
  tokenReason,
} from '../../nodes/lib/red/editor/rules';
import { hostsReason, publicKeysReason } from '../../nodes/lib/red/editor/verify-rules';
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
    assert.equal(publicKeysReason(variable), null);
  });

  it('take an absent setting for its default', () => {
    assert.equal(numberReason(undefined, { min: 1 }), null);
    assert.equal(hostsReason(undefined), null);
    assert.equal(publicKeysReason(undefined), null);
    assert.equal(shareGroupReason(undefined), null);
  });

  it('want host names and not addresses of pages', () => {
    assert.equal(hostsReason('a.example.com, *.b.example.com; 10.0.0.1'), null);
    assert.deepEqual(hostsReason('https://a.example.com'), { key: 'hosts' });
    assert.deepEqual(hostsReason('a.example.com/files'), { key: 'hosts' });
    assert.deepEqual(hostsReason('a.example.com:8443'), { key: 'hosts' });
  });

  it('accept the same hosts as the runtime', () => {
    const piece = fc.constantFrom(
      ...[
        'a',
        'example.com',
        '*.',
        '*',
        '.',
        ':',
        '80',
        '[::1]',
        '[',
        '127.1',
        '0x7f',
        '/',
        '@',
        '-',
        '_',
        'ü',
        '%',
      ],
      ...['xn--', ' ', ',', '\u0000', '١'],
    );
    const text = fc.oneof(
      fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join('')),
      fc.string(),
    );
    fc.assert(
      fc.property(text, (value) => {
        fc.pre(!isVariable(value));
        assert.equal(
          hostsReason(value) === null,
          accepts(() => parseHostList(value)),
        );
      }),
      { numRuns: 2000 },
    );
  });

  it('accept the same public keys as the runtime', () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
    const der = publicKey.export({ type: 'spki', format: 'der' });
    const pem = String(publicKey.export({ type: 'spki', format: 'pem' }));
    const texts = [
      ...['', ' \n', pem, `${pem}\n${pem}`, pem.replace(/\n/g, ' '), pem.replace(/\n/g, '\\n')],
      ...[
        der.toString('base64'),
        der.subarray(-32).toString('base64'),
        der.subarray(-32).toString('base64url'),
      ],
      ...[`${der.toString('base64')}, ${pem}`, `${der.subarray(-32).toString('base64url')}A`],
      ...[
        'key',
        pem.slice(0, -10),
        pem.replace('PUBLIC', 'SECRET'),
        der.subarray(1).toString('base64'),
        '=====',
      ],
      ...(['spki', 'pkcs1'] as const).map((type) => String(rsa.export({ type, format: 'pem' }))),
      ...[
        String(privateKey.export({ type: 'pkcs8', format: 'pem' })),
        `${pem} and more`,
        pem.replace(/[A-Z]\n/, '\u0000\n'),
      ],
    ];
    for (const text of texts) {
      const runtime = accepts(() => parsePublicKeys(text));
      assert.equal(publicKeysReason(text) === null, runtime, text);
    }
    assert.deepEqual(publicKeysReason(texts.at(-3)), { key: 'privateKey' });
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9+/_-]{30,62}={0,3}$/), (text) => {
        assert.equal(
          publicKeysReason(text) === null,
          accepts(() => parsePublicKeys(text)),
        );
      }),
    );
  });
});

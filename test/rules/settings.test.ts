/**
 * A setting has one rule: what the editor refuses with a text, the runtime refuses with an error, whatever the
 * value. Held against what other parts of the runtime make of it: the URL parser, node:crypto, the topics.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { parsePublicKeys } from '../../nodes/lib/packages/verify/signature';
import { checkUrl } from '../../nodes/lib/packages/transfer/hosts';
import { createScheme, OtaError, reasonText, SCHEME_NAMES } from '../../nodes/lib/protocol';
import { settingsReader } from '../../nodes/lib/red/settings';
import {
  type Accepts,
  baseUrlRule,
  defaultInForm,
  hostsRule,
  INFORM,
  numberRule,
  PACKAGE,
  POLICY,
  PROGRESS,
  publicKeysRule,
  PUSH,
  readTemplate,
  REASON_KEYS,
  type Reason,
  type Rule,
  SCHEMES,
  SERVICE,
  settingReason,
  STORE,
  type Settings,
  shareGroupRule,
  TASK,
  tokenRule,
  VERIFY,
} from '../../nodes/lib/rules';

const TABLES: Readonly<Record<string, Settings>> = {
  'ota-inform': INFORM,
  'ota-package': PACKAGE,
  'ota-progress': PROGRESS,
  'ota-push': PUSH,
  'ota-service': SERVICE,
  'ota-store': STORE,
  'ota-task': { ...POLICY, ...TASK },
  'ota-verify': VERIFY,
};

const accepts = (check: () => unknown): boolean => {
  try {
    check();
    return true;
  } catch {
    return false;
  }
};
const numberReason = (value: unknown, limits: Parameters<typeof numberRule>[0]): Reason | null =>
  settingReason(numberRule(limits), value);
const scheme = (inform: string, upgrade: string, progress: string): boolean =>
  accepts(() => createScheme('custom', { inform, upgrade, progress }));

/** By the code points that MQTT and Unicode keep out of topics, without a regular expression. */
function fitsOneLevel(text: string): boolean {
  const points = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  const fits = (point: number): boolean => {
    const isControl = point < 0x20 || (point >= 0x7f && point < 0xa0);
    const isSurrogate = point >= 0xd800 && point < 0xe000;
    const isNoncharacter = (point >= 0xfdd0 && point < 0xfdf0) || (point & 0xfffe) === 0xfffe;
    return !isControl && !isSurrogate && !isNoncharacter && !'/+#'.includes(String.fromCodePoint(point));
  };
  return points.length > 0 && points.length <= 128 && points.every(fits);
}

/** Texts that some rule or other may take, and texts near to them. */
const anySetting = fc.oneof(
  fc.constantFrom(
    '',
    ' ',
    '1',
    '0',
    '-1',
    '1.5',
    '1e99',
    'true',
    'FALSE',
    'url',
    ' url',
    'Md5',
    'md5',
    '*.*.a',
  ),
  fc.double().map(String),
  fc.string(),
);

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
describe('a setting', () => {
  for (const [node, table] of Object.entries(TABLES)) {
    for (const [name, setting] of Object.entries(table)) {
      it(`${name} of ${node} is refused by the runtime where the editor refuses it, and by its name`, () => {
        fc.assert(
          fc.property(anySetting, (value) => {
            const reason = settingReason(setting, value);
            fc.pre(!/^\s*\$[{(]/.test(value));
            try {
              settingsReader({ [name]: setting }, { [name]: value })(name);
              assert.equal(reason, null);
            } catch (error) {
              assert.ok(error instanceof OtaError && error.code === 'OTA_BAD_SETTINGS', String(error));
              assert.ok(error.message.includes(`"${name}`), error.message);
              assert.notEqual(reason, null);
            }
          }),
        );
      });

      it(`${name} of ${node} has a default that its own rule takes`, () => {
        const read = settingsReader({ [name]: setting }, {});
        const again = settingsReader({ [name]: setting }, { [name]: defaultInForm(setting.byDefault) });
        assert.deepEqual(again(name), read(name));
      });
    }
  }

  it('has a reason in every language and in the errors, whatever the reason is', () => {
    const folder = path.resolve(__dirname, '../../nodes/lib/red/locales');
    for (const language of fs.readdirSync(folder)) {
      const file = path.join(folder, language, 'common.json');
      const { common } = JSON.parse(fs.readFileSync(file, 'utf8')) as {
        common: { reason: Record<string, string> };
      };
      assert.deepEqual(Object.keys(common.reason).sort(), [...REASON_KEYS].sort(), language);
    }
    for (const key of REASON_KEYS) assert.ok(reasonText({ key }).length > 5, key);
  });

  it('is looked at for each node of the package', () => {
    const file = path.resolve(__dirname, '../../package.json');
    const manifest = JSON.parse(fs.readFileSync(file, 'utf8')) as { 'node-red': { nodes: object } };
    assert.deepEqual(Object.keys(TABLES), Object.keys(manifest['node-red'].nodes).sort());
  });

  it('lists the schemes that the protocol knows', () => assert.deepEqual([...SCHEMES], [...SCHEME_NAMES]));
});

describe('the rules', () => {
  it('take the topics that the custom scheme takes', () => {
    fc.assert(
      fc.property(template, (text) => {
        const others = ['/other/one/{accessToken}/x/y/z', '/other/two/{accessToken}/x/y/z/z'] as const;
        assert.equal(readTemplate(text).reason === null, scheme(text, ...others));
      }),
      { numRuns: 1000 },
    );
  });

  it('take the access tokens that can be a level of a topic', () => {
    const token = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 130 }),
      fc.string({ minLength: 126, maxLength: 131 }),
    );
    fc.assert(
      fc.property(token, (text) => {
        assert.equal(tokenRule.read(text).reason === null, fitsOneLevel(text));
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
    for (const variable of ['${' + 'MY_VALUE}', '$' + '(MY_VALUE)', ' ${' + 'MY_VALUE} ']) {
      for (const rule of [
        numberRule({ min: 1 }),
        tokenRule,
        shareGroupRule,
        hostsRule,
        publicKeysRule,
      ] as Rule<unknown>[]) {
        assert.equal(settingReason(rule, variable), null);
      }
    }
  });

  it('take an absent setting for its default', () => {
    for (const rule of [
      numberRule({ min: 1 }),
      hostsRule,
      publicKeysRule,
      shareGroupRule,
      baseUrlRule,
    ] as Rule<unknown>[]) {
      for (const absent of [undefined, null, '', ' ']) assert.equal(settingReason(rule, absent), null);
    }
  });

  it('say what they accept, so that forms and documents can', () => {
    const of = (rule: Rule<unknown>): Accepts => rule.accepts;
    assert.deepEqual(of(VERIFY.maxRedirects), { kind: 'number', min: 0, max: 20, integer: true });
    assert.deepEqual(of(PUSH.rate), { kind: 'number', min: 0, max: null, integer: false });
    assert.deepEqual(of(SERVICE.signMethodCase), { kind: 'choice', words: ['Md5', 'MD5'] });
  });

  it('want one level for a share group', () => {
    assert.equal(shareGroupRule.read(' platform ').value, 'platform');
    for (const group of ['a/b', '+', '#', 'a\0'])
      assert.equal(shareGroupRule.read(group).reason?.key, 'level');
  });

  it('want an address with http for the base of packages', () => {
    assert.equal(baseUrlRule.read(' https://a.example.com/files ').value, 'https://a.example.com/files');
    for (const text of ['a.example.com', 'ftp://a', 'http:///a', 'http://', 'http://a b', 'http://[x]']) {
      assert.equal(baseUrlRule.read(text).reason?.key, 'baseUrl', text);
    }
    for (const text of ['http://a?b', 'http://a/#'])
      assert.equal(baseUrlRule.read(text).reason?.key, 'baseUrlQuery');
  });

  it('take a digest in any spelling', () => {
    for (const text of ['md5', 'MD5', 'Md5']) assert.equal(PACKAGE.signMethod.read(text).value, 'MD5');
    for (const text of ['sha256', 'SHA-256', 'Sha256'])
      assert.equal(PACKAGE.signMethod.read(text).value, 'SHA256');
  });
});

describe('the rule of hosts', () => {
  it('wants host names and not addresses of pages', () => {
    assert.equal(hostsRule.read('a.example.com, *.b.example.com; 10.0.0.1').reason, null);
    for (const text of [
      ...[
        'https://a.example.com',
        'a.example.com/files',
        'a.example.com:8443',
        '*',
        '*.',
        '*.*.a',
        '*.a.*.b',
      ],
      ...['*.10.0.0.1', '*.0x7f', '*.[::1]', 'a..b', 'user@a', 'a?b', '-a', '[::1', 'a%2fb'],
    ]) {
      assert.deepEqual(hostsRule.read(text).reason, { key: 'hosts', values: { name: text } }, text);
    }
  });

  it('gives a name back as it stands in a URL', () => {
    assert.deepEqual(hostsRule.read('BÜCHER.example. 127.1 [0:0::1] *.A.example').value, [
      'xn--bcher-kva.example',
      '127.0.0.1',
      '[::1]',
      '*.a.example',
    ]);
  });

  it('gives back names that let exactly such URLs through', () => {
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
      ],
      ...['%', 'xn--', ' ', ',', '\u0000', '١'],
    );
    const name = fc.oneof(
      fc.array(piece, { minLength: 1, maxLength: 6 }).map((pieces) => pieces.join('')),
      fc.string({ minLength: 1 }),
    );
    fc.assert(
      fc.property(name, (text) => {
        fc.pre(!/[\s,;]/.test(text));
        const { value } = hostsRule.read(text);
        if (value === null) return;
        const host = text.startsWith('*.') ? `sub.${text.slice(2)}` : text;
        checkUrl(`http://${host}/file`, { allowedHosts: value, allowLocal: true });
        assert.throws(() => checkUrl('http://other.invalid/', { allowedHosts: value, allowLocal: true }), {
          code: 'OTA_HOST_REFUSED',
        });
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the rule of public keys', () => {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey;
  const der = publicKey.export({ type: 'spki', format: 'der' });
  const raw = der.subarray(-32);
  const pem = String(publicKey.export({ type: 'spki', format: 'pem' }));

  for (const [what, text, count] of [
    ['nothing', ' \n', 0],
    ['PEM', pem, 1],
    ['two PEM blocks', `${pem}\n${pem}`, 2],
    ['PEM on one line', pem.replace(/\n/g, ' '), 1],
    ['PEM with written ends of lines', pem.replace(/\n/g, '\\n'), 1],
    ['PEM with written ends of lines of Windows', pem.replace(/\n/g, '\\r\\n'), 1],
    ['base64 of SPKI', der.toString('base64'), 1],
    ['base64 of the 32 bytes', raw.toString('base64'), 1],
    ['base64url of the 32 bytes', raw.toString('base64url'), 1],
    ['base64 and PEM', `${der.toString('base64')}, ${pem}`, 2],
  ] as const) {
    it(`takes ${what}, as node:crypto reads it`, () => {
      assert.deepEqual(
        parsePublicKeys(text).map((key) => key.export({ type: 'spki', format: 'pem' })),
        Array.from({ length: count }, () => pem),
      );
    });
  }

  for (const [what, text, key] of [
    ['a word', 'key', 'keyKind'],
    ['what is no base64', '=====', 'keyForm'],
    ['text behind a key', `${pem} and more`, 'keyKind'],
    ['base64 with a character too many', `${raw.toString('base64url')}A`, 'keyKind'],
    ['a cut block', pem.slice(0, -10), 'keyCut'],
    ['a block of another label', pem.replace(/PUBLIC/g, 'SECRET'), 'keyKind'],
    ['a key without its first byte', der.subarray(1).toString('base64'), 'keyKind'],
    ['an RSA key', String(rsa.export({ type: 'spki', format: 'pem' })), 'keyKind'],
    ['an RSA key of PKCS #1', String(rsa.export({ type: 'pkcs1', format: 'pem' })), 'keyKind'],
    ['a private key', String(privateKey.export({ type: 'pkcs8', format: 'pem' })), 'privateKey'],
    ['NUL in a block', pem.replace(/\n(?=[A-Za-z0-9+/])/, '\n\u0000'), 'keyForm'],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.equal(publicKeysRule.read(text).reason?.key, key);
      assert.throws(() => parsePublicKeys(text), { code: 'OTA_BAD_SETTINGS', message: /"publicKeys"/ });
    });
  }

  it('takes what node:crypto takes for the 32 bytes of a key, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 30, maxLength: 46 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        const spki = Buffer.concat([der.subarray(0, 12), bytes]);
        const readable = accepts(() => createPublicKey({ key: spki, format: 'der', type: 'spki' }));
        fc.pre(bytes.length !== 44);
        assert.equal(publicKeysRule.read(text).reason === null, readable && bytes.length === 32);
      }),
    );
  });
});

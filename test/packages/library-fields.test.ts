/** What may be said of a package, and what it is called: fields, names and addresses. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { fileUrl, readBaseUrl, readFields, safeName } from '../../nodes/lib/packages/library';
import { isSafeName } from '../../nodes/lib/packages/library/addresses';
import { checkUpgrade, type OtaError } from '../../nodes/lib/protocol';
import { withCode } from './library-support';

const byDefault = { signMethod: 'SHA256' } as const;

describe('a name of a megabyte', () => {
  it('is made harmless by its end alone, so that its length costs nothing', () => {
    for (const end of ['x', '.bin', '']) {
      const name = '_'.repeat(1024 * 1024) + end;
      assert.match(safeName(name), /^[\w.-]{1,40}$/);
      assert.equal(safeName(name), safeName(name.slice(-512)));
    }
  });
});

describe('the fields of a package', () => {
  it('take the labels that a device needs: a value or several', () => {
    const requires = { board: 'rev-b', site: ['a', 'b'], floor: 7 };
    const read = readFields({ version: 'v1', requires }, byDefault);
    assert.deepEqual(read.requires, { board: 'rev-b', site: ['a', 'b'], floor: '7' });
    for (const none of [undefined, null, '', {}]) {
      assert.equal(readFields({ version: 'v1', requires: none }, byDefault).requires, null);
    }
  });

  for (const [what, requires] of [
    ['a list', ['a']],
    ['a text', 'a'],
    ['no value', { board: [] }],
    ['an object as a value', { board: {} }],
    ['a value that is too long', { board: 'x'.repeat(129) }],
    ['a name that no label has', { ['x'.repeat(65)]: 'a' }],
    ['too many names', Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`l${i}`, 'x']))],
    ['more than goes into a push', { board: Array.from({ length: 100 }, (_, i) => `${i}`.repeat(60)) }],
  ] as const) {
    it(`refuse ${what} for them`, () => {
      assert.throws(() => readFields({ version: 'v1', requires }, byDefault), withCode('OTA_BAD_PACKAGE'));
    });
  }

  it('have their defaults', () => {
    const { name, product, module, type, fromVersion, description, extData, signMethod } = readFields(
      { version: 'v1', name: null, product: '', type: '' },
      byDefault,
    );
    assert.deepEqual(
      { name, product, module, type, fromVersion, description, extData, signMethod },
      {
        name: '',
        product: '',
        module: 'default',
        type: 'full',
        fromVersion: null,
        description: '',
        extData: {},
        signMethod: 'SHA256',
      },
    );
  });

  for (const [what, wrong] of [
    ['no version', {}],
    ['a blank version', { version: '  ' }],
    ['a version that is a number', { version: 1.1 }],
    ['a name with control characters', { version: '1', name: 'a\nb' }],
    ['a module of 129 characters', { version: '1', module: 'x'.repeat(129) }],
    ['an unknown method', { version: '1', signMethod: 'SHA1' }],
    ['an unknown type', { version: '1', type: 'delta' }],
    ['a differential type without its start', { version: '1', type: 'differential' }],
    ['a start without the differential type', { version: '1', fromVersion: '0' }],
    ['extData that is text', { version: '1', extData: 'a=b' }],
    ['extData that no device could take', { version: '1', extData: { a: 'x'.repeat(20_000) } }],
    ['an end of the signature that is no date', { version: '1', expires: 'soon' }],
    ['an end of the signature that has been', { version: '1', expires: '2001-01-01' }],
    ['an end of the signature that reads as two dates', { version: '1', expires: '02/01/2090' }],
    ['an end of the signature that no calendar has', { version: '1', expires: '2090-02-30' }],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(() => readFields(wrong, byDefault), withCode('OTA_BAD_PACKAGE'));
    });
  }

  for (const [expires, instant] of [
    ['2090-02-01', '2090-02-01T00:00:00.000Z'],
    ['2090-02-01T12:00Z', '2090-02-01T12:00:00.000Z'],
    ['2090-02-01T12:00:00.5+08:00', '2090-02-01T04:00:00.500Z'],
  ] as const) {
    it(`take ${expires} as the end of the signature`, () => {
      assert.equal(readFields({ version: '1', expires }, byDefault).expires, instant);
    });
  }

  it('never let a key of extData reach a prototype', () => {
    const extData: unknown = JSON.parse('{"__proto__":{"x":"y"},"constructor":"c","a":"b"}');
    assert.deepEqual(readFields({ version: '1', extData }, byDefault).extData, { a: 'b' });
  });
});

describe('the address of a package', () => {
  it('is at most 256 characters long, whatever the names', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(200), (name, length) => {
        const host = `http://h/${'p'.repeat(length)}`;
        let base: string;
        try {
          base = readBaseUrl(host, '/');
        } catch (error) {
          assert.equal((error as OtaError).code, 'OTA_BAD_SETTINGS');
          return;
        }
        const url = fileUrl(base, '0'.repeat(32), safeName(name));
        assert.ok(url.length <= 256);
        assert.equal(checkUpgrade({ version: '1', url, size: 1, sign: '0'.repeat(32) }).url, url);
      }),
      { numRuns: 30 },
    );
  });

  it('ends in a name that is harmless', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        assert.match(safeName(text), /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/);
      }),
    );
  });

  it('ends in a name that stays as it is when it is made harmless again', () => {
    const pieces = ['a', 'Z', '7', '.', '-', '_', ' ', '…', '⒈', '固', 'con', 'x'.repeat(30), '.bin', '/'];
    const texts = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.array(fc.constantFrom(...pieces), { maxLength: 12 }).map((parts) => parts.join('')),
      fc.string({ unit: fc.constantFrom('a', '.', '-', '_'), maxLength: 60 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const name = safeName(text);
        assert.equal(safeName(name), name);
        assert.match(name, /[A-Za-z0-9]$/);
        assert.ok(isSafeName(name));
      }),
      { numRuns: 300 },
    );
  });

  for (const [text, name] of [
    ['firmware for the kitchen lamp model a version 2.bin', 'firmware_for_the_kitchen_lamp_model.bin'],
    ['fw.release-2026-11', 'fw.release-20'],
    ['firmware v1.2 (final).bin', 'firmware_v1.2_final.bin'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\me\\fw.bin', 'fw.bin'],
    ['.hidden', 'hidden'],
    ['固件.bin', 'package.bin'],
    ['固件', 'package.bin'],
    ['', 'package.bin'],
    ['..', 'package.bin'],
    ['con.bin', 'file-con.bin'],
    [`${'x'.repeat(100)}.tar.gz`, `${'x'.repeat(37)}.gz`],
  ] as const) {
    it(`makes ${JSON.stringify(name.slice(0, 24))} of ${JSON.stringify(text.slice(0, 24))}`, () => {
      assert.equal(safeName(text), name);
    });
  }

  for (const [setting, root, expected] of [
    ['', '/', ''],
    ['http://host:1880/', '/', 'http://host:1880'],
    ['http://host:1880', '/api/', 'http://host:1880/api'],
    ['http://host:1880/api/', '/api/', 'http://host:1880/api'],
    ['https://proxy/firmware', '/api/', 'https://proxy/firmware'],
    ['http://user:pass@host', '/', 'http://user:pass@host'],
  ] as const) {
    it(`begins with ${expected || 'nothing'} for ${JSON.stringify(setting)} under ${root}`, () => {
      assert.equal(readBaseUrl(setting, root), expected);
    });
  }

  for (const setting of [
    'host:1880',
    'ftp://host',
    'http:///x',
    'http://host?x',
    'http://host/a b',
    'http://h#x',
  ]) {
    it(`can not begin with ${setting}`, () => {
      assert.throws(() => readBaseUrl(setting, '/'), withCode('OTA_BAD_SETTINGS'));
    });
  }
});

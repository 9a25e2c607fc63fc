/** What a flow may push: a table of what passes and what is refused before a byte is sent. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { checkUpgrade } from '../../nodes/lib/protocol';
import { MD5, otaError, SHA256, UPGRADE, upgradeWriter } from './wire';

const GOOD = UPGRADE.params;
const url = (length: number): string => 'https://example.com/'.padEnd(length, 'a');

const circular: Record<string, unknown> = {};
circular['self'] = circular;

/** Changes to a good upgrade, and the field that must come out. */
const PASSES: [string, object, object][] = [
  ['a version of any text', { version: '升级 1.0' }, { version: '升级 1.0' }],
  ['an http address', { url: 'http://10.0.0.1:8080/a b'.replace(' ', '%20') }, {}],
  ['an https address in upper case', { url: 'HTTPS://EXAMPLE.COM/A' }, { url: 'HTTPS://EXAMPLE.COM/A' }],
  ['an address with a password', { url: 'https://u:p@example.com/' }, {}],
  ['an IPv6 address', { url: 'http://[::1]/a' }, {}],
  ['a url of 254 characters', { url: url(254) }, { url: url(254) }],
  ['a size of one byte', { size: 1 }, { size: 1 }],
  ['a size beyond 4 GiB', { size: 5_000_000_000 }, { size: 5_000_000_000 }],
  ['a size as text', { size: '12' }, { size: 12 }],
  ['a sign in upper case', { sign: MD5.toUpperCase() }, { sign: MD5 }],
  ['any spelling of the method', { signMethod: 'sha256', sign: SHA256 }, { signMethod: 'SHA256' }],
  ['no method, known by the sign', { signMethod: undefined, sign: SHA256 }, { signMethod: 'SHA256' }],
  ['an empty method, known by the sign', { signMethod: '' }, { signMethod: 'Md5' }],
  ['no module', { module: undefined }, { module: 'default' }],
  ['a null module', { module: null }, { module: 'default' }],
  ['an empty module', { module: '' }, { module: 'default' }],
  ['blanks for a module', { module: ' \t' }, { module: 'default' }],
  ['no extData', { extData: undefined }, { extData: null }],
  ['a big integer in extData', { extData: { n: 10n } }, { extData: { n: '10' } }],
  ['an empty text in extData', { extData: { a: '' } }, { extData: { a: '' } }],
  ['fields of a database beside ours', { id: 7, name: 'x', createdAt: new Date() }, {}],
];

const REFUSED: [string, object, RegExp][] = [
  ['no version', { version: undefined }, /"version"/],
  ['an empty version', { version: '' }, /"version"/],
  ['a blank version', { version: ' \t' }, /"version"/],
  ['a version with a line feed at its end', { version: 'v1\n' }, /white space/],
  ['a version that is a number: 1.10 would go out as 1.1', { version: 1.1 }, /"version"/],
  ['no url', { url: undefined }, /"url"/],
  ['an empty url', { url: '' }, /"url"/],
  ['a url that is no text', { url: new URL('https://example.com') }, /"url"/],
  ['a url of 255 characters', { url: url(255) }, /255 characters/],
  ['a url of 253 characters that are 255 bytes', { url: url(253).slice(0, -2) + 'éé' }, /255 bytes/],
  ['an ftp url', { url: 'ftp://example.com/a' }, /http/],
  ['a file url', { url: 'file:///etc/passwd' }, /http/],
  ['a data url', { url: 'data:,x' }, /http/],
  ['a javascript url', { url: 'javascript:alert(1)' }, /http/],
  ['a path', { url: '/files/a.zip' }, /http/],
  ['a host without a scheme', { url: 'example.com/a' }, /http/],
  ['a url without a host', { url: 'http://' }, /http/],
  ['a url with one slash', { url: 'http:/example.com' }, /http/],
  ['a url without slashes', { url: 'http:example.com' }, /http/],
  ['a url with three slashes', { url: 'http:///example.com' }, /http/],
  ['a url with a blank', { url: 'https://example.com/a b' }, /http/],
  ['a url with a line feed', { url: 'https://example.com/a\nb' }, /http/],
  ['a url with blanks around', { url: ' https://example.com/ ' }, /http/],
  ['no size', { size: undefined }, /"size"/],
  ['a size of 0', { size: 0 }, /"size"/],
  ['a size of 0 as text', { size: '0' }, /"size"/],
  ['an empty size', { size: '' }, /"size"/],
  ['a negative size', { size: -1 }, /"size"/],
  ['a broken size', { size: 1.5 }, /"size"/],
  ['a size with a unit', { size: '12 kB' }, /"size"/],
  ['a size beyond 2^53', { size: '9007199254740993' }, /"size"/],
  ['a size without an end', { size: Infinity }, /"size"/],
  ['no sign', { sign: undefined }, /"sign"/],
  ['a null sign', { sign: null }, /"sign"/],
  ['an empty sign', { sign: '' }, /"sign"/],
  ['a sign that is no text', { sign: 5 }, /"sign"/],
  ['the sign of the page, which is no hex', { sign: 'a243fgh4b9v' }, /"sign"/],
  ['a sign of the other method', { sign: SHA256 }, /"sign"/],
  ['a sign of no known length', { signMethod: '', sign: 'ab' }, /"sign"/],
  ['an unknown method', { signMethod: 'Crc32' }, /"signMethod"/],
  ['a method that is no text', { signMethod: 5 }, /"signMethod"/],
  ['a module that is no text', { module: 1 }, /"module"/],
  ['extData that is text', { extData: 'a=b' }, /"extData"/],
  ['extData that is an array', { extData: ['a'] }, /"extData"/],
  ['a cycle in extData', { extData: { circular } }, /"circular"/],
  ['a function in extData', { extData: { f: () => 1 } }, /"f"/],
  ['more than 32 KiB', { extData: { a: 'x'.repeat(32 * 1024) } }, /32 KiB/],
  ['more than 32 KiB in few characters', { extData: { a: '升'.repeat(12 * 1024) } }, /32 KiB/],
];

describe('an upgrade that a flow wants to push', () => {
  for (const [what, change, expected] of PASSES) {
    it(`may have ${what}`, () => {
      const checked = checkUpgrade({ ...GOOD, ...change });
      assert.deepEqual({ ...checked, ...expected }, checked);
    });
  }

  for (const [what, change, why] of REFUSED) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => checkUpgrade({ ...GOOD, ...change }), otaError('OTA_BAD_UPGRADE', why));
    });
  }

  for (const input of [undefined, null, 'v1.1', 5, true, [GOOD]]) {
    it(`is refused as ${inspect(input).slice(0, 20)}`, () => {
      assert.throws(() => checkUpgrade(input), otaError('OTA_BAD_UPGRADE', /must be an object/));
    });
  }

  it('is refused where its fields are inherited', () => {
    assert.throws(() => checkUpgrade(Object.create(GOOD)), otaError('OTA_BAD_UPGRADE'));
  });

  it('loses keys of extData that could reach a prototype', () => {
    const extData: unknown = JSON.parse('{"__proto__":{"x":1},"constructor":1,"prototype":2,"a":"b"}');
    assert.deepEqual(checkUpgrade({ ...GOOD, extData }).extData, { a: 'b' });
  });

  it('passes once more as it came out', () => {
    const checked = checkUpgrade(GOOD);
    assert.deepEqual(checkUpgrade(checked), checked);
  });

  it('is not changed', () => {
    const input = structuredClone({ ...GOOD, sign: MD5.toUpperCase() });
    checkUpgrade(input);
    assert.deepEqual(input, { ...GOOD, sign: MD5.toUpperCase() });
  });

  describe('where unsigned packages are allowed', () => {
    for (const [what, change] of [
      ['no sign', { sign: undefined }],
      ['an empty sign', { sign: '' }],
      ['neither sign nor method', { sign: undefined, signMethod: undefined }],
      ['no size', { size: undefined }],
      ['a size of 0', { size: 0 }],
    ] as [string, object][]) {
      it(`may have ${what}`, () => {
        const checked = checkUpgrade({ ...GOOD, ...change }, true);
        const sent = JSON.parse(upgradeWriter(checked)('1472583690')) as { params: object };
        assert.deepEqual(
          Object.keys(change).filter((name) => name in sent.params),
          [],
        );
      });
    }

    for (const [what, change, why] of REFUSED.filter(
      ([what]) => !/^(no|an empty|a null) (size|sign)$|^a size of 0/.test(what),
    )) {
      it(`is still refused with ${what}`, () => {
        assert.throws(() => checkUpgrade({ ...GOOD, ...change }, true), otaError('OTA_BAD_UPGRADE', why));
      });
    }
  });

  it('goes out with another id for each device and nothing else that differs', () => {
    const write = upgradeWriter(checkUpgrade(GOOD));
    assert.equal(write('1000000001').replace('1000000001', '1000000002'), write('1000000002'));
  });

  it('goes out as JSON whatever the id holds', () => {
    const body = upgradeWriter(checkUpgrade(GOOD))('"},{');
    assert.equal((JSON.parse(body) as { id: string }).id, '"},{');
  });
});

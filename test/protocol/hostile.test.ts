/** Input that means harm or is broken: refused with a code, never thrown, nothing secret in what is told. */
import assert from 'node:assert/strict';
import {
  createScheme,
  KINDS,
  MAX_BODY_BYTES,
  MAX_DEPTH,
  type OtaCode,
  readWire,
  SHOWN_CHARACTERS,
} from '../../nodes/lib/protocol';
import {
  INFORM,
  otaError,
  PROGRESS,
  read,
  readInform,
  readProgress,
  readUpgrade,
  refused,
  scheme,
  toBytes,
  TOKEN,
  UPGRADE,
  withParams,
  writeInform,
  writeProgress,
} from './wire';

const BAD_BODIES: [string, string | Uint8Array, OtaCode][] = [
  ['nothing', '', 'OTA_BAD_MESSAGE'],
  ['blanks', '   ', 'OTA_BAD_MESSAGE'],
  ['text', 'hello', 'OTA_BAD_MESSAGE'],
  ['half a message', '{"id":"1","params":{', 'OTA_BAD_MESSAGE'],
  ['two messages', '{}{}', 'OTA_BAD_MESSAGE'],
  ['a trailing comma', '{"id":"1",}', 'OTA_BAD_MESSAGE'],
  ['a comment', '{} // x', 'OTA_BAD_MESSAGE'],
  ['null', 'null', 'OTA_BAD_MESSAGE'],
  ['a number', '5', 'OTA_BAD_MESSAGE'],
  ['a string', '"{}"', 'OTA_BAD_MESSAGE'],
  ['an array', '[{"id":"1"}]', 'OTA_BAD_MESSAGE'],
  ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d]), 'OTA_BAD_MESSAGE'],
  ['UTF-8 that is cut', Buffer.from('{"a":"升').subarray(0, -1), 'OTA_BAD_MESSAGE'],
  ['a surrogate in UTF-8', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), 'OTA_BAD_MESSAGE'],
  ['UTF-16', Buffer.from('{}', 'utf16le'), 'OTA_BAD_MESSAGE'],
  ['NUL bytes', Buffer.alloc(1000), 'OTA_BAD_MESSAGE'],
  ['an image', Buffer.from('89504e470d0a1a0a', 'hex'), 'OTA_BAD_MESSAGE'],
  ['one byte more than 64 KiB', ' '.repeat(MAX_BODY_BYTES - 1) + '{}', 'OTA_TOO_LARGE'],
  ['1 MiB of JSON', JSON.stringify({ a: 'x'.repeat(1024 * 1024) }), 'OTA_TOO_LARGE'],
  ['1 MiB that is no JSON', Buffer.alloc(1024 * 1024, 0x41), 'OTA_TOO_LARGE'],
  ['nesting as deep as fits', '['.repeat(MAX_BODY_BYTES), 'OTA_BAD_MESSAGE'],
  ['objects nested as deep as fits', '{"a":'.repeat(MAX_BODY_BYTES / 5), 'OTA_BAD_MESSAGE'],
];

/** extData that is a chain of objects of that depth. */
function nested(depth: number): unknown {
  let value: unknown = 'x';
  for (let i = 0; i < depth; i += 1) value = { a: value };
  return value;
}

describe('hostile input', () => {
  for (const kind of KINDS) {
    for (const [what, body, code] of BAD_BODIES) {
      // An empty message takes a retained upgrade away.
      if (kind === 'upgrade' && what === 'nothing') continue;
      it(`is refused with ${code} as ${what} on the ${kind} topic`, () => {
        const { kind: told, accessToken } = refused(read(kind, body), code);
        assert.deepEqual({ told, accessToken }, { told: kind, accessToken: TOKEN });
      });
    }
  }

  it('of exactly 64 KiB is read', () => {
    const body = JSON.stringify(INFORM);
    assert.deepEqual(readInform(body.padEnd(MAX_BODY_BYTES)), readInform(INFORM));
  });

  it('is refused where params are missing or no object', () => {
    for (const params of [undefined, null, 5, 'x', [], true]) {
      refused(read('inform', { id: '1', params }), 'OTA_BAD_MESSAGE');
      refused(read('upgrade', { id: '1', params }), 'OTA_BAD_MESSAGE');
    }
  });

  it('is refused where a progress report has no step', () => {
    refused(read('progress', {}), 'OTA_BAD_STEP');
  });

  describe('keys that reach a prototype', () => {
    it('are no fields of a message', () => {
      refused(read('inform', '{"__proto__":{"params":{"version":"1"}}}'), 'OTA_BAD_MESSAGE');
      refused(read('inform', '{"params":{"__proto__":{"version":"1"}}}'), 'OTA_BAD_MESSAGE');
      refused(read('progress', '{"__proto__":{"step":"5"}}'), 'OTA_BAD_STEP');
    });

    it('are dropped beside the fields', () => {
      const body =
        '{"id":"1","__proto__":{"x":1},"constructor":{"y":1},"params":{"version":"1","__proto__":{}}}';
      assert.deepEqual(readInform(body), { id: '1', module: 'default', version: '1', params: null });
      assert.deepEqual(Object.keys(readProgress('{"step":"5","__proto__":{"z":1},"prototype":1}')), [
        'module',
        'step',
        'status',
        'failure',
        'desc',
      ]);
    });

    it('are dropped from extData at every level', () => {
      const extData =
        '{"a":1,"__proto__":{"x":1},"constructor":{"y":1},"prototype":2,"b":[{"__proto__":{"z":1},"c":{"constructor":1}}]}';
      const read = readUpgrade(`{"id":"1","params":{"version":"1","extData":${extData}}}`);
      assert.deepEqual(read.extData, { a: 1, b: [{ c: {} }] });
    });

    it('change no prototype', () => {
      readUpgrade('{"id":"1","params":{"version":"1","extData":{"__proto__":{"polluted":true}}}}');
      assert.equal(({} as { polluted?: boolean }).polluted, undefined);
    });

    it('may be values', () => {
      const body = { step: '5', module: '__proto__', desc: 'constructor' };
      assert.deepEqual(readProgress(body).module, '__proto__');
      assert.equal(readInform(withParams(INFORM, { version: '__proto__' })).version, '__proto__');
    });
  });

  describe('nesting', () => {
    it(`of ${MAX_DEPTH} levels in extData is kept`, () => {
      assert.deepEqual(
        readUpgrade(withParams(UPGRADE, { extData: nested(MAX_DEPTH) })).extData,
        nested(MAX_DEPTH),
      );
    });

    it('of one level more in extData is refused', () => {
      const body = withParams(UPGRADE, { extData: nested(MAX_DEPTH + 1) });
      assert.match(refused(read('upgrade', body), 'OTA_BAD_MESSAGE').error.message, /nested deeper/);
    });

    it('of 3,000 levels of arrays in extData is refused', () => {
      const body = `{"id":"1","params":{"version":"1","extData":{"a":${'['.repeat(3000)}${']'.repeat(3000)}}}}`;
      refused(read('upgrade', body), 'OTA_BAD_MESSAGE');
    });

    it('where nobody looks does no harm', () => {
      const body = `{"step":"5","x":${'['.repeat(10_000)}${']'.repeat(10_000)}}`;
      assert.equal(readProgress(body).step, 5);
    });
  });

  describe('texts', () => {
    const html = '<img src=x onerror="alert(1)">\u0000\u001b[31m\u202e';

    it('of 10,000 characters are kept as they are', () => {
      const long = 'x'.repeat(10_000);
      assert.equal(readProgress({ step: '1', desc: long, module: long }).module, long);
      assert.equal(readInform(withParams(INFORM, { version: long })).version, long);
    });

    it('with HTML and control characters are kept as they are: whoever shows them shows text', () => {
      assert.equal(readProgress({ ...PROGRESS, desc: html }).desc, html);
      assert.equal(readInform(withParams(INFORM, { version: html, module: html })).module, html);
    });
  });

  it('of two fields with one name has the last, as JSON has it', () => {
    assert.equal(readProgress('{"step":"5","step":"6"}').step, 6);
  });

  describe('topics', () => {
    for (const topic of [
      '/ota/device/inform/',
      '/ota/device/inform//',
      '/ota/device/inform/a/b',
      '/ota/device/progress/\u0001',
      `/ota/device/upgrade/${'x'.repeat(1000)}`,
      '$SYS/broker/uptime',
      '',
      'x'.repeat(65_535),
    ]) {
      it(`${JSON.stringify(topic).slice(0, 40)} is refused with OTA_BAD_TOPIC`, () => {
        const { accessToken } = refused(readWire(scheme, topic, toBytes(PROGRESS), false), 'OTA_BAD_TOPIC');
        assert.equal(accessToken, null);
      });
    }
  });

  describe('is reported', () => {
    const secret = 'a-very-secret-token';
    const tell = (body: string | Uint8Array, token = secret): ReturnType<typeof refused> => {
      const result = readWire(scheme, scheme.topic('inform', token), toBytes(body), false);
      assert.ok(!result.ok && result.refused !== null);
      return result.refused;
    };

    it('with its keys and types, never its values', () => {
      const body = { id: 5, token: 'value', params: { version: null, list: [1], deep: { yes: true } } };
      const { excerpt, error } = tell(JSON.stringify(body));
      const shape = '{id: number, token: string, params: {version: null, list: array, deep: {yes: boolean}}}';
      assert.equal(excerpt, shape);
      assert.ok(error.message.endsWith(`input: ${shape}`), error.message);
    });

    it('with how long it is where it is no JSON', () => {
      assert.equal(tell('y'.repeat(60_000)).excerpt, '60000 bytes that are no JSON object');
      assert.equal(tell('[1]').excerpt, '3 bytes that are no JSON object');
    });

    it(`with at most ${SHOWN_CHARACTERS} characters`, () => {
      const keys = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`key-😀-${i}`, i]));
      const { excerpt } = tell(JSON.stringify({ params: keys }));
      assert.equal(Array.from(excerpt).length, SHOWN_CHARACTERS);
      assert.ok(excerpt.endsWith('…'));
    });

    it('in a text that names the topic and the input, and stays short', () => {
      const { error, topic, excerpt } = tell('nonsense');
      assert.ok(error.message.includes(topic) && error.message.includes(excerpt), error.message);
      assert.ok(tell('y'.repeat(60_000)).error.message.length < 700);
    });

    it('with control characters in keys made harmless, and long keys cut', () => {
      assert.equal(tell(JSON.stringify({ 'a\nb\u001b[31m': 1 })).excerpt, '{a\uFFFDb\uFFFD[31m: number}');
      assert.equal(tell(JSON.stringify({ ['x'.repeat(500)]: 1 })).excerpt, '{xxxx…: number}');
    });

    it('without the token in topic, excerpt and text', () => {
      const { topic, excerpt, error } = tell(`{"token":"${secret}","${secret}":1}`);
      for (const text of [topic, excerpt, error.message]) assert.ok(!text.includes(secret), text);
      assert.ok(excerpt.includes('a-ve…'));
    });

    const device = 'Tok3n-of-a-device';
    const sub = 'sub-device-0042';
    for (const [what, key] of [
      ['quoted', `\\"${device}\\"`],
      ['with escapes', device.replaceAll('o', '\\u006f')],
      ['in upper case', device.toUpperCase()],
      ['in lower case', device.toLowerCase()],
      ['in base64', Buffer.from(device).toString('base64')],
      ['in base64url behind something', `x.${Buffer.from(device).toString('base64url')}`],
      ['in hex', Buffer.from(device).toString('hex')],
      ['with something around it', `sn:${device}.`],
      ['of a sub-device', sub],
    ] as const) {
      it(`without a token ${what}, as a value or as a key`, () => {
        const body = `{"values":{"${key}":{"${key}":["${key}"]}},"token":"${key}","step":"${key}"}`;
        const { excerpt, error, topic } = tell(body, device);
        const forms = [
          device,
          sub,
          Buffer.from(device).toString('base64'),
          Buffer.from(device).toString('hex'),
        ];
        for (const text of [excerpt, error.message, topic]) {
          for (const form of forms) {
            // Not even more than the first characters of one.
            assert.ok(!text.toLowerCase().includes(form.slice(0, 9).toLowerCase()), text);
          }
        }
      });
    }

    it('without the value of a step that is none', () => {
      const result = readWire(scheme, scheme.topic('progress', secret), toBytes({ step: 'hunter2' }), false);
      assert.ok(!refused(result, 'OTA_BAD_STEP').error.message.includes('hunter2'));
    });

    it('without the token where the topic is wrong', () => {
      const wrong = `/ota/device/inform/${secret}/more`;
      const { topic, error } = refused(readWire(scheme, wrong, toBytes('{}'), false), 'OTA_BAD_TOPIC');
      for (const text of [topic, error.message]) assert.ok(!text.includes(secret), text);
    });

    it('with the token of a scheme of its own masked, too', () => {
      const own = createScheme('custom', {
        inform: '{accessToken}/i',
        upgrade: '{accessToken}/u',
        progress: '{accessToken}/p',
      });
      const { topic } = refused(readWire(own, `${secret}/p`, toBytes('{}'), false), 'OTA_BAD_STEP');
      assert.equal(topic, 'a-ve…/p');
    });
  });

  describe('of our own making', () => {
    it('is never larger than what a reader takes', () => {
      const huge = '升'.repeat(MAX_BODY_BYTES / 3);
      assert.throws(() => writeInform({ id: '1', version: huge }), otaError('OTA_BAD_INPUT', /larger/));
      assert.throws(() => writeProgress({ step: 1, module: huge }), otaError('OTA_BAD_INPUT', /larger/));
    });

    it('is no report without a version', () => {
      assert.throws(() => writeInform({ id: '1', version: '' }), otaError('OTA_BAD_INPUT', /version/));
    });
  });
});

/** What the documentation of the protocol leaves open: for each point what we send and what we read. */
import assert from 'node:assert/strict';
import { createScheme, nextId, readSignMethod, type ReadResult, readWire } from '../../nodes/lib/protocol';
import {
  INFORM,
  MD5,
  PROGRESS,
  read,
  readInform,
  readProgress,
  readUpgrade,
  refused,
  type Sent,
  sentInform,
  sentProgress,
  sentUpgrade,
  SHA256,
  UPGRADE,
  withoutParam,
  withParams,
  writeInform,
} from './wire';

const PACKAGE = UPGRADE.params;

describe('what the protocol leaves open', () => {
  describe('id', () => {
    it('is sent as a string of exactly 10 digits', () => {
      const body = JSON.parse(writeInform({ id: nextId('any'), version: '1' })) as Sent;
      assert.match(body.id, /^[0-9]{10}$/);
    });

    for (const [form, id, kept] of [
      ['a string of 9 digits, as in the examples', '147258369', '147258369'],
      ['a string of 10 digits', '1472583690', '1472583690'],
      ['a number', 1472583690, '1472583690'],
      ['the largest 32-bit number', 4294967295, '4294967295'],
      ['0', 0, '0'],
      ['the largest number that is exact', Number.MAX_SAFE_INTEGER, '9007199254740991'],
      ['a string that is no number', 'a-1', 'a-1'],
      ['a string of digits beyond 2^53', '9007199254740993', '9007199254740993'],
    ] as const) {
      it(`is read from ${form}, as a string`, () => {
        assert.equal(readInform({ ...INFORM, id }).id, kept);
        assert.equal(readUpgrade({ ...UPGRADE, id }).id, kept);
      });
    }

    for (const [form, id] of [
      ['null', null],
      ['an empty string', ''],
    ] as const) {
      it(`counts as absent where it is ${form}`, () => {
        assert.equal(readInform({ ...INFORM, id }).id, null);
        assert.equal(readUpgrade({ ...UPGRADE, id }).id, null);
      });
    }

    it('may be absent', () => {
      assert.equal(readInform({ params: INFORM.params }).id, null);
      assert.equal(readUpgrade({ params: PACKAGE }).id, null);
    });

    for (const [form, id] of [
      ['true', true],
      ['an object', {}],
      ['an array', ['1']],
      ['a string of 129 characters', '1'.repeat(129)],
    ] as const) {
      it(`is refused as ${form}`, () => {
        refused(read('inform', { ...INFORM, id }), 'OTA_BAD_MESSAGE');
        refused(read('upgrade', { ...UPGRADE, id }), 'OTA_BAD_MESSAGE');
      });
    }

    it('is read from an integer beyond 2^53 digit by digit, so that two ids never become one', () => {
      for (const id of ['9007199254740993', '90071992547409931234567890', '-9007199254740993']) {
        assert.equal(readUpgrade(`{"id":${id},"params":{"version":"1"}}`).id, id);
        assert.equal(readInform(`{"params":{"version":"1"}, "id" : ${id} }`).id, id);
      }
    });

    it('is refused as a number without an end', () => {
      refused(read('upgrade', '{"id":1e400,"params":{"version":"1"}}'), 'OTA_BAD_MESSAGE');
      refused(read('upgrade', '{"id":1e30,"params":{"version":"1"}}'), 'OTA_BAD_MESSAGE');
    });
  });

  describe('code', () => {
    it('is sent as the number 200', () => assert.equal(sentUpgrade(PACKAGE).code, 200));

    for (const [code, kept] of [
      [200, 200],
      ['200', 200],
      ['1000', 1000],
      ['OK', 'OK'],
      [null, null],
    ] as const) {
      it(`is read from ${JSON.stringify(code)} as ${JSON.stringify(kept)}`, () => {
        assert.equal(readUpgrade({ ...UPGRADE, code }).code, kept);
      });
    }

    it('may be absent', () => assert.equal(readUpgrade({ params: PACKAGE }).code, null));

    for (const code of [true, {}, []]) {
      it(`is refused as ${JSON.stringify(code)}`, () => {
        refused(read('upgrade', { ...UPGRADE, code }), 'OTA_BAD_MESSAGE');
      });
    }
  });

  describe('size', () => {
    it('is sent as an integer', () => {
      assert.equal(sentUpgrade({ ...PACKAGE, size: '432945' }).params['size'], 432945);
    });

    it('is left out where it is unknown', () => {
      assert.ok(!('size' in sentUpgrade({ ...PACKAGE, size: undefined }).params));
    });

    for (const [size, kept] of [
      [432945, 432945],
      ['432945', 432945],
      ['0432945', 432945],
      [1, 1],
      [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
      [0, null],
      ['0', null],
      ['', null],
      [null, null],
    ] as const) {
      it(`is read from ${JSON.stringify(size)} as ${kept === null ? 'unknown' : String(kept)}`, () => {
        assert.equal(readUpgrade(withParams(UPGRADE, { size })).size, kept);
      });
    }

    it('is read as the integer that 432945.0 is', () => {
      const body = '{"id":"1","params":{"version":"1","size":432945.0}}';
      assert.equal(readUpgrade(body).size, 432945);
    });

    it('is unknown where it is absent', () => {
      assert.equal(readUpgrade(withoutParam(UPGRADE, 'size')).size, null);
    });

    for (const size of [-1, 0.5, '-1', '1.5', '1e3', '0x10', ' 1', 'big', true, {}, [1], 2 ** 53]) {
      it(`is refused as ${JSON.stringify(size)}`, () => {
        refused(read('upgrade', withParams(UPGRADE, { size })), 'OTA_BAD_MESSAGE');
      });
    }

    it('is refused as a string of digits beyond 2^53', () => {
      refused(read('upgrade', withParams(UPGRADE, { size: '9'.repeat(400) })), 'OTA_BAD_MESSAGE');
    });
  });

  describe('signMethod', () => {
    it('is sent as Md5', () => assert.equal(sentUpgrade(PACKAGE).params['signMethod'], 'Md5'));

    it('is sent as MD5 where the setting says so', () => {
      assert.equal(sentUpgrade(PACKAGE, 'MD5').params['signMethod'], 'MD5');
    });

    it('is sent as SHA256 whatever the setting for MD5 says', () => {
      const input = { ...PACKAGE, signMethod: 'sha256', sign: SHA256 };
      for (const setting of ['Md5', 'MD5'] as const) {
        assert.equal(sentUpgrade(input, setting).params['signMethod'], 'SHA256');
      }
    });

    it('is passed on as it came, in any case', () => {
      for (const signMethod of ['MD5', 'Md5', 'md5', 'SHA256', 'Sha256', 'sha256', 'Crc32', '']) {
        assert.equal(readUpgrade(withParams(UPGRADE, { signMethod })).signMethod, signMethod);
      }
    });

    for (const [spelling, method] of [
      ['MD5', 'Md5'],
      ['Md5', 'Md5'],
      ['md5', 'Md5'],
      ['SHA256', 'SHA256'],
      ['Sha256', 'SHA256'],
      ['sha256', 'SHA256'],
      ['SHA-256', 'SHA256'],
      ['Crc32', null],
      ['', null],
      [' md5', null],
    ] as const) {
      it(`${JSON.stringify(spelling)} means ${method ?? 'nothing'}`, () => {
        assert.equal(readSignMethod(spelling), method);
      });
    }

    it('is refused where it is no text', () => {
      refused(read('upgrade', withParams(UPGRADE, { signMethod: 5 })), 'OTA_BAD_MESSAGE');
    });
  });

  describe('sign', () => {
    it('is sent as lower-case hex', () => {
      assert.equal(sentUpgrade({ ...PACKAGE, sign: MD5.toUpperCase() }).params['sign'], MD5);
    });

    it('is left out where there is none', () => {
      assert.ok(!('sign' in sentUpgrade({ ...PACKAGE, sign: '' }).params));
    });

    for (const sign of [MD5, MD5.toUpperCase(), '', 'a243fgh4b9v']) {
      it(`${JSON.stringify(sign)} is passed on as it came`, () => {
        assert.equal(readUpgrade(withParams(UPGRADE, { sign })).sign, sign);
      });
    }

    it('is null where it is absent', () => {
      assert.equal(readUpgrade(withoutParam(UPGRADE, 'sign')).sign, null);
    });

    it('is refused where it is no text', () => {
      refused(read('upgrade', withParams(UPGRADE, { sign: 1 })), 'OTA_BAD_MESSAGE');
    });
  });

  describe('module', () => {
    it('is always named in a report', () => {
      assert.equal(sentInform({ version: '1' }).params['module'], 'default');
      assert.equal(sentInform({ version: '1', module: '' }).params['module'], 'default');
      assert.equal(sentInform({ version: '1', module: 'MCU' }).params['module'], 'MCU');
    });

    it('is left out of a push where it is default', () => {
      for (const module of ['default', '', null, undefined]) {
        assert.ok(!('module' in sentUpgrade({ ...PACKAGE, module }).params));
      }
    });

    it('is named in a push where it is another', () => {
      assert.equal(sentUpgrade(PACKAGE).params['module'], 'MCU');
    });

    it('stands in a progress report as given', () => {
      assert.equal(sentProgress({ step: 1, module: 'default' })['module'], 'default');
      assert.equal(sentProgress({ step: 1, module: 'MCU' })['module'], 'MCU');
      for (const module of ['', null, undefined]) {
        assert.ok(!('module' in sentProgress({ step: 1, module })));
      }
    });

    for (const module of [null, '', ' ', 'default']) {
      it(`${JSON.stringify(module)} means default in a report and a push`, () => {
        assert.equal(readInform(withParams(INFORM, { module })).module, 'default');
        assert.equal(readUpgrade(withParams(UPGRADE, { module })).module, 'default');
      });
    }

    it('means default where it is absent from a report and a push', () => {
      assert.equal(readInform(withoutParam(INFORM, 'module')).module, 'default');
      assert.equal(readUpgrade(withoutParam(UPGRADE, 'module')).module, 'default');
    });

    it('is null in a progress report that names none', () => {
      assert.equal(readProgress({ step: '1' }).module, null);
      assert.equal(readProgress({ step: '1', module: null }).module, null);
      assert.equal(readProgress({ step: '1', module: '' }).module, null);
      assert.equal(readProgress({ step: '1', module: ' \t' }).module, null);
    });

    it('stays default in a progress report that names it', () => {
      assert.equal(readProgress({ step: '1', module: 'default' }).module, 'default');
    });

    it('is refused where it is no text', () => {
      refused(read('inform', withParams(INFORM, { module: 1 })), 'OTA_BAD_MESSAGE');
      refused(read('upgrade', withParams(UPGRADE, { module: {} })), 'OTA_BAD_MESSAGE');
      refused(read('progress', { step: '1', module: ['MCU'] }), 'OTA_BAD_MESSAGE');
    });
  });

  describe('a retained message', () => {
    it('is refused where it is an upgrade: it would come again at each start', () => {
      const { error } = refused(read('upgrade', UPGRADE, true), 'OTA_RETAINED');
      assert.match(error.message, /without the retain flag/);
    });

    it('is refused where it is a progress report: it tells of the past', () => {
      refused(read('progress', PROGRESS, true), 'OTA_RETAINED');
    });

    it('is read where it is a version report', () => {
      assert.equal(readInform(INFORM, true).version, 'v1.0.1');
    });

    it('is nothing where it is empty: the cure of a retained upgrade, answer or question', () => {
      const aliyun = createScheme('aliyun');
      for (const topic of [
        '/ota/device/upgrade/key/device',
        '/sys/key/device/thing/ota/firmware/get_reply',
        '/sys/key/device/thing/ota/firmware/get',
        '/ota/device/request/key/device',
      ]) {
        for (const retained of [true, false]) {
          const result = readWire(aliyun, topic, Buffer.alloc(0), retained);
          assert.deepEqual(result, { ok: false, refused: null }, topic);
        }
      }
    });
  });

  describe('around the JSON', () => {
    const json = JSON.stringify(PROGRESS);
    for (const [what, before, after] of [
      ['a NUL', '', '\0'],
      ['a NUL and a line feed', '', '\0\n'],
      ['a line feed and a NUL', '', '\n\0'],
      ['NULs and white space, mixed', '\0 \t\0\r\n', ' \0\t\0\r\0\n'],
      ['a byte order mark', '\uFEFF', ''],
      ['a byte order mark between NULs and white space', ' \0\uFEFF\0\n', '\n\0'],
    ] as const) {
      it(`${what} is dropped`, () => {
        assert.equal(readProgress(`${before}${json}${after}`).step, 100);
      });
    }

    it('60 KiB of padding are dropped at both ends', () => {
      const padding = '\0 \n'.repeat(10_000);
      assert.equal(readProgress(`${padding}${json}${padding}`).step, 100);
    });
  });

  describe('with alink bodies', () => {
    const aliyun = createScheme('aliyun');
    const device = 'key/device';

    it('a push has an id of thirteen digits, a number, and what is told of it is the same', () => {
      const id = aliyun.pushId(device);
      assert.match(id, /^[0-9]{13}$/);
      const upgrade = aliyun.prepare(aliyun.check(PACKAGE));
      assert.ok(aliyun.write('upgrade', device, { id, upgrade }).includes(`"id":${id},`));
    });

    it('a report and a question have an id of ten digits, as text', () => {
      const id = aliyun.nextId(device);
      assert.match(id, /^[0-9]{10}$/);
      const report = aliyun.write('inform', device, { id, version: '1', module: 'MCU' });
      assert.equal(report, `{"id":"${id}","params":{"version":"1","module":"MCU"}}`);
      assert.ok(aliyun.write('ask', device, { id, module: null }).startsWith(`{"id":"${id}",`));
    });
  });

  describe('bytes that are not UTF-8 in a wrapped body', () => {
    const wrapped = (kind: 'inform' | 'progress', values: Buffer): ReadResult => {
      const text = Buffer.from(JSON.stringify(values.toString('latin1')), 'latin1');
      const body = Buffer.concat([Buffer.from('{"token":"t","values":'), text, Buffer.from('}')]);
      const topic = kind === 'inform' ? 'ota/device/infrom' : 'ota/device/progress';
      return readWire(createScheme('thingspanel-v0.4'), topic, body, false);
    };
    const bytes = (before: string, after: string): Buffer =>
      Buffer.concat([Buffer.from(before), Buffer.from([0xff]), Buffer.from(after)]);

    it('are refused where id, version, module or step has them', () => {
      for (const [before, after] of [
        ['{"id":"', '","params":{"version":"1"}}'],
        ['{"params":{"version":"v', '"}}'],
        ['{"params":{"version":"1","module":"', '"}}'],
      ] as const) {
        refused(wrapped('inform', bytes(before, after)), 'OTA_BAD_MESSAGE');
      }
      refused(wrapped('progress', bytes('{"step":"1', '"}')), 'OTA_BAD_MESSAGE');
      refused(wrapped('progress', bytes('{"step":"1","module":"', '"}')), 'OTA_BAD_MESSAGE');
    });

    it('are taken where only desc has them', () => {
      const result = wrapped('progress', bytes('{"step":"1","desc":"', '"}'));
      assert.ok(result.ok && result.value.kind === 'progress');
      assert.equal(result.value.message.desc, '\uFFFD');
    });
  });
});

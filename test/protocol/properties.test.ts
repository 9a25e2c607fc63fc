/** What must hold for any message: what we write we read back; nothing that comes in gets past the checks. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  checkUpgrade,
  createScheme,
  cutDesc,
  isToken,
  KINDS,
  OtaError,
  type ReadResult,
  readWire,
  SHOWN_CHARACTERS,
} from '../../nodes/lib/protocol';
import {
  readInform,
  readProgress,
  readUpgrade,
  scheme,
  toBytes,
  upgradeWriter,
  writeInform,
  writeProgress,
} from './wire';

const UNSAFE = ['__proto__', 'constructor', 'prototype'];
const text = (maxLength: number): fc.Arbitrary<string> => fc.string({ unit: 'binary', maxLength });
const wellFormed = (maxLength: number): fc.Arbitrary<string> => fc.string({ unit: 'grapheme', maxLength });
const id = fc.integer({ min: 1_000_000_000, max: 4_294_967_295 }).map(String);
const module = fc.oneof(fc.constantFrom('', 'default', 'MCU'), text(40));
const version = text(60)
  .map((value) => value.trim())
  .filter((value) => value !== '');
const hex = (length: number): fc.Arbitrary<string> =>
  fc.string({
    unit: fc.constantFrom(...Array.from('0123456789abcdefABCDEF')),
    minLength: length,
    maxLength: length,
  });
const token = fc
  .oneof(wellFormed(20), fc.constantFrom(...UNSAFE, '$SYS', '{accessToken}'))
  .filter((value) => isToken(value));

const upgrade = fc.record({
  version,
  url: fc.webUrl({ validSchemes: ['http', 'https'], size: 'small' }).filter((value) => value.length <= 254),
  size: fc.oneof(fc.integer({ min: 1 }), fc.integer({ min: 1 }).map(String), fc.constant(undefined)),
  sign: fc.oneof(hex(32), hex(64), fc.constantFrom('', undefined)),
  module,
  extData: fc.oneof(
    fc.constant(undefined),
    fc.dictionary(fc.oneof(text(20), fc.constantFrom(...UNSAFE)), fc.oneof(text(40), fc.jsonValue())),
  ),
});

/** JSON of any shape, with keys and values that ours have, and those that reach a prototype. */
const anyJson = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', maxDepth: 6 },
    fc.constantFrom<unknown>(null, true, 0, 1, 37.5, -5, 1e308, '', '5', 'default', '__proto__'),
    text(10),
    fc.array(tie('value'), { maxLength: 4 }),
    fc
      .array(
        fc.tuple(
          fc.oneof(
            fc.constantFrom('id', 'params', 'version', 'module', 'step', 'desc', 'code', 'size', 'extData'),
            fc.constantFrom('url', 'sign', 'signMethod', ...UNSAFE),
            text(5),
          ),
          tie('value'),
        ),
        { maxLength: 8 },
      )
      .map(ownKeys),
  ),
})).value;

/** An object with just these own keys, `__proto__` among them: as JSON.parse makes it. */
function ownKeys(entries: [string, unknown][]): unknown {
  const object: object = {};
  for (const [key, value] of entries) {
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
  }
  return object;
}

/** A message that is nearly right: good enough to get past the first checks. */
const nearly = fc
  .tuple(anyJson, anyJson, anyJson, anyJson)
  .map(([id, extData, step, desc]) => ({ id, step, desc, params: { version: '1', extData, module: 'm' } }));

/** Asserts that it is an answer of the allowed form, safe to hand to a flow or to a log. */
function checkResult(result: ReadResult): void {
  if (result.ok) {
    checkPlain(result.value);
    assert.ok(isToken(result.value.accessToken));
    return;
  }
  if (result.refused === null) return;
  const { error, excerpt, topic } = result.refused;
  assert.ok(error instanceof OtaError);
  assert.notEqual(error.code, 'OTA_INTERNAL');
  assert.ok(Array.from(excerpt).length <= SHOWN_CHARACTERS);
  for (const shown of [error.message, excerpt, topic]) assert.doesNotMatch(shown, /\p{Cc}/u);
}

/** Only plain objects, arrays and values, without a key that reaches a prototype. */
function checkPlain(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const prototype: unknown = Object.getPrototypeOf(value);
  assert.ok(prototype === Object.prototype || prototype === Array.prototype, 'another prototype');
  for (const key of Reflect.ownKeys(value)) {
    assert.ok(typeof key === 'string' && !UNSAFE.includes(key), `the key ${String(key)}`);
    checkPlain((value as Record<string, unknown>)[key]);
  }
}

function forEachKind(body: Uint8Array, accessToken: string, retained: boolean): void {
  for (const kind of KINDS) checkResult(readWire(scheme, scheme.topic(kind, accessToken), body, retained));
}

describe('any message', () => {
  describe('that we write is read back the same', () => {
    it('as a version report', () => {
      fc.assert(
        fc.property(id, module, version, (id, module, version) => {
          const read = readInform(writeInform({ id, module, version }));
          assert.deepEqual(read, { id, module: module || 'default', version, params: null });
        }),
      );
    });

    it('as a progress report', () => {
      fc.assert(
        fc.property(fc.integer({ min: -4, max: 100 }), fc.option(module), text(300), (step, module, desc) => {
          const read = readProgress(writeProgress({ step, module, desc }));
          assert.equal(read.step, step === 0 ? 1 : step);
          assert.equal(read.module, module || null);
          assert.equal(read.desc, cutDesc(desc));
        }),
      );
    });

    it('as an upgrade', () => {
      fc.assert(
        fc.property(id, upgrade, fc.constantFrom('Md5', 'MD5'), (id, input, md5) => {
          const sent = checkUpgrade(input, true);
          const method = sent.signMethod === 'Md5' ? md5 : sent.signMethod;
          assert.deepEqual(readUpgrade(upgradeWriter(sent, md5)(id)), {
            ...sent,
            id,
            code: 200,
            sign: sent.sign || null,
            signMethod: method,
            extData: sent.extData ?? {},
          });
        }),
      );
    });
  });

  it('is written with a desc that starts the given one and has at most 128 characters', () => {
    fc.assert(
      fc.property(wellFormed(300), (desc) => {
        const cut = cutDesc(desc);
        assert.ok(desc.startsWith(cut));
        assert.equal(Array.from(cut).length, Math.min(128, Array.from(desc).length));
      }),
    );
  });

  it('goes to a topic from which the same device is read', () => {
    const custom = createScheme('custom', {
      inform: 'a/{accessToken}',
      upgrade: '{accessToken}/a/b',
      progress: '/{accessToken}/a/c',
    });
    fc.assert(
      fc.property(
        token,
        fc.constantFrom(...KINDS),
        fc.constantFrom(scheme, custom),
        (token, kind, scheme) => {
          // Such a token can't begin a topic: those of the broker itself begin so.
          fc.pre(scheme !== custom || !token.startsWith('$'));
          assert.deepEqual(scheme.match(scheme.topic(kind, token)), { kind, accessToken: token });
        },
      ),
    );
  });

  describe('that comes in is read or refused, never thrown', () => {
    it('from any bytes', () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 300 }), token, fc.boolean(), (bytes, token, retained) => {
          forEachKind(bytes, token, retained);
        }),
        { numRuns: 1000 },
      );
    });

    it('from bytes that are a part of a larger buffer', () => {
      const buffer = Buffer.from(`garbage${JSON.stringify({ step: '5' })}garbage`);
      const part = new Uint8Array(buffer.buffer, buffer.byteOffset + 7, buffer.length - 14);
      assert.equal(readProgress(part).step, 5);
    });

    it('from any text', () => {
      fc.assert(
        fc.property(text(300), token, (text, token) => forEachKind(toBytes(text), token, false)),
        { numRuns: 1000 },
      );
    });

    it('from JSON of any shape', () => {
      fc.assert(
        fc.property(anyJson, token, (json, token) =>
          forEachKind(toBytes(JSON.stringify(json)), token, false),
        ),
        { numRuns: 3000 },
      );
    });

    it('from messages that are nearly right', () => {
      fc.assert(
        fc.property(nearly, (message) => forEachKind(toBytes(message), 'a', false)),
        { numRuns: 3000 },
      );
    });

    it('from JSON that was damaged on its way', () => {
      fc.assert(
        fc.property(nearly, fc.nat(), fc.nat(255), (message, at, byte) => {
          const bytes = Uint8Array.from(toBytes(message));
          bytes[at % bytes.length] = byte;
          forEachKind(bytes, 'a', false);
        }),
        { numRuns: 3000 },
      );
    });

    it('from any topic', () => {
      fc.assert(
        fc.property(text(60), fc.constantFrom('', '/ota/device/inform/', '/ota/device/'), (rest, start) => {
          checkResult(readWire(scheme, start + rest, toBytes({ step: '5' }), false));
        }),
        { numRuns: 1000 },
      );
    });
  });

  it('that a flow wants to push is sent or refused with a code', () => {
    const field = fc.oneof(anyJson, fc.bigInt(), fc.constantFrom<unknown>(NaN, undefined, Symbol.iterator));
    const names = ['version', 'url', 'size', 'sign', 'signMethod', 'module', 'extData'];
    const input = fc
      .tuple(upgrade, fc.dictionary(fc.constantFrom(...names), field, { maxKeys: 2 }))
      .map(([good, bad]) => ({ ...good, ...bad }));
    fc.assert(
      fc.property(input, fc.boolean(), (input, allowUnsigned) => {
        try {
          readUpgrade(upgradeWriter(checkUpgrade(input, allowUnsigned))('1000000000'));
        } catch (error) {
          assert.ok(error instanceof OtaError, String(error));
          assert.equal(error.code, 'OTA_BAD_UPGRADE');
        }
      }),
      { numRuns: 1000 },
    );
  });
});

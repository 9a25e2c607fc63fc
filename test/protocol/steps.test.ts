/** The steps of a progress report: what each means, and what is none. */
import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { readStep, stepStatus } from '../../nodes/lib/protocol';
import { otaError, read, readProgress, refused, writeProgress } from './wire';

const FAILED: Readonly<Record<string, string>> = {
  '-1': 'upgrade',
  '-2': 'download',
  '-3': 'verification',
  '-4': 'flashing',
};

describe('a step', () => {
  for (let step = 1; step <= 99; step += 1) {
    it(`"${step}" means upgrading`, () => {
      assert.deepEqual(readProgress({ step: String(step) }), {
        module: null,
        step,
        status: 'upgrading',
        failure: null,
        desc: '',
      });
    });
  }

  it('"100" means succeeded', () => {
    assert.deepEqual(readProgress({ step: '100' }), {
      module: null,
      step: 100,
      status: 'succeeded',
      failure: null,
      desc: '',
    });
  });

  for (const [step, failure] of Object.entries(FAILED)) {
    it(`"${step}" means that the ${failure} failed`, () => {
      const { status, failure: read } = readProgress({ step });
      assert.deepEqual({ status, failure: read }, { status: 'failed', failure });
    });

    it(`${step} as a number means the same`, () => {
      assert.deepEqual(readProgress({ step: Number(step) }), readProgress({ step }));
    });
  }

  for (const [form, step, meant] of [
    ['0, a first sign of life', 0, 0],
    ['"0"', '0', 0],
    ['"-0"', '-0', 0],
    ['"000"', '000', 0],
    ['an integer', 37, 37],
    ['leading zeros', '037', 37],
    ['many leading zeros', '0'.repeat(100) + '100', 100],
    ['a failure with leading zeros', '-03', -3],
    ['a fraction, which is cut off', '37.381', 37],
    ['a fraction as a number', 37.5, 37],
    ['a fraction below the end', '99.99', 99],
    ['a fraction so near to the end that a number is rounded to it', `99.${'9'.repeat(30)}`, 99],
    ['a fraction below one', '0.9', 0],
    ['an end with a fraction that is none', '100.00', 100],
    ['a failure with a fraction that is none', '-2.0', -2],
  ] as const) {
    it(`is read from ${form}`, () => assert.equal(readProgress({ step }).step, meant));
  }

  it('0 means upgrading at 0 %', () => {
    assert.deepEqual(stepStatus(readStep('0')), { status: 'upgrading', failure: null });
    assert.ok(Object.is(readStep('-0'), 0), 'no negative zero');
  });

  it('is read from a float with an integer value', () => {
    assert.equal(readProgress('{"step":37.0}').step, 37);
    assert.equal(readProgress('{"step":3.7e1}').step, 37);
    assert.equal(readProgress('{"step":-0.0}').step, 0);
  });

  for (const [step, why] of [
    [101, /above 100/],
    ['101', /above 100/],
    ['9'.repeat(400), /above 100/],
    [-5, /no known failure/],
    ['-5', /no known failure/],
    ['-100', /no known failure/],
    [100.5, /above 100/],
    ['100.01', /above 100/],
    [`100.${'0'.repeat(30)}1`, /above 100/],
    [`-2.${'0'.repeat(30)}1`, /no known failure/],
    [-2.5, /no known failure/],
    ['-2.5', /no known failure/],
    ['-0.5', /no known failure/],
    ['37.', /decimal digits/],
    ['.5', /decimal digits/],
    ['1.2.3', /decimal digits/],
    ['abc', /decimal digits/],
    ['', /decimal digits/],
    ['1e1', /decimal digits/],
    ['0x1', /decimal digits/],
    ['+5', /decimal digits/],
    ['--1', /decimal digits/],
    ['- 1', /decimal digits/],
    [' 5 ', /decimal digits/],
    ['5\n', /decimal digits/],
    ['5%', /decimal digits/],
    ['٣', /decimal digits/],
    ['５', /decimal digits/],
    ['1_0', /decimal digits/],
    [null, /must be text or a number/],
    [true, /must be text or a number/],
    [{}, /must be text or a number/],
    [['5'], /must be text or a number/],
    [undefined, /must be text or a number/],
  ] as const) {
    it(`is refused as ${inspect(step).slice(0, 40)}, with the reason`, () => {
      assert.match(refused(read('progress', { step }), 'OTA_BAD_STEP').error.message, why);
    });
  }

  it('is refused as a number without an end', () => {
    refused(read('progress', '{"step":1e400}'), 'OTA_BAD_STEP');
    assert.throws(() => readStep(NaN), otaError('OTA_BAD_STEP'));
  });

  describe('that is sent', () => {
    it('is a string', () => assert.equal((JSON.parse(writeProgress({ step: 37 })) as Sent).step, '37'));

    it('of 0 goes out as 1', () => {
      assert.equal((JSON.parse(writeProgress({ step: 0 })) as Sent).step, '1');
    });

    for (const step of [-1, -2, -3, -4, 100]) {
      it(`of ${step} goes out as "${step}"`, () => {
        assert.equal((JSON.parse(writeProgress({ step })) as Sent).step, String(step));
      });
    }

    for (const step of [101, -5, 37.5, NaN, Infinity]) {
      it(`is refused as ${step}`, () => {
        assert.throws(() => writeProgress({ step }), otaError('OTA_BAD_STEP'));
      });
    }
  });
});

interface Sent {
  readonly step: string;
}

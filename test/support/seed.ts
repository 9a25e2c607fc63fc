/**
 * All random values of tests come from the seed in OTA_TEST_SEED where it is set, so that a run can be done again:
 * `npm run test:flaky` sets it, and loads this in front of the tests for the values of property tests.
 */
import fc from 'fast-check';

const seed = Number(process.env['OTA_TEST_SEED'] ?? NaN);
const isSeeded = Number.isSafeInteger(seed);
if (isSeeded) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

let state = seed | 0;

/** A number from 0 to below 1, as Math.random() gives it; by the seed where there is one (mulberry32). */
export function random(): number {
  if (!isSeeded) return Math.random();
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), state | 1);
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
}

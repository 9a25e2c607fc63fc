/**
 * Loaded in front of the tests by `npm run test:flaky`: all random values of property tests come from the seed in
 * OTA_TEST_SEED, so that a run can be done again.
 */
import fc from 'fast-check';

const seed = Number(process.env['OTA_TEST_SEED']);
if (Number.isSafeInteger(seed)) fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });

/**
 * The steps of a progress report: a percentage, or one of four failures. A table; nothing else knows it.
 */
import { OtaError } from './errors';

export type Failure = 'upgrade' | 'download' | 'verification' | 'flashing';
export type ProgressStatus = 'upgrading' | 'succeeded' | 'failed';

export const FAILURES: ReadonlyMap<number, Failure> = new Map([
  [-1, 'upgrade'],
  [-2, 'download'],
  [-3, 'verification'],
  [-4, 'flashing'],
]);

export const STEP_SUCCEEDED = 100;
export const STEP_UPGRADE_FAILED = -1;
export const STEP_DOWNLOAD_FAILED = -2;
export const STEP_VERIFICATION_FAILED = -3;
export const STEP_FLASHING_FAILED = -4;

/** Decimal digits with leading zeros allowed, no blanks, no sign but a minus. */
const STEP_TEXT = /^-?[0-9]+$/;

/** What a step means. */
export function stepStatus(step: number): { status: ProgressStatus; failure: Failure | null } {
  if (step < 0) return { status: 'failed', failure: FAILURES.get(step) ?? null };
  return { status: step >= STEP_SUCCEEDED ? 'succeeded' : 'upgrading', failure: null };
}

/**
 * Reads a step: "1"…"100", "0" (upgrading at 0 %), "-1"…"-4"; as text of digits or a number with an integer
 * value (37.0 is 37). @throws OtaError OTA_BAD_STEP with the reason
 */
export function readStep(value: unknown): number {
  let step: number;
  if (typeof value === 'string') {
    if (!STEP_TEXT.test(value)) throw badStep(value, 'is not made of decimal digits');
    step = Number(value);
  } else if (typeof value === 'number') {
    if (!Number.isInteger(value)) throw badStep(value, 'is not an integer');
    step = value;
  } else {
    throw new OtaError('OTA_BAD_STEP', '"step" must be text or a number.');
  }
  if (step > STEP_SUCCEEDED) throw badStep(value, 'is above 100');
  if (step < 0 && !FAILURES.has(step)) throw badStep(value, 'is no known failure (-1 to -4)');
  return step === 0 ? 0 : step; // no negative zero
}

function badStep(value: string | number, why: string): OtaError {
  return new OtaError('OTA_BAD_STEP', `The step ${JSON.stringify(String(value).slice(0, 40))} ${why}.`);
}

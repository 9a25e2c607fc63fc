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

/** Decimal digits, leading zeros and a fraction allowed, no blanks, no sign but a minus. */
const STEP_TEXT = /^(-?[0-9]+)(?:\.([0-9]+))?$/;

/** What a step means. */
export function stepStatus(step: number): { status: ProgressStatus; failure: Failure | null } {
  if (step < 0) return { status: 'failed', failure: FAILURES.get(step) ?? null };
  return { status: step >= STEP_SUCCEEDED ? 'succeeded' : 'upgrading', failure: null };
}

/**
 * Reads a step from the wire: "1"…"100", "0" (upgrading at 0 %), "-1"…"-4"; as text of digits or a number. The
 * fraction of a percentage is cut off ("37.381" is 37); a failure has none ("-2.0" is -2, "-2.5" is refused).
 * @throws OtaError OTA_BAD_STEP with the reason, never with what was sent
 */
export function readStep(value: unknown): number {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new OtaError('OTA_BAD_STEP', '"step" must be text or a number.');
  }
  const step = typeof value === 'string' ? stepOfText(value) : value;
  if (Number.isNaN(step)) throw badStep('is not a number');
  if (step > STEP_SUCCEEDED) throw badStep('is above 100');
  if (step < 0 && !FAILURES.has(step)) throw badStep('is no known failure (-1 to -4)');
  return step < 0 ? step : Math.abs(Math.trunc(step)); // no negative zero
}

/** As a number in which no digit of the fraction is rounded away: 99.99…9 is no 100, however long. */
function stepOfText(text: string): number {
  const parts = STEP_TEXT.exec(text);
  if (parts === null) throw badStep('is not made of decimal digits');
  const [, whole = '', fraction = ''] = parts;
  const step = Number(whole);
  if (!/[1-9]/.test(fraction)) return step;
  return whole.startsWith('-') ? step - 0.5 : step + 0.5;
}

/** A step that a flow wants to send: as `readStep`, but a whole number. @throws OtaError OTA_BAD_STEP */
export function checkStep(value: unknown): number {
  const step = readStep(value);
  if (typeof value === 'number' && !Number.isInteger(value)) throw badStep('is not an integer');
  if (typeof value === 'string' && value.includes('.')) throw badStep('is not made of decimal digits');
  return step;
}

function badStep(why: string): OtaError {
  return new OtaError('OTA_BAD_STEP', `The step ${why}.`);
}

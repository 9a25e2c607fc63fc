/**
 * Settings as they stand in a flow file: texts, so that `${ENV}` works. One that is absent or blank has its
 * default; one that can't be read is OTA_BAD_SETTINGS with its name.
 */
import { OtaError } from '../protocol';

export function textSetting(value: unknown, byDefault = ''): string {
  if (value === undefined || value === null || value === '') return byDefault;
  return typeof value === 'string' ? value : String(value as number | boolean);
}

/** The name of a variable that Node-RED didn't find, and so left in the setting as it was typed; else null. */
export function unsetVariable(text: string): string | null {
  return /^\$\{([^}]+)\}$/.exec(text)?.[1] ?? null;
}

/** A number between `min` and `max`. @throws OtaError OTA_BAD_SETTINGS */
export function numberSetting(
  name: string,
  value: unknown,
  byDefault: number,
  range: { min: number; max?: number },
): number {
  const text = textSetting(value).trim();
  if (text === '') return byDefault;
  const number = Number(text);
  const max = range.max ?? Number.MAX_SAFE_INTEGER;
  if (!Number.isFinite(number) || number < range.min || number > max) {
    const limits =
      range.max === undefined ? `at least ${range.min}` : `between ${range.min} and ${range.max}`;
    const variable = unsetVariable(text);
    const why = variable === null ? '' : `; the variable ${variable} isn't set`;
    throw new OtaError('OTA_BAD_SETTINGS', `The setting "${name}" must be a number, ${limits}${why}.`);
  }
  return number;
}

/** true, false, "true", "false". @throws OtaError OTA_BAD_SETTINGS */
export function booleanSetting(name: string, value: unknown, byDefault: boolean): boolean {
  if (typeof value === 'boolean') return value;
  const text = textSetting(value).trim().toLowerCase();
  if (text === '') return byDefault;
  if (text === 'true' || text === '1') return true;
  if (text === 'false' || text === '0') return false;
  throw new OtaError('OTA_BAD_SETTINGS', `The setting "${name}" must be true or false.`);
}

/** One of a list of words. @throws OtaError OTA_BAD_SETTINGS */
export function choiceSetting<T extends string>(
  name: string,
  value: unknown,
  choices: readonly [T, ...T[]],
): T {
  const text = textSetting(value, choices[0]);
  const found = choices.find((choice) => choice === text);
  if (found === undefined) {
    throw new OtaError('OTA_BAD_SETTINGS', `The setting "${name}" must be one of ${choices.join(', ')}.`);
  }
  return found;
}

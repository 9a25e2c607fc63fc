/**
 * The devices that a message names. Pure. There may be a million of them, so lists are taken as they are and
 * looked at in slices.
 */
import { field, type JsonObject, typeName } from '../../protocol';
import { isBlankToken } from '../../rules';
import { bad, storable } from './fields';

const MAX_TOKEN = 1024;

/** A list that names devices; null where it is absent. Its items are looked at in slices. */
export function readSome(payload: JsonObject): readonly unknown[] | null {
  // A row of output 2 that is sent back would else mean the whole task.
  if (field(payload, 'accessToken') !== undefined) throw bad('accessToken', 'must be a list: "accessTokens"');
  const value = field(payload, 'accessTokens');
  if (value === undefined || value === null) return null;
  return list(value);
}

/** The same where it must be there. */
export function readNamed(payload: JsonObject): readonly unknown[] {
  return readSome(payload) ?? list(undefined);
}

function list(value: unknown): readonly unknown[] {
  if (!Array.isArray(value) || value.length === 0)
    throw bad('accessTokens', 'must be a list of access tokens');
  return value as readonly unknown[];
}

/**
 * Some tokens of an array. What no topic takes is no error here: such a device ends as `refused`.
 * @param first where in the array they begin
 * @throws OtaError OTA_BAD_INPUT
 */
export function checkTargets(values: readonly unknown[], name: string, first: number): string[] {
  // Not `map`, which leaves holes out.
  return Array.from(values, (value, i) => {
    if (isUsable(value)) return storable(value);
    const what = typeof value === 'string' ? `a text of ${value.length}` : typeName(value);
    throw bad(
      name,
      `must hold access tokens, texts of 1 to ${MAX_TOKEN} characters: item ${first + i} is ${what}`,
    );
  });
}

/**
 * Some targets of a task: what can be a device's name, and how many can't be one. Numbers, blanks and the like are
 * left out and counted; a text that is no identity is counted too, and ends as `refused`.
 */
export function sortTargets(
  values: readonly unknown[],
  isDevice: (identity: string) => boolean,
): { readonly tokens: string[]; readonly bad: number } {
  const tokens: string[] = [];
  let wrong = 0;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i];
    const usable = isUsable(value);
    if (usable) tokens.push(storable(value));
    if (!usable || !isDevice(value)) wrong += 1;
  }
  return { tokens, bad: wrong };
}

function isUsable(value: unknown): value is string {
  return typeof value === 'string' && !isBlankToken(value) && value.length <= MAX_TOKEN;
}

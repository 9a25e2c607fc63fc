/**
 * Settings as they stand in a flow file: texts, so that `${ENV}` works. One that is absent or blank has its
 * default; one that was typed and resolves to nothing, or can't be read, is OTA_BAD_SETTINGS with its name.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { OtaError } from '../protocol';
import { migrate } from './migrate';

type Fields = Readonly<Record<string, unknown>>;

/** A label for people: nothing depends on it. */
const LABELS: ReadonlySet<string> = new Set(['name', 'info']);

/**
 * The settings of a node as this release reads them. To be called once the node was created, before anything of
 * it or of its credentials is used.
 * @throws OtaError OTA_BAD_SETTINGS where a variable gives nothing for a setting or a credential: blank means
 * "off" or "the default" for many of them, and nobody who typed a variable meant that
 */
export function settingsOf<T extends NodeDef>(RED: NodeAPI, node: Node, saved: T): T {
  // In a subflow's instance a node has another id; what was typed is kept under the id of the template's node.
  const id = (saved as { _alias?: string })._alias ?? saved.id;
  let typed: Fields = {};
  RED.nodes.eachNode((each) => {
    if (each.id === id) typed = each as unknown as Fields;
  });
  refuseEmpty(typed, saved as unknown as Fields);
  refuseEmpty(RED.nodes.getCredentials(id) as Fields | undefined, node.credentials as Fields | undefined);
  return migrate(saved.type, saved);
}

function refuseEmpty(typed: Fields = {}, resolved: Fields = {}): void {
  for (const [name, text] of Object.entries(typed)) {
    if (LABELS.has(name) || typeof text !== 'string') continue;
    const variable = unsetVariable(text);
    if (variable === null) continue;
    const value = resolved[name];
    const found = textSetting(value).trim();
    if (found !== '' && found !== text) continue;
    const why = found === '' ? 'is empty' : "isn't set";
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      `The setting "${name}" is a variable: ${variable} ${why}. Set it, or clear the setting.`,
    );
  }
}

export function textSetting(value: unknown, byDefault = ''): string {
  if (value === undefined || value === null || value === '') return byDefault;
  return typeof value === 'string' ? value : String(value as number | boolean);
}

/** The name of a variable that Node-RED didn't find, and so left in the setting as it was typed; else null. */
export function unsetVariable(text: string): string | null {
  const found = /^\$(?:\{([^}]+)\}|\((\S+)\))$/.exec(text);
  return found?.[1] ?? found?.[2] ?? null;
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

/**
 * Settings as they stand in a flow file: texts, so that `${ENV}` works. One that is absent or blank has its
 * default; one that was typed and resolves to nothing, or that its rule in lib/rules refuses, is OTA_BAD_SETTINGS
 * with its name.
 */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { OtaError, reasonText } from '../protocol';
import {
  INFORM,
  PACKAGE,
  POLICY,
  PROGRESS,
  PUSH,
  readSetting,
  type Reason,
  refused,
  type Rule,
  SERVICE,
  type Setting,
  type Settings,
  STORE,
  taken,
  TASK,
  textOf,
  variableIn,
  VERIFY,
} from '../rules';
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
  refuseEmpty(saved.type, typed, saved as unknown as Fields);
  refuseEmpty(
    saved.type,
    RED.nodes.getCredentials(id) as Fields | undefined,
    node.credentials as Fields | undefined,
  );
  return migrate(saved.type, saved);
}

const TEXT: Rule<string> = {
  accepts: { kind: 'text' },
  read: (value) => (typeof value === 'string' ? taken(value) : refused('text')),
};

/** The settings that a rule reads; any other takes text alone. */
const RULED: Readonly<Record<string, Settings>> = {
  'ota-service': SERVICE,
  'ota-store': STORE,
  'ota-task': { ...POLICY, ...TASK },
  'ota-inform': INFORM,
  'ota-push': PUSH,
  'ota-progress': PROGRESS,
  'ota-verify': VERIFY,
  'ota-package': PACKAGE,
};

function refuseEmpty(type: string, typed: Fields = {}, resolved: Fields = {}): void {
  for (const [name, text] of Object.entries(typed)) {
    if (LABELS.has(name) || typeof text !== 'string') continue;
    const variable = variableIn(text);
    if (variable === null) continue;
    const value = resolved[name];
    // A variable of a tab, group or subflow may hold JSON, which only a few settings take.
    if (typeof value === 'object' && value !== null) {
      const reason = (RULED[type]?.[name] ?? TEXT).read(value).reason;
      if (reason !== null) throw badSetting(name, reason, value);
      continue;
    }
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
  const text = textOf(value);
  return text === '' ? byDefault : text;
}

/** What a setting of a table is worth. */
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** Reads settings by their names. @throws OtaError OTA_BAD_SETTINGS, of what it returns */
export function settingsReader<T extends Settings>(
  table: T,
  config: object,
): <K extends keyof T & string>(name: K) => ValueOf<T[K]> {
  const given = config as Readonly<Record<string, unknown>>;
  return (name) => valueOf(name, table[name] as Setting<ValueOf<T[typeof name]>>, given[name]);
}

/** @throws OtaError OTA_BAD_SETTINGS */
function valueOf<T>(name: string, of: Setting<T>, given: unknown): T {
  const { value, reason } = readSetting(of, given);
  if (reason === null) return value;
  throw badSetting(name, reason, given);
}

/** The error for a setting that a rule refuses; it says where a variable isn't set. */
export function badSetting(name: string, reason: Reason, given: unknown): OtaError {
  const variable = typeof given === 'string' ? variableIn(given) : null;
  const why = variable === null ? '' : `; the variable ${variable} isn't set`;
  const part = reason.part === undefined ? '' : `.${reason.part}`;
  return new OtaError('OTA_BAD_SETTINGS', `The setting "${name}${part}" ${reasonText(reason)}${why}.`);
}

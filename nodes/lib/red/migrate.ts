/**
 * Settings of older releases, brought into the form that the nodes read: the only place that knows older forms.
 * Owns the version of settings; must never touch the flow file, which changes when a person deploys.
 */
import { OtaError } from '../protocol';

export type Settings = Readonly<Record<string, unknown>>;

/** Brings the settings of one node from a version to the next; a type that didn't change comes back as it is. */
export type Step = (type: string, settings: Settings) => Settings;

/**
 * The first leads from version 1 to 2, and so on: one for each release that renamed a setting or gave it another
 * meaning. A new setting needs none: what is absent has its default. The pages' `settingsVersion` goes along.
 */
const STEPS: readonly Step[] = [keepInWorkWhereHeld];

/**
 * 1 to 2: ota-push keeps what it handed out in work until a report ends it. Flows of before may report by other
 * means: only those that hold upgrades, and so expect one at a time, get it.
 */
function keepInWorkWhereHeld(type: string, settings: Settings): Settings {
  if (type !== 'ota-push' || settings['keepInWork'] !== undefined) return settings;
  return { ...settings, keepInWork: ['true', '1'].includes(String(settings['hold']).trim().toLowerCase()) };
}

/** The version that the editor's pages write. */
export const SETTINGS_VERSION = STEPS.length + 1;

/**
 * The settings of a node as this release reads them. No version means the first one.
 * @throws OtaError OTA_BAD_SETTINGS where a newer release wrote them, or the version can't be read
 */
export function migrate<T extends object>(type: string, saved: T, steps: readonly Step[] = STEPS): T {
  const version = versionOf(saved as Settings);
  const newest = steps.length + 1;
  if (version > newest) {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      `A newer release saved this node (settings version ${version}, this one knows ${newest}): update @mqtt-ota/node-red-ota, or set the node up anew.`,
    );
  }
  const settings = steps
    .slice(version - 1)
    .reduce<Settings>((before, step) => step(type, before), saved as Settings);
  return settings as T;
}

function versionOf({ settingsVersion }: Settings): number {
  if (settingsVersion === undefined || settingsVersion === null || settingsVersion === '') return 1;
  const version = Number(settingsVersion);
  if (Number.isSafeInteger(version) && version >= 1) return version;
  throw new OtaError('OTA_BAD_SETTINGS', 'The setting "settingsVersion" must be a whole number from 1 on.');
}

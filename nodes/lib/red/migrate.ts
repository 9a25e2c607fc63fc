/**
 * Settings of older releases where a node starts. The older forms and their steps stand in lib/rules/steps.ts, which
 * the editor's dialogs share. Must never touch the flow file, which changes when a person deploys.
 */
import { OtaError } from '../protocol';
import { type Saved, SETTINGS_VERSION, settingsVersionOf, type Step, takeSteps } from '../rules';

/**
 * The settings of a node as this release reads them. No version means the first one.
 * @throws OtaError OTA_BAD_SETTINGS where a newer release wrote them, or the version can't be read
 */
export function migrate<T extends object>(type: string, saved: T, steps?: readonly Step[]): T {
  const version = settingsVersionOf(saved as Saved);
  const newest = steps === undefined ? SETTINGS_VERSION : steps.length + 1;
  if (version === null) {
    throw new OtaError('OTA_BAD_SETTINGS', 'The setting "settingsVersion" must be a whole number from 1 on.');
  }
  if (version > newest) {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      `A newer release saved this node (settings version ${version}, this one knows ${newest}): update @mqtt-ota/node-red-ota, or set the node up anew.`,
    );
  }
  return takeSteps(type, saved as Saved, version, steps) as T;
}

/** Where our files lie: folders of Node-RED's user directory, absolute, whatever the process' directory is. */
import path from 'node:path';
import type { NodeAPI } from 'node-red';
import { OtaError } from '../protocol';
import { variableIn } from '../rules';

/**
 * The folder of a setting: absolute as it is, else below the user directory; blank is the default.
 * @throws OtaError OTA_BAD_SETTINGS for a variable that isn't set
 */
export function userFolder(RED: NodeAPI, setting: string, byDefault: string): string {
  const variable = variableIn(setting);
  if (variable !== null) {
    throw new OtaError('OTA_BAD_SETTINGS', `The folder can't be told: the variable ${variable} isn't set.`);
  }
  const base = (RED.settings as { userDir?: string }).userDir ?? process.cwd();
  return path.resolve(base, setting === '' ? byDefault : setting);
}

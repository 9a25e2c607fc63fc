/** Where our files lie: folders of Node-RED's user directory, absolute, whatever the process' directory is. */
import path from 'node:path';
import type { NodeAPI } from 'node-red';

/** The folder of a setting: absolute as it is, else below the user directory; blank is the default. */
export function userFolder(RED: NodeAPI, setting: string, byDefault: string): string {
  const base = (RED.settings as { userDir?: string }).userDir ?? process.cwd();
  return path.resolve(base, setting === '' ? byDefault : setting);
}

/**
 * ThingsPanel 1.x, for devices of it: the identity is the device number. Its broker allows one of the two
 * spellings of the upgrade topic, by release. A device reports no version.
 */
import type { SchemeEntry } from './entry';

export const THINGSPANEL_V1: SchemeEntry = {
  topics: {
    inform: [],
    upgrade: ['ota/devices/infrom/{accessToken}', 'ota/devices/inform/{accessToken}'],
    progress: ['ota/devices/progress'],
    ask: [],
    answer: [],
  },
  levels: 1,
  wrapped: false,
  deviceOnly: true,
  bodies: 'plain',
  style: {},
  success: 'progress',
};

/** ThingsPanel 0.5 as it was released: a progress report always names its module. */
import type { SchemeEntry } from './entry';

export const THINGSPANEL_V05: SchemeEntry = {
  topics: {
    inform: ['ota/device/inform'],
    upgrade: ['ota/device/inform/{accessToken}'],
    progress: ['ota/device/progress'],
    ask: [],
    answer: [],
  },
  levels: 1,
  wrapped: true,
  deviceOnly: false,
  bodies: 'plain',
  style: { progressNamesModule: true },
  success: 'progress',
};

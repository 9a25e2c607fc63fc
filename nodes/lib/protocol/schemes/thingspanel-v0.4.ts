/** ThingsPanel 0.4 as it was released: `infrom` is how its topics are spelt. A push has no size. */
import type { SchemeEntry } from './entry';

export const THINGSPANEL_V04: SchemeEntry = {
  topics: {
    inform: ['ota/device/infrom'],
    upgrade: ['ota/device/infrom/{accessToken}'],
    progress: ['ota/device/progress'],
    ask: [],
    answer: [],
  },
  levels: 1,
  wrapped: true,
  deviceOnly: false,
  bodies: 'plain',
  style: { code: '200', sendSize: false },
  success: 'progress',
};

/** The documented scheme: https://thingspanel.io has it in its documentation of 2023. */
import type { SchemeEntry } from './entry';

export const THINGSPANEL: SchemeEntry = {
  topics: {
    inform: ['/ota/device/inform/{accessToken}'],
    upgrade: ['/ota/device/upgrade/{accessToken}'],
    progress: ['/ota/device/progress/{accessToken}'],
    ask: [],
    answer: [],
  },
  levels: 1,
  wrapped: false,
  deviceOnly: false,
  bodies: 'plain',
  style: {},
  success: 'progress',
};

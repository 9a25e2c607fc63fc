/**
 * Alibaba Cloud's topics: an identity of two levels, `productKey/deviceName`. A device may ask for its upgrade;
 * older SDKs ask, and hear the answer, on `/ota/device/request/…`. A 100 means "downloaded" there.
 */
import type { SchemeEntry } from './entry';

export const ALIYUN: SchemeEntry = {
  topics: {
    inform: ['/ota/device/inform/{productKey}/{deviceName}'],
    upgrade: ['/ota/device/upgrade/{productKey}/{deviceName}'],
    progress: ['/ota/device/progress/{productKey}/{deviceName}'],
    ask: [
      '/sys/{productKey}/{deviceName}/thing/ota/firmware/get',
      '/ota/device/request/{productKey}/{deviceName}',
    ],
    answer: [
      '/sys/{productKey}/{deviceName}/thing/ota/firmware/get_reply',
      '/ota/device/request/{productKey}/{deviceName}',
    ],
  },
  levels: 2,
  wrapped: false,
  deviceOnly: false,
  bodies: 'alink',
  style: {},
  success: 'version',
};

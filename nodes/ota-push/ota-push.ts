/** ota-push: sends upgrades (platform) or receives them (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { ServiceUse } from '../lib/red/service';
import { booleanSetting, choiceSetting, numberSetting, settingsOf } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { pushSide } from './push';
import { receiveSide } from './receive';

interface Config extends NodeDef {
  service?: unknown;
  side?: unknown;
  rate?: unknown;
  hold?: unknown;
  allowUnsigned?: unknown;
  expiry?: unknown;
  keepInWork?: unknown;
  maxAttempts?: unknown;
  workTimeout?: unknown;
  parallel?: unknown;
  askAtStart?: unknown;
}

/** Seconds of the longest message expiry of MQTT 5. */
const EXPIRY_LIMIT = 2 ** 32 - 1;

module.exports = (RED: NodeAPI): void => {
  function OtaPush(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const side = choiceSetting('side', config.side, ['platform', 'device']);
      const service = new ServiceUse(RED, this, config.service, status);
      if (side === 'platform') {
        pushSide(this, service, status, {
          rate: numberSetting('rate', config.rate, 0, { min: 0 }),
          allowUnsigned: booleanSetting('allowUnsigned', config.allowUnsigned, false),
          expiry: numberSetting('expiry', config.expiry, 0, { min: 0, max: EXPIRY_LIMIT }),
        });
      } else {
        receiveSide(RED, this, service, status, {
          serviceId: config.service,
          hold: booleanSetting('hold', config.hold, false),
          keepInWork: booleanSetting('keepInWork', config.keepInWork, true),
          maxAttempts: Math.floor(numberSetting('maxAttempts', config.maxAttempts, 3, { min: 1 })),
          workTimeoutMs: 1000 * numberSetting('workTimeout', config.workTimeout, 86_400, { min: 1 }),
          askAtStart: booleanSetting('askAtStart', config.askAtStart, false),
          parallel: Math.floor(numberSetting('parallel', config.parallel, Infinity, { min: 1 })),
        });
      }
      service.start();
    });
  }

  RED.nodes.registerType('ota-push', OtaPush as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

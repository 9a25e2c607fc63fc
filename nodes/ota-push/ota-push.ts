/** ota-push: sends upgrades (platform) or receives them (device). */
import path from 'node:path';
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { ServiceUse } from '../lib/red/service';
import { booleanSetting, choiceSetting, numberSetting, settingsOf } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { userFolder } from '../lib/red/user-directory';
import { pushSide } from './push';
import { receiveSide } from './receive';

interface Config extends NodeDef {
  service?: unknown;
  side?: unknown;
  rate?: unknown;
  hold?: unknown;
  allowUnsigned?: unknown;
  expiry?: unknown;
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
        receiveSide(this, service, status, {
          hold: booleanSetting('hold', config.hold, false),
          file: heldFile(RED, this.id),
        });
      }
      service.start();
    });
  }

  RED.nodes.registerType('ota-push', OtaPush as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

/** One file for each node; ids of subflow instances hold characters that a file name may not. */
function heldFile(RED: NodeAPI, id: string): string {
  const name = id.replace(/[^0-9A-Za-z-]/g, (character) => `_${character.charCodeAt(0).toString(16)}`);
  return path.join(userFolder(RED, '', 'ota/held'), `${name}.json`);
}

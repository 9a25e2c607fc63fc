/** ota-push: sends upgrades (platform) or receives them (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { ServiceUse } from '../lib/red/service';
import { settingsOf, settingsReader } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { PUSH } from '../lib/rules';
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

module.exports = (RED: NodeAPI): void => {
  function OtaPush(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const read = settingsReader(PUSH, config);
      const side = read('side');
      const service = new ServiceUse(RED, this, config.service, status);
      if (side === 'platform') {
        pushSide(this, service, status, {
          rate: read('rate'),
          allowUnsigned: read('allowUnsigned'),
          expiry: read('expiry'),
        });
      } else {
        receiveSide(RED, this, service, status, {
          serviceId: config.service,
          hold: read('hold'),
          keepInWork: read('keepInWork'),
          maxAttempts: read('maxAttempts'),
          workTimeoutMs: 1000 * read('workTimeout'),
          askAtStart: read('askAtStart'),
          parallel: read('parallel'),
        });
      }
      service.start();
    });
  }

  RED.nodes.registerType('ota-push', OtaPush as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

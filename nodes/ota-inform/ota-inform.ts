/** ota-inform: version reports, heard from every device (platform) or sent by one (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { EVERY_DEVICE, isoNow } from '../lib/protocol';
import { type Message, onClose } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { ServiceUse } from '../lib/red/service';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { shownText, Status } from '../lib/red/status';
import { reportRefused } from '../lib/red/wire-errors';
import { INFORM } from '../lib/rules';
import { informSide } from './report';

interface Config extends NodeDef {
  service?: unknown;
  side?: unknown;
  module?: unknown;
  version?: unknown;
  atStart?: unknown;
}

module.exports = (RED: NodeAPI): void => {
  function OtaInform(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const read = settingsReader(INFORM, config);
      const side = read('side');
      const service = new ServiceUse(RED, this, config.service, status);
      if (side === 'platform') hear(this, service, status);
      else {
        informSide(RED, this, service, status, {
          serviceId: config.service,
          module: textSetting(config.module),
          version: textSetting(config.version),
          atStart: read('atStart'),
        });
      }
      service.start();
    });
  }

  RED.nodes.registerType('ota-inform', OtaInform as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

/** The platform: each report is a message. */
function hear(node: Node, service: ServiceUse, status: Status): void {
  const errors = new LimitedErrors(node);
  service.listen<'inform'>(
    {
      kind: 'inform',
      accessToken: EVERY_DEVICE,
      onMessage({ topic, accessToken, message, retained }) {
        const { id, module, version, params } = message;
        const payload = {
          accessToken,
          id,
          module,
          version,
          ...(params === null ? {} : { params: { ...params } }),
          ...(retained ? { retained } : {}),
          at: isoNow(),
        };
        node.send({ topic, accessToken, payload } as Partial<Message>);
        status.success(shownText(version));
      },
      onRefused: (refused) => reportRefused(errors, refused, status),
    },
    'common.status.noReport',
  );
  onClose(node, (removed) => {
    service.close(removed);
    errors.close();
    status.close();
  });
}

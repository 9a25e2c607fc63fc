/** ota-progress: progress reports, heard from every device (platform) or sent by one (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import { EVERY_DEVICE, isoNow } from '../lib/protocol';
import { type Message, onClose } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { ServiceUse } from '../lib/red/service';
import { settingsOf, settingsReader, textSetting } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { reportRefused } from '../lib/red/wire-errors';
import { PROGRESS } from '../lib/rules';
import { reportSide, type ReportSettings } from './report';
import { showStep } from './show-step';

interface Config extends NodeDef {
  service?: unknown;
  side?: unknown;
  module?: unknown;
  minInterval?: unknown;
  minDelta?: unknown;
  maxInterval?: unknown;
  keepFinalFor?: unknown;
}

module.exports = (RED: NodeAPI): void => {
  function OtaProgress(this: Node, saved: Config): void {
    RED.nodes.createNode(this, saved);
    const status = new Status(this);
    setup(this, status, () => {
      const config = settingsOf(RED, this, saved);
      const side = settingsReader(PROGRESS, config)('side');
      const service = new ServiceUse(RED, this, config.service, status);
      if (side === 'platform') hear(this, service, status);
      else reportSide(RED, this, service, status, reportSettings(config));
      service.start();
    });
  }

  RED.nodes.registerType('ota-progress', OtaProgress as never, {
    credentials: { accessToken: { type: 'password' } },
  });
};

/** The platform: each report is a message. */
function hear(node: Node, service: ServiceUse, status: Status): void {
  const errors = new LimitedErrors(node);
  service.listen<'progress'>(
    {
      kind: 'progress',
      accessToken: EVERY_DEVICE,
      onMessage({ topic, accessToken, message }) {
        const at = isoNow();
        const { module, step, status: state, failure, desc } = message;
        const payload = { accessToken, module, step, status: state, failure, desc, at };
        node.send({ topic, accessToken, payload } as Partial<Message>);
        showStep(status, step);
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

function reportSettings(config: Config): ReportSettings {
  const read = settingsReader(PROGRESS, config);
  return {
    serviceId: config.service,
    module: textSetting(config.module).trim(),
    intervals: {
      minInterval: 1000 * read('minInterval'),
      minDelta: read('minDelta'),
      maxInterval: 1000 * read('maxInterval'),
    },
    keepFinalMs: 1000 * read('keepFinalFor'),
  };
}

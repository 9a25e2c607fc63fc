/** ota-inform: version reports, heard from every device (platform) or sent by one (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import {
  DEFAULT_MODULE,
  EVERY_DEVICE,
  field,
  isObject,
  type JsonObject,
  isoNow,
  OtaError,
  toOtaError,
} from '../lib/protocol';
import { ownToken, tokenToSend } from '../lib/red/device';
import { derive, type Message, onClose, onInput, type Send } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { ServiceUse, statusOf } from '../lib/red/service';
import { booleanSetting, choiceSetting, textSetting, settingsOf } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { shownText, Status } from '../lib/red/status';
import { reportRefused } from '../lib/red/wire-errors';

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
      const side = choiceSetting('side', config.side, ['platform', 'device']);
      const service = new ServiceUse(RED, this, config.service, status);
      if (side === 'platform') hear(this, service, status);
      else report(this, service, status, config);
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
      onRefused: (refused) => reportRefused(errors, refused),
    },
    'common.status.noReport',
  );
  onClose(node, (removed) => {
    service.close(removed);
    errors.close();
    status.close();
  });
}

/** The device: reports on a message and, where it is wanted, once when the flow starts. */
function report(node: Node, service: ServiceUse, status: Status, config: Config): void {
  const own = ownToken(node);
  const settings = { module: textSetting(config.module), version: textSetting(config.version) };
  const atStart = booleanSetting('atStart', config.atStart, false);

  const send = async (msg: Partial<Message>, out: Send, timeoutMs?: number): Promise<void> => {
    try {
      await sendReport(msg, out, timeoutMs);
    } catch (error) {
      status.failure(statusOf(toOtaError(error)));
      throw error;
    }
  };
  const sendReport = async (msg: Partial<Message>, out: Send, timeoutMs?: number): Promise<void> => {
    const accessToken = tokenToSend(msg, own, service.identity);
    const { version, module } = readInput(msg.payload, settings);
    const id = service.channel().scheme.nextId(accessToken);
    status.going('common.status.sending');
    const options = timeoutMs === undefined ? {} : { timeoutMs };
    const { delivery, error, topic } = await service.sendAsync(
      'inform',
      accessToken,
      { id, module, version },
      options,
    );
    if (error !== null && delivery !== 'offline') throw error;
    const at = isoNow();
    const payload = { accessToken, id, module, version, delivery, at };
    out(derive(msg, { topic, accessToken, payload } as Partial<Message>));
    if (error === null) status.success(shownText(version));
    else status.failure('common.status.offline');
  };

  onInput(node, (msg, out) => send(msg, out));
  onClose(node, (removed) => {
    service.close(removed);
    status.close();
  });
  if (atStart && service.problem === null) {
    // No time limit: the broker may come later than the gateway, and nobody else would report again.
    setImmediate(() => {
      send({}, (msg) => node.send(msg as Partial<Message>), 0).catch((error: unknown) => {
        if (!(error instanceof OtaError && error.code === 'OTA_CLOSED')) node.error(error, {} as never);
      });
    });
  }
}

/** A version, `{version, module}`, or blank: what is absent comes from the node's settings. */
function readInput(
  payload: unknown,
  settings: { version: string; module: string },
): { version: string; module: string } {
  // A Buffer is no object with fields: a file node's output must not be taken for "use the settings".
  const given: JsonObject = isObject(payload) && !Buffer.isBuffer(payload) ? payload : { version: payload };
  const version = textField(field(given, 'version'), settings.version, 'version');
  const module = textField(field(given, 'module'), settings.module, 'module') || DEFAULT_MODULE;
  if (version === '') {
    throw new OtaError(
      'OTA_BAD_INPUT',
      'No version to report: set msg.payload to it, or type it into the node.',
    );
  }
  return { version, module };
}

function textField(value: unknown, byDefault: string, name: string): string {
  if (value === undefined || value === null || (typeof value === 'string' && value.trim() === '')) {
    return byDefault;
  }
  // A number is refused on purpose: 1.10 would be reported as 1.1.
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_INPUT', `The ${name} to report must be text, not ${typeof value}.`);
  }
  return value;
}

/** ota-progress: progress reports, heard from every device (platform) or sent by one (device). */
import type { Node, NodeAPI, NodeDef } from 'node-red';
import {
  checkStep,
  cutDesc,
  EVERY_DEVICE,
  field,
  isObject,
  isoNow,
  OtaError,
  stepStatus,
} from '../lib/protocol';
import { ownToken, tokenToSend } from '../lib/red/device';
import { derive, type Message, onClose, onInput } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { ServiceUse, statusOf } from '../lib/red/service';
import { choiceSetting, numberSetting, textSetting, settingsOf } from '../lib/red/settings';
import { setup } from '../lib/red/setup';
import { Status } from '../lib/red/status';
import { reportRefused } from '../lib/red/wire-errors';
import { Pacer } from './pacer';

interface Config extends NodeDef {
  service?: unknown;
  side?: unknown;
  module?: unknown;
  minInterval?: unknown;
  minDelta?: unknown;
  maxInterval?: unknown;
}

interface Report {
  readonly step: number;
  readonly desc: string;
  readonly module: string | null;
}

const FLUSH_MS = 800;

module.exports = (RED: NodeAPI): void => {
  function OtaProgress(this: Node, saved: Config): void {
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
        show(status, step);
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

/** A failure stays in sight until the next upgrade has succeeded, on both sides. */
function show(status: Status, step: number): void {
  const { status: state, failure } = stepStatus(step);
  if (state === 'failed') status.failure(`ota-progress.status.${failure ?? 'upgrade'}`);
  else if (state === 'succeeded') status.success('100 %');
  else status.going(`${step} %`);
}

/** The device: reports go out merged, the first, 100 and failures at once. */
function report(node: Node, service: ServiceUse, status: Status, config: Config): void {
  const own = ownToken(node);
  const settings = { module: textSetting(config.module) };
  const pacer = new Pacer({
    minInterval: 1000 * numberSetting('minInterval', config.minInterval, 1, { min: 0 }),
    minDelta: numberSetting('minDelta', config.minDelta, 5, { min: 0, max: 100 }),
    maxInterval: 1000 * numberSetting('maxInterval', config.maxInterval, 60, { min: 0 }),
  });

  onInput(node, async (msg, out) => {
    const accessToken = tokenToSend(msg, own, service.identity);
    const { step, desc, module } = readInput(msg.payload, settings);
    service.channel();
    await pacer.hand(JSON.stringify([accessToken, module]), { step, desc }, async () => {
      const { delivery, error, topic } = await service.sendAsync('progress', accessToken, {
        step,
        desc,
        module,
      });
      if (error !== null && delivery !== 'offline') {
        status.failure(statusOf(error));
        throw error;
      }
      const at = isoNow();
      const payload = { accessToken, module, step, desc: cutDesc(desc), delivery, at };
      out(derive(msg, { topic, accessToken, payload } as Partial<Message>));
      if (error === null) show(status, step);
      else status.failure('common.status.offline');
    });
  });

  onClose(node, async (removed) => {
    // What waits for its interval goes out now; a broker that doesn't answer can't hold the close up.
    await Promise.race([pacer.flush(), after(FLUSH_MS)]);
    pacer.close();
    service.close(removed);
    status.close();
  });
}

/** A step, or `{step, desc, module}`; a step of 0 is sent as 1. @throws OtaError OTA_BAD_INPUT, OTA_BAD_STEP */
function readInput(payload: unknown, settings: { module: string }): Report {
  const given = isObject(payload) ? payload : { step: payload };
  const step = checkStep(field(given, 'step'));
  const desc = textField(field(given, 'desc'), 'desc');
  const module = textField(field(given, 'module'), 'module') || settings.module;
  return { step: step === 0 ? 1 : step, desc, module: module === '' ? null : module };
}

function textField(value: unknown, name: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_INPUT', `"${name}" must be text, not ${typeof value}.`);
  }
  return value;
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/** The platform side of ota-push: checks an upgrade, sends it, and tells what became of it for each device. */
import type { Node } from 'node-red';
import { type PublishOptions, QUEUE_LIMIT } from '../lib/link';
import {
  type Delivery,
  isoNow,
  OtaError,
  type Outcome,
  type PreparedUpgrade,
  type Scheme,
  toOtaError,
  type UpgradeOut,
} from '../lib/protocol';
import { type Message, onClose, onInput, type Send } from '../lib/red/input';
import { failureIn, type ServiceUse } from '../lib/red/service';
import { shownText, type Status } from '../lib/red/status';
import { isBlankToken } from '../lib/rules';
import { Pump } from './pump';

/** An array waits for a connection for so long; then the rest of it is told as not connected at once. */
const CONNECT_LIMIT_MS = 30_000;

interface Push {
  readonly node: Node;
  readonly service: ServiceUse;
  readonly msg: Partial<Message>;
  /** The message's fields that each device's message has too. */
  readonly rest: Partial<Message>;
  readonly send: Send;
  readonly upgrade: UpgradeOut;
  readonly prepared: PreparedUpgrade;
  readonly options: PublishOptions;
  /** A single device waits its own time for a connection; an array has waited for it as a whole. */
  readonly waits: boolean;
}

export function pushSide(
  node: Node,
  service: ServiceUse,
  status: Status,
  settings: { rate: number; allowUnsigned: boolean; expiry: number },
): void {
  const window = service.problem === null ? service.channel().window : 1;
  // As many again as the window wait in the queue, so that an acknowledgement finds the next one ready. The
  // broker may allow a smaller window: what waits then must leave room in the queue for others.
  const pump = new Pump({ window: Math.min(2 * window, QUEUE_LIMIT / 5), rate: settings.rate });

  onInput(
    node,
    async (msg, send) => {
      const { scheme } = service.channel();
      const upgrade = scheme.check(msg.payload, settings.allowUnsigned);
      const prepared = scheme.prepare(upgrade);
      const target: unknown = (msg as { accessToken?: unknown }).accessToken;
      if (target === undefined || target === null || isBlankToken(target)) throw missingToken();
      const rest = withoutOwn(msg);
      const waits = !Array.isArray(target);
      const options = { expiry: settings.expiry };
      const push: Push = { node, service, msg, rest, send, upgrade, prepared, options, waits };
      if (Array.isArray(target)) await pushAll(pump, status, push, target);
      else await pushSingle(status, push, target);
    },
    failureIn(status),
  );

  onClose(node, (removed) => {
    pump.close();
    service.close(removed);
    status.close();
  });
}

async function pushSingle(status: Status, push: Push, token: unknown): Promise<void> {
  const version = shownText(push.upgrade.version);
  status.going(version);
  const { delivery, error } = await new Promise<Outcome>((resolve) => pushOne(push, token, resolve));
  if (error === null) status.success(version);
  else status.failure(`common.status.${delivery}`);
}

async function pushAll(pump: Pump, status: Status, push: Push, tokens: readonly unknown[]): Promise<void> {
  if (pump.full) {
    throw new OtaError(
      'OTA_QUEUE_FULL',
      'As many arrays wait as this node takes; nothing of this one was sent. Wait for the running ones.',
    );
  }
  let total = tokens.length;
  let through = 0;
  let failure: Delivery | null = null as Delivery | null;
  const { devices, left } = await pump.run({
    tokens,
    push: (token, done) => {
      pushOne(push, token, (outcome) => {
        through += 1;
        if (outcome.error !== null) failure = outcome.delivery;
        status.going(`${through}/${total}`);
        done();
      });
    },
    repeated: () => (total -= 1),
  });
  if (left > 0) {
    throw new OtaError(
      'OTA_CLOSED',
      `The node was stopped: ${left} of ${devices} devices were not pushed. Send the message again for them.`,
    );
  }
  if (failure === null) status.success(`${through}/${devices}`);
  else status.failure(`common.status.${failure}`);
}

/** One device; `settled` is called once, later, whatever becomes of it. */
function pushOne(push: Push, token: unknown, settled: (outcome: Outcome) => void): void {
  const { node, service } = push;
  const finish = (outcome: Outcome, id: string | null, topic: string): void => {
    try {
      tell(push, token, id, topic, outcome);
    } catch (error) {
      node.error(toOtaError(error), push.msg);
    }
    settled(outcome);
  };
  const { downSince, scheme } = service.channel();
  if (isBlankToken(token) || !scheme.identity.is(token)) {
    queueMicrotask(() => finish({ delivery: 'refused', error: badToken(token, scheme) }, null, ''));
    return;
  }
  const id = scheme.pushId(token);
  const down = downSince !== null && performance.now() - downSince > CONNECT_LIMIT_MS;
  if (down && !push.waits) {
    const topic = scheme.topicIfAny('upgrade', token);
    queueMicrotask(() => finish({ delivery: 'timeout', error: notConnected() }, id, topic));
    return;
  }
  const message = { id, upgrade: push.prepared };
  service.send('upgrade', token, message, (outcome, topic) => finish(outcome, id, topic), push.options);
}

/** Output 1: delivered; output 2: not, with the code and the reason. */
function tell(push: Push, token: unknown, id: string | null, topic: string, outcome: Outcome): void {
  const { delivery, error } = outcome;
  const { module, version } = push.upgrade;
  const at = isoNow();
  const payload =
    error === null
      ? { accessToken: token, id, module, version, delivery, at }
      : { accessToken: token, id, module, version, delivery, code: error.code, reason: error.message, at };
  // As `derive` would make it, but the fields first: V8 takes fifty times as long for one added behind a spread.
  const out = { topic, accessToken: token, payload, ...push.rest } as Partial<Message>;
  push.send(error === null ? [out, null] : [null, out]);
}

/** A message without what is another for each device. */
function withoutOwn(msg: Partial<Message>): Partial<Message> {
  const rest: Record<string, unknown> = { ...msg };
  for (const own of ['topic', 'accessToken', 'payload']) delete rest[own];
  // Once more: an object that something was deleted from is a slow one.
  return { ...rest };
}

function missingToken(): OtaError {
  return new OtaError(
    'OTA_BAD_TOKEN',
    'No access token: set msg.accessToken to the token of the device, or to an array of them.',
  );
}

function badToken(token: unknown, scheme: Scheme): OtaError {
  try {
    scheme.identity.check(isBlankToken(token) ? '' : token);
  } catch (error) {
    return toOtaError(error);
  }
  return new OtaError('OTA_BAD_TOKEN', 'This access token can not be used.');
}

function notConnected(): OtaError {
  return new OtaError('OTA_NOT_CONNECTED', 'Not connected to the broker in time; the message was not sent.');
}

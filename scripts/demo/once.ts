/** The whole upgrade without a person: presses the two buttons and tells each step as it goes over the wire. */
import { setTimeout as sleep } from 'node:timers/promises';
import { maskToken, type WireMessage } from '../../nodes/lib/protocol';
import type { WatchedBroker } from './broker';
import { injectNode } from './flow';
import type { DemoNodeRed } from './node-red';

const LIMIT_MS = 60_000;
const OLD = 'v1.0';
const NEW = 'v1.1';

/** Resolves when the device has reported the new version. @throws Error with the reason where it never does */
export async function upgradeOnce(
  red: DemoNodeRed,
  broker: WatchedBroker,
  say: (line: string) => void,
): Promise<void> {
  const messages = queueOf(broker);
  const limit = sleep(LIMIT_MS, null, { ref: false });
  const next = async (): Promise<WireMessage> => {
    const ended = red.ended.then((code) => `Node-RED ended with ${String(code)}`);
    const got = await Promise.race([messages(), limit, ended]);
    if (got === null) throw new Error(`nothing more came within ${LIMIT_MS / 1000} seconds`);
    if (typeof got === 'string') throw new Error(got);
    say(describe(got));
    return got;
  };

  await red.inject(await injectNode('1.'));
  const first = await next();
  if (first.kind !== 'inform' || first.message.version !== OLD)
    throw new Error('the first message is no report of v1.0');
  await red.inject(await injectNode('2.'));
  let succeeded = false;
  for (;;) {
    const { kind, message } = await next();
    if (kind === 'progress') {
      if (message.status === 'failed') throw new Error(`the device failed: ${message.desc}`);
      succeeded ||= message.status === 'succeeded';
    }
    if (kind === 'inform' && message.version === NEW) {
      if (!succeeded) throw new Error('the new version came without a report of 100 %');
      return;
    }
  }
}

/** Messages one by one, none lost between two calls. */
function queueOf(broker: WatchedBroker): () => Promise<WireMessage> {
  const come: WireMessage[] = [];
  let wake: (() => void) | null = null;
  broker.watch((message) => {
    come.push(message);
    wake?.();
  });
  return async () => {
    for (;;) {
      const message = come.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
}

function describe({ kind, accessToken, message }: WireMessage): string {
  const device = `device ${maskToken(accessToken)}`;
  switch (kind) {
    case 'inform':
      return `${device} reports version ${message.version} of module ${message.module}`;
    case 'upgrade':
      return `the platform pushes ${message.version} to ${device}: ${message.size ?? '?'} bytes, ${message.url ?? ''}`;
    case 'progress':
      return `${device} reports step ${message.step} (${message.status})${message.desc === '' ? '' : `: ${message.desc}`}`;
    default:
      return `${device} asks for its upgrade`;
  }
}

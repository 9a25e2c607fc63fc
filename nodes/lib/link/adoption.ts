/**
 * Takes over the MQTT session of an instance that is gone: connects with its client id, unsubscribes, hands on what
 * the broker had kept for it, and ends it. Owns when a session is through: a message that was sent to the session
 * itself came back, for it stands behind all that was kept, and then for two seconds nothing came, with all that had
 * come committed on the same connection.
 */
import type { IPublishPacket } from 'mqtt';
import { type Batch, OtaError } from '../protocol';
import type { Taken } from './inbox';
import { Link, type LinkOptions } from './link';
import { ownTopic } from './own-topic';

export interface AdoptionOptions extends Pick<LinkOptions, 'url' | 'mqtt' | 'window' | 'onFault'> {
  readonly clientId: string;
  /** What the session may be subscribed to. */
  readonly filters: readonly string[];
  readonly handle: (link: Link, packet: IPublishPacket, batch: Batch) => Taken;
  /** A session that gave nothing for so many milliseconds, and isn't through, is left. Default: a minute. */
  readonly limitMs?: number;
}

/** `absent`: the broker had no such session (any more), and with it what it had kept. */
export type Adopted = 'drained' | 'absent';

const QUIET_MS = 2000;
const LOOK_MS = 100;
const LIMIT_MS = 60_000;

/** @throws OtaError why the session can't be taken over */
export async function adoptSession(options: AdoptionOptions): Promise<Adopted> {
  const { clientId, filters, handle } = options;
  const topic = ownTopic(clientId);
  let isPresent: boolean | null = null;
  let isBack = false;
  let lastReport = performance.now();
  let lastHeard = -Infinity;
  const link: Link = new Link({
    ...options,
    clientId,
    persistent: true,
    handle(packet, batch) {
      if (packet.topic === topic) {
        isBack = true;
        return 'taken';
      }
      lastReport = lastHeard = performance.now();
      return handle(link, packet, batch);
    },
    onConnected(sessionPresent) {
      // A later connection finds the session that the first one has made.
      isPresent ??= sessionPresent;
      // What wasn't acknowledged on the one before comes again, and another own message behind it.
      isBack = false;
    },
    onFilter(filter, state) {
      if (filter !== topic) return;
      if (state === 'granted') link.publish(topic, '', () => undefined);
      // The broker doesn't let it: silence alone has to do.
      if (state === 'refused') isBack = true;
    },
    onState({ phase }) {
      if (phase === 'connected') lastReport = performance.now();
    },
  });
  link.subscriptions.endAtConnection(filters);
  link.subscriptions.want(topic);
  link.start();
  try {
    return await outcome(link, {
      isAbsent: () => isPresent === false,
      isBack: () => isBack,
      lastReport: () => lastReport,
      lastHeard: () => lastHeard,
      limitMs: options.limitMs ?? LIMIT_MS,
    });
  } finally {
    await link.end({ endSession: link.state.phase === 'connected' });
  }
}

interface Judge {
  readonly isAbsent: () => boolean;
  /** The own message came back on this connection, or the broker refuses it. */
  readonly isBack: () => boolean;
  /** When the last message, or the connection, came. */
  readonly lastReport: () => number;
  /** When the last of what was kept came. */
  readonly lastHeard: () => number;
  readonly limitMs: number;
}

async function outcome(
  link: Link,
  { isAbsent, isBack, lastReport, lastHeard, limitMs }: Judge,
): Promise<Adopted> {
  // A broker that waits for PUBACKs is as silent as one that has nothing more.
  let lastCommitting = performance.now();
  let error: OtaError | null = null;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    error = link.state.error ?? error;
    if (isAbsent()) return 'absent';
    const now = performance.now();
    if (link.inbox.isCommitting) lastCommitting = now;
    const isQuiet = !link.inbox.isHeld && now - Math.max(lastReport(), lastCommitting) >= QUIET_MS;
    // Where a commit had failed there would be no connection, or a new one that everything begins anew with.
    if (link.state.phase === 'connected' && isBack() && isQuiet) return 'drained';
    // What is kept may be much: as long as it comes, nothing of it is given up.
    if (now - Math.max(lastHeard(), lastCommitting) < limitMs) continue;
    if (link.inbox.isHeld) throw notHandedOn();
    if (link.state.phase === 'connected') return 'drained';
    throw error ?? new Error('the broker did not answer');
  }
}

function notHandedOn(): OtaError {
  return new OtaError('OTA_COMMIT_FAILED', 'What the broker had kept for it could not be handed on.');
}

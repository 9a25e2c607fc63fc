/**
 * Takes over the MQTT session of an instance that is gone: connects with its client id, unsubscribes, hands on what
 * the broker had kept for it, and ends it. Owns when a session is through: a message that was sent to the session
 * itself came back, for it stands behind all that was kept, and then nothing came for two seconds.
 */
import type { IPublishPacket } from 'mqtt';
import type { Batch, OtaError } from '../protocol';
import type { Taken } from './inbox';
import { Link, type LinkOptions } from './link';

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

/** The topic of a session's own messages. */
function ownTopic(clientId: string): string {
  return `node-red-ota/session/${clientId}`;
}

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
      isThrough: () => isBack && performance.now() - lastReport >= QUIET_MS,
      lastHeard: () => lastHeard,
      limitMs: options.limitMs ?? LIMIT_MS,
    });
  } finally {
    await link.end({ endSession: link.state.phase === 'connected' });
  }
}

interface Judge {
  readonly isAbsent: () => boolean;
  readonly isThrough: () => boolean;
  /** When the last of what was kept came. */
  readonly lastHeard: () => number;
  readonly limitMs: number;
}

async function outcome(link: Link, { isAbsent, isThrough, lastHeard, limitMs }: Judge): Promise<Adopted> {
  const begun = performance.now();
  let error: OtaError | null = null;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    error = link.state.error ?? error;
    if (isAbsent()) return 'absent';
    if (link.state.phase === 'connected' && isThrough()) {
      await link.inbox.idle();
      return 'drained';
    }
    // What is kept may be much: as long as it comes, nothing of it is given up.
    if (performance.now() - Math.max(begun, lastHeard()) < limitMs) continue;
    if (link.state.phase === 'connected') return 'drained';
    throw error ?? new Error('the broker did not answer');
  }
}

/**
 * Takes over the MQTT session of an instance that is gone: connects with its client id, unsubscribes, hands on what
 * the broker had kept for it, and ends it. Owns when a session is through: a message that was sent to the session
 * itself came back, for it stands behind all that was kept, and then for two seconds nothing came, with all that had
 * come committed on the same connection. Where the broker lets no such message through, silence has to do. A session
 * that may be somebody else's by now is left as it is, never ended.
 */
import { randomUUID } from 'node:crypto';
import type { IPublishPacket } from 'mqtt';
import { type Batch, type Outcome, OtaError } from '../protocol';
import type { Taken } from './inbox';
import { Link, type LinkOptions } from './link';
import { OWN_MESSAGE_MS, ownTopic } from './own-topic';

export interface AdoptionOptions extends Pick<LinkOptions, 'url' | 'mqtt' | 'window' | 'onFault'> {
  readonly clientId: string;
  /** What the session may be subscribed to. */
  readonly filters: readonly string[];
  readonly handle: (link: Link, packet: IPublishPacket, batch: Batch) => Taken;
  /**
   * False while somebody else may have taken the session over: it is neither connected to nor ended then.
   * @param lostAt see `LinkOptions.mayConnect`
   */
  readonly isOurs: (lostAt: number) => boolean;
  /** True once the session is to be left to somebody else; looked at ten times a second. */
  readonly isOver: () => boolean;
  /** A session that gave nothing for so many milliseconds, and isn't through, is given up. Default: a minute. */
  readonly limitMs?: number;
}

/**
 * `absent`: the broker had no such session (any more), and with it what it had kept. `left`: it is over here, and the
 * broker keeps the session for whoever takes it over.
 */
export type Adopted = 'drained' | 'absent' | 'left';

const QUIET_MS = 2000;
const LOOK_MS = 100;
const LIMIT_MS = 60_000;

/** What was heard in the session, in milliseconds of performance.now(). */
interface Progress {
  /** null: not connected yet. */
  isPresent: boolean | null;
  /** The own message came back on this connection. */
  isBack: boolean;
  /** It never will: the broker says so. */
  isRefused: boolean;
  /** Since when the broker has it, or goes on with it on this connection; null: it hasn't. */
  keptAt: number | null;
  /** When the last message, or the connection, came. */
  lastReport: number;
  /** When the last of what was kept came. */
  lastHeard: number;
}

/**
 * Resolves when nothing of it is under way any more, commits included.
 * @throws OtaError why the session can't be taken over
 */
export async function adoptSession(options: AdoptionOptions): Promise<Adopted> {
  const { clientId, filters, handle, isOver, isOurs } = options;
  const topic = ownTopic(clientId);
  const seen: Progress = {
    isPresent: null,
    isBack: false,
    isRefused: false,
    keptAt: null,
    lastReport: performance.now(),
    lastHeard: -Infinity,
  };
  const published = ({ delivery }: Outcome): void => {
    // MQTT 3.1.1 says no more than that the broker has it.
    if (delivery === 'accepted' || delivery === 'unknown') seen.keptAt = performance.now();
    else if (delivery === 'refused' || delivery === 'offline') seen.isRefused = true;
  };
  /** The text of the own message: one of whoever had the session before may come, with more behind it. */
  let own = '';
  const link: Link = new Link({
    ...options,
    // What is left to somebody else is refused by its row: that is meant.
    onFault: (error) => {
      if (!isOver()) options.onFault(error);
    },
    clientId,
    persistent: true,
    watchful: () => true,
    mayConnect: (lostAt) => !isOver() && isOurs(lostAt),
    handle(packet, batch) {
      if (isOver()) return 'hold';
      if (packet.topic === topic) {
        seen.isBack ||= own !== '' && packet.payload.toString() === own;
        return 'taken';
      }
      seen.lastReport = seen.lastHeard = performance.now();
      return handle(link, packet, batch);
    },
    onConnected(sessionPresent) {
      // A later connection finds the session that the first one has made.
      seen.isPresent ??= sessionPresent;
      // An own message that came back, or that the broker never acknowledged, says nothing of this connection: another
      // one is sent. One that it acknowledged, and that hasn't come, still stands in the queue: Mosquitto 2.0.11, which
      // ends the connection where access rules forbid such a message, gets no second one.
      seen.keptAt = seen.isBack || seen.keptAt === null ? null : performance.now();
      seen.isBack = false;
    },
    onFilter(filter, state) {
      if (filter !== topic) return;
      if (state === 'refused') seen.isRefused = true;
      const isDue = state === 'granted' && !seen.isRefused && seen.keptAt === null;
      if (!isDue) return;
      own = randomUUID();
      link.publish(topic, own, published);
    },
    onState({ phase }) {
      if (phase === 'connected') seen.lastReport = performance.now();
    },
  });
  link.subscriptions.endAtConnection(filters);
  link.subscriptions.want(topic);
  link.start();
  const mayEnd = (): boolean => !isOver() && isOurs(-Infinity);
  try {
    const adopted = await outcome(link, seen, options);
    return mayEnd() ? adopted : 'left';
  } finally {
    await link.end({ endSession: mayEnd() && link.state.phase === 'connected' });
    // What is still under way is of this life of the instance.
    await link.inbox.idle();
  }
}

async function outcome(
  link: Link,
  seen: Readonly<Progress>,
  { isOver, limitMs = LIMIT_MS }: AdoptionOptions,
): Promise<Adopted> {
  // A broker that waits for PUBACKs is as silent as one that has nothing more.
  let lastCommitting = performance.now();
  let error: OtaError | null = null;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    if (isOver()) return 'left';
    error = link.state.error ?? error;
    if (seen.isPresent === false) return 'absent';
    const now = performance.now();
    if (link.inbox.isCommitting) lastCommitting = now;
    const silent = link.inbox.isHeld ? 0 : now - Math.max(seen.lastReport, lastCommitting);
    const isBack = seen.isBack || seen.isRefused || isDropped(seen, silent, now);
    // Where a commit had failed there would be no connection, or a new one that everything begins anew with.
    if (link.state.phase === 'connected' && link.isAnswered && isBack && silent >= QUIET_MS) return 'drained';
    // What is kept may be much: as long as it comes, nothing of it is given up.
    if (now - Math.max(seen.lastHeard, lastCommitting) < limitMs) continue;
    if (link.inbox.isHeld) throw notHandedOn();
    if (link.state.phase === 'connected') return 'drained';
    throw error ?? new Error('the broker did not answer');
  }
}

/** Access rules of the broker that drop the own message without a word. */
function isDropped({ keptAt }: Readonly<Progress>, silent: number, now: number): boolean {
  return keptAt !== null && Math.min(silent, now - keptAt) >= OWN_MESSAGE_MS;
}

function notHandedOn(): OtaError {
  return new OtaError('OTA_COMMIT_FAILED', 'What the broker had kept for it could not be handed on.');
}

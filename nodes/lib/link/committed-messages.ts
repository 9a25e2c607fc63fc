/**
 * The messages that were committed last on a session. The broker sends again what it got no PUBACK for: one that was
 * lost with its connection makes it send what was committed long ago, and a device's old word would be taken for an
 * answer to something that it was asked since. Owns which messages are known; acknowledges and decides nothing.
 */
import { createHash } from 'node:crypto';
import type { IPublishPacket } from 'mqtt';

/** More than a broker has under way without a PUBACK, by any usual setting. */
const LIMIT = 2000;
/** Longer ones are kept as their digest. */
const MAX_KEPT = 256;

export class CommittedMessages {
  /** By the packet id that the broker gave; the oldest first. */
  readonly #byId = new Map<number, string>();

  /** What tells one message from another; null for one that is never sent again. */
  static keyOf({ qos, topic, payload }: IPublishPacket): string | null {
    if (qos !== 1) return null;
    const body = typeof payload === 'string' ? payload : payload.toString('latin1');
    const kept = body.length > MAX_KEPT ? createHash('sha256').update(body).digest('hex') : body;
    return `${topic}\0${kept}`;
  }

  add(id: number, key: string): void {
    this.#byId.delete(id);
    this.#byId.set(id, key);
    if (this.#byId.size > LIMIT) this.#byId.delete(this.#byId.keys().next().value ?? id);
  }

  /** True for a message that the broker sends again and that was committed before. */
  has({ dup, messageId }: IPublishPacket, key: string | null): boolean {
    return dup && key !== null && messageId !== undefined && this.#byId.get(messageId) === key;
  }

  /** The broker has a new session: it gives ids anew. */
  clear(): void {
    this.#byId.clear();
  }
}

/**
 * Knows when the broker is through with what it had kept for a session: a new session has nothing, and behind what a
 * resumed one has comes a message that was sent to the session itself. Silence says little in a fleet that is never
 * quiet. Never hands anything on.
 */
import { randomUUID } from 'node:crypto';
import type { IPublishPacket } from 'mqtt';
import type { Batch, Kept, Outcome } from '../protocol';
import type { Link } from './link';
import { OWN_MESSAGE_MS, ownTopic } from './own-topic';
import type { FilterState } from './subscriptions';

export interface KeptMessagesOptions {
  readonly clientId: string;
  /** At each change; `unknown` where the broker lets no message to the session itself through. */
  readonly onKept: (kept: Kept) => void;
}

/**
 * Mosquitto 2.0.11 ends the connection for a message that access rules forbid; in MQTT 3.1.1 nothing else tells. After
 * so many that were acknowledged, and didn't come before the connection went, none is sent any more.
 */
const LOST_LIMIT = 2;

export class KeptMessages {
  readonly #options: KeptMessagesOptions;
  readonly #topic: string;
  #link: Link | null = null;
  #kept: Kept = 'reading';
  /** The text of this connection's own message: one of the connection before may come, with more behind it. */
  #sent = '';
  /** The broker has acknowledged it. */
  #isAcknowledged = false;
  #lost = 0;
  #patience: NodeJS.Timeout | null = null;

  constructor(options: KeptMessagesOptions) {
    this.#options = options;
    this.#topic = ownTopic(options.clientId);
  }

  get kept(): Kept {
    return this.#kept;
  }

  /** The link of the session, before it starts. */
  attach(link: Link): void {
    this.#link = link;
    link.subscriptions.want(this.#topic);
  }

  /** A connection came up. */
  connected(sessionPresent: boolean): void {
    this.#stopWaiting();
    this.#sent = '';
    this.#set(!sessionPresent ? 'read' : this.#lost < LOST_LIMIT ? 'reading' : 'unknown');
  }

  /** The connection is gone, or the link ends. */
  disconnected(): void {
    this.#stopWaiting();
    if (this.#isAcknowledged && this.#kept === 'reading') this.#lost += 1;
    this.#isAcknowledged = false;
    this.#sent = '';
  }

  /** The broker's answer to a filter. False for filters of others. */
  answered(filter: string, state: FilterState): boolean {
    if (filter !== this.#topic) return false;
    if (this.#kept !== 'reading') return true;
    if (state === 'refused') this.#set('unknown');
    if (state === 'granted') {
      const sent = randomUUID();
      this.#sent = sent;
      this.#isAcknowledged = false;
      this.#link?.publish(this.#topic, sent, (outcome) => this.#published(sent, outcome));
    }
    return true;
  }

  /** A message that came in. False for what others sent. */
  take({ topic, payload }: IPublishPacket, batch: Batch): boolean {
    // As long as something comes, the own message may stand behind it.
    this.#patience?.refresh();
    if (topic !== this.#topic) return false;
    const sent = payload.toString();
    if (sent === '' || sent !== this.#sent) return true;
    batch.join({
      commit: () => undefined,
      committed: () => {
        if (sent !== this.#sent) return;
        this.#lost = 0;
        this.#set('read');
      },
    });
    return true;
  }

  #published(sent: string, { delivery }: Outcome): void {
    if (sent !== this.#sent || this.#kept !== 'reading') return;
    if (delivery === 'refused') this.#lost = LOST_LIMIT;
    if (delivery !== 'accepted' && delivery !== 'unknown') this.#set('unknown');
    else {
      this.#isAcknowledged = true;
      this.#stopWaiting();
      this.#patience = setTimeout(() => this.#set('unknown'), OWN_MESSAGE_MS);
    }
  }

  #set(kept: Kept): void {
    this.#stopWaiting();
    if (kept === this.#kept) return;
    this.#kept = kept;
    this.#options.onKept(kept);
  }

  #stopWaiting(): void {
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#patience = null;
  }
}

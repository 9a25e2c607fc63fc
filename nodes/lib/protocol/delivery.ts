/** What a connection and those who use it tell each other: the outcome of a publish, and when to acknowledge. */
import type { OtaError } from './errors';

/**
 * What became of a publish. `accepted`: MQTT 5, a subscription matched; `unknown`: acknowledged by a broker
 * that can't tell; `offline`: MQTT 5, nobody subscribes; `refused`: by the broker, or before it was sent;
 * `timeout`: no answer in time, or never sent (see the error).
 */
export type Delivery = 'accepted' | 'unknown' | 'offline' | 'refused' | 'timeout';

export interface Outcome {
  readonly delivery: Delivery;
  /** null where the broker took it and somebody may have it. */
  readonly error: OtaError | null;
}

/** Something that must be written before a batch of messages is acknowledged. */
export interface Committer {
  /** Called once for each batch it joined. Throws or rejects where nothing may be acknowledged. */
  commit(): void | Promise<void>;
  /** Called once all of the batch is committed. */
  committed?(): void;
}

/** The messages that are acknowledged together. */
export interface Batch {
  /** Joins once, however often it is called for this batch. True the first time. */
  join(committer: Committer): boolean;
}

/**
 * What is known of the messages that the broker had kept while nobody was connected. `reading`: more may come; `read`:
 * all of them are committed; `unknown`: only silence tells.
 */
export type Kept = 'reading' | 'read' | 'unknown';

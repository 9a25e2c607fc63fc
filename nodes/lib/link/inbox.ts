/**
 * What comes in: hands each message on, and sends the PUBACKs of a batch only after what it caused was
 * committed. mqtt.js takes the next packet, and sends no PUBACK, once `handleMessage` calls back with an error;
 * the PUBACKs are written here, those of a batch in their order as one buffer. Nothing else that goes out waits
 * for a commit. While one batch is committed the next one gathers; batches are committed one after the other.
 * After a commit that failed nothing more is acknowledged on that connection: the broker sends it again. What was
 * committed and comes again, because its PUBACK was lost, is acknowledged and handed on no more.
 */
import type { IPublishPacket, MqttClient } from 'mqtt';
import { type Batch, type Committer, OtaError } from '../protocol';
import { CommittedMessages } from './committed-messages';
import { encodePubacks } from './puback-packet';

/** `hold`: nobody is there for it yet; it is offered again when `resume` is called. */
export type Taken = 'taken' | 'hold';

export interface InboxOptions {
  readonly handle: (packet: IPublishPacket, batch: Batch) => Taken;
  /** Nothing of the batch may be acknowledged: the connection (if it still stands) must end. */
  readonly onCommitFailed: (client: MqttClient, error: unknown) => void;
  /** Milliseconds that a commit may take. */
  readonly commitTimeoutMs?: number;
}

/** Messages in one commit at most. */
export const BATCH_LIMIT = 500;
/** Messages that are in memory without their commit; past it nothing more is taken. */
export const UNCOMMITTED_LIMIT = 2 * BATCH_LIMIT;
const COMMIT_TIMEOUT_MS = 30_000;

interface OpenBatch extends Batch {
  readonly client: MqttClient;
  readonly committers: Set<Committer>;
  /** The packet ids to acknowledge, in their order. */
  readonly ids: number[];
  /** What tells these messages from others. */
  readonly keys: string[];
  messages: number;
}

interface Waiting {
  readonly packet: IPublishPacket;
  readonly callback: Callback;
}

type Callback = (error?: Error) => void;

/** Tells mqtt.js to send no PUBACK. */
const LATER = new Error('acknowledged after its commit');

export class Inbox {
  readonly #options: InboxOptions;
  readonly #commitTimeoutMs: number;
  #client: MqttClient | null = null;
  /** Taken and not committed, oldest first; the first one may be under way. */
  readonly #batches: OpenBatch[] = [];
  readonly #committed = new CommittedMessages();
  #uncommitted = 0;
  #committing = false;
  #scheduled = false;
  #closing = false;
  #waiting: Waiting | null = null;
  #whenIdle: (() => void)[] = [];

  constructor(options: InboxOptions) {
    this.#options = options;
    this.#commitTimeoutMs = options.commitTimeoutMs ?? COMMIT_TIMEOUT_MS;
  }

  /** @param options `isResumed`: the broker goes on with the session of the connection before */
  attach(client: MqttClient, { isResumed }: { readonly isResumed: boolean }): void {
    if (!isResumed) this.#committed.clear();
    this.#client = client;
    this.#waiting = null;
    client.handleMessage = (packet, callback) => this.#take(client, packet, callback);
  }

  /** The connection is gone; batches that are open are committed all the same, but not acknowledged. */
  detach(): void {
    this.#client = null;
    this.#waiting = null;
  }

  /** Takes no more messages; what was taken is still committed and acknowledged. */
  close(): void {
    this.#closing = true;
    this.#waiting = null;
  }

  /** A message can't be taken now, and until it is nothing behind it is read. */
  get isHeld(): boolean {
    return this.#waiting !== null;
  }

  /** Something that was handled isn't committed yet. */
  get isCommitting(): boolean {
    return this.#batches.length > 0;
  }

  /** Resolves when no batch is open: what was handled is committed, and its PUBACKs are written. */
  async idle(): Promise<void> {
    if (this.#batches.length > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Offers the held message again: somebody came who may want it, or there is room. */
  resume(): void {
    const client = this.#client;
    const waiting = this.#waiting;
    if (client === null || waiting === null) return;
    this.#waiting = null;
    this.#take(client, waiting.packet, waiting.callback);
  }

  #take(client: MqttClient, packet: IPublishPacket, callback: Callback): void {
    if (client !== this.#client || this.#closing) return;
    // mqtt.js gives the next packet after the callback only: there is never more than one to keep.
    if (this.#uncommitted >= UNCOMMITTED_LIMIT) {
      this.#waiting = { packet, callback };
      return;
    }
    const batch = this.#gathering(client);
    const key = CommittedMessages.keyOf(packet);
    const isKnown = this.#committed.has(packet, key);
    if (!isKnown && this.#options.handle(packet, batch) === 'hold') {
      this.#waiting = { packet, callback };
      return;
    }
    batch.messages += 1;
    this.#uncommitted += 1;
    if (key === null || packet.messageId === undefined) {
      callback();
      return;
    }
    batch.ids.push(packet.messageId);
    batch.keys.push(key);
    callback(LATER);
  }

  /** The batch that the next message of a connection belongs to. */
  #gathering(client: MqttClient): OpenBatch {
    const newest = this.#batches.at(-1);
    const busy = this.#committing && this.#batches.length === 1;
    if (newest !== undefined && !busy && newest.client === client && newest.messages < BATCH_LIMIT) {
      return newest;
    }
    const committers = new Set<Committer>();
    const batch: OpenBatch = {
      client,
      committers,
      ids: [],
      keys: [],
      messages: 0,
      join(committer) {
        if (committers.has(committer)) return false;
        committers.add(committer);
        return true;
      },
    };
    this.#batches.push(batch);
    this.#schedule();
    return batch;
  }

  /** What arrives in one turn of the event loop is committed together. */
  #schedule(): void {
    if (this.#committing || this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#commit();
    });
  }

  #commit(): void {
    const batch = this.#batches[0];
    if (batch === undefined) return;
    const pending: Promise<void>[] = [];
    let failure: { error: unknown } | null = null;
    // Each is called, also behind one that failed: what it has is written, or is its own to undo.
    for (const committer of batch.committers) {
      try {
        const written = committer.commit();
        if (written !== undefined) pending.push(written);
      } catch (error) {
        failure ??= { error };
      }
    }
    if (pending.length === 0) {
      this.#finish(batch, failure);
      return;
    }
    this.#committing = true;
    void this.#allWritten(pending).then((error) => {
      this.#committing = false;
      this.#finish(batch, failure ?? error);
    });
  }

  /** The first failure of the commits, or null; a time limit is one. */
  async #allWritten(pending: readonly Promise<void>[]): Promise<{ error: unknown } | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<{ error: unknown }>((resolve) => {
      timer = setTimeout(() => resolve({ error: tooSlow(this.#commitTimeoutMs) }), this.#commitTimeoutMs);
    });
    const written = Promise.allSettled(pending).then((results) => {
      const rejected = results.find((result) => result.status === 'rejected');
      return rejected === undefined ? null : { error: rejected.reason as unknown };
    });
    const first = await Promise.race([written, late]);
    clearTimeout(timer);
    return first;
  }

  #finish(batch: OpenBatch, failure: { error: unknown } | null): void {
    this.#batches.shift();
    this.#uncommitted -= batch.messages;
    if (failure === null) batch.ids.forEach((id, i) => this.#committed.add(id, batch.keys[i] ?? ''));
    if (failure !== null) this.#options.onCommitFailed(batch.client, failure.error);
    else if (batch.client === this.#client && batch.ids.length > 0) {
      batch.client.stream.write(encodePubacks(batch.ids));
    }
    if (failure === null) for (const committer of batch.committers) committer.committed?.();
    if (this.#batches.length > 0) this.#schedule();
    else for (const resolve of this.#whenIdle.splice(0)) resolve();
    if (this.#waiting !== null) this.resume();
  }
}

function tooSlow(limitMs: number): OtaError {
  return new OtaError('OTA_COMMIT_FAILED', `it was not written within ${limitMs / 1000} s`);
}

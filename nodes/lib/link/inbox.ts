/**
 * What comes in: hands each message on, and lets the PUBACKs of a batch leave only after what it caused was
 * committed. The way: cork the stream at the first message, handle and call back at once, commit in
 * setImmediate, uncork. A commit that fails ends the connection without uncorking: the broker sends again.
 */
import type { IPublishPacket, MqttClient } from 'mqtt';

/** Something that must be written before a batch is acknowledged. */
export interface Committer {
  /** Called once for each batch it joined. Throws or rejects where nothing may be acknowledged. */
  commit(): void | Promise<void>;
}

/** The messages that are acknowledged together. */
export interface Batch {
  /** Joins once, however often it is called for this batch. True the first time. */
  join(committer: Committer): boolean;
}

/** `hold`: nobody is there for it yet; it is offered again when `resume` is called. */
export type Taken = 'taken' | 'hold';

export interface InboxOptions {
  readonly handle: (packet: IPublishPacket, batch: Batch) => Taken;
  /** Nothing of the batch may be acknowledged: the connection (if it still stands) must end as it is. */
  readonly onCommitFailed: (client: MqttClient, error: unknown) => void;
}

interface OpenBatch extends Batch {
  readonly committers: Set<Committer>;
  corked: boolean;
}

interface Waiting {
  readonly packet: IPublishPacket;
  readonly callback: () => void;
}

export class Inbox {
  readonly #options: InboxOptions;
  #client: MqttClient | null = null;
  #batch: OpenBatch | null = null;
  #committing = false;
  #waiting: Waiting | null = null;
  #open = 0;
  #whenIdle: (() => void)[] = [];

  constructor(options: InboxOptions) {
    this.#options = options;
  }

  attach(client: MqttClient): void {
    this.#client = client;
    this.#batch = null;
    this.#committing = false;
    this.#waiting = null;
    client.handleMessage = (packet, callback) => this.#take(client, packet, callback);
  }

  /** The connection is gone; a batch that is open is committed all the same, its PUBACKs are lost. */
  detach(): void {
    this.#client = null;
    this.#waiting = null;
  }

  /** Resolves when no batch is open: what was handled is committed, and its PUBACKs are on their way. */
  async idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  /** Offers the held message again: somebody came who may want it. */
  resume(): void {
    const client = this.#client;
    const waiting = this.#waiting;
    if (client === null || waiting === null || this.#committing) return;
    this.#waiting = null;
    this.#take(client, waiting.packet, waiting.callback);
  }

  #take(client: MqttClient, packet: IPublishPacket, callback: () => void): void {
    if (client !== this.#client) return;
    if (this.#committing) {
      // mqtt.js gives the next packet after the callback only: there is never more than one to keep.
      this.#waiting = { packet, callback };
      return;
    }
    const batch = (this.#batch ??= this.#begin(client));
    if (this.#options.handle(packet, batch) === 'hold') {
      this.#waiting = { packet, callback };
      return;
    }
    if (packet.qos > 0 && !batch.corked) {
      batch.corked = true;
      client.stream.cork();
    }
    callback();
  }

  #begin(client: MqttClient): OpenBatch {
    const committers = new Set<Committer>();
    const batch: OpenBatch = {
      committers,
      corked: false,
      join(committer) {
        if (committers.has(committer)) return false;
        committers.add(committer);
        return true;
      },
    };
    this.#open += 1;
    setImmediate(() => this.#commit(client, batch));
    return batch;
  }

  #commit(client: MqttClient, batch: OpenBatch): void {
    if (this.#batch === batch) this.#batch = null;
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
      this.#finish(client, batch, failure);
      return;
    }
    // While it is written nothing more is taken: its PUBACK would leave with this batch's.
    if (client === this.#client) this.#committing = true;
    void Promise.allSettled(pending).then((results) => {
      for (const result of results) {
        if (result.status === 'rejected') failure ??= { error: result.reason };
      }
      this.#finish(client, batch, failure);
      if (client !== this.#client) return;
      this.#committing = false;
      this.resume();
    });
  }

  #finish(client: MqttClient, batch: OpenBatch, failure: { error: unknown } | null): void {
    if (failure !== null) this.#options.onCommitFailed(client, failure.error);
    else if (batch.corked) client.stream.uncork();
    this.#open -= 1;
    if (this.#open === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }
}

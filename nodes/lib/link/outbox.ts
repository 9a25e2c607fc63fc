/**
 * What goes out: a bounded queue, a bounded window of unacknowledged QoS 1 packets, and an outcome for each.
 * Owns every packet until it is settled, and writes it itself: mqtt.js would keep each a second time, which is
 * a third of what a push costs. Nothing that was handed in stays open.
 */
import type { MqttClient } from 'mqtt';
import { type Delivery, OtaError, type Outcome } from '../protocol';
import { isUnsendable } from '../rules';
import type { PacketIds } from './packet-ids';
import { encodePublishes, EXPIRY_LIMIT, PACKET_LIMIT, type Publish, publishSize } from './publish-packet';

/** Called once. `topic` is what was published to; blank where there was none. */
export type Settled = (outcome: Outcome, topic: string) => void;

export interface PublishOptions {
  /** Milliseconds from hand-in to acknowledgement; 0 for no limit, absent for 30 s. */
  readonly timeoutMs?: number | undefined;
  /** Seconds after which the broker no longer delivers the message (MQTT 5); absent or 0 for no limit. */
  readonly expiry?: number | undefined;
}

interface Entry extends Publish {
  /** On this connection; 0 while it has none. */
  id: number;
  /** What is left of its time when it is sent. */
  expiry: number;
  readonly settled: Settled;
  /** Milliseconds of performance.now(); Infinity where it doesn't expire. */
  readonly expiresAt: number;
  /** Milliseconds of performance.now(); Infinity where there is no limit. */
  readonly deadline: number;
  sent: boolean;
}

/** Packets that may wait for a place in the window, or for a connection. */
export const QUEUE_LIMIT = 10_000;
/** A packet's time limit in milliseconds, from hand-in to acknowledgement. */
export const PUBLISH_TIMEOUT_MS = 30_000;
const SWEEP_MS = 250;
/** There are 65,535 packet ids, and subscriptions need some too. */
const WINDOW_LIMIT = 65_000;
/** Packets written at once: one alone is a system call each, sixteen and more let the broker wait. */
const TOGETHER = 8;
const REASON_NO_SUBSCRIBER = 16;

export interface OutboxOptions {
  /** Unacknowledged packets at most. */
  readonly window: number;
  /** A broker that acknowledges nothing more: the connection should be made anew. */
  readonly onStuck: () => void;
  /** A caller's own callback threw. */
  readonly onFault: (error: unknown) => void;
}

/** What the broker told of itself; the limits are absent where it told none. */
export interface BrokerTraits {
  readonly mqtt5: boolean;
  /** Unacknowledged packets that it takes. */
  readonly receiveMaximum?: number | undefined;
  /** Bytes of a packet that it takes. */
  readonly maximumPacketSize?: number | undefined;
}

interface Line {
  readonly client: MqttClient;
  readonly ids: PacketIds;
  readonly window: number;
  /** Bytes. */
  readonly maxPacket: number;
  /** PUBACKs tell whether anybody subscribes. */
  readonly mqtt5: boolean;
  /** Packets that wait to be written together. */
  held: Entry[];
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #sent = new Map<number, Entry>();
  #queue: Entry[] = [];
  #head = 0;
  #line: Line | null = null;
  #sweeper: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  /** Packets that were handed in and aren't settled yet. */
  get pending(): number {
    return this.#sent.size + this.#queue.length - this.#head;
  }

  /**
   * Publishes with QoS 1, never retained. `settled` is called once, never before this returns.
   */
  publish(topic: string, payload: string, settled: Settled, options: PublishOptions = {}): void {
    const problem = topicProblem(topic);
    if (problem !== null) return this.#refuse(settled, topic, 'refused', problem);
    if (this.#closed) return this.#refuse(settled, topic, 'timeout', closedError());
    const { timeoutMs = PUBLISH_TIMEOUT_MS, expiry = 0 } = options;
    const now = performance.now();
    const deadline = timeoutMs > 0 ? now + timeoutMs : Infinity;
    const expiresAt = expiry > 0 ? now + 1000 * expiry : Infinity;
    const entry: Entry = { id: 0, expiry: 0, topic, payload, settled, deadline, expiresAt, sent: false };
    if (this.#queue.length === this.#head && this.#hasRoom()) {
      this.#send(entry);
    } else if (this.#queue.length - this.#head < QUEUE_LIMIT) {
      this.#queue.push(entry);
    } else {
      return this.#refuse(settled, topic, 'timeout', queueFullError());
    }
    this.#sweeper ??= setInterval(() => this.#sweep(), SWEEP_MS);
  }

  /** A connection is up: what waits goes out. */
  attach(client: MqttClient, ids: PacketIds, broker: BrokerTraits): void {
    const window = Math.max(
      1,
      Math.min(this.#options.window, broker.receiveMaximum ?? Infinity, WINDOW_LIMIT),
    );
    const maxPacket = Math.min(broker.maximumPacketSize ?? Infinity, PACKET_LIMIT);
    this.#line = { client, ids, window, maxPacket, mqtt5: broker.mqtt5, held: [] };
    this.#refill();
  }

  /** The connection is gone: what wasn't acknowledged goes out again first, in its order. */
  detach(): void {
    this.#line = null;
    if (this.#sent.size === 0) return;
    this.#queue = [...this.#sent.values(), ...this.#queue.slice(this.#head)];
    this.#head = 0;
    this.#sent.clear();
  }

  /** A PUBACK came in. The window is refilled one for one: waiting for more stalls on delayed TCP ACKs. */
  acknowledged(id: number, reasonCode: number): void {
    const entry = this.#sent.get(id);
    if (entry === undefined) {
      if (this.#line?.ids.acknowledged(id) === true) this.#refill();
      return;
    }
    this.#sent.delete(id);
    this.#line?.ids.deallocate(id);
    const tells = this.#line?.mqtt5 === true;
    this.#refill();
    this.#settle(entry, outcomeOf(reasonCode, tells));
    if (this.pending === 0) this.#stopSweeping();
  }

  /** Settles everything that is open with OTA_CLOSED. */
  close(): void {
    this.#closed = true;
    this.#stopSweeping();
    if (this.#line !== null) this.#release(this.#line);
    const open = [...this.#sent.values(), ...this.#queue.slice(this.#head)];
    this.#sent.clear();
    this.#queue = [];
    this.#head = 0;
    this.#line = null;
    for (const entry of open) this.#settle(entry, { delivery: 'timeout', error: closedError(entry.sent) });
  }

  #hasRoom(): boolean {
    const line = this.#line;
    return line !== null && line.ids.free > 0 && this.#sent.size + line.ids.withdrawn < line.window;
  }

  #refill(): void {
    while (this.#head < this.#queue.length && this.#hasRoom()) {
      const entry = this.#queue[this.#head] as Entry;
      this.#head += 1;
      if (this.#head > 1024 && this.#head * 2 > this.#queue.length) {
        this.#queue = this.#queue.slice(this.#head);
        this.#head = 0;
      }
      this.#send(entry);
    }
    if (this.#head === this.#queue.length && this.#head > 0) {
      this.#queue = [];
      this.#head = 0;
    }
  }

  #send(entry: Entry): void {
    const line = this.#line as Line;
    if (entry.expiresAt !== Infinity) {
      const left = Math.ceil((entry.expiresAt - performance.now()) / 1000);
      entry.expiry = Math.min(Math.max(left, 1), EXPIRY_LIMIT);
    }
    // A broker closes the connection on a packet that is too large, and would do so each time it comes.
    if (publishSize(entry, line.mqtt5) > line.maxPacket) {
      return this.#refuse(entry.settled, entry.topic, 'refused', tooLargeError(line.maxPacket));
    }
    const id = line.ids.allocate() as number;
    entry.id = id;
    entry.sent = true;
    this.#sent.set(id, entry);
    this.#hold(line, entry);
  }

  /** The packets of one turn of the event loop leave in a few writes. */
  #hold(line: Line, entry: Entry): void {
    line.held.push(entry);
    if (line.held.length >= TOGETHER) this.#release(line);
    else if (line.held.length === 1) setImmediate(() => this.#release(line));
  }

  #release(line: Line): void {
    // A connection that is gone takes nothing any more; its packets wait for the next one.
    if (line.held.length === 0 || line !== this.#line) return;
    const packets = line.held;
    line.held = [];
    line.client.stream.write(encodePublishes(packets, line.mqtt5));
  }

  #sweep(): void {
    const now = performance.now();
    for (const [id, entry] of this.#sent) {
      if (entry.deadline > now) continue;
      this.#sent.delete(id);
      this.#line?.ids.withdraw(id);
      this.#settle(entry, { delivery: 'timeout', error: timeoutError(true) });
    }
    const waiting = this.#queue.slice(this.#head);
    if (waiting.some((entry) => entry.deadline <= now)) {
      const connected = this.#line !== null;
      this.#queue = waiting.filter((entry) => entry.deadline > now);
      this.#head = 0;
      for (const entry of waiting) {
        if (entry.deadline > now) continue;
        const error = connected || entry.sent ? timeoutError(entry.sent) : notConnectedError();
        this.#settle(entry, { delivery: 'timeout', error });
      }
    }
    const line = this.#line;
    if (line !== null && line.ids.withdrawn >= line.window) this.#options.onStuck();
    if (this.pending === 0) this.#stopSweeping();
  }

  #stopSweeping(): void {
    if (this.#sweeper !== null) clearInterval(this.#sweeper);
    this.#sweeper = null;
  }

  #refuse(settled: Settled, topic: string, delivery: Delivery, error: OtaError): void {
    queueMicrotask(() => this.#call(settled, { delivery, error }, topic));
  }

  #settle(entry: Entry, outcome: Outcome): void {
    this.#call(entry.settled, outcome, entry.topic);
  }

  #call(settled: Settled, outcome: Outcome, topic: string): void {
    try {
      settled(outcome, topic);
    } catch (error) {
      this.#options.onFault(error);
    }
  }
}

function outcomeOf(reasonCode: number, tellsSubscribers: boolean): Outcome {
  if (reasonCode >= 128) {
    const text = `The broker refused the message (reason ${reasonCode}): check its access rules for this topic.`;
    return { delivery: 'refused', error: new OtaError('OTA_PUBLISH_REFUSED', text) };
  }
  if (reasonCode === REASON_NO_SUBSCRIBER) {
    const text = 'Nobody subscribes to the topic: the other side is offline.';
    return { delivery: 'offline', error: new OtaError('OTA_OFFLINE', text) };
  }
  return { delivery: tellsSubscribers ? 'accepted' : 'unknown', error: null };
}

/** One publish with a wildcard, a control character or a noncharacter makes the broker close the connection, for ever. */
function topicProblem(topic: string): OtaError | null {
  if (topic === '' || isUnsendable(topic) || Buffer.byteLength(topic) > 65_535) {
    return new OtaError(
      'OTA_BAD_TOPIC',
      'The topic can not be published to: it is empty, too long or holds "+", "#", a control character or a Unicode noncharacter.',
    );
  }
  return null;
}

function tooLargeError(limit: number): OtaError {
  return new OtaError(
    'OTA_TOO_LARGE',
    `The message is larger than the broker takes (${limit} bytes): make it shorter, or raise the broker's limit.`,
  );
}

function timeoutError(sent: boolean): OtaError {
  return new OtaError(
    'OTA_TIMEOUT',
    sent
      ? 'The broker did not acknowledge in time; the message was taken back, but it may have arrived.'
      : 'The message could not be sent in time: the broker acknowledges too slowly.',
  );
}

function notConnectedError(): OtaError {
  return new OtaError('OTA_NOT_CONNECTED', 'Not connected to the broker in time; the message was not sent.');
}

/** A publish after the end. */
export function closedError(sent = false): OtaError {
  const text = sent ? 'it was not acknowledged, but it may have arrived' : 'it was not sent';
  return new OtaError('OTA_CLOSED', `The node was stopped before the message was through: ${text}.`);
}

function queueFullError(): OtaError {
  return new OtaError(
    'OTA_QUEUE_FULL',
    `${QUEUE_LIMIT} messages wait already; this one was not sent. Send an array of tokens instead of single messages.`,
  );
}

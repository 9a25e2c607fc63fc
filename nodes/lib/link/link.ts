/**
 * One connection to a broker and its life: connect, reconnect with back-off, end. The only folder that knows
 * mqtt.js. Each try is a client of its own; what must outlive a connection (packets, filters) lies beside.
 */
import mqtt, { type IClientOptions, type IConnackPacket, type MqttClient } from 'mqtt';
import type { Duplex } from 'node:stream';
import { type OtaCode, OtaError } from '../protocol';
import { Backoff } from './backoff';
import { ClientIdConflictDetector } from './client-id-conflict';
import { Inbox, type InboxOptions, UNCOMMITTED_LIMIT } from './inbox';
import { filterOversize, OversizeFilter } from './oversize-filter';
import { LineWatch } from './line-watch';
import { Outbox, type PublishOptions, type Settled } from './outbox';
import { PacketIds } from './packet-ids';
import { clientIdTaken, linkError, type LinkState } from './state';
import { Subscriptions, type SubscriptionsOptions } from './subscriptions';

export interface LinkOptions {
  readonly url: string;
  /** Of the broker node: credentials, TLS, keepalive, protocol version. Never will, clean or clientId. */
  readonly mqtt: IClientOptions;
  readonly clientId: string;
  /** Keep the session at the broker while we are away. */
  readonly persistent: boolean;
  /** Unacknowledged QoS 1 packets at most. */
  readonly window: number;
  /** While true, a broker that answers nothing for a few seconds counts as gone; else after the keepalive only. */
  readonly watchful?: () => boolean;
  /**
   * False while the client id may be somebody else's by now: no connection is tried. Absent: always.
   * @param lostAt when the connection before was lost, in milliseconds of performance.now(); -Infinity: there was none
   */
  readonly mayConnect?: (lostAt: number) => boolean;
  readonly handle: InboxOptions['handle'];
  /** Milliseconds that a commit may take; absent for 30 s. */
  readonly commitTimeoutMs?: number;
  readonly onFilter: SubscriptionsOptions['onState'];
  readonly onState: (state: LinkState) => void;
  /** At each connection, before `onState`: whether the broker had kept the session. */
  readonly onConnected?: (sessionPresent: boolean) => void;
  /** Something to tell the user once: a callback that threw, a commit that failed. */
  readonly onFault: (error: OtaError) => void;
}

/** A kept session of MQTT 5 lives for a day without us; without an expiry it would end at once. */
const SESSION_EXPIRY_S = 24 * 60 * 60;
const CONNECT_TIMEOUT_MS = 10_000;
/**
 * Bytes of the largest packet that is taken. A broker of MQTT 5 is told, and drops what is larger; of one that knows no
 * such limit the body is left out. Otherwise a huge message in a kept session would end the process at each start.
 */
const MAX_PACKET = 1024 * 1024;
/** A connection that stood this long starts the back-off anew. */
const STABLE_MS = 10_000;
/** After so long it is asked again whether a connection may be tried. */
const ASK_AGAIN_MS = 200;
const END_TIMEOUT_MS = 500;
/** What may be over in a second; all else is right only after somebody has changed something. */
const PASSING = new Set<OtaCode>(['OTA_UNREACHABLE', 'OTA_CONNECTION_LOST', 'OTA_COMMIT_FAILED']);

export class Link {
  readonly outbox: Outbox;
  readonly inbox: Inbox;
  readonly subscriptions: Subscriptions;
  readonly #options: LinkOptions;
  readonly #backoff = new Backoff();
  #state: LinkState = { phase: 'idle', error: null };
  #client: MqttClient | null = null;
  #retry: NodeJS.Timeout | null = null;
  #stable: NodeJS.Timeout | null = null;
  readonly #watch = new LineWatch();
  readonly #conflict = new ClientIdConflictDetector();
  /** When the connection came up, in milliseconds of performance.now(). */
  #since = 0;
  /** When the last one was lost, or could not be made, by the same clock. */
  #lostAt = -Infinity;
  #ended = false;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.outbox = new Outbox({
      window: options.window,
      onStuck: () => this.#stuck(),
      onFault: (error) => options.onFault(faultOf(error)),
    });
    this.inbox = new Inbox({
      handle: options.handle,
      ...(options.commitTimeoutMs === undefined ? {} : { commitTimeoutMs: options.commitTimeoutMs }),
      onCommitFailed: (client, error) => {
        // What isn't acknowledged the broker sends again, on the next connection.
        if (client === this.#client) this.#lost(client, commitFailed(error), true);
        else options.onFault(commitFailed(error));
      },
    });
    this.subscriptions = new Subscriptions({ onState: options.onFilter });
  }

  get state(): LinkState {
    return this.#state;
  }

  /** Where it is watchful: the broker has answered lately. */
  get isAnswered(): boolean {
    return this.#watch.isAnswered;
  }

  /** Begins to connect; nothing where it has begun. */
  start(): void {
    if (this.#state.phase === 'idle' && !this.#ended) this.#connect();
  }

  /** Publishes with QoS 1; see Outbox. */
  publish(topic: string, payload: string, settled: Settled, options?: PublishOptions): void {
    this.outbox.publish(topic, payload, settled, options);
  }

  /**
   * Ends the connection for good; what is open settles as OTA_CLOSED. Resolves when the socket is closed, or
   * after half a second. With `endSession` a session kept at the broker is ended too.
   */
  async end(options: { endSession: boolean }): Promise<void> {
    if (this.#ended) return;
    this.#ended = true;
    this.#clearTimers();
    const client = this.#client;
    this.#client = null;
    this.outbox.close();
    this.inbox.close();
    this.subscriptions.close();
    this.#set({ phase: 'idle', error: null });
    // What was taken is committed and acknowledged; what isn't committed by then never is acknowledged.
    await Promise.race([this.inbox.idle(), after(END_TIMEOUT_MS)]);
    this.inbox.detach();
    if (client !== null) await endClient(client);
    if (options.endSession && this.#options.persistent) await this.#endSession();
  }

  /** Ends the connection with what came last unacknowledged: it can't be handled now, and shall come again. */
  refuse(): void {
    if (this.#client !== null) this.#lost(this.#client, notReady(), true);
  }

  #connect(): void {
    if (this.#options.mayConnect?.(this.#lostAt) === false) {
      this.#retry = setTimeout(() => this.#connect(), ASK_AGAIN_MS);
      return;
    }
    this.#set({ phase: 'connecting', error: this.#state.error });
    const ids = new PacketIds();
    let client: MqttClient;
    try {
      client = mqtt.connect(this.#options.url, this.#clientOptions(ids, { keep: this.#options.persistent }));
    } catch (error) {
      // Wrong until the settings change: there is no use in trying again.
      this.#set({ phase: 'waiting', error: badSettings(error) });
      return;
    }
    this.#client = client;
    const mqtt5 = this.#options.mqtt.protocolVersion === 5;
    filterOversize(client.stream, new OversizeFilter(MAX_PACKET, mqtt5));
    let failure: unknown;
    let connected = false;
    client.on('error', (error) => {
      failure ??= error;
      // After rubbish the parser can't go on; mqtt.js itself would leave the connection open.
      if (connected) client.stream.destroy();
    });
    client.on('disconnect', (packet) => {
      failure = Object.assign(new Error('disconnected by the broker'), { code: packet.reasonCode ?? 0 });
    });
    client.on('packetreceive', (packet) => {
      if (client !== this.#client) return;
      this.#watch.heard();
      if (packet.cmd === 'puback') this.outbox.acknowledged(packet.messageId ?? 0, packet.reasonCode ?? 0);
      // Before the messages of a kept session, which may follow in the same TCP segment.
      else if (packet.cmd === 'connack') {
        this.inbox.attach(client, { isResumed: packet.sessionPresent });
      }
    });
    client.on('connect', (connack) => {
      if (client !== this.#client) return;
      connected = true;
      this.#connected(client, ids, connack);
    });
    client.on('close', () => {
      if (client === this.#client) this.#lost(client, failure, connected);
    });
  }

  #clientOptions(ids: PacketIds, session: { keep: boolean }): IClientOptions {
    const mqtt5 = this.#options.mqtt.protocolVersion === 5;
    const expiry = session.keep ? { sessionExpiryInterval: SESSION_EXPIRY_S } : {};
    const given = this.#options.mqtt.properties;
    const properties = {
      ...given,
      maximumPacketSize: Math.min(given?.maximumPacketSize ?? MAX_PACKET, MAX_PACKET),
      receiveMaximum: given?.receiveMaximum ?? UNCOMMITTED_LIMIT,
      ...expiry,
    };
    return {
      ...this.#options.mqtt,
      ...(mqtt5 ? { properties } : {}),
      clientId: this.#options.clientId,
      clean: !session.keep,
      reconnectPeriod: 0,
      resubscribe: false,
      queueQoSZero: false,
      connectTimeout: CONNECT_TIMEOUT_MS,
      messageIdProvider: ids,
    };
  }

  #connected(client: MqttClient, ids: PacketIds, connack: IConnackPacket): void {
    if (connack.properties?.maximumQoS === 0) {
      const text = 'The broker takes QoS 0 only; upgrades need QoS 1.';
      this.#lost(client, new OtaError('OTA_BROKER_REFUSED', text), true);
      return;
    }
    this.#since = performance.now();
    this.#stable = setTimeout(() => this.#backoff.reset(), STABLE_MS);
    const { receiveMaximum, maximumPacketSize } = connack.properties ?? {};
    this.#options.onConnected?.(connack.sessionPresent);
    this.#set({ phase: 'connected', error: null });
    this.subscriptions.attach(client);
    const mqtt5 = this.#options.mqtt.protocolVersion === 5;
    this.outbox.attach(client, ids, { mqtt5, receiveMaximum, maximumPacketSize });
    const { watchful } = this.#options;
    if (watchful === undefined) return;
    this.#watch.start(client, {
      isOff: () => this.inbox.isHeld || !watchful(),
      onSilent: () => this.#lost(client, silent(), true),
    });
  }

  /** Ends a connection on which nothing is acknowledged any more. */
  #stuck(): void {
    const text = 'The broker acknowledges nothing any more; the connection is made anew.';
    if (this.#client !== null) this.#lost(this.#client, new OtaError('OTA_CONNECTION_LOST', text), true);
  }

  #lost(client: MqttClient, failure: unknown, wasConnected: boolean): void {
    this.#client = null;
    this.#lostAt = performance.now();
    this.#watch.stop();
    if (this.#stable !== null) clearTimeout(this.#stable);
    this.#stable = null;
    const stoodMs = wasConnected ? performance.now() - this.#since : null;
    const taken = this.#conflict.ended({ stoodMs, explained: failure !== undefined });
    discard(client);
    this.inbox.detach();
    this.outbox.detach();
    const error =
      failure instanceof OtaError ? failure : taken ? clientIdTaken() : linkError(failure, wasConnected);
    this.subscriptions.detach();
    this.#set({ phase: 'waiting', error });
    this.#retry = setTimeout(() => this.#connect(), this.#backoff.next(!PASSING.has(error.code)));
  }

  #set(state: LinkState): void {
    this.#state = state;
    this.#options.onState(state);
  }

  #clearTimers(): void {
    this.#watch.stop();
    if (this.#retry !== null) clearTimeout(this.#retry);
    if (this.#stable !== null) clearTimeout(this.#stable);
    this.#retry = null;
    this.#stable = null;
  }

  /** A clean connection with the same id ends what the broker keeps, in every version of MQTT. */
  async #endSession(): Promise<void> {
    let client: MqttClient;
    try {
      client = mqtt.connect(this.#options.url, this.#clientOptions(new PacketIds(), { keep: false }));
    } catch {
      // With such settings no session was ever made; the users were told of them.
      return;
    }
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, END_TIMEOUT_MS);
      const end = (): void => {
        clearTimeout(timer);
        resolve();
      };
      client.on('error', end);
      client.on('close', end);
      client.on('connect', end);
    });
    await endClient(client);
  }
}

/** DISCONNECT, then the socket; by force after half a second. */
async function endClient(client: MqttClient): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, END_TIMEOUT_MS);
    client.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    if (client.connected) {
      // Packets that nobody waits for any more would keep mqtt.js from ending.
      for (const id of Object.keys(client.outgoing)) client.removeOutgoingMessage(Number(id));
      client.end(false);
    } else {
      client.end(true);
      if ((client.stream as Duplex).destroyed) {
        clearTimeout(timer);
        resolve();
      }
    }
  });
  await closed;
  discard(client);
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/**
 * Lets go of a client. Its listeners stay: ours look whether it is still theirs, its own clear its timers,
 * and an error without one would end the process.
 */
function discard(client: MqttClient): void {
  client.end(true);
  client.stream.destroy();
}

/** A URL, key or certificate that mqtt.js can't even begin with. */
function badSettings(cause: unknown): OtaError {
  const error = linkError(cause, false);
  if (error.code === 'OTA_TLS') return error;
  const text = cause instanceof Error ? cause.message : String(cause);
  return new OtaError('OTA_BAD_SETTINGS', `The broker's settings can not be used: ${text}.`, { cause });
}

function faultOf(error: unknown): OtaError {
  const text = error instanceof Error ? error.message : String(error);
  return new OtaError('OTA_INTERNAL', `A message could not be handled: ${text}.`, { cause: error });
}

function commitFailed(error: unknown): OtaError {
  const text = error instanceof Error ? error.message : String(error);
  return new OtaError(
    'OTA_COMMIT_FAILED',
    `What was received could not be stored; it was not acknowledged and comes again: ${text}.`,
    { cause: error },
  );
}

function silent(): OtaError {
  const text = 'The broker answers nothing any more; the connection is made anew.';
  return new OtaError('OTA_CONNECTION_LOST', text);
}

function notReady(): OtaError {
  return new OtaError(
    'OTA_COMMIT_FAILED',
    'What was received can not be stored yet; it was not acknowledged and comes again.',
  );
}

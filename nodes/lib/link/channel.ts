/**
 * A service's connection in the words of the protocol: listeners get messages, senders hand messages in.
 * Owns who uses the link and who hears what; a message is read once, whatever the number of nodes that want
 * it. Nothing that comes in makes it throw.
 */
import type { IPublishPacket } from 'mqtt';
import {
  EVERY_DEVICE,
  KINDS,
  type MessageKind,
  maskToken,
  OtaError,
  readWire,
  type Refused,
  toOtaError,
  type TopicScheme,
  type WireMessage,
} from '../protocol';
import { Filters, LINGER_MS } from './filters';
import type { Batch, Taken } from './inbox';
import { Link, type LinkOptions } from './link';
import { closedOutcome, type Settled } from './outbox';
import type { LinkState } from './state';
import type { FilterState } from './subscriptions';
import { Unwanted } from './unwanted';

export type MessageOf<K extends MessageKind> = Extract<WireMessage, { kind: K }>;

/** Somebody who wants one kind of message, of one device or (`+`) of every device. */
export interface Listener<K extends MessageKind = MessageKind> {
  readonly kind: K;
  readonly accessToken: string;
  /**
   * False while it can't handle what it hears. That isn't acknowledged then: it is held for a moment; later the
   * connection is ended, so that the broker sends it again. Absent: always ready. See `Channel.resume`.
   */
  readonly ready?: () => boolean;
  /** May join the batch: the broker's acknowledgement then waits for the commit. */
  readonly onMessage: (message: MessageOf<K>, batch: Batch) => void;
  /** Something on a topic of this listener that can't be read. */
  readonly onRefused: (refused: Refused) => void;
  /** The broker's answer to the subscription, at each change. */
  readonly onSubscription: (state: FilterState, error: OtaError | null) => void;
}

/** Somebody who needs the connection. */
export interface ChannelUser {
  readonly onState: (state: LinkState) => void;
}

export interface ChannelOptions extends Pick<
  LinkOptions,
  'url' | 'mqtt' | 'clientId' | 'persistent' | 'window'
> {
  readonly scheme: TopicScheme;
  readonly shareGroup: string;
  /** What a kept session still holds of an earlier channel: its `heldFilters`. */
  readonly earlier?: readonly string[];
  /** At each change of the connection, before the users hear of it. */
  readonly onState: (state: LinkState) => void;
  /** A subscription that was refused (with the error) or granted (null), at each change. */
  readonly onSubscription: (filter: string, error: OtaError | null) => void;
  /** Something to tell a person, which belongs to no listener. */
  readonly onFault: (error: OtaError) => void;
}

interface Heard {
  readonly listener: Listener;
  last: FilterState | null;
}

/** How long the end waits for the users. */
const LEAVE_MS = 1000;
const IDLE: LinkState = { phase: 'idle', error: null };

export class Channel {
  readonly scheme: TopicScheme;
  readonly #options: ChannelOptions;
  readonly #filters: Filters;
  readonly #users = new Set<ChannelUser>();
  readonly #listeners = new Map<MessageKind, Map<string, Set<Heard>>>(KINDS.map((kind) => [kind, new Map()]));
  readonly #unwanted: Unwanted;
  #link: Link | null = null;
  #ending: Promise<void> = Promise.resolve();
  #closed = false;
  #linger: NodeJS.Timeout | null = null;
  #downSince: number | null = null;
  #allLeft: (() => void) | null = null;
  #patience: NodeJS.Timeout | null = null;

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.scheme = options.scheme;
    this.#filters = new Filters(options);
    this.#unwanted = new Unwanted({
      onOver: () => this.#link?.inbox.resume(),
      onStale: (filter) => this.#link?.subscriptions.unsubscribe(filter),
      onFault: options.onFault,
    });
  }

  get state(): LinkState {
    return this.#link?.state ?? IDLE;
  }

  /** Since when there is no connection, in milliseconds of performance.now(); null while there is one. */
  get downSince(): number | null {
    return this.#downSince;
  }

  /** Unacknowledged publishes at most, as the settings say. */
  get window(): number {
    return this.#options.window;
  }

  /** The filters that a kept session holds when this channel ends now. */
  get heldFilters(): readonly string[] {
    return this.#filters.held();
  }

  /** The first user opens the connection. `onState` is called at once, and at each change. */
  acquire(user: ChannelUser): void {
    this.#users.add(user);
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#linger = null;
    if (this.#link === null && !this.#closed) this.#open();
    user.onState(this.state);
  }

  /** The last user's leaving ends the connection: at once where it was `removed`, else after a moment. */
  release(user: ChannelUser, removed: boolean): void {
    if (!this.#users.delete(user) || this.#users.size > 0) return;
    this.#allLeft?.();
    if (this.#closed) return;
    if (removed) this.#shut();
    else this.#linger = setTimeout(() => this.#shut(), LINGER_MS);
  }

  /**
   * Subscribes. Returns what stops it: with `removed` the broker is told, without (a redeploy) the
   * subscription waits a moment for a successor. @throws OtaError OTA_BAD_TOKEN
   */
  listen<K extends MessageKind>(listener: Listener<K>): (removed: boolean) => void {
    const { kind, accessToken } = listener;
    this.scheme.filter(kind, accessToken);
    const heard: Heard = { listener: listener as unknown as Listener, last: null };
    const tokens = this.#listeners.get(kind) as Map<string, Set<Heard>>;
    const all = tokens.get(accessToken) ?? new Set();
    tokens.set(accessToken, all.add(heard));
    this.#filters.add(kind, accessToken);
    this.#tell(heard, null);
    // A message may be held for this one; its node isn't ready before its constructor is through.
    setImmediate(() => this.#link?.inbox.resume());
    return (removed) => {
      if (!all.delete(heard)) return;
      if (all.size === 0 && tokens.get(accessToken) === all) tokens.delete(accessToken);
      this.#unwanted.beginGrace();
      if (!this.#closed) this.#filters.remove(kind, accessToken, removed);
    };
  }

  /** A listener became ready: what is held is offered again. */
  resume(): void {
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#patience = null;
    this.#link?.inbox.resume();
  }

  /** Publishes to one device's topic. `settled` is called once, later; a bad token is `refused`. */
  publish(
    kind: MessageKind,
    accessToken: string,
    payload: string,
    settled: Settled,
    timeoutMs?: number,
  ): void {
    let topic: string;
    try {
      topic = this.scheme.topic(kind, accessToken);
    } catch (error) {
      const refused = toOtaError(error);
      queueMicrotask(() => settled({ delivery: 'refused', error: refused }));
      return;
    }
    if (this.#link === null) queueMicrotask(() => settled(closedOutcome()));
    else this.#link.publish(topic, payload, settled, timeoutMs);
  }

  /**
   * Ends everything, once the users have left or after a moment: they close at the same time, and what they
   * still have to say goes first. `endSession`: what the broker keeps for this client is ended too.
   */
  async end(options: { endSession: boolean }): Promise<void> {
    if (this.#closed) return this.#ending;
    this.#closed = true;
    await this.#usersGone();
    this.#filters.close();
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#unwanted.close();
    if (this.#patience !== null) clearTimeout(this.#patience);
    // A session may be there from an earlier start, also where nobody has used this service since.
    const link = this.#link ?? (options.endSession ? this.#newLink() : null);
    this.#link = null;
    if (link !== null) this.#ending = this.#ending.then(() => link.end(options));
    return this.#ending;
  }

  async #usersGone(): Promise<void> {
    if (this.#users.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LEAVE_MS);
      this.#allLeft = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #open(): void {
    this.#downSince = performance.now();
    const link = this.#newLink();
    this.#link = link;
    this.#filters.attach(link.subscriptions);
    // Whoever listens registers in this turn: a kept session sends before any SUBSCRIBE.
    void this.#ending.then(() => setImmediate(() => link.start()));
  }

  #shut(): void {
    this.#linger = null;
    const link = this.#link;
    if (link === null) return;
    this.#link = null;
    this.#filters.detach();
    this.#ending = link.end({ endSession: false });
    for (const heard of this.#all()) heard.last = null;
  }

  #newLink(): Link {
    const link: Link = new Link({
      ...this.#options,
      handle: (packet, batch) => this.#take(link, packet, batch),
      onState: (state) => {
        if (link === this.#link) this.#changed(state);
      },
      onFilter: (filter, state, error) => {
        if (link === this.#link) this.#answered(filter, state, error);
      },
    });
    return link;
  }

  #changed(state: LinkState): void {
    if (state.phase === 'connected') {
      this.#downSince = null;
      this.#unwanted.beginGrace();
      this.#filters.endEarlier();
    } else {
      this.#downSince ??= performance.now();
    }
    this.#options.onState(state);
    for (const user of this.#users) user.onState(state);
  }

  #answered(filter: string, state: FilterState, refusal: OtaError | null): void {
    const kind = this.#filters.kindOf(filter);
    const error = refusal === null ? null : this.#named(refusal, filter);
    if (state !== 'pending') this.#options.onSubscription(filter, error);
    if (kind === null) return;
    this.#filters.sync(kind);
    for (const heard of this.#all(kind)) this.#tell(heard, error);
  }

  /** The same error with the filter that it is about, its token masked. */
  #named(error: OtaError, filter: string): OtaError {
    const plain = this.#filters.plain(filter);
    const shown = plain.includes(EVERY_DEVICE) ? plain : this.scheme.mask(plain, maskToken);
    return new OtaError(error.code, `${error.message} Topic ${shown}.`, { cause: error });
  }

  #tell(heard: Heard, error: OtaError | null): void {
    const { kind, accessToken } = heard.listener;
    const state = this.#filters.state(kind, accessToken);
    if (heard.last === state) return;
    heard.last = state;
    heard.listener.onSubscription(state, state === 'refused' ? error : null);
  }

  *#all(kind?: MessageKind): Generator<Heard> {
    for (const [of, tokens] of this.#listeners) {
      if (kind === undefined || kind === of) for (const set of tokens.values()) yield* set;
    }
  }

  #take(link: Link, packet: IPublishPacket, batch: Batch): Taken {
    if (link !== this.#link) return 'hold';
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const read = readWire(this.scheme, packet.topic, payload, packet.retain);
    const kind = read.ok ? read.value.kind : read.refused.kind;
    const accessToken = read.ok ? read.value.accessToken : read.refused.accessToken;
    const tokens = kind === null ? undefined : this.#listeners.get(kind);
    const own = accessToken === null ? undefined : tokens?.get(accessToken);
    const every = tokens?.get(EVERY_DEVICE);
    if (own === undefined && every === undefined) {
      return this.#unwantedTaken(packet.topic, kind, accessToken);
    }
    if (!allReady(own) || !allReady(every)) return this.#notReady(link);
    for (const set of [own, every]) {
      if (set === undefined) continue;
      for (const { listener } of set) {
        try {
          if (read.ok) listener.onMessage(read.value, batch);
          else listener.onRefused(read.refused);
        } catch (error) {
          this.#options.onFault(toOtaError(error));
        }
      }
    }
    return 'taken';
  }

  /** Held: nothing else comes in meanwhile, so not for long. */
  #notReady(link: Link): Taken {
    this.#patience ??= setTimeout(() => {
      this.#patience = null;
      link.refuse();
    }, LINGER_MS);
    return 'hold';
  }

  #unwantedTaken(topic: string, kind: MessageKind | null, accessToken: string | null): Taken {
    const shown = this.scheme.mask(topic, maskToken).slice(0, 256);
    const filters = kind === null ? [topic] : [this.#filters.filter(kind, EVERY_DEVICE)];
    if (kind !== null && accessToken !== null) filters.push(this.#filters.filter(kind, accessToken));
    return this.#unwanted.take(shown, filters, this.state.phase === 'connected');
  }
}

function allReady(set: ReadonlySet<Heard> | undefined): boolean {
  if (set === undefined) return true;
  for (const { listener } of set) if (listener.ready?.() === false) return false;
  return true;
}

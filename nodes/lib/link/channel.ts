/**
 * A service's connection in the words of the protocol: listeners get messages, senders hand messages in.
 * Owns who uses the link and who hears what; a message is read once, whatever the number of nodes that want
 * it. Nothing that comes in makes it throw.
 */
import { randomBytes } from 'node:crypto';
import type { IPublishPacket } from 'mqtt';
import {
  type Batch,
  EVERY_DEVICE,
  type Kept,
  listenerKind,
  type MessageKind,
  maskToken,
  OtaError,
  type Outgoing,
  type PreparedUpgrade,
  readWire,
  type Refused,
  type Scheme,
  toOtaError,
  type TopicKind,
  type WireMessage,
} from '../protocol';
import { type Adopted, adoptSession } from './adoption';
import { Filters, LINGER_MS } from './filters';
import type { Taken } from './inbox';
import { KeptMessages } from './kept-messages';
import { Link, type LinkOptions } from './link';
import { closedError, type PublishOptions, type Settled } from './outbox';
import { type Answered, Requests } from './requests';
import type { LinkState } from './state';
import type { FilterState } from './subscriptions';
import { UnclaimedMessages } from './unclaimed-messages';

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
  /**
   * May join the batch: the broker's acknowledgement then waits for the commit. `again`: the broker sends it once
   * more, so it may have been committed before, by an earlier process or another instance.
   */
  readonly onMessage: (message: MessageOf<K>, batch: Batch, again: boolean) => void;
  /** Something on a topic of this listener that can't be read. */
  readonly onRefused: (refused: Refused) => void;
  /** The broker's answer to the subscription, at each change. */
  readonly onSubscription: (state: FilterState, error: OtaError | null) => void;
}

/** Somebody who needs the connection. */
export interface ChannelUser {
  readonly onState: (state: LinkState) => void;
  /** What is known of messages that the broker had kept for a session of `useSession`; until then `unknown`. */
  readonly onKept?: (kept: Kept) => void;
  /** It must know within seconds that the broker answers nothing any more: limits of devices run meanwhile. */
  readonly watchful?: boolean;
}

/** Whether a session is still this instance's own; see `LinkOptions.mayConnect`. */
export type IsOurs = (lostAt: number) => boolean;

export interface ChannelOptions extends Pick<
  LinkOptions,
  'url' | 'mqtt' | 'clientId' | 'persistent' | 'window'
> {
  readonly scheme: Scheme;
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

/** A question that waits for the subscription to its answer. */
interface Unsent {
  readonly accessToken: string;
  readonly filterOf: string;
  readonly id: string;
  readonly send: () => void;
}

/** A question waits so long for its answer, in milliseconds. */
const ANSWER_TIMEOUT_MS = 30_000;
/** How long the end waits for the users. */
const LEAVE_MS = 1000;
const IDLE: LinkState = { phase: 'idle', error: null };

export class Channel {
  readonly scheme: Scheme;
  readonly #options: ChannelOptions;
  readonly #filters: Filters;
  readonly #users = new Set<ChannelUser>();
  readonly #listeners = new Map<MessageKind, Map<string, Set<Heard>>>();
  readonly #unclaimed: UnclaimedMessages;
  readonly #requests = new Requests();
  /** Whose answers are subscribed to. */
  readonly #asking = new Set<string>();
  #unsent: Unsent[] = [];
  /** A retained progress report was told on this connection. */
  #retainedTold = false;
  #link: Link | null = null;
  /** Of the session in use; null without one. */
  #kept: KeptMessages | null = null;
  #ending: Promise<void> = Promise.resolve();
  #closed = false;
  #linger: NodeJS.Timeout | null = null;
  #downSince: number | null = null;
  #allLeft: (() => void) | null = null;
  #patience: NodeJS.Timeout | null = null;
  /** The kept session of this life; null: none yet, and no connection before; absent: nobody keeps any. */
  #session: string | null | undefined;
  #isOurs: IsOurs = () => true;
  /** Nobody needs a kept session any more: runs until the filters of those who did are gone. */
  #releasing: NodeJS.Timeout | null = null;
  /** Take over sessions of instances that are gone. */
  readonly #adopting = new Set<Link>();
  readonly #adoptions = new Set<Promise<unknown>>();

  constructor(options: ChannelOptions) {
    this.#options = options;
    this.scheme = options.scheme;
    this.#filters = new Filters(options);
    this.#unclaimed = new UnclaimedMessages({
      onOver: () => this.#offerHeld(),
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

  /** True where several instances share what devices report. */
  get isShared(): boolean {
    return this.#options.shareGroup !== '';
  }

  /** A client id that nobody has had: a life of this instance gets one of its own. */
  newClientId(): string {
    return `${this.#options.clientId}-${randomBytes(6).toString('hex')}`;
  }

  /** No connection before `useSession`; nothing where a session is in use. */
  awaitSession(): void {
    this.#clearReleasing();
    if (this.#session === undefined) this.useSession(null);
  }

  /**
   * From now on the connection is one of this client id, and its session is kept: whoever made the id known sees to
   * it that somebody adopts it. What stood before is left without ending its session. Null: no connection until
   * there is an id.
   * @param isOurs false while somebody else may have adopted the session: it isn't connected to then
   */
  useSession(clientId: string | null, isOurs: IsOurs = () => true): void {
    this.#clearReleasing();
    if (this.#closed || this.#session === clientId) return;
    this.#session = clientId;
    this.#isOurs = isOurs;
    this.#shut();
    // Nobody hears anything until the next connection stands.
    for (const user of this.#users) user.onState(IDLE);
    if (this.#users.size > 0) this.#open();
  }

  /**
   * Nobody keeps a session any more. Who is left gets a connection that keeps nothing, but only after the filters of
   * those who stopped to listen have lingered: the broker would give it a share of the reports, which nobody hears,
   * and drop them with it. `awaitSession` and `useSession` come first.
   */
  releaseSession(): void {
    this.#clearReleasing();
    if (this.#closed || this.#session === undefined) return;
    this.useSession(null);
    this.#releasing = setTimeout(() => {
      this.#releasing = null;
      this.#session = undefined;
      this.#isOurs = () => true;
      if (this.#users.size > 0) this.#open();
    }, LINGER_MS);
  }

  #clearReleasing(): void {
    if (this.#releasing !== null) clearTimeout(this.#releasing);
    this.#releasing = null;
  }

  /**
   * Takes over the session of an instance that is gone: its messages are handed to the listeners here. Resolves when
   * nothing of it is under way any more, commits included.
   * @param life `isOurs`: nobody else may have taken it over meanwhile; `isOver`: it is left to somebody else
   * @throws OtaError why it can't be taken over
   */
  async adopt(
    clientId: string,
    life: { readonly isOurs: IsOurs; readonly isOver: () => boolean },
  ): Promise<Adopted> {
    const links: Link[] = [];
    const adopted = adoptSession({
      ...this.#options,
      clientId,
      filters: this.#filters.held(),
      isOurs: life.isOurs,
      isOver: () => this.#closed || life.isOver(),
      handle: (link, packet, batch) => {
        if (!this.#adopting.has(link)) links.push(link);
        this.#adopting.add(link);
        return this.#take(link, packet, batch);
      },
    });
    this.#adoptions.add(adopted);
    try {
      return await adopted;
    } finally {
      this.#adoptions.delete(adopted);
      for (const link of links) this.#adopting.delete(link);
    }
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
    user.onKept?.(this.#kept?.kept ?? 'unknown');
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
   * subscription waits a moment for a successor.
   * @throws OtaError OTA_BAD_TOKEN; OTA_BAD_TEMPLATE for `+` where topics name no device; OTA_BAD_INPUT where the
   *   scheme has no such message
   */
  listen<K extends MessageKind>(listener: Listener<K>): (removed: boolean) => void {
    const { kind, accessToken } = listener;
    this.scheme.filters(kind, accessToken);
    const heard: Heard = { listener: listener as unknown as Listener, last: null };
    const tokens = this.#listeners.get(kind) ?? new Map<string, Set<Heard>>();
    this.#listeners.set(kind, tokens);
    const all = tokens.get(accessToken) ?? new Set();
    tokens.set(accessToken, all.add(heard));
    this.#filters.add(kind, accessToken);
    this.#tell(heard, null);
    // A message may be held for this one; its node isn't ready before its constructor is through.
    setImmediate(() => this.#offerHeld());
    return (removed) => {
      if (!all.delete(heard)) return;
      if (all.size === 0 && tokens.get(accessToken) === all) tokens.delete(accessToken);
      this.#unclaimed.beginGrace();
      if (!this.#closed) this.#filters.remove(kind, accessToken, removed);
    };
  }

  /** A listener became ready: what is held is offered again. */
  resume(): void {
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#patience = null;
    this.#offerHeld();
  }

  #offerHeld(): void {
    for (const link of [this.#link, ...this.#adopting]) link?.inbox.resume();
  }

  /**
   * Sends a message to one device's topic, or from one device. `settled` is called once, later, with the topic; a
   * bad identity, or a message that can't be written, is `refused`.
   */
  send<K extends MessageKind>(
    kind: K,
    accessToken: string,
    message: Outgoing[K],
    settled: Settled,
    options?: PublishOptions,
  ): void {
    let topic = '';
    let body: string;
    try {
      topic = this.scheme.topic(kind, accessToken);
      body = this.scheme.write(kind, accessToken, message);
    } catch (error) {
      const refused = toOtaError(error);
      queueMicrotask(() => settled({ delivery: 'refused', error: refused }, topic));
      return;
    }
    this.#publish(topic, body, settled, options);
  }

  /**
   * The device's side: asks the platform for an upgrade of one module, or of the device (null). An upgrade that
   * comes in answer is handed to the listeners of `upgrade`, in a batch like a push; then `answered` is called,
   * once, with it, with null where there is nothing to do, or with what went wrong: OTA_BAD_INPUT where the scheme
   * knows no questions, OTA_BAD_TOKEN, OTA_OFFLINE where no platform listens, OTA_TIMEOUT.
   */
  ask(
    accessToken: string,
    module: string | null,
    answered: (answered: Answered) => void,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): void {
    const fail = (error: OtaError): void => queueMicrotask(() => answered({ upgrade: null, error }));
    const filterOf = this.#filters.everyDevice('upgrade') ? EVERY_DEVICE : accessToken;
    try {
      this.scheme.topic('ask', accessToken);
      this.scheme.filters('answer', filterOf);
    } catch (error) {
      return fail(toOtaError(error));
    }
    if (this.#link === null) return fail(closedError());
    const id = this.scheme.nextId(accessToken);
    if (!this.#requests.add(accessToken, id, timeoutMs, answered)) {
      return fail(
        new OtaError('OTA_QUEUE_FULL', 'Too many questions wait for an answer; this one was not sent.'),
      );
    }
    const send = (): void =>
      this.send('ask', accessToken, { id, module }, ({ error }) => {
        if (error !== null) this.#requests.fail(accessToken, id, error);
      });
    this.#unsent.push({ accessToken, filterOf, id, send });
    if (!this.#asking.has(filterOf)) {
      this.#asking.add(filterOf);
      this.#filters.add('answer', filterOf);
    }
    this.#sendQuestions(null);
  }

  /**
   * The platform's side: answers a question that a listener of `ask` got. `upgrade` null: there is nothing to do.
   * The answer carries the question's id, and counts as a push. `settled` as with `send`.
   */
  answer(
    question: MessageOf<'ask'>,
    upgrade: PreparedUpgrade | null,
    settled: Settled,
    options?: PublishOptions,
  ): void {
    const topic = this.scheme.answerTopic(question.topic);
    this.#publish(topic, this.scheme.writeAnswer(question.message, upgrade), settled, options);
  }

  /**
   * Resolves when everything that listeners were handed is committed and acknowledged: whoever stops hearing waits
   * for it before it closes what the commits need.
   */
  async committed(): Promise<void> {
    await this.#link?.inbox.idle();
  }

  /**
   * Ends everything, once the users have left or after a moment: they close at the same time, and what they
   * still have to say goes first. `endSession`: what the broker keeps for this client is ended too.
   */
  async end(options: { endSession: boolean }): Promise<void> {
    if (this.#closed) return this.#ending;
    this.#closed = true;
    this.#clearReleasing();
    await this.#usersGone();
    this.#filters.close();
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#unclaimed.close();
    if (this.#patience !== null) clearTimeout(this.#patience);
    this.#requests.close(closedError());
    // A session may be there from an earlier start, also where nobody has used this service since.
    const link = this.#link ?? (options.endSession ? this.#newLink() : null);
    this.#link = null;
    const ended = link === null ? this.#ending : this.#ending.then(() => link.end(options));
    this.#ending = Promise.allSettled([ended, ...this.#adoptions]).then(() => ended);
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
    if (this.#session === null) return;
    this.#downSince = performance.now();
    const link = this.#newLink();
    this.#link = link;
    for (const user of this.#users) user.onKept?.(this.#kept?.kept ?? 'unknown');
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
    const { shareGroup, clientId, persistent } = this.#options;
    const own =
      shareGroup === ''
        ? { clientId, persistent }
        : {
            clientId: this.#session ?? this.newClientId(),
            persistent: this.#session !== undefined,
            mayConnect: this.#isOurs,
          };
    const kept = this.#keptMessages();
    this.#kept = kept;
    const link: Link = new Link({
      ...this.#options,
      ...own,
      watchful: () => this.isShared || this.#isWatched(),
      handle: (packet, batch) =>
        kept?.take(packet, batch) === true ? 'taken' : this.#take(link, packet, batch),
      onConnected: (sessionPresent) => kept?.connected(sessionPresent),
      onState: (state) => {
        if (state.phase !== 'connected') kept?.disconnected();
        if (link === this.#link) this.#changed(state);
      },
      onFilter: (filter, state, error) => {
        if (kept?.answered(filter, state) === true) return;
        if (link === this.#link) this.#answered(filter, state, error);
      },
    });
    kept?.attach(link);
    return link;
  }

  /** Of a session that is kept for this life of an instance; null for any other connection. */
  #keptMessages(): KeptMessages | null {
    const clientId = this.#session;
    if (typeof clientId !== 'string') return null;
    const kept: KeptMessages = new KeptMessages({
      clientId,
      onKept: (known) => {
        if (kept === this.#kept) for (const user of this.#users) user.onKept?.(known);
      },
    });
    return kept;
  }

  #isWatched(): boolean {
    for (const { watchful } of this.#users) if (watchful === true) return true;
    return false;
  }

  #changed(state: LinkState): void {
    if (state.phase === 'connected') {
      this.#downSince = null;
      this.#unclaimed.beginGrace();
      this.#filters.endEarlier();
    } else {
      this.#downSince ??= performance.now();
      this.#retainedTold = false;
    }
    this.#options.onState(state);
    for (const user of this.#users) user.onState(state);
  }

  #answered(filter: string, state: FilterState, refusal: OtaError | null): void {
    const error = refusal === null ? null : this.#named(refusal, filter);
    const together = this.#filters.together(filter);
    if (state === 'granted') this.#options.onSubscription(filter, null);
    else if (together === 'refused') this.#options.onSubscription(filter, error);
    for (const kind of this.#filters.kindsOf(filter)) {
      this.#filters.sync(kind);
      if (kind === 'answer') this.#sendQuestions(error);
      else for (const heard of this.#all(kind)) this.#tell(heard, error);
    }
  }

  /** Sends the questions whose answers can be heard now; those that never will be have failed. */
  #sendQuestions(refusal: OtaError | null): void {
    const waiting = this.#unsent;
    this.#unsent = [];
    for (const unsent of waiting) {
      const state = this.#filters.state('answer', unsent.filterOf);
      if (state === 'granted') unsent.send();
      else if (state === 'refused' && refusal !== null) {
        this.#requests.fail(unsent.accessToken, unsent.id, refusal);
      } else if (this.#requests.has(unsent.accessToken, unsent.id)) this.#unsent.push(unsent);
    }
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
    if (link !== this.#link && !this.#adopting.has(link)) return 'hold';
    const payload = typeof packet.payload === 'string' ? Buffer.from(packet.payload) : packet.payload;
    const read = readWire(this.scheme, packet.topic, payload, packet.retain);
    if (!read.ok)
      return read.refused === null ? 'taken' : this.#refusedTaken(link, packet.topic, read.refused);
    const { value } = read;
    if (value.kind === 'answer') return this.#answerTaken(link, value, batch, packet.dup);
    const heard = this.#heardBy(value.kind, value.accessToken);
    if (heard.length === 0) return this.#unclaimedTaken(packet.topic, value.kind, value.accessToken);
    return this.#deliver(link, heard, (listener) =>
      listener.onMessage(addressed(value, listener), batch, packet.dup),
    );
  }

  #refusedTaken(link: Link, topic: string, refused: Refused): Taken {
    if (refused.kind === null) return this.#unclaimedTaken(topic, null, '');
    if (refused.kind === 'progress' && refused.error.code === 'OTA_RETAINED') {
      // A device that retains one retains each, and there may be one for each device.
      if (this.#retainedTold) return 'taken';
      this.#retainedTold = true;
    }
    const kind = listenerKind(refused.kind);
    const heard = this.#heardBy(kind, refused.accessToken ?? '');
    if (heard.length === 0) return this.#unclaimedTaken(topic, refused.kind, refused.accessToken ?? '');
    return this.#deliver(link, heard, (listener) => listener.onRefused(refused));
  }

  /** An answer: its upgrade is handed on like a push, then the question is done. */
  #answerTaken(
    link: Link,
    { topic, accessToken, message }: Extract<WireMessage, { kind: 'answer' }>,
    batch: Batch,
    again: boolean,
  ): Taken {
    const { upgrade } = message;
    const heard = this.#heardBy('upgrade', accessToken);
    if (upgrade !== null && heard.length > 0) {
      const value: MessageOf<'upgrade'> = { kind: 'upgrade', topic, accessToken, message: upgrade };
      const taken = this.#deliver(link, heard, (listener) => listener.onMessage(value, batch, again));
      if (taken === 'hold') return taken;
    }
    const expected = this.#requests.answer(accessToken, message) || heard.length > 0;
    // A platform hears its own answers where one topic carries both ways.
    if (expected || this.#heardBy('ask', accessToken).length > 0) return 'taken';
    return this.#unclaimedTaken(topic, 'answer', accessToken);
  }

  /** Who listens to a device; to all of them where the message doesn't say whose it is. */
  #heardBy(kind: MessageKind, accessToken: string): readonly ReadonlySet<Heard>[] {
    const tokens = this.#listeners.get(kind);
    if (tokens === undefined) return [];
    if (accessToken === '') return [...tokens.values()];
    const sets: Set<Heard>[] = [];
    const own = tokens.get(accessToken);
    if (own !== undefined) sets.push(own);
    const every = tokens.get(EVERY_DEVICE);
    if (every !== undefined) sets.push(every);
    return sets;
  }

  #deliver(link: Link, heard: readonly ReadonlySet<Heard>[], hand: (listener: Listener) => void): Taken {
    for (const set of heard) {
      for (const { listener } of set) if (listener.ready?.() === false) return this.#notReady(link);
    }
    for (const set of heard) {
      for (const { listener } of set) {
        try {
          hand(listener);
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

  #unclaimedTaken(topic: string, kind: TopicKind | null, accessToken: string): Taken {
    const shown = this.scheme.mask(topic, maskToken).slice(0, 256);
    const filters = kind === null ? [topic] : this.#candidates(kind, accessToken);
    return this.#unclaimed.take(shown, filters, this.state.phase === 'connected');
  }

  /** The filters that may have brought a message. */
  #candidates(kind: TopicKind, accessToken: string): readonly string[] {
    return [EVERY_DEVICE, accessToken].flatMap((token) => {
      try {
        return this.#filters.filters(kind, token);
      } catch {
        return [];
      }
    });
  }

  #publish(topic: string, body: string, settled: Settled, options?: PublishOptions): void {
    if (this.#link === null) {
      queueMicrotask(() => settled({ delivery: 'timeout', error: closedError() }, topic));
    } else this.#link.publish(topic, body, settled, options);
  }
}

/** A message on a topic that names no device is the listener's own. */
function addressed<M extends WireMessage>(message: M, { accessToken }: Listener): M {
  return message.accessToken === '' ? { ...message, accessToken } : message;
}

/**
 * What an engine needs of the way to its devices: MQTT's channel, or wires. The channel of lib/link has all of it.
 */
import type { ChannelUser, IsOurs, Listener, MessageOf, Settled } from '../link';
import type { IdSource, MessageKind, PreparedUpgrade, UpgradeOut } from '../protocol';
import type { Push } from '../tasks/transactions';

/** A push that goes out: its id, the upgrade as it was prepared, and the row that it is of. */
export interface OutgoingPush {
  readonly id: string;
  readonly upgrade: PreparedUpgrade;
  readonly of: Push;
}

/** A question as the channel heard it. */
export type AskedQuestion = MessageOf<'ask'>;

export interface TaskChannel {
  readonly scheme: {
    prepare(upgrade: UpgradeOut): PreparedUpgrade;
    /** What a device's identity looks like. */
    readonly identity: { is(value: unknown): boolean };
    /** True where devices have a topic for such messages. */
    has(kind: MessageKind): boolean;
  };
  /** Ids of pushes; absent: those of the protocol, which are unique for each device. */
  readonly nextId?: IdSource;
  /** @param options `expiry`: seconds after which the push must not reach the device any more */
  send(
    kind: 'upgrade',
    accessToken: string,
    push: OutgoingPush,
    settled: Settled,
    options: { readonly expiry: number },
  ): void;
  /** Answers what a device asked; `upgrade` null: there is nothing to do. */
  answer(
    question: AskedQuestion,
    upgrade: PreparedUpgrade | null,
    settled: Settled,
    options: { readonly expiry?: number },
  ): void;
  listen<K extends MessageKind>(listener: Listener<K>): (removed: boolean) => void;
  acquire(user: ChannelUser): void;
  release(user: ChannelUser, removed: boolean): void;
  resume(): void;
  /** Resolves when everything that listeners were handed is committed. */
  committed(): Promise<void>;

  /** True where several instances share what devices report; the sessions below are for those only. */
  readonly isShared: boolean;
  newClientId(): string;
  /** No connection before `useSession`; nothing where a session is in use. */
  awaitSession(): void;
  /** The kept session of this life; null: no connection for now. */
  useSession(clientId: string | null, isOurs?: IsOurs): void;
  /** No engine listens any more: after a moment, whoever is left gets a connection that keeps nothing. */
  releaseSession(): void;
  /**
   * Takes over the session of an instance that is gone.
   * @param life `isOurs`: nobody else may have taken it over meanwhile; `isOver`: it is left to somebody else
   * @throws OtaError why it can't be
   */
  adopt(
    clientId: string,
    life: { readonly isOurs: IsOurs; readonly isOver: () => boolean },
  ): Promise<'drained' | 'absent' | 'left'>;
}

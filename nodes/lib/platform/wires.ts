/**
 * The way to devices without MQTT: pushes leave by a node's output, reports come by its input. Owns which node sends,
 * and that a report is answered after its commit. Knows neither Node-RED nor tasks' rules.
 */
import { randomUUID } from 'node:crypto';
import type { ChannelUser, Listener, Settled } from '../link';
import {
  type Batch,
  type Committer,
  type MessageKind,
  nextSharedId,
  OtaError,
  type PreparedUpgrade,
  stepStatus,
  type UpgradeOut,
} from '../protocol';
import { MAX_IDENTITY } from '../rules';
import type { WireReport } from '../tasks/commands';
import type { Push } from '../tasks/transactions';
import type { OutgoingPush, TaskChannel } from './channel';

/** A push as ota-push takes it, with what a flow needs to follow it. */
export interface WirePush {
  readonly accessToken: string;
  readonly id: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly module: string;
  readonly version: string;
  readonly size: number | null;
  readonly url: string;
  readonly signMethod: string | null;
  readonly sign: string;
  readonly extData: { readonly [key: string]: string } | null;
}

type Send = (push: WirePush) => void;

/** Pushes whose outcome may still be told. */
const MAX_PUSHES = 20_000;
/** Reports that may wait for their commit: a flow that sends more gets them back. */
const MAX_REPORTS = 10_000;
const CONNECTED = { phase: 'connected', error: null } as const;

export class WiresChannel implements TaskChannel {
  /** Nothing is written here: a flow makes of a push what its devices understand. */
  readonly scheme = {
    prepare: (_upgrade: UpgradeOut): PreparedUpgrade => ({ push: () => '', answer: () => '' }),
    has: (): boolean => false,
    identity: {
      is: (value: unknown): boolean =>
        typeof value === 'string' && value.length > 0 && value.length <= MAX_IDENTITY,
    },
  };
  /** An outcome names the id alone. */
  readonly nextId = nextSharedId;
  /** Reports come to one flow only: no broker shares them out, and none keeps a session. */
  readonly isShared = false;
  readonly #senders = new Set<Send>();
  readonly #listeners = new Map<MessageKind, Listener>();
  /** By their ids, the oldest first. */
  readonly #pushes = new Map<string, Push>();
  #batch: WireBatch | null = null;
  #users = 0;
  /** Messages that report and aren't committed yet. */
  readonly #open = new Set<Promise<unknown>>();

  get isUsed(): boolean {
    return this.#users > 0;
  }

  /** A node with an output for pushes; the first one sends. Returns what takes it away. */
  addSender(send: Send): () => void {
    this.#senders.add(send);
    return () => this.#senders.delete(send);
  }

  send(_kind: 'upgrade', accessToken: string, { id, of }: OutgoingPush, settled: Settled): void {
    if (!this.scheme.identity.is(accessToken)) {
      const text = `The access token must be a text of 1 to ${MAX_IDENTITY} characters, not of ${accessToken.length}.`;
      const error = new OtaError('OTA_BAD_TOKEN', text);
      setImmediate(() => settled({ delivery: 'refused', error }, ''));
      return;
    }
    const [send] = this.#senders;
    const { plan, device } = of;
    if (this.#pushes.size >= MAX_PUSHES) this.#pushes.delete(this.#pushes.keys().next().value ?? '');
    this.#pushes.delete(id);
    this.#pushes.set(id, of);
    const { upgrade } = plan.packages[device.variant] ?? plan;
    setImmediate(() => {
      send?.({ accessToken, id, taskId: plan.taskId, attempt: device.attempt, ...upgrade });
      // Whether anybody took it only the flow knows: it may say so by an outcome.
      settled({ delivery: 'unknown', error: null }, '');
    });
  }

  answer(): void {
    // Nobody listens to questions where `scheme.has` says that there are none.
  }

  listen<K extends MessageKind>(listener: Listener<K>): (removed: boolean) => void {
    this.#listeners.set(listener.kind, listener as unknown as Listener);
    setImmediate(() => listener.onSubscription('granted', null));
    return () => {
      if (this.#listeners.get(listener.kind) === (listener as unknown as Listener)) {
        this.#listeners.delete(listener.kind);
      }
    };
  }

  newClientId(): string {
    return `wires-${randomUUID()}`;
  }

  awaitSession(): void {
    // There is none.
  }

  useSession(): void {
    // There is none.
  }

  releaseSession(): void {
    // There is none.
  }

  adopt(): Promise<'absent'> {
    return Promise.resolve('absent');
  }

  acquire(user: ChannelUser): void {
    this.#users += 1;
    setImmediate(() => user.onState(CONNECTED));
  }

  release(): void {
    this.#users -= 1;
  }

  resume(): void {
    // Nothing is held back: a report is refused while the store is away, and the flow keeps it.
  }

  /**
   * What a device says. Resolves after the commit. @throws OtaError OTA_CLOSED, or what the store says
   */
  async report(report: Exclude<WireReport, { kind: 'outcome' }>): Promise<void> {
    const listener = this.#listeners.get(report.kind);
    if (listener?.ready?.() !== true) {
      throw new OtaError('OTA_CLOSED', 'The node is starting, or its store is away: send the report again.');
    }
    const batch = this.#openBatch();
    const { accessToken } = report;
    const message =
      report.kind === 'inform'
        ? { id: report.id, module: report.module, version: report.version, params: report.params }
        : { module: report.module, step: report.step, desc: report.desc, ...stepStatus(report.step) };
    listener.onMessage({ accessToken, message, topic: '', retained: false } as never, batch, false);
    await batch.done;
  }

  /**
   * Takes a message that reports in the order in which messages came: commands wait for it.
   * @param take begins at once; resolves after the commit
   * @throws OtaError OTA_STORE_BUSY where too many wait already, and what `take` throws
   */
  async inOrder(take: () => Promise<void>): Promise<void> {
    if (this.#open.size >= MAX_REPORTS) {
      throw new OtaError(
        'OTA_STORE_BUSY',
        `${MAX_REPORTS} reports wait for the store already: send this one again later.`,
      );
    }
    const taken = take();
    this.#open.add(taken);
    try {
      await taken;
    } finally {
      this.#open.delete(taken);
    }
  }

  /** The push of an id; null where none is remembered. */
  pushOf(id: string): Push | null {
    return this.#pushes.get(id) ?? null;
  }

  /** Resolves when what was received so far is committed, or can't be. */
  async committed(): Promise<void> {
    await Promise.allSettled(this.#open);
  }

  /** Reports of one turn of the event loop are committed together. */
  #openBatch(): WireBatch {
    if (this.#batch !== null) return this.#batch;
    const batch = new WireBatch();
    this.#batch = batch;
    setImmediate(() => {
      this.#batch = null;
      batch.commit();
    });
    return batch;
  }
}

class WireBatch implements Batch {
  readonly done: Promise<void>;
  readonly #committers = new Set<Committer>();
  #resolve: (end: void | Promise<void>) => void = () => undefined;

  constructor() {
    this.done = new Promise((resolve) => (this.#resolve = resolve));
    // Whoever waits hears of a failure; nobody has to wait.
    this.done.catch(() => undefined);
  }

  join(committer: Committer): boolean {
    const isNew = !this.#committers.has(committer);
    this.#committers.add(committer);
    return isNew;
  }

  commit(): void {
    this.#resolve(this.#commitAll());
  }

  async #commitAll(): Promise<void> {
    for (const committer of this.#committers) await committer.commit();
    for (const committer of this.#committers) committer.committed?.();
  }
}

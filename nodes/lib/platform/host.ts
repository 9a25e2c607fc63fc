/**
 * One engine on one channel: a service's connection, a store, and the nodes that listen. Owns when the engine runs,
 * from the first listener to the last, and the reason why running tasks stand still. Knows MQTT only through the
 * channel, and of Node-RED only that listeners come and go.
 */
import type { FilterState, LinkState } from '../link';
import {
  type Delivery,
  EVERY_DEVICE,
  type Kept,
  type MessageKind,
  type OtaCode,
  OtaError,
  type Refused,
  toOtaError,
} from '../protocol';
import type { Command } from '../tasks/commands';
import type { Change, TaskStore } from '../tasks/database';
import { Engine } from '../tasks/engine';
import { Instance, SharedTime } from './instance';
import type { Push } from '../tasks/transactions';
import type { TaskChannel } from './channel';
import { labelsFrom, type Moment } from '../tasks/machine';
import type { Labels, Task } from '../tasks/types';

/** One of the ota-task nodes that share an engine. */
export interface TaskListener {
  /** Fields of version reports that are taken as labels; absent: none. */
  readonly labelsFrom?: readonly string[];
  readonly onChange: (change: Change) => void;
  readonly onTask: (task: Task, reason: string | null) => void;
  /** The tasks that aren't over. */
  readonly onTasks: (tasks: readonly Task[]) => void;
  /** What is wrong with the store; null once it isn't. */
  readonly onProblem: (error: OtaError | null) => void;
  /** An instance of the fleet hears nothing; null once each hears, or is gone. */
  readonly onDeaf?: (error: OtaError | null) => void;
  /** Something to tell once, that stops nothing. */
  readonly onFault?: (error: OtaError) => void;
  /** What is wrong with the subscriptions; null once nothing is. */
  readonly onSubscription: (error: OtaError | null) => void;
  /** Something from the wire that can't be read. */
  readonly onRefused: (refused: Refused) => void;
  /** The first report of any device: the broker does serve what it granted. */
  readonly onFirstReport: () => void;
}

export interface HostOptions {
  readonly store: TaskStore;
  /** The id of the service: devices and tasks are its own. */
  readonly service: string;
  readonly channel: TaskChannel;
  /** Tasks that run, or wait for their time, come up paused: a back-up was restored, say. */
  readonly startPaused: boolean;
  /** Called when the engine runs. */
  readonly onStarted?: () => void;
}

/** A store that can't be opened now may be there later; these won't cure themselves. */
const FINAL: ReadonlySet<OtaCode> = new Set([
  'OTA_BAD_SETTINGS',
  'OTA_NO_SQLITE',
  'OTA_NO_PG',
  'OTA_STORE_NEWER',
]);
const RETRY_MS = 5000;

export class TaskHost {
  readonly #options: HostOptions;
  readonly #before: TaskHost | null;
  readonly #listeners = new Set<TaskListener>();
  readonly #granted = new Map<MessageKind, FilterState>();
  /** How many times the broker has granted one. */
  #grants = 0;
  /** What the broker said of a subscription that it doesn't grant; null where it grants all. */
  #refusal: OtaError | null = null;
  readonly #user = {
    watchful: true,
    onState: (state: LinkState) => this.#connection(state),
    onKept: (kept: Kept) => {
      this.#kept = kept;
      this.#setConnected();
    },
  };
  readonly #stops: ((removed: boolean) => void)[] = [];
  /** The clock of instances that share the store; null where this one has it for itself. */
  readonly #shared: SharedTime | null;
  #instance: Instance | null = null;
  #engine: Engine | null = null;
  #starting: Promise<void> = Promise.resolve();
  #stopping: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #problem: OtaError | null = null;
  #beatProblem: OtaError | null = null;
  #deaf: OtaError | null = null;
  /** The tasks that aren't over, as they were seen last; null before they ever were. */
  #tasks: readonly Task[] | null = null;
  #connected = false;
  #kept: Kept = 'unknown';
  #heard = false;
  /** Wall clock: what came live since then is newer than what the broker had kept. */
  #connectedAt = 0;
  /** Why there is no connection; null while there is one, or none was tried in vain yet. */
  #lost: OtaError | null = null;
  /** With which reason the running tasks were emitted last. */
  #emittedTrouble: string | null = null;
  #closed = false;

  /** @param before the one that it comes after: there is never more than one engine at work */
  constructor(options: HostOptions, before?: TaskHost) {
    this.#options = options;
    this.#shared = options.store.members === undefined ? null : new SharedTime();
    if (this.#hasSession) options.channel.awaitSession();
    this.#before = before ?? null;
  }

  /** Whatever an instance hears belongs to a session that others can adopt. */
  get #hasSession(): boolean {
    return this.#shared !== null && this.#options.channel.isShared;
  }

  /** It was stopped, or is about to be. */
  get closed(): boolean {
    return this.#closed;
  }

  /** True while a listener may join it: it wasn't stopped, and its service is still the same. */
  serves(channel: TaskChannel): boolean {
    return !this.#closed && this.#options.channel === channel;
  }

  /**
   * The tasks that aren't over; those that were seen last while the store can't be read.
   * @throws OtaError where they never were
   */
  async openTasks(): Promise<readonly Task[]> {
    await this.#starting;
    const read = (await this.#engine?.openTasks().catch(() => null)) ?? this.#tasks;
    if (read !== null) return read;
    const cause = this.#problem;
    throw new OtaError(
      cause?.code ?? 'OTA_STORE_BUSY',
      `The tasks in the ota-store can not be read yet, so nobody knows which packages they need${cause === null ? '' : ` (${cause.message})`}: try again when they can, or say "force".`,
    );
  }

  /** The first listener starts the engine. Its callbacks come later, never before this returns. */
  join(listener: TaskListener): void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1)
      this.#starting = new Promise((resolve) => setImmediate(resolve)).then(() => this.#start());
    else setImmediate(() => this.#greet(listener));
  }

  /** The last listener stops it. */
  async leave(listener: TaskListener, removed: boolean): Promise<void> {
    if (!this.#listeners.delete(listener) || this.#listeners.size > 0) return;
    await this.stop(removed);
  }

  /** Both clocks: how long a task still waits depends on them. */
  moment(): Moment {
    return this.#engine?.moment() ?? { now: 0, wall: Date.now() };
  }

  /** Resolves once the engine runs. @throws OtaError what keeps it from it */
  async started(): Promise<void> {
    await this.#running();
  }

  /** What became of a push, as a flow tells it; resolves after the commit. @throws OtaError */
  async outcome(push: Push, delivery: Delivery): Promise<void> {
    await (await this.#running()).outcome(push, delivery);
  }

  /** Carries a command out, once the engine runs. @throws OtaError */
  async command(command: Command): Promise<object> {
    return (await this.#running()).command(command);
  }

  async #running(): Promise<Engine> {
    await this.#starting;
    if (this.#engine === null) throw this.#problem ?? new OtaError('OTA_CLOSED', 'The node was stopped.');
    return this.#engine;
  }

  /** Ends the engine; what the broker sends from now on it keeps, or sends again. */
  stop(removed: boolean): Promise<void> {
    this.#closed = true;
    return (this.#stopping ??= this.#stop(removed));
  }

  async #stop(removed: boolean): Promise<void> {
    if (this.#retry !== null) clearTimeout(this.#retry);
    await this.#starting;
    await this.#instance?.stopAdopting();
    const release = this.#unlisten(removed);
    // What was heard is committed and acknowledged before the store is closed.
    await this.#options.channel.committed();
    await this.#engine?.stop();
    await this.#endLife();
    release();
  }

  /** Once nothing listens: who else uses the channel needs no session. */
  async #endLife(): Promise<void> {
    await this.#instance?.stop();
    if (this.#hasSession) this.#options.channel.releaseSession();
  }

  async #start(): Promise<void> {
    this.#listen();
    await this.#before?.stop(false);
    if (this.#closed) return;
    const { store, service, channel, startPaused } = this.#options;
    // The one before has given its session back since this one was made.
    if (this.#hasSession) channel.awaitSession();
    const engine = new Engine({
      database: store.tasks(service),
      ...(this.#shared === null ? {} : { time: this.#shared, shared: true }),
      ...(channel.nextId !== undefined && { nextId: channel.nextId }),
      link: {
        isDevice: (identity) => channel.scheme.identity.is(identity),
        prepare: (upgrade) => channel.scheme.prepare(upgrade),
        publish: (accessToken, push, settled, options) =>
          channel.send('upgrade', accessToken, push, settled, options),
      },
    });
    engine.listen({
      onChange: (change) => this.#each((listener) => listener.onChange(change)),
      onTask: (task) => this.#changed(task),
      onTasks: (tasks) => this.#taskList(tasks),
      onProblem: (error) => this.#emitProblem(error),
    });
    try {
      await store.open();
      await this.#beginLife(engine);
      await engine.start({ paused: startPaused });
    } catch (error) {
      const problem = toOtaError(error, 'OTA_STORE_FAILED');
      // It is tried every few seconds: what is told already fills no log.
      if (problem.message !== this.#problem?.message) this.#emitProblem(problem);
      if (FINAL.has(problem.code)) {
        this.#unlisten(false)();
        await this.#endLife();
        return;
      }
      this.#retry = setTimeout(() => {
        this.#retry = null;
        this.#starting = this.#start();
      }, RETRY_MS);
      return;
    }
    this.#engine = engine;
    this.#options.onStarted?.();
    this.#emitProblem(null);
    this.#setConnected();
    this.#emitSubscription();
    channel.resume();
  }

  /** Where other instances share the store: this one is among them before its engine works. */
  async #beginLife(engine: Engine): Promise<void> {
    const { store, service, channel } = this.#options;
    if (this.#shared === null || store.members === undefined) return;
    await this.#instance?.stop();
    const instance = new Instance({
      members: store.members(service),
      channel,
      engine,
      time: this.#shared,
      grants: () => this.#grants,
      onFault: (error) => this.#each((listener) => listener.onFault?.(error)),
      onDeaf: (error) => {
        this.#deaf = error;
        this.#each((listener) => listener.onDeaf?.(error));
      },
      onProblem: (error) => this.#away(error),
    });
    this.#instance = instance;
    await instance.start();
  }

  /** The beat can't be written: nothing else can. */
  #away(error: OtaError | null): void {
    if (error === null ? this.#beatProblem === null : this.#beatProblem?.code === error.code) return;
    this.#beatProblem = error;
    if (error !== null || this.#engine?.problem === null) this.#emitProblem(error);
  }

  /** From before the engine runs: what a kept session brings waits for it, instead of being dropped. */
  #listen(): void {
    if (this.#closed || this.#stops.length > 0) return;
    const { channel } = this.#options;
    const common = (kind: MessageKind) => ({
      accessToken: EVERY_DEVICE,
      ready: () => this.#engine !== null,
      onRefused: (refused: Refused) => this.#each((listener) => listener.onRefused(refused)),
      onSubscription: (state: FilterState, error: OtaError | null) => this.#subscription(kind, state, error),
    });
    this.#stops.push(
      channel.listen<'progress'>({
        ...common('progress'),
        kind: 'progress',
        onMessage: ({ accessToken, message: { module, step, desc } }, batch, again) => {
          const report = { kind: 'progress', accessToken, module, step, desc, wall: this.#wall() } as const;
          this.#enqueue(again ? { ...report, again } : report, batch);
        },
      }),
      channel.listen<'inform'>({
        ...common('inform'),
        kind: 'inform',
        onMessage: ({ accessToken, retained, message: { id, module, version, params } }, batch) => {
          const own = { accessToken, id, module, version, ...this.#labels(params) };
          const report = { kind: 'inform', ...own, wall: this.#wall() } as const;
          const subscribedAt = this.#connectedAt;
          this.#enqueue(retained ? { ...report, retained, subscribedAt } : report, batch);
        },
      }),
    );
    if (channel.scheme.has('ask')) this.#stops.push(this.#listenToQuestions());
    channel.acquire(this.#user);
  }

  /** Devices that can't ask are pushed to all the same: a refused subscription is told, and stops nothing. */
  #listenToQuestions(): (removed: boolean) => void {
    const { channel } = this.#options;
    return channel.listen<'ask'>({
      kind: 'ask',
      accessToken: EVERY_DEVICE,
      ready: () => this.#engine !== null,
      onMessage: (question, batch) => {
        const { accessToken, message } = question;
        this.#noteReport();
        this.#engine?.ask(
          {
            accessToken,
            module: message.module,
            reply: (upgrade, settled, options) => channel.answer(question, upgrade, settled, options),
          },
          batch,
        );
      },
      onRefused: (refused) => this.#each((listener) => listener.onRefused(refused)),
      onSubscription: () => undefined,
    });
  }

  /** What stamps a report: the engine notices where the clock was set between two of them. */
  #wall(): number {
    return this.#engine?.wall() ?? Date.now();
  }

  /** Labels among the fields of a report; absent where no node takes any. */
  #labels(params: Readonly<Record<string, unknown>> | null): { labels?: Labels } {
    const fields = [...this.#listeners].flatMap((listener) => listener.labelsFrom ?? []);
    return fields.length === 0 ? {} : { labels: labelsFrom(params ?? {}, fields) };
  }

  #enqueue(...report: Parameters<Engine['enqueue']>): void {
    this.#noteReport();
    this.#engine?.enqueue(...report);
  }

  #noteReport(): void {
    if (this.#heard) return;
    this.#heard = true;
    this.#each((listener) => listener.onFirstReport());
  }

  /** Hears no more. Returns what gives the connection back, for when the engine needs it no more either. */
  #unlisten(removed: boolean): () => void {
    if (this.#stops.length === 0) return () => undefined;
    for (const stop of this.#stops.splice(0)) stop(removed);
    return () => this.#options.channel.release(this.#user, removed);
  }

  #connection({ phase, error }: LinkState): void {
    const connected = phase === 'connected';
    this.#lost = error;
    if (connected !== this.#connected) {
      this.#connected = connected;
      if (connected) this.#connectedAt = this.#wall();
      this.#setConnected();
    }
    // The status of the connection stands there now: what is more important comes back.
    this.#each((listener) => listener.onTasks(this.#tasks ?? []));
    this.#emitTrouble();
  }

  #subscription(kind: MessageKind, state: FilterState, error: OtaError | null): void {
    this.#granted.set(kind, state);
    if (state === 'granted') this.#grants += 1;
    this.#setConnected();
    if (state === 'refused' || this.#allGranted()) {
      this.#refusal = error;
      this.#emitSubscription();
    }
    this.#emitTrouble();
  }

  /** Once the engine runs: until then the store is what matters. */
  #emitSubscription(): void {
    const known = this.#refusal !== null || this.#allGranted();
    if (this.#engine !== null && known) this.#each((listener) => listener.onSubscription(this.#refusal));
  }

  #allGranted(): boolean {
    return this.#granted.get('progress') === 'granted' && this.#granted.get('inform') === 'granted';
  }

  /** Time limits run, and pushes go out, only while reports can come in. */
  #setConnected(): void {
    this.#engine?.setConnected(this.#connected && this.#allGranted(), this.#kept);
  }

  #changed(task: Task): void {
    // Until they were read nobody knows them, also where a start has paused some.
    this.#tasks = this.#tasks?.map((known) => (known.id === task.id ? task : known)) ?? null;
    this.#each((listener) => listener.onTask(task, this.#emittedTrouble));
  }

  #taskList(tasks: readonly Task[]): void {
    const before = this.#tasks ?? [];
    this.#tasks = tasks;
    this.#each((listener) => listener.onTasks(tasks));
    // They were found after the trouble.
    if (before.length === 0 && this.#emittedTrouble !== null) this.#emitRunning();
  }

  /** What keeps every task from going on, as the reason of a task. */
  #trouble(): string | null {
    if (this.#problem !== null) return 'store-failed';
    if (this.#lost !== null) return 'not-connected';
    return this.#refusal === null ? null : 'subscribe-refused';
  }

  #emitTrouble(): void {
    const trouble = this.#trouble();
    if (trouble === this.#emittedTrouble) return;
    this.#emittedTrouble = trouble;
    this.#emitRunning();
  }

  /** The tasks that run, with what keeps them from it, or without it again. */
  #emitRunning(): void {
    for (const task of this.#tasks ?? []) {
      if (task.status === 'running') this.#each((listener) => listener.onTask(task, this.#emittedTrouble));
    }
  }

  #emitProblem(error: OtaError | null): void {
    if (error === null && this.#problem === null) return;
    // A full table of devices stops nothing.
    const stops = error !== null && error.code !== 'OTA_STORE_FULL';
    this.#problem = stops ? error : error === null ? null : this.#problem;
    this.#each((listener) => listener.onProblem(error));
    this.#emitTrouble();
  }

  #greet(listener: TaskListener): void {
    if (!this.#listeners.has(listener)) return;
    if (this.#problem !== null) listener.onProblem(this.#problem);
    if (this.#deaf !== null) listener.onDeaf?.(this.#deaf);
    if (this.#refusal !== null) listener.onSubscription(this.#refusal);
    if (this.#heard) listener.onFirstReport();
    listener.onTasks(this.#tasks ?? []);
  }

  #each(emit: (listener: TaskListener) => void): void {
    for (const listener of this.#listeners) emit(listener);
  }
}

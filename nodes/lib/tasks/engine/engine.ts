/**
 * The engine of one fleet's tasks: puts its parts together, and is what the platform works with. Knows neither MQTT
 * nor Node-RED. Whatever it does is in the database first: killed at any moment and started again, it goes on where
 * it was.
 */
import { type Batch, type Delivery, type Kept, nextId, OtaError, toOtaError } from '../../protocol';
import type { Moment, Report } from '../machine';
import type { Command } from '../commands';
import type { TaskDatabase } from '../database';
import type { Push } from '../transactions';
import type { Task, Ticks } from '../types';
import { PlatformClock, SYSTEM_TIME, type Time } from './clock';
import { type EngineListener, TaskEvents } from './events';
import { Intents } from './intents';
import { KeyedQueue } from './keyed-queue';
import { Lane } from './lane';
import { operate } from './operations';
import { type EngineLink, Pushes, type Question } from './pushes';
import { Questions } from './questions';
import { Scheduler, type SchedulerOptions } from './scheduler';
import { Stamps } from './stamps';
import { TaskWrites } from './task-writes';

export interface EngineOptions extends SchedulerOptions {
  readonly database: TaskDatabase;
  readonly link: EngineLink;
  readonly time?: Time;
}

/** Commands that change something: they need a store that can be written. */
const WRITES: ReadonlySet<Command['action']> = new Set<Command['action']>([
  'create',
  'start',
  'pause',
  'resume',
  'advance',
  'update',
  'cancel',
  'retry',
  'remove',
  'label',
  'forget',
  'seen',
]);
/** Of these so many may be under way. */
const MAX_COMMANDS = 1000;
/** Why a task is paused that came up so. */
const START_PAUSED = 'start-paused';

export class Engine {
  readonly #link: EngineLink;
  readonly #clock: PlatformClock;
  readonly #time: Time;
  readonly #events: TaskEvents;
  readonly #lane: Lane;
  readonly #pushes: Pushes;
  readonly #writes: TaskWrites;
  readonly #intents: Intents;
  readonly #stamps: Stamps;
  readonly #scheduler: Scheduler;
  readonly #questions: Questions;
  /** Commands that change something and are under way. */
  #open = 0;
  /** Commands, by the task that they change. */
  readonly #commands = new KeyedQueue<number>();

  constructor({ database, link, time: clocks = SYSTEM_TIME, ...options }: EngineOptions) {
    const stamps = new Stamps(clocks, database.stamps);
    const time: Time = { wall: () => stamps.wall(), steady: () => clocks.steady() };
    const clock = new PlatformClock(time);
    const events = new TaskEvents(time);
    const lane = new Lane({ database, clock, time, events });
    const pushes = new Pushes({ link, lane, clock, time });
    const writes = new TaskWrites(lane, events);
    const intents = new Intents(lane, writes);
    this.#link = link;
    this.#clock = clock;
    this.#time = time;
    this.#events = events;
    this.#lane = lane;
    this.#pushes = pushes;
    this.#writes = writes;
    this.#intents = intents;
    this.#stamps = stamps;
    const parts = { lane, pushes, writes, intents, events, clock, time, stamps };
    this.#scheduler = new Scheduler(parts, options);
    this.#questions = new Questions({ lane, pushes, events, time, nextId: options.nextId ?? nextId });
  }

  /**
   * Goes on where the database says that it was.
   * @param options `paused`: tasks that run, or wait for their time, are paused first
   * @throws OtaError where it can't be used
   */
  async start({ paused }: { readonly paused: boolean } = { paused: false }): Promise<void> {
    this.#clock.resume(await this.#lane.database.clock());
    const jump = await this.#stamps.start();
    if (jump !== null) await this.#writes.moveStamps(jump);
    await this.#stamps.save();
    if (paused) await this.#pauseAll();
    const live = (await this.#lane.database.live()).map(({ id }) => id);
    this.#scheduler.start(live);
    for (const id of live) this.#scheduler.markDirty(id);
  }

  /** Reports that were taken are committed, a run of the scheduler is waited for; nothing is written afterwards. */
  async stop(): Promise<void> {
    this.#pushes.stop();
    await this.#scheduler.stop();
    await this.#lane.idle();
    this.setConnected(false);
    try {
      await this.#lane.write((database) => database.saveClock(this.#clock.now()));
      await this.#stamps.save();
    } catch (error) {
      this.#events.fail(error);
    }
  }

  /** What is wrong with the database, or null. */
  get problem(): OtaError | null {
    return this.#events.problem;
  }

  listen(listener: EngineListener): () => void {
    return this.#events.listen(listener);
  }

  /**
   * Connected, and both subscriptions granted.
   * @param kept what the connection knows of the messages that the broker had kept; `unknown`: silence tells
   */
  setConnected(connected: boolean, kept: Kept = 'unknown'): void {
    this.#pushes.setConnected(connected);
    this.#clock.setConnected(connected, kept);
    if (connected && this.#pushes.returned) this.#scheduler.reconnected();
    if (connected) this.#scheduler.wake();
  }

  /** The time that instances share, as the database tells it. */
  follow(ticks: Ticks): void {
    this.#clock.follow(ticks);
  }

  /** It hears its devices: connected, and through with what the broker had kept. */
  get hears(): boolean {
    return this.#clock.hears;
  }

  /** Pushes of instances that are gone may not have left: they are repeated soon. */
  async repeatUnsure(): Promise<void> {
    for (const { id } of await this.#lane.database.live()) await this.#scheduler.repeatUnsure(id);
    this.#scheduler.wake();
  }

  /** A report; it is committed, with the others of its batch, before the broker hears of it. */
  enqueue(report: Report, batch: Batch): void {
    this.#lane.enqueue(report, batch);
  }

  /** A device's question: a sign of life, and answered with what it has in work, or what could be pushed now. */
  ask(question: Question, batch: Batch): void {
    this.#questions.enqueue(question, batch);
  }

  /** What became of a push, as somebody tells; resolves after the commit. @throws OtaError */
  async outcome(push: Push, delivery: Delivery): Promise<void> {
    await this.#checkStore();
    this.#pushes.outcome(push, delivery);
    await this.#lane.flush();
    this.#scheduler.wake();
  }

  /** Carries a command out and answers it. @throws OtaError */
  async command(command: Command): Promise<object> {
    if (this.#scheduler.stopped) throw this.problem ?? new OtaError('OTA_CLOSED', 'The node was stopped.');
    if (!WRITES.has(command.action)) return this.#read(command);
    if (this.#open >= MAX_COMMANDS) {
      throw new OtaError(
        'OTA_STORE_BUSY',
        `${MAX_COMMANDS} commands wait for the store already. Nothing was done: send this one again later.`,
      );
    }
    this.#open += 1;
    try {
      await this.#checkStore();
      await this.#scheduler.rightStamps();
      return await this.#operate(command);
    } finally {
      this.#open -= 1;
    }
  }

  async #read(command: Command): Promise<object> {
    // A store that can't be written is told of elsewhere, and can be read.
    await this.#scheduler.rightStamps().catch(() => undefined);
    return this.#operate(command);
  }

  /** What can't be written now isn't kept in memory until it can. @throws OtaError */
  async #checkStore(): Promise<void> {
    if (this.problem === null) return;
    try {
      await this.#lane.write((database) => database.saveClock(this.#clock.now()));
    } catch (error) {
      const problem = toOtaError(error);
      throw new OtaError(
        problem.code,
        `${problem.message} Nothing was done: send the command again when the store is there.`,
        { cause: error },
      );
    }
  }

  #operate(command: Command): Promise<object> {
    return operate(
      {
        database: this.#lane.database,
        lane: this.#lane,
        writes: this.#writes,
        intents: this.#intents,
        scheduler: this.#scheduler,
        events: this.#events,
        time: this.#time,
        link: this.#link,
        commands: this.#commands,
      },
      command,
    );
  }

  /** Looks at everything that time brings. One look at a time; never rejects. */
  runScheduler(): Promise<void> {
    return this.#scheduler.run();
  }

  /** The tasks that aren't over, as they stand in the database. @throws OtaError where it can't be read */
  async openTasks(): Promise<readonly Task[]> {
    return this.#lane.database.live();
  }

  /** The time by which reports are stamped. */
  wall(): number {
    return this.#time.wall();
  }

  /** This moment, on both clocks. */
  moment(): Moment {
    return { now: this.#clock.now(), wall: this.#time.wall() };
  }

  async #pauseAll(): Promise<void> {
    for (const { id } of await this.#lane.database.live()) {
      await this.#writes.decide(id, ({ status, wave, soakFrom }) =>
        status === 'running' || status === 'scheduled'
          ? { status: 'paused', reason: START_PAUSED, wave, soakFrom }
          : null,
      );
    }
  }
}

/**
 * The writes of one engine, one after the other. Owns the order: what was received before a write is applied before
 * it, reports and the outcomes of pushes stand in the order in which they came. Answers in the same turn where the
 * database does and nothing is under way.
 */
import type { Batch } from '../../protocol';
import type { Report } from '../machine';
import type { Awaitable, Decision, Instant, Need, Rows, TaskDatabase } from '../database';
import { type Incoming, type PushOutcome, report, type Reported, reportNeed } from '../transactions';
import type { PlatformClock, Time } from './clock';
import type { TaskEvents } from './events';

export interface LaneParts {
  readonly database: TaskDatabase;
  readonly clock: PlatformClock;
  readonly time: Time;
  readonly events: TaskEvents;
}

/** Reports and outcomes in one transaction at most. */
const MAX_INCOMING = 500;

/** The reports of one batch that wait for its commit. */
class BatchReports {
  constructor(
    readonly batch: Batch,
    readonly commit: () => void | Promise<void>,
  ) {}
}

interface Waiting {
  readonly item: Incoming;
  /** null: an outcome, which is written with whatever comes next. */
  readonly reports: BatchReports | null;
}

export class Lane {
  readonly database: TaskDatabase;
  readonly #parts: LaneParts;
  #waiting: Waiting[] = [];
  #newest: BatchReports | null = null;
  /** The write that is under way, and those behind it; null where none is. Never rejects. */
  #tail: Promise<void> | null = null;
  #open = 0;
  #whenIdle: (() => void)[] = [];

  constructor(parts: LaneParts) {
    this.#parts = parts;
    this.database = parts.database;
  }

  /** This moment. */
  now(): Instant {
    return { wall: this.#parts.time.wall(), ticks: this.#parts.clock.now() };
  }

  /** A report: it is committed with the others of its batch, before the broker hears of it. */
  enqueue(item: Report, batch: Batch): void {
    if (this.#newest?.batch !== batch) {
      const reports: BatchReports = new BatchReports(batch, () => this.#commit(reports));
      this.#newest = reports;
      this.#open += 1;
      batch.join(reports);
    }
    this.#waiting.push({ item, reports: this.#newest });
  }

  /** What became of a push: it is written before whatever comes next, by `flush` at the latest. */
  enqueueOutcome(item: PushOutcome): void {
    this.#waiting.push({ item, reports: null });
  }

  /** True where something waits to be written. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Writes what waits. */
  flush(): Awaitable<void> {
    return this.#hasNothing() ? undefined : this.#run(() => this.#writeWaiting());
  }

  /** One transaction, behind what was received before it. */
  transact<T>(need: (at: Instant) => Need, decide: (rows: Rows) => Decision<T>): Awaitable<T> {
    return this.write((database) => database.transact(need(this.now()), decide));
  }

  /** Another write, behind what was received before it. */
  write<T>(work: (database: TaskDatabase) => Awaitable<T>): Awaitable<T> {
    return this.#run(() => {
      const written = this.#writeWaiting();
      return written instanceof Promise ? written.then(() => work(this.database)) : work(this.database);
    });
  }

  /** Resolves when every batch that was begun is committed, or can't be. */
  async idle(): Promise<void> {
    if (this.#open > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    await this.#tail;
  }

  #commit(reports: BatchReports): void | Promise<void> {
    if (this.#newest === reports) this.#newest = null;
    const failed = (error: unknown): never => {
      // The broker sends them again; the others have commits of their own.
      this.#waiting = this.#waiting.filter((waiting) => waiting.reports !== reports);
      this.#closeBatch();
      throw this.#parts.events.notStored(error);
    };
    let written: Awaitable<void>;
    try {
      written = this.flush();
    } catch (error) {
      return failed(error);
    }
    if (written instanceof Promise) return written.then(() => this.#closeBatch(), failed);
    this.#closeBatch();
  }

  #closeBatch(): void {
    this.#open -= 1;
    if (this.#open === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #hasNothing(): boolean {
    return this.#waiting.length === 0 && this.#tail === null;
  }

  /** Writes what waits, in order, in transactions of a bounded size. What can't be written waits on. */
  #writeWaiting(): Awaitable<void> {
    while (this.#waiting.length > 0) {
      const slice = this.#waiting.splice(0, MAX_INCOMING);
      let reported: Awaitable<Reported>;
      try {
        reported = this.#report(slice);
      } catch (error) {
        this.#waiting.unshift(...slice);
        throw error;
      }
      if (reported instanceof Promise) {
        return reported.then(
          (result) => {
            this.#reported(result, slice);
            return this.#writeWaiting();
          },
          (error: unknown) => {
            this.#waiting.unshift(...slice);
            throw error;
          },
        );
      }
      this.#reported(reported, slice);
    }
  }

  #report(slice: readonly Waiting[]): Awaitable<Reported> {
    const incoming = slice.map(({ item }) => item);
    if (slice.some(({ reports }) => reports !== null)) this.#parts.clock.heard();
    return this.database.transact(reportNeed(incoming, this.now()), (rows) => report(incoming, rows));
  }

  #reported({ changes, leftOut }: Reported, slice: readonly Waiting[]): void {
    const { events } = this.#parts;
    if (slice.some(({ reports }) => reports !== null)) events.stored();
    events.emitChanges(changes);
    events.emitLeftOut(leftOut);
  }

  /** Begins at once where nothing is under way. */
  #run<T>(work: () => Awaitable<T>): Awaitable<T> {
    const result = this.#tail === null ? work() : this.#tail.then(work);
    if (result instanceof Promise) {
      const end = result.then(
        () => undefined,
        () => undefined,
      );
      this.#tail = end;
      void end.then(() => {
        if (this.#tail === end) this.#tail = null;
      });
    }
    return result;
  }
}

/**
 * What the engine's listeners hear: changes of devices, tasks with their counts, problems. Owns who listens, what was
 * emitted and what wasn't yet. Never writes, and decides nothing of what it emits.
 */
import { OtaError, toOtaError } from '../../protocol';
import { MAX_MODULE_NAME } from '../../rules';
import { type Change, MAX_DEVICES, type TaskDatabase } from '../database';
import { type LeftOut, MAX_MODULES } from '../transactions';
import type { Task } from '../types';
import type { Time } from './clock';

export interface EngineListener {
  /** Each change of a device, after it was committed. */
  readonly onChange?: (change: Change) => void;
  /** Each change of a task; changes of its counts at most once a second. */
  readonly onTask?: (task: Task) => void;
  /** The tasks that aren't over, whenever they were looked at and something was new. */
  readonly onTasks?: (tasks: readonly Task[]) => void;
  /** A problem (once for each change of state), or null when it is over. */
  readonly onProblem?: (error: OtaError | null) => void;
}

const LEFT_OUT = ['devices', 'modules', 'names'] as const;
const LEFT_OUT_TEXTS: Readonly<Record<keyof LeftOut, (reports: number) => string>> = {
  devices: (n) =>
    `The table of devices is full (${MAX_DEVICES} devices and modules): versions of new devices are not remembered (${n} reports since this was told last). Tasks go on. Somebody may be inventing tokens: let the broker check them; "forget" takes devices out that are gone.`,
  modules: (n) =>
    `A device reports more than ${MAX_MODULES} modules: the others are not remembered (${n} reports since this was told last). Other devices are not affected.`,
  names: (n) =>
    `A device reports a module whose name is longer than ${MAX_MODULE_NAME} characters: it is not remembered (${n} reports since this was told last). Other devices are not affected.`,
};
const DAY_MS = 24 * 3600 * 1000;
const COUNTS_MS = 1000;
const MAX_EMITTED = 1000;
/** Reports that could not be stored come again within this time, or not at all. */
const RESENT_MS = 60_000;

export class TaskEvents {
  readonly #time: Time;
  readonly #listeners = new Set<EngineListener>();
  /** Tasks whose counts changed since they were emitted, and when that was. */
  readonly #changed = new Set<string>();
  readonly #emittedAt = new Map<string, number>();
  /** A task is another than when all were emitted. */
  #isNew = true;
  #problem: OtaError | null = null;
  /** When reports could not be stored last; they come again. */
  #notStoredAt = -Infinity;
  #full = false;
  /** What was left out since it was told last, and when that was. */
  readonly #leftOut = new Map<keyof LeftOut, { readonly count: number; readonly at: number }>();

  constructor(time: Time) {
    this.#time = time;
  }

  listen(listener: EngineListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get problem(): OtaError | null {
    return this.#problem;
  }

  /** Changes that were committed. */
  emitChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const listener of this.#listeners) listener.onChange?.(change);
      if (change.before.status !== change.after.status) this.#changed.add(change.plan.taskId);
    }
  }

  emitTask(task: Task): void {
    this.#changed.delete(task.taskId);
    if (this.#emittedAt.size > MAX_EMITTED) this.#emittedAt.clear();
    this.#emittedAt.set(task.taskId, this.#time.steady());
    this.#isNew = true;
    for (const listener of this.#listeners) listener.onTask?.(task);
  }

  /** Somebody else may have changed the tasks: all that aren't over are emitted again. */
  markNew(): void {
    this.#isNew = true;
  }

  /** Emits the tasks whose counts changed, each once a second, and then all that aren't over. */
  async emitCounts(database: TaskDatabase): Promise<void> {
    const now = this.#time.steady();
    for (const taskId of [...this.#changed]) {
      if (now - (this.#emittedAt.get(taskId) ?? -Infinity) < COUNTS_MS) continue;
      const task = await database.task(taskId);
      if (task === null) this.#changed.delete(taskId);
      else this.emitTask(task);
    }
    if (!this.#isNew) return;
    this.#isNew = false;
    const tasks = await database.live();
    for (const listener of this.#listeners) listener.onTasks?.(tasks);
  }

  // Problems

  /**
   * Reports could not be stored. The broker sends them again: until then a run of the scheduler, which writes less,
   * can't tell that all is well.
   */
  notStored(error: unknown): OtaError {
    this.#notStoredAt = this.#time.steady();
    return this.fail(error);
  }

  stored(): void {
    this.#notStoredAt = -Infinity;
    this.#recovered();
  }

  schedulerDone(): void {
    if (this.#time.steady() - this.#notStoredAt >= RESENT_MS) this.#recovered();
  }

  schedulerFailed(error: unknown): void {
    this.#notStoredAt = -Infinity;
    this.fail(error);
  }

  /** Versions that were not remembered: told once a day with their number. It stops nothing. */
  emitLeftOut(leftOut: LeftOut): void {
    if (leftOut.devices > 0) this.#full = true;
    for (const kind of LEFT_OUT) {
      if (leftOut[kind] > 0) this.#countLeftOut(kind, leftOut[kind]);
    }
  }

  /** True once after a device found no room. */
  takeFull(): boolean {
    const full = this.#full;
    this.#full = false;
    return full;
  }

  #countLeftOut(kind: keyof LeftOut, reports: number): void {
    const now = this.#time.steady();
    const { count, at } = this.#leftOut.get(kind) ?? { count: 0, at: -Infinity };
    const isTold = now - at < DAY_MS;
    this.#leftOut.set(kind, isTold ? { count: count + reports, at } : { count: 0, at: now });
    if (isTold) return;
    const error = new OtaError('OTA_STORE_FULL', LEFT_OUT_TEXTS[kind](count + reports));
    for (const listener of this.#listeners) listener.onProblem?.(error);
  }

  fail(error: unknown): OtaError {
    const problem = toOtaError(error);
    if (this.#problem?.code !== problem.code || this.#problem.message !== problem.message) {
      this.#problem = problem;
      for (const listener of this.#listeners) listener.onProblem?.(problem);
    }
    return problem;
  }

  #recovered(): void {
    if (this.#problem === null) return;
    this.#problem = null;
    for (const listener of this.#listeners) listener.onProblem?.(null);
  }
}

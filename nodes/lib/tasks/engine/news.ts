/**
 * What listeners hear: changes of devices, tasks with their counts, problems. Owns who listens, what was told
 * and what wasn't yet. Never writes, and decides nothing of what it tells.
 */
import { OtaError, toOtaError } from '../../protocol';
import type { Change, TaskStore } from '../store';
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

const COUNTS_MS = 1000;
const MAX_TOLD = 1000;
/** Reports that could not be stored come again within this time, or not at all. */
const UNHEARD_MS = 60_000;

export class News {
  readonly #time: Time;
  readonly #listeners = new Set<EngineListener>();
  /** Tasks whose counts changed since they were told, and when that was. */
  readonly #untold = new Set<string>();
  readonly #toldAt = new Map<string, number>();
  /** A task is another than when all were told. */
  #isNew = true;
  #problem: OtaError | null = null;
  /** When reports could not be stored; they come again. */
  #unheard = -Infinity;
  #full = false;

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

  tellChange(change: Change): void {
    for (const listener of this.#listeners) listener.onChange?.(change);
    if (change.before.status !== change.after.status) this.#untold.add(change.plan.taskId);
  }

  tellTask(task: Task): void {
    this.#untold.delete(task.taskId);
    if (this.#toldAt.size > MAX_TOLD) this.#toldAt.clear();
    this.#toldAt.set(task.taskId, this.#time.steady());
    this.#isNew = true;
    for (const listener of this.#listeners) listener.onTask?.(task);
  }

  /** Tells the tasks whose counts changed, each once a second, and then all that aren't over. */
  async tellCounts(store: TaskStore): Promise<void> {
    const now = this.#time.steady();
    for (const taskId of [...this.#untold]) {
      if (now - (this.#toldAt.get(taskId) ?? -Infinity) < COUNTS_MS) continue;
      const task = await store.task(taskId);
      if (task === null) this.#untold.delete(taskId);
      else this.tellTask(task);
    }
    if (!this.#isNew) return;
    this.#isNew = false;
    const tasks = await store.live();
    for (const listener of this.#listeners) listener.onTasks?.(tasks);
  }

  // Problems

  /** Reports could not be stored. The broker sends them again: until then a sweep, which writes less, can't tell that all is well. */
  notStored(error: unknown): OtaError {
    this.#unheard = this.#time.steady();
    return this.fail(error);
  }

  stored(): void {
    this.#unheard = -Infinity;
    this.#recovered();
  }

  swept(): void {
    if (this.#time.steady() - this.#unheard >= UNHEARD_MS) this.#recovered();
  }

  notSwept(error: unknown): void {
    this.#unheard = -Infinity;
    this.fail(error);
  }

  /** Told once; it stops nothing. */
  tellFull(): void {
    if (this.#full) return;
    this.#full = true;
    const text =
      'The table of devices is full: versions of new devices are not remembered any more. Tasks for named devices go on; somebody may be inventing tokens.';
    for (const listener of this.#listeners) listener.onProblem?.(new OtaError('OTA_STORE_FULL', text));
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

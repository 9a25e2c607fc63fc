/**
 * The numbers that a service, the modules of its devices and its tasks have in the database, and what the rules need
 * of a task. Keeps what it found: none of it changes. After a transaction that failed it must be cleared, since rows
 * that were made in it are not there.
 */
import type { TaskPlan } from '../../types';
import { toPlan } from '../rows';
import { MIN_PLANS, MAX_KEPT_MODULES } from '../limits';
import type { Statements } from './statements';
import type { SqliteFile } from './file';

export class KeyCache {
  readonly #file: SqliteFile;
  readonly #key: string;
  readonly #plans = new Map<number, TaskPlan>();
  readonly #modules = new Map<string, number>();
  #service: number | null = null;
  #maxPlans = MIN_PLANS;

  /** @param key the service's own id */
  constructor(file: SqliteFile, key: string) {
    this.#file = file;
    this.#key = key;
  }

  clear(): void {
    this.#service = null;
    this.#modules.clear();
    this.#plans.clear();
  }

  /** The service's number; made where there is none. */
  service(): number {
    if (this.#service !== null) return this.#service;
    let id = this.#sql.findService(this.#key);
    if (id === undefined) {
      this.#sql.addService(this.#key);
      id = this.#sql.findService(this.#key) ?? 0;
    }
    this.#service = id;
    return id;
  }

  findModule(module: string): number | null {
    const cached = this.#modules.get(module);
    if (cached !== undefined) return cached;
    const id = this.#sql.findModule(this.service(), module);
    if (id === undefined) return null;
    if (this.#modules.size >= MAX_KEPT_MODULES) this.#modules.clear();
    this.#modules.set(module, id);
    return id;
  }

  /** The number of a task's module, made where there is none. */
  moduleOf(module: string): number {
    const found = this.findModule(module);
    if (found !== null) return found;
    this.#sql.addModule(this.service(), module);
    return this.#sql.findModule(this.service(), module) ?? 0;
  }

  /** What the rules need of a task; null while it is still made, or where it was removed. */
  plan(id: number): TaskPlan | null {
    const cached = this.#plans.get(id);
    if (cached !== undefined) return cached;
    const row = this.#sql.findPlan(id);
    if (row === undefined) return null;
    if (this.#plans.size >= this.#maxPlans) this.#plans.clear();
    const plan = toPlan(row);
    this.#plans.set(id, plan);
    return plan;
  }

  /** @param live tasks that are looked at again and again */
  reservePlans(live: number): void {
    this.#maxPlans = Math.max(MIN_PLANS, 2 * live);
  }

  forgetPlan(id: number): void {
    this.#plans.delete(id);
  }

  get #sql(): Statements {
    return this.#file.statements;
  }
}

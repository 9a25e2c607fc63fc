/**
 * The numbers that a service, its modules and its tasks have in the database, and what the rules need of a
 * task. Remembers what it found: none of it changes. After a transaction that failed it must be cleared, since
 * rows that were made in it are not there.
 */
import type { TaskPlan } from '../types';
import { toPlan } from './sqlite-rows';
import type { Statements } from './sqlite-statements';
import type { SqliteFile } from './sqlite-file';

/** Modules of a service's devices at most: a hostile device could name a new one each time. */
const MAX_SCOPES = 1000;
const MAX_MODULE = 128;
const MAX_PLANS = 1000;

export class SqliteNames {
  readonly #file: SqliteFile;
  readonly #key: string;
  readonly #plans = new Map<number, TaskPlan>();
  readonly #scopes = new Map<string, number>();
  #service: number | null = null;

  /** @param key the service's own id */
  constructor(file: SqliteFile, key: string) {
    this.#file = file;
    this.#key = key;
  }

  clear(): void {
    this.#service = null;
    this.#scopes.clear();
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

  findScope(module: string): number | null {
    const cached = this.#scopes.get(module);
    if (cached !== undefined) return cached;
    const id = this.#sql.findScope(this.service(), module);
    if (id !== undefined) this.#scopes.set(module, id);
    return id ?? null;
  }

  /** The scope of a task's module, made where there is none. */
  scopeOf(module: string): number {
    const found = this.findScope(module);
    if (found !== null) return found;
    this.#sql.addScope(this.service(), module);
    return this.#sql.findScope(this.service(), module) ?? 0;
  }

  /** The scope of a module that a device names; null where there are too many. */
  scopeFor(module: string): number | null {
    const found = this.findScope(module);
    if (found !== null) return found;
    const tooMany = module.length > MAX_MODULE || this.#sql.countScopes(this.service()) >= MAX_SCOPES;
    return tooMany ? null : this.scopeOf(module);
  }

  /** What the rules need of a task; null while it is still made, or where it was removed. */
  plan(id: number): TaskPlan | null {
    const cached = this.#plans.get(id);
    if (cached !== undefined) return cached;
    const row = this.#sql.findPlan(id);
    if (row === undefined) return null;
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
    const plan = toPlan(row);
    this.#plans.set(id, plan);
    return plan;
  }

  forgetPlan(id: number): void {
    this.#plans.delete(id);
  }

  get #sql(): Statements {
    return this.#file.statements;
  }
}

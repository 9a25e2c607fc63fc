/**
 * The numbers that a service and the modules of its devices have in the database, and what the rules need of its
 * tasks. Numbers never change and are kept; a task's rules are kept by their revision, which another instance may
 * have moved on. Decides nothing.
 */
import type { TaskPlan } from '../../types';
import { type SqlRow, toPlan } from '../rows';
import { MIN_PLANS, MAX_KEPT_MODULES } from '../limits';
import type { PostgresPool, Transaction } from './driver';
import * as sql from './statements';

/** A statement's sender: a transaction, or the pool outside of one. */
export type Reader = Pick<Transaction | PostgresPool, 'read'>;

interface Kept {
  readonly revision: number;
  readonly plan: TaskPlan;
}

export class KeyCache {
  readonly #pool: PostgresPool;
  readonly #key: string;
  readonly #plans = new Map<number, Kept>();
  readonly #modules = new Map<string, number>();
  #service: number | null = null;
  #maxPlans = MIN_PLANS;

  /** @param key the fleet's name */
  constructor(pool: PostgresPool, key: string) {
    this.#pool = pool;
    this.#key = key;
  }

  /** The service's number; made where there is none. */
  async service(): Promise<number> {
    if (this.#service !== null) return this.#service;
    let rows = await this.#pool.read(sql.FIND_SERVICE, [this.#key]);
    if (rows.length === 0) {
      await this.#pool.read(sql.ADD_SERVICE, [this.#key]);
      rows = await this.#pool.read(sql.FIND_SERVICE, [this.#key]);
    }
    const id = Number(rows[0]?.['id']);
    this.#service = id;
    return id;
  }

  /** The numbers that are kept, by the names of modules. */
  get modules(): ReadonlyMap<string, number> {
    return this.#modules;
  }

  /** The number of a module; null where nobody has named it yet. */
  async findModule(module: string): Promise<number | null> {
    const kept = this.#modules.get(module);
    if (kept !== undefined) return kept;
    const [row] = await this.#pool.read(sql.MODULE, [await this.service(), module]);
    if (row === undefined) return null;
    if (this.#modules.size >= MAX_KEPT_MODULES) this.#modules.clear();
    this.#modules.set(module, row['id'] as number);
    return row['id'] as number;
  }

  /** The number of a module, made where there is none; outside of the transaction that needs it. */
  async moduleOf(module: string): Promise<number> {
    const found = await this.findModule(module);
    if (found !== null) return found;
    await this.#pool.read(sql.ADD_MODULE, [await this.service(), module]);
    return (await this.findModule(module)) ?? 0;
  }

  /** The rules of the tasks of these rows (`task`, `revision`, `visible`); a task that isn't visible has none. */
  async plansOf(reader: Reader, rows: readonly SqlRow[]): Promise<ReadonlyMap<number, TaskPlan>> {
    const found = new Map<number, TaskPlan>();
    const missing = new Set<number>();
    for (const row of rows) {
      const id = row['task'] as number;
      if (row['visible'] !== 1 || found.has(id)) continue;
      const kept = this.#plans.get(id);
      if (kept !== undefined && kept.revision === row['revision']) found.set(id, kept.plan);
      else missing.add(id);
    }
    if (missing.size === 0) return found;
    for (const row of await reader.read(sql.PLANS, [[...missing]])) {
      const plan = this.keep(row);
      if (plan !== null) found.set(plan.id, plan);
    }
    return found;
  }

  /** @param live tasks that are looked at again and again */
  reservePlans(live: number): void {
    this.#maxPlans = Math.max(MIN_PLANS, 2 * live);
  }

  /** The rules of a task from its whole row. */
  keep(row: SqlRow): TaskPlan | null {
    if (row['visible'] !== 1) return null;
    const id = row['id'] as number;
    const revision = row['revision'] as number;
    const kept = this.#plans.get(id);
    if (kept !== undefined && kept.revision === revision) return kept.plan;
    if (this.#plans.size >= this.#maxPlans) this.#plans.clear();
    const plan = toPlan(row);
    this.#plans.set(id, { revision, plan });
    return plan;
  }
}

/**
 * The tasks and devices of one fleet in PostgreSQL, shared by any number of instances. Each write is one transaction
 * that locks what it looks at, and that is run again where it met another one. Holds no rule of tasks.
 */
import { OtaError } from '../../../protocol';
import { type Bucket, effectiveLabels, isSteppingStone, NO_LABELS } from '../../machine';
import type { HistoryEvent, KnownDevice, Labels, Task, TaskEvent, TaskPlan, Ticks } from '../../types';
import {
  type Decision,
  type DeviceQuery,
  type DeviceRow,
  type FleetQuery,
  type Instant,
  type KnownCandidate,
  type KnownModule,
  type KnownQuery,
  MAX_HISTORY,
  type ModuleVersion,
  type Need,
  type NewDevice,
  type NewTask,
  type Page,
  type Rows,
  type TaskDatabase,
  type TaskNumbers,
  type TaskQuery,
} from '../database';
import { type SqlRow, toCandidate, toDeviceRow, toHistory, toKnownModules, toWaveCounts } from '../rows';
import { foundByName, needsFolding, newTaskValues } from '../task-rows';
import { PRUNE_SLICE, ROOM_SLICE } from '../limits';
import { AddedDevices } from './adding';
import type { PgValue, PostgresPool, Statement, Transaction } from './driver';
import { KeyCache } from './keys';
import { fence, load, type LoadContext, taskOf, toKnown, toOwnLabels } from './load';
import { devicePage, fleetPage, KEEP_PLACES } from './pages';
import { modulesOf, save } from './save';
import * as sql from './statements';

/** Statistics and places of a task of a million devices may take their time. */
const PUBLISH_LIMIT_MS = 60_000;
const FIRST = { scope: 0, token: '' };
/** How long the number of known devices, which others add to, is believed. */
const ROOM_MS = 2000;

/** What all fleets of one store share. */
export interface StoreContext {
  readonly pool: PostgresPool;
  readonly maxDevices: number;
  readonly time: LoadContext['time'];
}

/** Who writes: an instance's row and its part of the counts. */
export interface Writer {
  readonly member: number | null;
  readonly part: number;
}

/** Parts of the counts that are drawn where no instance has a row. */
const PARTS = 64;

export class PostgresTasks implements TaskDatabase {
  readonly keys: KeyCache;
  readonly #context: StoreContext;
  #writer: Writer = { member: null, part: Math.floor(Math.random() * PARTS) };
  /** Devices on their way into tasks that aren't published yet, by task. */
  readonly #adding = new Map<number, AddedDevices>();
  #pruned = 0;
  /** The last device whose late report was looked at. */
  #prunedLate = FIRST;
  /** The last device that was looked at for room. */
  #looked = FIRST;
  #known = { n: 0, at: -Infinity };

  constructor(context: StoreContext, service: string) {
    this.#context = context;
    this.keys = new KeyCache(context.pool, service);
  }

  /** From now on this instance writes as this one. */
  writeAs(writer: Writer): void {
    this.#writer = writer;
  }

  async transact<T>(need: Need, decide: (rows: Rows) => Decision<T>): Promise<T> {
    const context = await this.#loadContext();
    // A module gets its number before the transaction that needs it: what is left over harms nobody.
    for (;;) {
      let missing: readonly string[] = [];
      const result = await this.#pool.transaction(async (transaction) => {
        missing = [];
        const rows = await load(transaction, context, need);
        const decision = decide(rows);
        missing = [...modulesOf(decision)].filter((module) => !this.keys.modules.has(module));
        if (missing.length > 0) return null;
        const { member, part } = this.#writer;
        save(
          transaction,
          { service: context.service, member, part, modules: this.keys.modules },
          { need, rows, decision },
        );
        await transaction.commit();
        this.#follow(decision);
        return { value: decision.result };
      });
      if (result !== null) return result.value;
      for (const module of missing) await this.keys.moduleOf(module);
    }
  }

  async create(task: NewTask, at: Instant): Promise<number> {
    const service = await this.keys.service();
    const moduleId = await this.keys.moduleOf(task.upgrade.module);
    const { ticks } = await this.#now(at);
    const id = await this.#pool.transaction(async (transaction) => {
      await this.#fence(transaction);
      const [row] = await transaction.read(sql.ADD_TASK, newTaskValues(service, moduleId, task, ticks));
      const added = row?.['id'] as number;
      transaction.write(sql.ADD_WAVES, [added, task.waves]);
      await transaction.commit();
      return added;
    });
    const { createdAt } = task;
    const fenced = (transaction: Transaction): Promise<void> => this.#fence(transaction);
    const making = { task: id, createdAt, service, part: this.#writer.part, fence: fenced };
    this.#adding.set(id, new AddedDevices(this.#pool, making));
    return id;
  }

  async add(id: number, devices: readonly NewDevice[]): Promise<void> {
    const adding = this.#adding.get(id);
    if (adding === undefined)
      throw new OtaError('OTA_STORE_FAILED', 'The making of this task was broken off: create it anew.');
    try {
      await adding.add(devices);
    } catch (error) {
      this.#adding.delete(id);
      throw error;
    }
  }

  /** The tables get the statistics by which the first claims are planned, before anybody sees the task. */
  async publish(id: number): Promise<void> {
    const adding = this.#adding.get(id);
    this.#adding.delete(id);
    await adding?.end();
    const work = async (transaction: Transaction): Promise<void> => {
      transaction.write(KEEP_PLACES, [id]);
      transaction.write({ text: 'ANALYZE task_devices, devices, tokens, tasks, task_counts' });
      await this.#fence(transaction);
      transaction.write(sql.SHOW_TASK, [id]);
      await transaction.commit();
    };
    await this.#pool.transaction(work, { limitMs: PUBLISH_LIMIT_MS });
  }

  async discard(id: number): Promise<void> {
    this.#adding.delete(id);
    await this.#writeFenced(sql.DISCARD_TASK, [id]);
  }

  async hide(id: number): Promise<boolean> {
    const hidden = await this.#writeFenced(sql.HIDE_TASK, [id]);
    return hidden.length > 0;
  }

  async deleteSlice(limit: number, madeBefore: number): Promise<boolean> {
    // Their rows may be taken away by another instance.
    for (const [id, { createdAt }] of this.#adding) if (createdAt < madeBefore) this.#adding.delete(id);
    const service = await this.keys.service();
    return this.#pool.transaction(async (transaction) => {
      await this.#fence(transaction);
      const [hidden] = await transaction.read(sql.HIDDEN_TASK, [service, madeBefore]);
      const id = hidden?.['id'] as number | undefined;
      if (id !== undefined) {
        const [deleted] = await transaction.read(sql.DELETE_DEVICES, [id, limit]);
        if (Number(deleted?.['n'] ?? 0) < limit) {
          for (const statement of sql.DELETE_TASK) transaction.write(statement, [id]);
        }
      }
      await transaction.commit();
      return id !== undefined;
    });
  }

  async prune(before: number): Promise<boolean> {
    const [end] = await this.#read(sql.END_OF_HISTORY, [this.#pruned, PRUNE_SLICE]);
    const device = Number(end?.['device'] ?? 0);
    if (device > 0) await this.#writeFenced(sql.PRUNE_HISTORY, [this.#pruned, device, before]);
    this.#pruned = Number(end?.['n'] ?? 0) < PRUNE_SLICE ? 0 : device;
    const { scope, token } = this.#prunedLate;
    const [late] = await this.#writeFenced(sql.PRUNE_LATE, [scope, token, PRUNE_SLICE]);
    this.#prunedLate =
      late === undefined || Number(late['n']) < PRUNE_SLICE
        ? FIRST
        : { scope: Number(late['scope']), token: String(late['token']) };
    return this.#pruned > 0 || this.#prunedLate !== FIRST;
  }

  async makeRoom(before: number): Promise<boolean> {
    const rows = await this.#read(sql.KNOWN_SLICE, [
      this.#looked.scope,
      this.#looked.token,
      before,
      ROOM_SLICE,
    ]);
    const idle = rows.filter((row) => Boolean(row['idle']));
    if (idle.length > 0) {
      const tokens = idle.map((row) => row['token'] as string);
      const scopes = idle.map((row) => row['scope'] as number);
      await this.#writeFenced(sql.MAKE_ROOM, [scopes, tokens, before, this.#writer.part]);
      this.#known = { ...this.#known, at: -Infinity };
    }
    const last = rows.at(-1);
    this.#looked =
      last === undefined ? FIRST : { scope: Number(last['scope']), token: String(last['token']) };
    return last !== undefined;
  }

  async clock(): Promise<Ticks> {
    const [row] = await this.#read(sql.TIME, [await this.keys.service()]);
    return Number(row?.['clock'] ?? 0);
  }

  /** Where instances share the database their beat moves the time on, and nobody else. */
  async saveClock(now: Ticks): Promise<void> {
    const service = await this.keys.service();
    if (this.#context.time === 'database') await this.#read(sql.TIME, [service]);
    else
      await this.#write({ text: 'UPDATE services SET clock = greatest(clock, $2) WHERE id = $1' }, [
        service,
        now,
      ]);
  }

  async live(): Promise<readonly Task[]> {
    const rows = await this.#read(sql.LIVE_TASKS, [await this.keys.service(), this.#writer.member ?? 0]);
    this.keys.reservePlans(rows.length);
    return rows.flatMap((row) => {
      const task = taskOf(this.keys, row);
      if (task === null) return [];
      // Another instance is at it: only where that one dies is there anything left to finish.
      return [row['elsewhere'] ? { ...task, intent: null } : task];
    });
  }

  async task(taskId: string): Promise<Task | null> {
    const [task = null] = await this.#tasks(sql.TASK_BY_KEY, [await this.keys.service(), taskId]);
    return task;
  }

  async list({ status = null, search = '', page, pageSize }: TaskQuery): Promise<{
    total: number;
    tasks: readonly Task[];
  }> {
    const service = await this.keys.service();
    if (needsFolding(search)) {
      const ids = foundByName(await this.#read(sql.NAMES_OF_TASKS, [service, status]), search);
      const shown = ids.slice((page - 1) * pageSize, page * pageSize);
      return { total: ids.length, tasks: await this.#tasks(sql.TASKS_BY_ID, [shown]) };
    }
    const found = [service, status, search];
    const [total] = await this.#read(sql.COUNT_TASKS, found);
    const tasks = await this.#tasks(sql.PAGE_OF_TASKS, [...found, pageSize, (page - 1) * pageSize]);
    return { total: Number(total?.['n'] ?? 0), tasks };
  }

  async numbers(id: number): Promise<TaskNumbers> {
    const reasons = await this.#read(sql.REASONS, [id]);
    const waves = await this.#read(sql.WAVES, [id]);
    return {
      reasons: new Map(reasons.map((row) => [row['reason'] as string, row['n'] as number])),
      waves: waves.map(toWaveCounts),
    };
  }

  async log(id: number): Promise<readonly TaskEvent[]> {
    return (await this.#read(sql.LOG, [id])) as unknown as TaskEvent[];
  }

  async ends(id: number): Promise<readonly Bucket[]> {
    return (await this.#read(sql.ENDS, [id])) as unknown as Bucket[];
  }

  devices(query: DeviceQuery): Promise<{ total: number; devices: readonly DeviceRow[] }> {
    return devicePage(this.#pool, query);
  }

  async history(id: number, accessToken: string): Promise<readonly HistoryEvent[] | null> {
    const text = 'SELECT id FROM task_devices WHERE task = $1 AND token = $2';
    const [row] = await this.#read({ text }, [id, accessToken]);
    if (row === undefined) return null;
    const lines = await this.#read(sql.HISTORY, [row['id'] as number]);
    return lines.flatMap(toHistory).slice(-MAX_HISTORY);
  }

  async known({ module, after, limit, since }: KnownQuery): Promise<readonly KnownCandidate[]> {
    const moduleId = await this.keys.findModule(module);
    if (moduleId === null) return [];
    const text = `SELECT d.token, d.version, d.at, t.operator, t.device, t.seen_at
      FROM devices AS d LEFT JOIN tokens AS t ON t.service = $1 AND t.token = d.token
      WHERE d.scope = $2 AND d.token > $3 AND greatest(d.at, t.seen_at) >= $4 ORDER BY d.token LIMIT $5`;
    const rows = await this.#read({ text }, [await this.keys.service(), moduleId, after, since, limit]);
    return rows.map(toCandidate);
  }

  async labels(accessTokens: readonly string[]): Promise<ReadonlyMap<string, Labels>> {
    const rows = await this.#read(sql.TOKENS, [await this.keys.service(), accessTokens]);
    return new Map(
      rows.map((row) => [row['token'] as string, effectiveLabels(toOwnLabels(row) ?? NO_LABELS)]),
    );
  }

  async countPending({ module, version }: ModuleVersion, accessTokens: readonly string[]): Promise<number> {
    const moduleId = await this.keys.findModule(module);
    if (moduleId === null) return 0;
    const text = `SELECT d.token, d.task, t.revision, t.visible FROM task_devices AS d JOIN tasks AS t ON t.id = d.task
      WHERE d.service = $1 AND d.scope = $2 AND d.open = 1 AND d.status = 0 AND t.visible = 1
        AND d.token = ANY ($3::text[])`;
    const rows = await this.#read({ text }, [await this.keys.service(), moduleId, accessTokens]);
    const plans = await this.keys.plansOf(this.#pool, rows);
    const taken = rows.filter((row) => {
      const plan = plans.get(row['task'] as number);
      return plan !== undefined && !isSteppingStone(plan, version);
    });
    return new Set(taken.map((row) => row['token'])).size;
  }

  fleet(query: FleetQuery): ReturnType<typeof fleetPage> {
    return fleetPage(this.#pool, this.keys, query);
  }

  async device(
    accessToken: string,
    { page, pageSize }: Page,
  ): Promise<{
    labels: Labels;
    modules: readonly KnownModule[];
    total: number;
    rows: readonly { plan: TaskPlan; device: DeviceRow }[];
  }> {
    const service = await this.keys.service();
    const [own] = await this.#read(sql.TOKENS, [service, [accessToken]]);
    const known = await this.#read(sql.KNOWN, [service, [accessToken]]);
    const from = 'FROM task_devices AS d JOIN tasks AS t ON t.id = d.task';
    const where = 'WHERE d.token = $1 AND d.service = $2 AND t.visible = 1';
    const [count] = await this.#read({ text: `SELECT count(*)::int AS n ${from} ${where}` }, [
      accessToken,
      service,
    ]);
    const text = `SELECT d.*, t.revision, t.visible, v.version AS current_version ${from}
      LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token ${where} ORDER BY d.id DESC LIMIT $3 OFFSET $4`;
    const rows = await this.#read({ text }, [accessToken, service, pageSize, (page - 1) * pageSize]);
    const plans = await this.keys.plansOf(this.#pool, rows);
    const labels = toOwnLabels(own);
    return {
      labels: effectiveLabels(labels ?? NO_LABELS),
      modules: toKnownModules(known, labels?.seenAt ?? 0),
      total: Number(count?.['n'] ?? 0),
      rows: rows.flatMap((row) => {
        const plan = plans.get(row['task'] as number);
        return plan === undefined ? [] : [{ plan, device: toDeviceRow(row) }];
      }),
    };
  }

  async versions(module: string, accessTokens: readonly string[]): Promise<ReadonlyMap<string, KnownDevice>> {
    const rows = await this.#read(sql.KNOWN, [await this.keys.service(), accessTokens]);
    const found = new Map(
      rows.filter((row) => row['module'] === module).map((row) => [row['token'] as string, toKnown(row)]),
    );
    return new Map(
      accessTokens.flatMap((token) => {
        const known = found.get(token);
        return known === undefined ? [] : [[token, known] as const];
      }),
    );
  }

  get #pool(): PostgresPool {
    return this.#context.pool;
  }

  #read(statement: Statement, values: readonly PgValue[] = []): ReturnType<PostgresPool['read']> {
    return this.#pool.read(statement, values);
  }

  /** Where this instance has a row: it still lives. @throws FencedError */
  async #fence(transaction: Transaction): Promise<void> {
    if (this.#writer.member !== null) await fence(transaction, this.#writer.member);
  }

  /** One statement, which an instance that was adopted writes no more. */
  #writeFenced(statement: Statement, values: readonly PgValue[]): Promise<readonly SqlRow[]> {
    return this.#pool.transaction(async (transaction) => {
      await this.#fence(transaction);
      const rows = await transaction.read(statement, values);
      await transaction.commit();
      return rows;
    });
  }

  async #write(statement: Statement, values: readonly PgValue[]): Promise<void> {
    await this.#pool.read(statement, values);
  }

  async #tasks(statement: Statement, values: readonly PgValue[]): Promise<Task[]> {
    return (await this.#read(statement, values)).flatMap((row) => taskOf(this.keys, row) ?? []);
  }

  async #now(at: Instant): Promise<Instant> {
    return this.#context.time === 'caller' ? at : { wall: at.wall, ticks: await this.clock() };
  }

  async #loadContext(): Promise<LoadContext> {
    const service = await this.keys.service();
    const { maxDevices, time } = this.#context;
    if (performance.now() - this.#known.at > ROOM_MS) {
      const [row] = await this.#read(sql.COUNT_KNOWN);
      this.#known = { n: Number(row?.['n'] ?? 0), at: performance.now() };
    }
    const room = Math.max(0, maxDevices - this.#known.n);
    return { keys: this.keys, service, member: this.#writer.member, time, room };
  }

  #follow({ known = [], forget = [] }: Decision<unknown>): void {
    const added = known.filter(({ before }) => before === null).length;
    this.#known = { ...this.#known, n: this.#known.n + added };
    if (forget.length > 0) this.#known = { ...this.#known, at: -Infinity };
  }
}

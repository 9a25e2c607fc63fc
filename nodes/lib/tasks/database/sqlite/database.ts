/**
 * The tasks and devices of one fleet in a SQLite file. Each write is one transaction, which runs in one turn of the
 * event loop; so nothing can come between what it reads and what it writes. Holds no rule of tasks.
 */
import { type Bucket, effectiveLabels, isSteppingStone, NO_LABELS } from '../../machine';
import type { HistoryEvent, KnownDevice, Labels, Task, TaskEvent, TaskPlan, Ticks } from '../../types';
import {
  type Awaitable,
  type Decision,
  type DeviceQuery,
  type DeviceRow,
  type FleetQuery,
  type KnownCandidate,
  type KnownModule,
  type Instant,
  type KnownQuery,
  MAX_HISTORY,
  type ModuleVersion,
  type Need,
  type NewDevice,
  type NewTask,
  type Page,
  type TaskNumbers,
  type TaskQuery,
  type Rows,
  type TaskDatabase,
  type TaskState,
} from '../database';
import { PRUNE_SLICE, ROOM_SLICE } from '../limits';
import type { SqlRow } from './driver';
import type { SqliteFile } from './file';
import { KeyCache } from './keys';
import { SqliteRows } from './load';
import { OpenDevices } from './open-devices';
import { devicePage } from './device-pages';
import { fleetPage } from './fleet';
import { toCandidate, toDeviceRow, toHistory, toKnownModules, toTask, toWaveCounts } from '../rows';
import { addDevices, save } from './save';
import { foundByName, needsFolding } from '../task-rows';
import { SqliteStamps } from './stamps';
import type { Statements } from './statements';

const FIRST = { scope: 0, token: '' };

export class SqliteTasks implements TaskDatabase {
  readonly #file: SqliteFile;
  readonly #keys: KeyCache;
  readonly #reporting = new OpenDevices();
  #dataVersion = -1;
  #pruned = 0;
  /** The last device whose late report was looked at. */
  #prunedLate = FIRST;
  /** The last device that was looked at for room. */
  #looked = FIRST;

  readonly stamps: SqliteStamps;

  constructor(file: SqliteFile, service: string) {
    this.#file = file;
    this.#keys = new KeyCache(file, service);
    this.stamps = new SqliteStamps(
      (work) => this.#write(work),
      () => this.#sql,
      () => this.#keys.service(),
      () => this.#forget(),
    );
  }

  transact<T>(need: Need, decide: (rows: Rows) => Decision<T>): Awaitable<T> {
    let decided: Decision<T> | undefined;
    return this.#write(
      () => {
        this.#forgetWhereOthersWrote();
        const rows = new SqliteRows(this.#file, this.#keys, this.#reporting, need);
        decided = decide(rows);
        save(this.#file, this.#keys, { need, rows, decision: decided });
        if (rows.lastName > 0 && decided.keepsNames !== true)
          this.#sql.deleteNames(need.task ?? 0, rows.lastName);
        return decided.result;
      },
      () => decided !== undefined && this.#follow(need, decided),
    );
  }

  create(task: NewTask, at: Instant): Awaitable<number> {
    return this.#write(() => {
      const moduleId = this.#keys.moduleOf(task.upgrade.module);
      const id = this.#sql.addTask(this.#keys.service(), moduleId, task, at.ticks);
      for (let wave = 1; wave <= task.waves; wave += 1) this.#sql.addWave(id, wave);
      return id;
    });
  }

  add(id: number, devices: readonly NewDevice[]): Awaitable<void> {
    return this.#write(() => addDevices(this.#sql, this.#keys, id, devices));
  }

  publish(id: number): Awaitable<void> {
    return this.#write(
      () => void this.#sql.showTask(id),
      () => this.#reporting.clear(),
    );
  }

  discard(id: number): Awaitable<void> {
    return this.#write(() => void this.#sql.discardTask(id));
  }

  hide(id: number): Awaitable<boolean> {
    return this.#write(
      () => this.#sql.hideTask(id),
      () => {
        this.#keys.forgetPlan(id);
        this.#reporting.clear();
      },
    );
  }

  deleteSlice(limit: number, madeBefore: number): Awaitable<boolean> {
    const id = this.#file.read(() => this.#sql.findHidden(madeBefore));
    if (id === undefined) return false;
    return this.#write(() => {
      if (this.#sql.deleteDevices(id, limit) < limit) this.#sql.deleteTask(id);
      return true;
    });
  }

  prune(before: number): Awaitable<boolean> {
    return this.#write(() => {
      this.#pruned = this.#sql.pruneHistory(this.#pruned, PRUNE_SLICE, before);
      this.#prunedLate = this.#sql.pruneLateReports(this.#prunedLate, PRUNE_SLICE) ?? FIRST;
      return this.#pruned > 0 || this.#prunedLate !== FIRST;
    });
  }

  makeRoom(before: number): Awaitable<boolean> {
    return this.#write(() => {
      const rows = this.#sql.sliceOfKnown(this.#looked, before, ROOM_SLICE);
      for (const row of rows.filter(({ idle }) => idle === 1)) {
        const [moduleId, token] = [row['scope'] as number, row['token'] as string];
        this.#sql.forgetKnown(moduleId, token);
        this.#sql.countVersion(moduleId, row['version'] as string, -1);
        this.#sql.forgetSeen(moduleId, token);
        this.#file.devices -= 1;
      }
      const last = rows.at(-1);
      this.#looked =
        last === undefined ? FIRST : { scope: Number(last['scope']), token: String(last['token']) };
      return last !== undefined;
    });
  }

  clock(): Awaitable<Ticks> {
    return this.#write(() => this.#sql.readClock(this.#keys.service()));
  }

  saveClock(now: Ticks): Awaitable<void> {
    return this.#write(() => {
      this.#sql.saveClock(this.#keys.service(), now);
    });
  }

  live(): readonly Task[] {
    return this.#file.read(() => {
      const rows = this.#sql.liveTasks(this.#keys.service());
      this.#keys.reservePlans(rows.length);
      return this.#tasks(rows);
    });
  }

  task(taskId: string): Task | null {
    return this.#file.read(() => {
      const id = this.#sql.findTaskId(this.#keys.service(), taskId);
      const row = id === undefined ? undefined : this.#sql.findTask(id);
      return row === undefined ? null : (this.#tasks([row])[0] ?? null);
    });
  }

  list(query: TaskQuery): { total: number; tasks: readonly Task[] } {
    return this.#file.read(() => {
      const service = this.#keys.service();
      const { search = '', status = null, page, pageSize } = query;
      if (!needsFolding(search)) {
        const tasks = this.#tasks(this.#sql.pageOfTasks(service, query));
        return { total: this.#sql.countTasks(service, query), tasks };
      }
      const ids = foundByName(this.#sql.namesOfTasks(service, status), search);
      const rows = ids.slice((page - 1) * pageSize, page * pageSize).map((id) => this.#sql.findTask(id));
      return { total: ids.length, tasks: this.#tasks(rows.filter((row) => row !== undefined)) };
    });
  }

  numbers(id: number): TaskNumbers {
    return this.#file.read(() => ({
      reasons: this.#sql.reasonsOf(id),
      waves: this.#sql.wavesOf(id).map(toWaveCounts),
    }));
  }

  log(id: number): readonly TaskEvent[] {
    return this.#file.read(() => this.#sql.logOf(id));
  }

  ends(id: number): readonly Bucket[] {
    return this.#file.read(() => this.#sql.endsOf(id));
  }

  devices(query: DeviceQuery): ReturnType<typeof devicePage> {
    return this.#pages(() => devicePage(this.#sql, query));
  }

  history(id: number, accessToken: string): readonly HistoryEvent[] | null {
    return this.#file.read(() => {
      const row = this.#sql.findDeviceOfTask(id, accessToken);
      return row === undefined
        ? null
        : this.#sql
            .historyOf(row['id'] as number)
            .flatMap(toHistory)
            .slice(-MAX_HISTORY);
    });
  }

  known(query: KnownQuery): readonly KnownCandidate[] {
    return this.#file.read(() => {
      const moduleId = this.#keys.findModule(query.module);
      if (moduleId === null) return [];
      return this.#sql.knownSlice(this.#keys.service(), moduleId, query).map(toCandidate);
    });
  }

  labels(accessTokens: readonly string[]): ReadonlyMap<string, Labels> {
    return this.#file.read(() => {
      const found = new Map<string, Labels>();
      for (const token of accessTokens) {
        const own = this.#sql.findToken(this.#keys.service(), token);
        if (own !== null) found.set(token, effectiveLabels(own));
      }
      return found;
    });
  }

  countPending({ module, version }: ModuleVersion, accessTokens: readonly string[]): number {
    return this.#file.read(() => {
      const moduleId = this.#keys.findModule(module);
      if (moduleId === null) return 0;
      const isTaken = (task: number): boolean => {
        const plan = this.#keys.plan(task);
        return plan !== null && !isSteppingStone(plan, version);
      };
      return accessTokens.filter((token) => this.#sql.pendingElsewhere(moduleId, token).some(isTaken)).length;
    });
  }

  fleet(query: FleetQuery): ReturnType<typeof fleetPage> {
    return this.#pages(() => fleetPage(this.#sql, this.#keys.service(), query));
  }

  /** What takes long is read in several turns, without a transaction. @throws OtaError, then or later */
  #pages<T>(work: () => Awaitable<T>): Awaitable<T> {
    const fail = (error: unknown): never =>
      this.#file.read(() => {
        throw error;
      });
    const found = this.#file.read(work);
    return found instanceof Promise ? found.catch(fail) : found;
  }

  device(
    accessToken: string,
    { page, pageSize }: Page,
  ): {
    labels: Labels;
    modules: readonly KnownModule[];
    total: number;
    rows: readonly { plan: TaskPlan; device: DeviceRow }[];
  } {
    return this.#file.read(() => {
      const service = this.#keys.service();
      const own = this.#sql.findToken(service, accessToken);
      const rows = this.#sql.tasksOfToken(service, accessToken, pageSize, (page - 1) * pageSize);
      return {
        labels: effectiveLabels(own ?? NO_LABELS),
        modules: toKnownModules(this.#sql.knownModules(service, accessToken), own?.seenAt ?? 0),
        total: this.#sql.countTasksOfToken(service, accessToken),
        rows: rows.flatMap((row) => {
          const plan = this.#keys.plan(row['task'] as number);
          return plan === null ? [] : [{ plan, device: toDeviceRow(row) }];
        }),
      };
    });
  }

  versions(module: string, accessTokens: readonly string[]): ReadonlyMap<string, KnownDevice> {
    return this.#file.read(() => {
      const found = new Map<string, KnownDevice>();
      const moduleId = this.#keys.findModule(module);
      if (moduleId === null) return found;
      for (const token of accessTokens) {
        const known = this.#sql.findKnown(moduleId, token);
        if (known !== null) found.set(token, known);
      }
      return found;
    });
  }

  get #sql(): Statements {
    return this.#file.statements;
  }

  /** One transaction. What was kept of rows that it would have made is forgotten where it fails. */
  #write<T>(work: () => T, committed?: () => void): Awaitable<T> {
    return this.#file.write({ work, committed, undone: () => this.#forget() });
  }

  #forget(): void {
    this.#keys.clear();
    this.#reporting.clear();
  }

  /** What is kept of rows goes with what was committed. */
  #follow(need: Need, { effects, task, plan: changed, joins = [] }: Decision<unknown>): void {
    for (const { plan, after } of effects?.devices ?? []) this.#reporting.written({ device: after, plan });
    if (changed !== undefined) this.#reporting.clear();
    for (const { device } of joins) this.#reporting.forget(device.accessToken);
    if (task !== undefined && need.task !== undefined) this.#forgetPlan(need.task, task);
  }

  /** Another process wrote: what is kept of devices and tasks may be old. */
  #forgetWhereOthersWrote(): void {
    const version = this.#sql.dataVersion();
    if (version !== this.#dataVersion) this.#forget();
    this.#dataVersion = version;
  }

  /** A pause or a start changes the running time, which the rules of its devices count with. */
  #forgetPlan(id: number, { running }: TaskState): void {
    const kept = this.#keys.plan(id)?.running;
    if (kept === undefined || (kept.before === running.before && kept.since === running.since)) return;
    this.#keys.forgetPlan(id);
    this.#reporting.clear();
  }

  #tasks(rows: readonly SqlRow[]): Task[] {
    return rows.flatMap((row) => {
      const plan = this.#keys.plan(row['id'] as number);
      return plan === null
        ? []
        : [toTask(row, plan, toWaveCounts(this.#sql.findWave(plan.id, row['wave'] as number)))];
    });
  }
}

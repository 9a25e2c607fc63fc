/**
 * The tasks of one service in a SQLite file: brings rows to the rules of the machine and writes what they
 * say, with the counts, the history and what follows for other tasks, in the same transaction.
 */
import {
  transition,
  progressTransitions,
  versionTransitions,
  dueOf,
  type Event,
  fitsVersion,
  isOpen,
  keptText,
  type Member,
  type Report,
  timeEvent,
  type VersionReport,
} from '../machine';
import type { Device, HistoryEvent, KnownDevice, Task, Ticks, Transition, WaveCounts } from '../types';
import type {
  Answer,
  Change,
  Claimed,
  ClaimRules,
  DeviceQuery,
  DeviceRow,
  Due,
  DueRules,
  KnownQuery,
  Moved,
  NewDevice,
  NewTask,
  Page,
  Push,
  Reported,
  Selection,
  TaskChange,
  TaskStore,
} from './store';
import { MAX_HISTORY } from './store';
import { OpenDevices } from './open-devices';
import type { SqlRow } from './sqlite-driver';
import { toDevice, toHistory, toTask, toWaveCounts } from './sqlite-rows';
import type { Statements } from './sqlite-statements';
import type { SqliteFile } from './sqlite-file';
import { SqliteNames } from './sqlite-names';
import { SqliteWriter } from './sqlite-writer';

/** A task whose making took longer than this was broken off. */
const MAKING_MS = 10 * 60_000;
/** Devices whose history is looked at in one pruning. */
const PRUNE_SLICE = 5000;

export class SqliteTasks implements TaskStore {
  readonly #file: SqliteFile;
  readonly #names: SqliteNames;
  readonly #reporting = new OpenDevices();
  #dataVersion = -1;
  #pruned = 0;

  constructor(file: SqliteFile, service: string) {
    this.#file = file;
    this.#names = new SqliteNames(file, service);
  }

  clock(): Ticks {
    return this.#write(() => this.#sql.readClock(this.#names.service()));
  }

  saveClock(now: Ticks): void {
    this.#write(() => this.#sql.saveClock(this.#names.service(), now));
  }

  report(reports: readonly Report[], now: Ticks): Reported {
    return this.#change((writer) => {
      let leftOut = 0;
      for (const report of reports) {
        const open = this.#open(writer, report.accessToken);
        const latest = (module: string): Member | null => this.#latest(writer, report.accessToken, module);
        if (report.kind === 'progress') {
          writer.record(progressTransitions(report, open, latest, now), report.wall);
          continue;
        }
        const scope = this.#names.scopeFor(report.module);
        const known = scope === null ? null : this.#sql.findKnown(scope, report.accessToken);
        writer.record(versionTransitions(report, known, open, latest, now), report.wall);
        if (!this.#remember(scope, report, known)) leftOut += 1;
      }
      return { changes: writer.changes, leftOut };
    });
  }

  answer(answers: readonly Answer[], wall: number): readonly Change[] {
    return this.#change((writer) => {
      for (const { device: id, event } of answers) {
        const row = this.#sql.findDevice(id);
        if (row !== undefined) this.#one(writer, row, event, wall);
      }
      return writer.changes;
    });
  }

  due({ now, wall, limit, mayPush }: DueRules): Due {
    return this.#change((writer) => {
      const pushes: Push[] = [];
      const rows = this.#sql.dueDevices(this.#names.service(), now, limit);
      for (const row of rows) {
        const device = writer.see(toDevice(row));
        const plan = this.#names.plan(device.task);
        if (plan === null) {
          this.#sql.saveDue(device.id, null);
          continue;
        }
        const waits = timeEvent(device, plan.policy, now, false);
        const event =
          waits?.on === 'postpone' && mayPush(plan) ? timeEvent(device, plan.policy, now, true) : waits;
        const step = event === null ? null : transition(device, plan.policy, event, wall);
        // The limit had moved on; only the next look at it was due.
        if (step === null) this.#sql.saveDue(device.id, dueOf(device, plan.policy));
        else writer.record([step], wall);
        if (step !== null && event?.on === 'repeat') pushes.push({ plan, device: step.after });
      }
      return { changes: writer.changes, pushes, more: rows.length === limit };
    });
  }

  claim(id: number, rules: ClaimRules): Claimed {
    return this.#change((writer) => {
      const pushes: Push[] = [];
      const task = this.#task(id);
      if (task === null || task.status !== 'running') return { changes: [], pushes, more: false };
      const room = rules.room(task);
      const rows = room <= 0 ? [] : this.#sql.queuedDevices(id, task.wave, room);
      const scope = this.#names.scopeOf(task.upgrade.module);
      for (const row of rows) {
        const device = toDevice(row);
        // Its reports come soon.
        if (row['opened'] === 1) this.#reporting.set(device.accessToken, this.#member(device));
        const step = this.#turn(device, row, task, scope, rules);
        if (step === null) continue;
        writer.record([{ ...step, before: device }], rules.wall);
        if (step.after.status === 'pushed') pushes.push({ plan: task, device: step.after });
      }
      if (pushes.length > 0) this.#sql.savePace(id, rules.pace(task, pushes.length));
      return { changes: writer.changes, pushes, more: rows.length === room };
    });
  }

  /** What becomes of a device whose turn has come; the row is its place in the queue. */
  #turn(
    device: Device,
    row: SqlRow,
    task: Task,
    scope: number,
    { now, wall, nextId }: ClaimRules,
  ): Transition | null {
    const { policy, upgrade } = task;
    const token = device.accessToken;
    if (row['opened'] !== 1 && this.#sql.hasActive(token, scope)) {
      return transition(device, policy, { on: 'busy', now }, wall);
    }
    const known = (row['known'] as string | null) ?? device.source;
    if (known === upgrade.version && policy.skipCurrent) {
      return transition(device, policy, { on: 'target', now, version: known }, wall);
    }
    if (!fitsVersion(policy, known)) return transition(device, policy, { on: 'unfit', now }, wall);
    const from = { ...device, source: known === upgrade.version ? null : known };
    const lateReportUntil = (row['lateReportUntil'] ?? null) as Ticks | null;
    return transition(from, policy, { on: 'push', now, id: nextId(token), lateReportUntil }, wall);
  }

  recover(since: Ticks, now: Ticks): void {
    this.#write(() => this.#sql.recover(this.#names.service(), since, now));
    this.#reporting.clear();
  }

  move(id: number, selection: Selection, event: Event, wall: number): Moved {
    return this.#change((writer) => {
      if ('accessTokens' in selection) {
        let skipped = 0;
        for (const token of selection.accessTokens) {
          const row = this.#sql.findDeviceOfTask(id, token);
          if (row === undefined || !this.#one(writer, row, event, wall)) skipped += 1;
        }
        return { changes: writer.changes, next: null, skipped };
      }
      const { status, after, limit } = selection;
      const rows = this.#sql.sliceOfTask(id, status, after, limit);
      let skipped = 0;
      for (const row of rows) if (!this.#one(writer, row, event, wall)) skipped += 1;
      const next = rows.length < limit ? null : ((rows.at(-1)?.['token'] as string | undefined) ?? null);
      return { changes: writer.changes, next, skipped };
    });
  }

  create(task: NewTask): number {
    return this.#write(() => {
      const scope = this.#names.scopeOf(task.upgrade.module);
      const id = this.#sql.addTask(this.#names.service(), scope, task);
      task.waves.forEach((total, i) => this.#sql.addWave(id, i + 1, total));
      return id;
    });
  }

  addDevices(id: number, devices: readonly NewDevice[]): void {
    const wall = Date.now();
    this.#write(() => {
      const scope = this.#sql.scopeOfTask(id);
      for (const device of devices) this.#sql.addDevice(id, this.#names.service(), scope, device, wall);
    });
  }

  publish(id: number): void {
    this.#write(() => this.#sql.showTask(id));
    this.#reporting.clear();
  }

  hide(id: number): void {
    this.#write(() => this.#sql.hideTask(id));
    this.#names.forgetPlan(id);
    this.#reporting.clear();
  }

  deleteSlice(limit: number, wall: number): boolean {
    const id = this.#file.read(() => this.#sql.findHidden(wall - MAKING_MS));
    if (id === undefined) return false;
    this.#write(() => {
      if (this.#sql.deleteDevices(id, limit) < limit) this.#sql.deleteTask(id);
    });
    return true;
  }

  live(): readonly Task[] {
    return this.#file.read(() => this.#tasks(this.#sql.liveTasks(this.#names.service())));
  }

  task(taskId: string): Task | null {
    return this.#file.read(() => {
      const id = this.#sql.findTaskId(this.#names.service(), taskId);
      return id === undefined ? null : this.#task(id);
    });
  }

  list(page: Page): { total: number; tasks: readonly Task[] } {
    return this.#file.read(() => ({
      total: this.#sql.countTasks(this.#names.service()),
      tasks: this.#tasks(this.#sql.pageOfTasks(this.#names.service(), page)),
    }));
  }

  decide(
    id: number,
    rule: (task: Task, waveCounts: (wave: number) => WaveCounts) => TaskChange | null,
    wall: number,
  ): Task | null {
    return this.#write(() => {
      const task = this.#task(id);
      if (task === null) return null;
      const change = rule(task, (wave) => this.#wave(id, wave));
      if (change === null) return null;
      const runs = change.status === 'running';
      const over = change.status === 'ended' || change.status === 'cancelled';
      const times = {
        startedAt: task.startedAt ?? (runs ? wall : null),
        endedAt: over ? (task.endedAt ?? wall) : null,
      };
      this.#sql.changeTask(id, change, times, change.base ?? task.base);
      return this.#task(id);
    });
  }

  addPace(id: number, pace: (task: Task) => number): void {
    this.#write(() => {
      const task = this.#task(id);
      if (task !== null) this.#sql.savePace(id, pace(task));
    });
  }

  devices(query: DeviceQuery): { total: number; devices: readonly DeviceRow[] } {
    return this.#file.read(() => {
      const { counts } = query.task;
      const all = Object.values(counts).reduce((sum, n) => sum + n, 0);
      const total =
        query.search === ''
          ? query.status === null
            ? all
            : counts[query.status]
          : this.#sql.countDevices(query);
      const devices = this.#sql.pageOfDevices(query).map((row) => ({
        ...toDevice(row),
        currentVersion: (row['current_version'] as string | null) ?? null,
      }));
      return { total, devices };
    });
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

  known(query: KnownQuery): readonly { accessToken: string; version: string }[] {
    return this.#file.read(() => {
      const scope = this.#names.findScope(query.module);
      if (scope === null) return [];
      return this.#sql
        .knownSlice(scope, query)
        .map((row) => ({ accessToken: row['token'] as string, version: row['version'] as string }));
    });
  }

  versions(module: string, accessTokens: readonly string[]): ReadonlyMap<string, KnownDevice> {
    return this.#file.read(() => {
      const found = new Map<string, KnownDevice>();
      const scope = this.#names.findScope(module);
      if (scope === null) return found;
      for (const token of accessTokens) {
        const known = this.#sql.findKnown(scope, token);
        if (known !== null) found.set(token, known);
      }
      return found;
    });
  }

  prune(before: number): void {
    this.#write(() => {
      const last = this.#sql.lastDevice();
      const upTo = this.#pruned + PRUNE_SLICE;
      this.#sql.pruneHistory(this.#pruned, upTo, before);
      this.#pruned = upTo >= last ? 0 : upTo;
    });
  }

  get #sql(): Statements {
    return this.#file.statements;
  }

  /** One transaction. What was remembered of rows that it would have made is forgotten where it fails. */
  #write<T>(work: () => T): T {
    const { devices } = this.#file;
    try {
      return this.#file.write(work);
    } catch (error) {
      this.#file.devices = devices;
      this.#names.clear();
      this.#reporting.clear();
      throw error;
    }
  }

  /** One transaction; the writer's counts are added at its end. */
  #change<T>(work: (writer: SqliteWriter) => T): T {
    return this.#write(() => {
      // Another process wrote: what is remembered of devices may be old.
      const version = this.#sql.dataVersion();
      if (version !== this.#dataVersion) this.#reporting.clear();
      this.#dataVersion = version;
      const writer = new SqliteWriter(this.#sql, this.#names, (member) => this.#reporting.written(member));
      const result = work(writer);
      writer.flush();
      return result;
    });
  }

  #one(writer: SqliteWriter, row: SqlRow, event: Event, wall: number): boolean {
    const device = writer.see(toDevice(row));
    const plan = this.#names.plan(device.task);
    const step = plan === null ? null : transition(device, plan.policy, event, wall);
    if (step !== null) writer.record([step], wall);
    return step !== null;
  }

  /** Remembers what a device runs. False where there is no room for another device. */
  #remember(scope: number | null, report: VersionReport, known: KnownDevice | null): boolean {
    if (scope === null || (known === null && this.#file.devices >= this.#file.maxDevices)) return false;
    if (known === null) this.#file.devices += 1;
    this.#sql.saveKnown(scope, report.accessToken, {
      version: keptText(report.version),
      lastId: report.id === null ? null : keptText(report.id),
      at: report.wall,
    });
    return true;
  }

  /** The tasks of a device that a report may still move. */
  #open(writer: SqliteWriter, token: string): readonly Member[] {
    const found = this.#reporting.get(token);
    if (found !== undefined) return found;
    const service = this.#names.service();
    const members = this.#sql
      .openDevices(token)
      .filter((row) => row['service'] === service)
      .map((row) => writer.see(toDevice(row)))
      .filter(isOpen)
      .flatMap((device) => this.#member(device));
    this.#reporting.set(token, members);
    return members;
  }

  /** A device with the rules of its task; [] while that is still made, or removed. */
  #member(device: Device): Member[] {
    const plan = this.#names.plan(device.task);
    return plan === null ? [] : [{ device, plan }];
  }

  #latest(writer: SqliteWriter, accessToken: string, module: string): Member | null {
    const scope = this.#names.findScope(module);
    if (scope === null) return null;
    // It may be over since a moment ago.
    writer.flush();
    const row = this.#sql.latestDevice(accessToken, scope);
    return row === undefined ? null : (this.#member(toDevice(row))[0] ?? null);
  }

  #task(id: number): Task | null {
    const row = this.#sql.findTask(id);
    return row === undefined ? null : (this.#tasks([row])[0] ?? null);
  }

  #tasks(rows: readonly SqlRow[]): Task[] {
    return rows.flatMap((row) => {
      const plan = this.#names.plan(row['id'] as number);
      return plan === null ? [] : [toTask(row, plan, this.#wave(plan.id, row['wave'] as number))];
    });
  }

  #wave(id: number, wave: number): WaveCounts {
    return toWaveCounts(this.#sql.findWave(id, wave));
  }
}

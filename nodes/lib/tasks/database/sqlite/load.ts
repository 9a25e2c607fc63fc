/**
 * What a transaction reads of a SQLite file. Rows are looked up when a rule asks for them: the file is locked for
 * the whole transaction, so that nothing of a need has to be read ahead. Writes nothing.
 */
import {
  effectiveLabels,
  isOpen,
  type Member,
  NO_LABELS,
  type OwnLabels,
  type TurnFacts,
} from '../../machine';
import type { Device, HistoryEvent, KnownDevice, Labels, Task, WaveCounts } from '../../types';
import type { Found, Instant, KnownModule, Need, Rows, Searched } from '../database';
import type { SqlRow } from './driver';
import type { SqliteFile } from './file';
import type { KeyCache } from './keys';
import type { OpenDevices } from './open-devices';
import { dueIn, toDevice, toHistory, toKnownModules, toNewer, toTask, toWaveCounts } from '../rows';
import type { Statements } from './statements';

export class SqliteRows implements Rows {
  /** A file is one instance's. */
  readonly commandElsewhere = false;
  /** The last of the names that were read, by its number; 0 where none was. */
  lastName = 0;
  readonly #sql: Statements;
  readonly #need: Need;
  #task: Task | null | undefined;
  #joining: readonly Task[] | undefined;
  #found: readonly Found[] | undefined;
  #unknown = 0;
  #searched: Searched = { count: 0, last: null };
  /** Whether any device waits for another task: nearly always none does. */
  #anyBusy: boolean | undefined;

  constructor(
    private readonly file: SqliteFile,
    private readonly keys: KeyCache,
    private readonly reporting: OpenDevices,
    need: Need,
  ) {
    this.#sql = file.statements;
    this.#need = need;
  }

  get at(): Instant {
    return this.#need.at;
  }

  get task(): Task | null {
    if (this.#task === undefined) this.#task = this.#loadTask();
    return this.#task;
  }

  wave(number: number): WaveCounts {
    return toWaveCounts(this.#sql.findWave(this.#need.task ?? 0, number));
  }

  open(accessToken: string): readonly Member[] {
    const cached = this.reporting.get(accessToken);
    if (cached !== undefined) return cached;
    const service = this.keys.service();
    const members = this.#sql
      .openDevices(accessToken)
      .filter((row) => row['service'] === service)
      .map(toDevice)
      .filter(isOpen)
      .flatMap((device) => this.#member(device));
    this.reporting.set(accessToken, members);
    return members;
  }

  latest(accessToken: string, module: string): Member | null {
    const moduleId = this.keys.findModule(module);
    const row = moduleId === null ? undefined : this.#sql.latestDevice(accessToken, moduleId);
    return row === undefined ? null : (this.#member(toDevice(row))[0] ?? null);
  }

  busy(accessToken: string, module: string): readonly Member[] {
    this.#anyBusy ??= this.#sql.anyBusy();
    const moduleId = this.#anyBusy ? this.keys.findModule(module) : null;
    if (moduleId === null) return [];
    return this.#sql.busyDevices(accessToken, moduleId).flatMap((row) => this.#member(toDevice(row)));
  }

  known(accessToken: string, module: string): KnownDevice | null {
    const moduleId = this.keys.findModule(module);
    return moduleId === null ? null : this.#sql.findKnown(moduleId, accessToken);
  }

  hasRoom(_accessToken: string, _module: string, taken: number): boolean {
    return this.file.devices + taken < this.file.maxDevices;
  }

  get joining(): readonly Task[] {
    return (this.#joining ??= this.#sql.joiningTasks(this.keys.service()).flatMap((row) => {
      const plan = this.keys.plan(row['id'] as number);
      return plan === null ? [] : [toTask(row, plan, toWaveCounts(undefined))];
    }));
  }

  isTaken(accessToken: string, { id }: Task): boolean {
    return this.#sql.findDeviceOfTask(id, accessToken) !== undefined;
  }

  labels(accessToken: string): OwnLabels {
    return this.#sql.findToken(this.keys.service(), accessToken) ?? NO_LABELS;
  }

  modules(accessToken: string): readonly KnownModule[] {
    return toKnownModules(
      this.#sql.knownModules(this.keys.service(), accessToken),
      this.#sql.findToken(this.keys.service(), accessToken)?.seenAt ?? 0,
    );
  }

  isInWork(accessToken: string): boolean {
    return this.#sql.isInWork(this.keys.service(), accessToken);
  }

  device(id: number): Member | null {
    const row = this.#sql.findDevice(id);
    return row === undefined ? null : (this.#member(toDevice(row))[0] ?? null);
  }

  history(id: number): readonly HistoryEvent[] {
    return this.#sql.historyOf(id).flatMap(toHistory);
  }

  get found(): readonly Found[] {
    return (this.#found ??= this.#search());
  }

  get searched(): Searched {
    this.#found ??= this.#search();
    return this.#searched;
  }

  get unknown(): number {
    this.#found ??= this.#search();
    return this.#unknown;
  }

  #search(): readonly Found[] {
    const { search, task = 0 } = this.#need;
    switch (search?.in) {
      case undefined:
        return [];
      case 'due':
        return this.#due(search.until, search.limit);
      case 'queue':
        return this.#queue(search.room);
      case 'asking':
        return this.#asking(search.accessTokens);
      case 'pushed':
        return this.#slice(this.#sql.pushedSince(task, search.since, search.after, search.limit));
      case 'waiting':
        return this.#slice(this.#sql.waiting(task, search.after, search.limit));
      case 'task':
        return this.#slice(this.#sql.sliceOfTask(task, search.status, search.after, search.limit));
      case 'hold':
        return this.#slice(this.#sql.sliceOfHold(task, search.hold, search.after, search.limit));
      case 'names':
        return this.#named(task, search.limit);
    }
  }

  #due(until: number, limit: number): Found[] {
    return this.#sql.dueDevices(this.keys.service(), until, limit).flatMap((row) => {
      const found = this.#plain([row]);
      // Its task was removed: nothing is due any more.
      if (found.length === 0) this.#sql.saveDue(row['id'] as number, null);
      return found;
    });
  }

  #queue(room: Extract<Need['search'], { in: 'queue' }>['room']): Found[] {
    const task = this.task;
    if (task?.status !== 'running') return [];
    const { pushes, first } = room(task, this.at);
    if (pushes <= 0) return [];
    const repeats = this.#plain(this.#sql.repeats(task.id, this.at.ticks, pushes));
    const left = pushes - repeats.length;
    if (left <= 0) return repeats;
    const queued = this.#sql
      .queuedDevices(task.id, task.wave, Math.min(first, left))
      .map((row) => this.#turn(row, task));
    if (queued.length >= left) return [...repeats, ...queued];
    const probes = this.#sql
      .probes(task.id, this.at.ticks, left - queued.length)
      .map((row) => this.#turn(row, task));
    return [...repeats, ...queued, ...probes];
  }

  #asking(accessTokens: readonly string[]): Found[] {
    const { task } = this;
    if (task === null) return [];
    return [...new Set(accessTokens)].flatMap((accessToken) =>
      this.#sql.deviceWithFacts(task.id, accessToken).map((row) => this.#turn(row, task)),
    );
  }

  /** A device whose turn has come, with all that decides on its push. */
  #turn(row: SqlRow, plan: Task): Found {
    const device = toDevice(row);
    const member = { device, plan };
    const isAlone = row['opened'] === 1;
    // Its reports come soon.
    if (isAlone) this.reporting.expect(device.accessToken, [member]);
    const facts: TurnFacts = {
      knownVersion: (row['known'] ?? null) as string | null,
      knownAt: (row['knownAt'] ?? null) as number | null,
      labels: this.#labelsFor(plan, device),
      open: isAlone ? [member] : this.open(device.accessToken),
      lateReportUntil: (row['lateReportUntil'] ?? null) as number | null,
      newer: toNewer(row['newer']),
    };
    return { ...member, facts, due: dueIn(row) };
  }

  /** Read only where one of the packages asks for labels. */
  #labelsFor(task: Task, { accessToken }: Device): Labels {
    return task.packages.some(({ requires }) => requires !== null)
      ? effectiveLabels(this.labels(accessToken))
      : {};
  }

  #named(task: number, limit: number): Found[] {
    const names = this.#sql.nextNames(task, limit);
    this.#count(names);
    this.lastName = Number(names.at(-1)?.['n'] ?? 0);
    const rows = names.flatMap((name): SqlRow[] => {
      const row = this.#sql.findDeviceOfTask(task, name['token'] as string);
      return row === undefined ? [] : [row];
    });
    this.#unknown = names.length - rows.length;
    return this.#plain(rows);
  }

  #slice(rows: readonly SqlRow[]): Found[] {
    this.#count(rows);
    return this.#plain(rows);
  }

  #count(rows: readonly SqlRow[]): void {
    this.#searched = { count: rows.length, last: (rows.at(-1)?.['token'] ?? null) as string | null };
  }

  #plain(rows: readonly SqlRow[]): Found[] {
    return rows.flatMap((row) =>
      this.#member(toDevice(row)).map((member) => ({ ...member, facts: null, due: dueIn(row) })),
    );
  }

  /** A device with the rules of its task; [] while that is still made, or removed. */
  #member(device: Device): Member[] {
    const plan = this.keys.plan(device.task);
    return plan === null ? [] : [{ device, plan }];
  }

  #loadTask(): Task | null {
    const id = this.#need.task;
    const row = id === undefined ? undefined : this.#sql.findTask(id);
    const plan = id === undefined || row === undefined ? null : this.keys.plan(id);
    if (row === undefined || plan === null) return null;
    return toTask(row, plan, toWaveCounts(this.#sql.findWave(plan.id, row['wave'] as number)));
  }
}

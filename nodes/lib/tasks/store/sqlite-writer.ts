/**
 * Writes the transitions of one transaction: devices, their history, the counts of tasks and waves, and what follows
 * for a device's other tasks. Several transitions of a device are one write. Decides nothing of what a device does.
 */
import { transition, isActive, isVisible, type Member } from '../machine';
import { type Device, DEVICE_STATUSES, type Transition, type TaskPlan } from '../types';
import type { Change } from './store';
import { type HistoryLine, statusCode, toDevice, toLine } from './sqlite-rows';
import type { SqliteNames } from './sqlite-names';
import type { Statements } from './sqlite-statements';

/** What is to be written of a device. */
interface Unwritten {
  readonly plan: TaskPlan;
  readonly before: Device;
  after: Device;
  readonly lines: HistoryLine[];
}

export class SqliteWriter {
  readonly changes: Change[] = [];
  readonly #sql: Statements;
  readonly #names: SqliteNames;
  readonly #written: (member: Member) => void;
  readonly #devices = new Map<number, Unwritten>();
  readonly #counts = new Map<number, { all: number[]; waves: Map<number, number[]> }>();
  /** Whether any device waits for another task; null until somebody asks. */
  #anyBusy: boolean | null = null;

  constructor(sql: Statements, names: SqliteNames, written: (member: Member) => void) {
    this.#sql = sql;
    this.#names = names;
    this.#written = written;
  }

  /** @param wall the time that its history gets */
  record(transitions: readonly Transition[], wall: number): void {
    for (const move of transitions) this.#write(move, wall);
  }

  /** A device as this transaction has it: what was read may be older than what is still to be written. */
  see(device: Device): Device {
    return this.#devices.get(device.id)?.after ?? device;
  }

  /** Writes what there is; before the commit, and before a query that must find it. */
  flush(): void {
    for (const { plan, before, after, lines } of this.#devices.values()) {
      this.#sql.saveDevice(before, after, plan.policy);
      if (lines.length > 0) this.#sql.addHistory(after.id, after.events, lines);
    }
    this.#devices.clear();
    for (const [task, { all, waves }] of this.#counts) {
      if (all.some((n) => n !== 0)) this.#sql.addCounts(task, all);
      for (const [wave, counts] of waves) {
        if (isWaveChanged(counts)) this.#sql.addWaveCounts(task, wave, counts);
      }
    }
    this.#counts.clear();
  }

  #write(move: Transition, wall: number): void {
    const { before, after } = move;
    const unwritten = this.#devices.get(after.id);
    const plan = unwritten?.plan ?? this.#names.plan(after.task);
    if (plan === null) return;
    const line = toLine(move, wall);
    if (unwritten === undefined) {
      this.#devices.set(after.id, { plan, before, after, lines: line === null ? [] : [line] });
    } else {
      unwritten.after = after;
      if (line !== null) unwritten.lines.push(line);
    }
    this.#written({ device: after, plan });
    if (after.hold === 'busy') this.#anyBusy = true;
    if (isCountedAnew(before, after)) this.#count(move);
    if (move.lateReport !== null) {
      const scope = this.#names.scopeOf(plan.upgrade.module);
      if (move.lateReport === 'clear') this.#sql.clearLateReport(scope, after.accessToken);
      else this.#sql.setLateReport(scope, after.accessToken, move.lateReport.until);
    }
    if (isVisible(before, after)) this.changes.push({ plan, before, after });
    if (isActive(before) && !isActive(after)) this.#unblock(move, plan, wall);
  }

  #count({ before, after }: Transition): void {
    let counts = this.#counts.get(after.task);
    if (counts === undefined) {
      counts = { all: zeros(), waves: new Map() };
      this.#counts.set(after.task, counts);
    }
    let wave = counts.waves.get(after.wave);
    if (wave === undefined) {
      wave = zeros();
      counts.waves.set(after.wave, wave);
    }
    for (const list of [counts.all, wave]) {
      const from = statusCode(before.status);
      const to = statusCode(after.status);
      list[from] = (list[from] ?? 0) - 1;
      list[to] = (list[to] ?? 0) + 1;
      list[WAITING] = (list[WAITING] ?? 0) + Number(isWaiting(after)) - Number(isWaiting(before));
      list[INCOMPATIBLE] =
        (list[INCOMPATIBLE] ?? 0) + Number(isIncompatible(after)) - Number(isIncompatible(before));
    }
  }

  /** The device is through with one task: those that waited for that are in their queues again. */
  #unblock({ after }: Transition, plan: TaskPlan, wall: number): void {
    this.#anyBusy ??= this.#sql.anyBusy();
    if (!this.#anyBusy) return;
    for (const row of this.#sql.busyDevices(after.accessToken, this.#names.scopeOf(plan.upgrade.module))) {
      const device = this.see(toDevice(row));
      const other = this.#names.plan(device.task);
      const move =
        other === null
          ? null
          : transition(device, other.policy, { on: 'unblocked', now: device.since }, wall);
      if (move !== null) this.#write(move, wall);
    }
  }
}

/** Places in the counts after those of the statuses. */
const WAITING = DEVICE_STATUSES.length;
const INCOMPATIBLE = WAITING + 1;

function isWaiting(device: Device): boolean {
  return device.status === 'pending' && device.hold === 'wait';
}

function isIncompatible(device: Device): boolean {
  return device.status === 'failed' && device.reason === 'incompatible';
}

/** Progress moves a device from pushed to upgrading: to its wave both are active. */
function isWaveChanged(counts: readonly number[]): boolean {
  return (counts[1] ?? 0) + (counts[2] ?? 0) !== 0 || counts.some((n, i) => i > 2 && n !== 0);
}

function isCountedAnew(before: Device, after: Device): boolean {
  return before.status !== after.status || before.hold !== after.hold || before.reason !== after.reason;
}

function zeros(): number[] {
  return Array.from({ length: INCOMPATIBLE + 1 }, () => 0);
}

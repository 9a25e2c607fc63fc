/**
 * What a transaction makes of devices, as a database writes it: each device once, its lines of history, the counts
 * of tasks, waves and reasons, the marks of late reports, and the changes that listeners hear of. The only place
 * where these follow from a device's transitions. Decides nothing of what a device does; pure.
 */
import { type Bucket, bucketOf, isEnded, isVisible } from '../machine';
import type { Device, DeviceStatus, HistoryEvent, TaskPlan, Ticks, Transition } from '../types';
import type { Change } from './database';

/** What is counted: devices by status, those of the pending that wait, those of the failed that no package fits. */
export type CountName = DeviceStatus | 'waiting' | 'incompatible';

/** All that is to be written of one device in a task. */
export interface DeviceWrite {
  readonly plan: TaskPlan;
  /** As it stands in the database. */
  readonly before: Device;
  readonly after: Device;
  /** Its new lines of history, the oldest first; `after.events` counts the last of them. */
  readonly history: readonly HistoryEvent[];
}

/** What is added to the counts of a wave; the task's own counts are the sum over its waves. */
export type CountDeltas = Readonly<Record<CountName, number>>;

/** Until when a 100 of an earlier upgrade may still come from a device and module; null where it can't any more. */
export interface LateReport {
  readonly accessToken: string;
  readonly module: string;
  readonly until: Ticks | null;
}

interface Writing extends DeviceWrite {
  after: Device;
  readonly history: HistoryEvent[];
}

export const NO_COUNTS: CountDeltas = {
  pending: 0,
  pushed: 0,
  upgrading: 0,
  succeeded: 0,
  failed: 0,
  cancelled: 0,
  waiting: 0,
  incompatible: 0,
};

export class Effects {
  /** Visible changes, in their order. */
  readonly changes: Change[] = [];
  /** The last word on each device and module. */
  readonly lateReports: LateReport[] = [];
  /** Rows that are looked at again at another time than the database has it, though nothing else is new. */
  readonly looks = new Map<number, Ticks | null>();
  /**
   * By task, devices that had failed before a person let the task go on, and succeeded after all or were taken back:
   * no base for thresholds.
   */
  readonly forgiven = new Map<number, number>();
  readonly #devices = new Map<number, Writing>();
  readonly #counts = new Map<number, Map<number, Record<CountName, number>>>();
  readonly #reasons = new Map<number, Map<string, number>>();
  readonly #ends = new Map<number, Map<number, Record<keyof Bucket, number>>>();

  /** One transition of a device. @param wall the time that its line of history gets */
  add(step: Transition, plan: TaskPlan, wall: number): void {
    const { before, after } = step;
    const found = this.#devices.get(after.id);
    const history = found?.history ?? [];
    if (found === undefined) this.#devices.set(after.id, { plan, before, after, history });
    else found.after = after;
    if (step.history !== null) {
      const { event, step: value, desc, id } = step.history;
      history.push({ at: wall, event, from: before.status, to: after.status, step: value, desc, id });
    }
    if (isCounted(before, after)) this.#count(before, after);
    if (isForgiven(before, after, plan)) {
      this.forgiven.set(after.task, (this.forgiven.get(after.task) ?? 0) + 1);
    }
    if (before.status !== after.status) this.#countEnds(before, after, bucketOf(plan.createdAt, wall));
    if (step.lateReport !== null) {
      const until = step.lateReport === 'clear' ? null : step.lateReport.until;
      this.lateReports.push({ accessToken: after.accessToken, module: plan.upgrade.module, until });
    }
    if (isVisible(before, after)) this.changes.push({ plan, before, after });
  }

  /** A device as this transaction leaves it so far; the one that is given where nothing became of it. */
  current(device: Device): Device {
    return this.#devices.get(device.id)?.after ?? device;
  }

  get devices(): Iterable<DeviceWrite> {
    return this.#devices.values();
  }

  /** What is added to the counts, by task and wave. */
  get counts(): ReadonlyMap<number, ReadonlyMap<number, CountDeltas>> {
    return this.#counts;
  }

  /** What is added to the number of devices that ended for a reason, by task. */
  get reasons(): ReadonlyMap<number, ReadonlyMap<string, number>> {
    return this.#reasons;
  }

  /** What is added to the devices that ended by a time, by task and the end of a span of time. */
  get ends(): ReadonlyMap<number, ReadonlyMap<number, Bucket>> {
    return this.#ends;
  }

  #countEnds(before: Device, after: Device, at: number): void {
    if (!isEnded(before) && !isEnded(after)) return;
    const buckets = entry(this.#ends, after.task, () => new Map<number, Record<keyof Bucket, number>>());
    const bucket = entry(buckets, at, () => ({ at, succeeded: 0, failed: 0, cancelled: 0 }));
    if (isEnded(before)) bucket[before.status] -= 1;
    if (isEnded(after)) bucket[after.status] += 1;
  }

  #count(before: Device, after: Device): void {
    const waves = entry(this.#counts, after.task, () => new Map<number, Record<CountName, number>>());
    const counts = entry(waves, after.wave, () => ({ ...NO_COUNTS }));
    counts[before.status] -= 1;
    counts[after.status] += 1;
    counts.waiting += Number(isWaiting(after)) - Number(isWaiting(before));
    counts.incompatible += Number(isIncompatible(after)) - Number(isIncompatible(before));
    const reasons = entry(this.#reasons, after.task, () => new Map<string, number>());
    addReason(reasons, before, -1);
    addReason(reasons, after, 1);
  }
}

function isWaiting(device: Device): boolean {
  return device.status === 'pending' && device.hold === 'wait';
}

/** It is a failure no more, and was one before the task ran on; what the base doesn't have can't be taken from it, see the statements. */
function isForgiven(before: Device, after: Device, { running }: TaskPlan): boolean {
  if (before.status !== 'failed' || after.status === 'failed' || isIncompatible(before)) return false;
  return running.since !== null && before.since <= running.since;
}

function isIncompatible({ status, reason }: Device): boolean {
  return status === 'failed' && (reason as string | null) === 'incompatible';
}

const ENDED_WITH_REASON: ReadonlySet<DeviceStatus> = new Set(['failed', 'cancelled']);

function addReason(reasons: Map<string, number>, { status, reason }: Device, n: number): void {
  if (reason === null || !ENDED_WITH_REASON.has(status)) return;
  reasons.set(reason, (reasons.get(reason) ?? 0) + n);
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const found = map.get(key);
  if (found !== undefined) return found;
  const made = make();
  map.set(key, made);
  return made;
}

function isCounted(a: Device, b: Device): boolean {
  return a.status !== b.status || a.hold !== b.hold || a.reason !== b.reason;
}

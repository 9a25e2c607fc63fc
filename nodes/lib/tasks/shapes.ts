/** What tasks look like outside: flat, times as ISO 8601, every field named in the documentation. Pure. */
import type { Change, DeviceRow } from './database';
import { type Gate, gateOf, type Moment } from './machine';
import type { HistoryEvent, Labels, Task, TaskEvent, TaskPlan, WaveCounts } from './types';

const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

export interface TaskShape {
  readonly taskId: string;
  readonly name: string;
  readonly description: string;
  readonly status: Task['status'];
  readonly reason: string | null;
  readonly wave: number;
  readonly waves: readonly number[];
  readonly gate: GateShape | null;
  /** `waiting` is part of `pending`. */
  readonly counts: { readonly total: number; readonly waiting: number } & Task['counts'];
  /** The first of `packages`. */
  readonly package: Task['package'];
  readonly packages: readonly Task['package'][];
  readonly policy: Task['policy'];
  readonly createdAt: string | null;
  readonly startAt: string | null;
  readonly startedAt: string | null;
  readonly endAt: string | null;
  readonly endedAt: string | null;
}

/** What the next wave waits for, and until when where that is known. */
export interface GateShape {
  readonly waitsFor: Gate['waitsFor'];
  readonly until: string | null;
}

/** @param at now: how long a gate still waits depends on it */
export function taskShape(task: Task, at: Moment): TaskShape {
  const { pending, pushed, upgrading, succeeded, failed, cancelled } = task.counts;
  const gate = gateOf(task, at);
  return {
    taskId: task.taskId,
    name: task.name,
    description: task.description,
    status: task.status,
    reason: task.reason,
    wave: task.wave,
    // Copies: whoever gets them may change them, and the rules of the task must not follow.
    waves: [...task.policy.waves],
    gate: gate === null ? null : { waitsFor: gate.waitsFor, until: iso(gate.until) },
    counts: {
      total: pending + pushed + upgrading + succeeded + failed + cancelled,
      pending,
      waiting: task.waiting,
      pushed,
      upgrading,
      succeeded,
      failed,
      cancelled,
    },
    package: structuredClone(task.package),
    packages: task.packages.map((variant) => structuredClone(variant.package)),
    policy: structuredClone(task.policy),
    createdAt: iso(task.createdAt),
    startAt: iso(task.startAt),
    startedAt: iso(task.startedAt),
    endAt: iso(task.endAt),
    endedAt: iso(task.endedAt),
  };
}

/** What `get` answers: the task, why devices failed or were cancelled, and each of its waves. */
export interface TaskDetails extends TaskShape {
  readonly reasons: Readonly<Record<string, number>>;
  readonly waveCounts: readonly WaveShape[];
}

export interface WaveShape extends Omit<WaveCounts, 'incompatible'> {
  readonly wave: number;
}

export function taskDetails(
  task: Task,
  at: Moment,
  {
    reasons,
    waves,
  }: { readonly reasons: ReadonlyMap<string, number>; readonly waves: readonly WaveCounts[] },
): TaskDetails {
  const sorted = [...reasons].filter(([, n]) => n > 0).sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1));
  return {
    ...taskShape(task, at),
    reasons: Object.fromEntries(sorted),
    waveCounts: waves.map((counts, i) => waveShape(counts, i + 1)),
  };
}

function waveShape(counts: WaveCounts, wave: number): WaveShape {
  const { total, pending, waiting, active, succeeded, failed, cancelled } = counts;
  return { wave, total, pending, waiting, active, succeeded, failed, cancelled };
}

/** One change of a device, as output 2 carries it. */
export interface ChangeShape {
  readonly taskId: string;
  readonly accessToken: string;
  readonly module: string;
  readonly from: string;
  readonly to: string;
  readonly status: string;
  readonly hold: string | null;
  readonly step: number | null;
  readonly attempt: number;
  readonly reason: string | null;
  readonly desc: string;
  readonly at: string | null;
}

export function changeShape({ plan, before, after }: Change): ChangeShape {
  return {
    taskId: plan.taskId,
    accessToken: after.accessToken,
    module: plan.upgrade.module,
    from: before.status,
    to: after.status,
    status: after.status,
    hold: after.hold,
    step: after.step,
    attempt: after.attempt,
    reason: after.reason,
    desc: after.desc,
    at: iso(after.at),
  };
}

export interface DeviceShape {
  readonly accessToken: string;
  readonly module: string;
  readonly status: string;
  /** Why a pending one isn't pushed to: `delay`, `wait` or `busy`. */
  readonly hold: string | null;
  readonly step: number | null;
  readonly attempt: number;
  readonly reason: string | null;
  readonly desc: string;
  /** What it ran when it was pushed to. */
  readonly versionBefore: string | null;
  readonly currentVersion: string | null;
  readonly targetVersion: string;
  readonly wave: number;
  readonly at: string | null;
}

export function deviceShape(device: DeviceRow, plan: TaskPlan): DeviceShape {
  return {
    accessToken: device.accessToken,
    module: plan.upgrade.module,
    status: device.status,
    hold: device.hold,
    step: device.step,
    attempt: device.attempt,
    reason: device.reason,
    desc: device.desc,
    versionBefore: device.versionBefore,
    currentVersion: device.currentVersion ?? device.source,
    targetVersion: plan.upgrade.version,
    wave: device.wave,
    at: iso(device.at),
  };
}

export function eventShape(event: HistoryEvent): Omit<HistoryEvent, 'at'> & { readonly at: string | null } {
  return { ...event, at: iso(event.at) };
}

export function logShape(event: TaskEvent): Omit<TaskEvent, 'at'> & { readonly at: string | null } {
  return { ...event, at: iso(event.at) };
}

/** Devices that had ended by a time. */
export interface TimelinePoint {
  readonly at: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
}

export function pointShape(point: TimelinePoint): Omit<TimelinePoint, 'at'> & { readonly at: string | null } {
  return { ...point, at: iso(point.at) };
}

/** One row of `fleet`: a device and one of its modules. */
export interface FleetRow {
  readonly accessToken: string;
  readonly module: string;
  readonly version: string;
  readonly labels: Labels;
  /** Wall clock, milliseconds; null where it never gave a sign of life. */
  readonly seenAt: number | null;
  /** The newest task that has the device in it. */
  readonly task: { readonly taskId: string; readonly name: string; readonly status: string } | null;
}

export function fleetShape(row: FleetRow): Omit<FleetRow, 'seenAt'> & { readonly seenAt: string | null } {
  return { ...row, seenAt: iso(row.seenAt) };
}

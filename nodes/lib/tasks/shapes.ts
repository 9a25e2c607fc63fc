/** What tasks look like outside: flat, times as ISO 8601, every field named in the documentation. Pure. */
import type { Change, DeviceRow } from './store';
import type { HistoryEvent, Task, TaskPlan } from './types';

const iso = (at: number | null): string | null => (at === null ? null : new Date(at).toISOString());

export interface TaskShape {
  readonly taskId: string;
  readonly name: string;
  readonly status: Task['status'];
  readonly reason: string | null;
  readonly wave: number;
  readonly waves: readonly number[];
  readonly counts: { readonly total: number } & Task['counts'];
  readonly package: Task['package'];
  readonly policy: Task['policy'];
  readonly createdAt: string | null;
  readonly startAt: string | null;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
}

export function taskShape(task: Task): TaskShape {
  const total = Object.values(task.counts).reduce((sum, n) => sum + n, 0);
  return {
    taskId: task.taskId,
    name: task.name,
    status: task.status,
    reason: task.reason,
    wave: task.wave,
    // Copies: whoever gets them may change them, and the rules of the task must not follow.
    waves: [...task.policy.waves],
    counts: { total, ...task.counts },
    package: structuredClone(task.package),
    policy: structuredClone(task.policy),
    createdAt: iso(task.createdAt),
    startAt: iso(task.startAt),
    startedAt: iso(task.startedAt),
    endedAt: iso(task.endedAt),
  };
}

/** One change of a device, as output 2 carries it. */
export interface ChangeShape {
  readonly taskId: string;
  readonly accessToken: string;
  readonly module: string;
  readonly from: string;
  readonly to: string;
  readonly status: string;
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
  readonly step: number | null;
  readonly attempt: number;
  readonly reason: string | null;
  readonly desc: string;
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
    step: device.step,
    attempt: device.attempt,
    reason: device.reason,
    desc: device.desc,
    currentVersion: device.currentVersion ?? device.source,
    targetVersion: plan.upgrade.version,
    wave: device.wave,
    at: iso(device.at),
  };
}

export function eventShape(event: HistoryEvent): Omit<HistoryEvent, 'at'> & { readonly at: string | null } {
  return { ...event, at: iso(event.at) };
}

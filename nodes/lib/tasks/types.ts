/**
 * The words of tasks: what a task, a device in it, a policy and a change are. Types only, and the lists that
 * they are made of. Everything in lib/tasks speaks these; nothing here knows a database, MQTT or Node-RED.
 */
import type { Failure, UpgradeOut } from '../protocol';

export const DEVICE_STATUSES = [
  'pending',
  'pushed',
  'upgrading',
  'succeeded',
  'failed',
  'cancelled',
] as const;
export type DeviceStatus = (typeof DEVICE_STATUSES)[number];

export const TASK_STATUSES = ['scheduled', 'running', 'paused', 'ended', 'cancelled'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const FAIL_REASONS = [
  'upgrade',
  'download',
  'verification',
  'flashing',
  'offline',
  'refused',
  'no-response',
  'stalled',
  'unconfirmed',
  'rolled-back',
  'version-mismatch',
] as const;
/** Why a device failed. The first four are the device's own words. */
export type FailReason = Failure | (typeof FAIL_REASONS)[number];
/** `reason` of a device; a pending one may wait for another task (`busy`) or for another try (a failure). */
export type Reason = FailReason | 'busy' | 'rebooted';

/** Why a pending device isn't in the queue: a retry's delay, waiting for a sign of life, another task. */
export const HOLDS = ['delay', 'wait', 'busy'] as const;
export type Hold = (typeof HOLDS)[number];

export interface TimeWindow {
  /** `HH:MM`; a window may go over midnight. */
  readonly from: string;
  readonly to: string;
  readonly timeZone: string;
}

/** How a task treats its devices. All limits are in seconds. */
export interface Policy {
  readonly success: 'progress' | 'version';
  readonly offline: 'fail' | 'wait';
  readonly waitLimit: number;
  readonly seenWithin: number;
  readonly repush: number;
  readonly noResponse: number;
  readonly stalled: number;
  readonly confirm: number;
  readonly retries: number;
  readonly retryDelay: number;
  readonly perMinute: number;
  readonly concurrency: number;
  readonly waves: readonly number[];
  readonly successThreshold: number;
  readonly failureThreshold: number;
  readonly minExecuted: number;
  readonly onFailure: 'pause' | 'cancel';
  readonly window: TimeWindow | null;
  readonly skipCurrent: boolean;
  readonly fromVersions: readonly string[];
}

/**
 * Milliseconds of the platform's own time: it stands still while the platform can't hear its devices, and
 * doesn't follow the wall clock. All limits are counted in it.
 */
export type Ticks = number;

/** One device in one task. Changed by the machine only. */
export interface Device {
  readonly id: number;
  readonly task: number;
  readonly accessToken: string;
  /** Counts from 1. */
  readonly wave: number;
  /** Its shuffled place within the wave. */
  readonly order: number;
  readonly status: DeviceStatus;
  readonly hold: Hold | null;
  /** The highest step of this attempt, or the failure's; null before the first report. */
  readonly step: number | null;
  /** Attempts begun. */
  readonly attempt: number;
  /** Automatic new attempts used since the task or a person began. */
  readonly retries: number;
  readonly reason: Reason | null;
  readonly desc: string;
  /** The version it ran before this upgrade; null where nobody knows. */
  readonly source: string | null;
  readonly pushId: string | null;
  /** Pushes of this attempt. */
  readonly pushes: number;
  /** When the push is repeated; null where it isn't any more. */
  readonly nextPush: Ticks | null;
  /** From when the limit of the present state counts. */
  readonly since: Ticks;
  /** A 100 came in this attempt. */
  readonly reported100: boolean;
  /** The target version was reported. */
  readonly confirmed: boolean;
  /** An older upgrade's 100 may still come: only the version counts. */
  readonly versionOnly: boolean;
  /** Wall clock, milliseconds, of the last change. */
  readonly at: number;
  /** Number of history events so far. */
  readonly events: number;
}

/** What the rules need of a task; never changes after it was created. */
export interface TaskPlan {
  readonly id: number;
  readonly taskId: string;
  readonly name: string;
  readonly upgrade: UpgradeOut;
  /** As it was given, for people. */
  readonly package: { readonly [key: string]: unknown };
  readonly policy: Policy;
  readonly createdAt: number;
  readonly startAt: number | null;
}

export type Counts = Readonly<Record<DeviceStatus, number>>;

/** A task with what changes. */
export interface Task extends TaskPlan {
  readonly status: TaskStatus;
  readonly reason: string | null;
  /** The wave that is open; counts from 1. */
  readonly wave: number;
  readonly counts: Counts;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** Up to when the rate is used up; wall clock, milliseconds. */
  readonly pace: number;
  /** Devices that had succeeded and failed when a person resumed it: thresholds look at later ones. */
  readonly base: { readonly succeeded: number; readonly failed: number };
}

/** One line of a device's history. */
export interface HistoryEvent {
  readonly at: number;
  readonly event: string;
  readonly from: DeviceStatus;
  readonly to: DeviceStatus;
  readonly step: number | null;
  readonly desc: string;
  readonly id: string | null;
}

/** What the store must write for one device, and whether anybody outside should hear of it. */
export interface Transition {
  readonly before: Device;
  readonly after: Device;
  readonly history: Omit<HistoryEvent, 'at' | 'from' | 'to'> | null;
  /** `set`: an attempt ended without the device's last word; `clear`: the device's version is known again. */
  readonly lateReportPossible: 'set' | 'clear' | null;
}

/** What a device said of its version, as it is remembered. */
export interface KnownDevice {
  readonly version: string;
  readonly lastId: string | null;
  readonly at: number;
}

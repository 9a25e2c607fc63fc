/**
 * The words of tasks: what a task, a device in it, a policy and a change are. Types only, and the lists that
 * they are made of. Everything in lib/tasks speaks these; nothing here knows a database, MQTT or Node-RED.
 */
import type { UpgradeOut } from '../protocol';
import type { FailReason, LabelFilter, Policy } from '../rules';

export { type Day, DAYS, FAIL_REASONS, type FailReason, type Policy, type TimeWindow } from '../rules';

/** Databases keep a status as its place in this list: a new one goes to the end, and none ever moves. */
export const DEVICE_STATUSES = [
  'pending',
  'pushed',
  'upgrading',
  'succeeded',
  'failed',
  'cancelled',
] as const;
export type DeviceStatus = (typeof DEVICE_STATUSES)[number];

/** A draft does nothing until a person starts it. */
export const TASK_STATUSES = ['draft', 'scheduled', 'running', 'paused', 'ended', 'cancelled'] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

/** Why a device was cancelled, where no person did it: a newer task brought it up, or the task's time was over. */
export const CANCEL_REASONS = ['superseded', 'ended'] as const;
export type CancelReason = (typeof CANCEL_REASONS)[number];
/** `reason` of a device; a pending one may wait for another task (`busy`) or for another try (a failure). */
export type Reason = FailReason | CancelReason | 'busy' | 'rebooted';

/** Why a pending device isn't in the queue: a retry's delay, waiting for a sign of life, another task. */
/** Databases keep a hold as its place in this list, too. */
export const HOLDS = ['delay', 'wait', 'busy'] as const;
export type Hold = (typeof HOLDS)[number];

/** Labels of a device: at most 16 names of 64 characters with values of 128. */
export type Labels = Readonly<Record<string, string>>;

export type { LabelFilter } from '../rules';

/** Devices by what is known of them; null means that it doesn't matter. */
export interface DeviceFilter {
  readonly versions: readonly string[] | null;
  readonly labels: LabelFilter | null;
  /** The module whose version is looked at; null for the package's. */
  readonly module: string | null;
}

/** One of a task's packages, all of one module and target version. */
export interface PackageVariant {
  readonly upgrade: UpgradeOut;
  /** As it was given, for people. */
  readonly package: { readonly [key: string]: unknown };
  /** The versions that it may be installed on; empty for any. */
  readonly fromVersions: readonly string[];
  /** Labels that a device needs for it; null for none. */
  readonly requires: LabelFilter | null;
}

/** Devices that report later are taken in while the task runs. */
export interface Joining {
  readonly filter: DeviceFilter;
  /** Devices taken in this way at most. */
  readonly max: number;
}

/** What becomes of a task's open devices at `endAt`: those that are active go on, or all are cancelled. */
export type EndBehavior = 'stop' | 'cancel';

/**
 * Milliseconds of the platform's own time: it stands still while the platform can't hear its devices, and
 * doesn't follow the wall clock. All limits are counted in it.
 */
export type Ticks = number;

/** How long a task has run, pauses left out: `before`, and what has passed since `since`; null while it doesn't run. */
export interface RunningTime {
  readonly before: Ticks;
  readonly since: Ticks | null;
}

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
  /** When the push goes out once more: a repeat, or a probe of a device that waits; null where it doesn't. */
  readonly nextPush: Ticks | null;
  /** From when the limit of the present state counts. */
  readonly since: Ticks;
  /** A 100 came in this attempt. */
  readonly reported100: boolean;
  /** The target version was reported. */
  readonly confirmed: boolean;
  /** Up to then a 100 may be an earlier attempt's, and only the version counts; null where there is no doubt. */
  readonly lateReportUntil: Ticks | null;
  /** The version it ran at the push of this attempt, shown to people; null where nobody knows. */
  readonly versionBefore: string | null;
  /** Which of the task's packages it got: a place in their list. */
  readonly variant: number;
  /** While it is pending: the next push is this attempt's once more, with the same id. */
  readonly sameAttempt: boolean;
  /** When it had to wait for the first time, in its task's running time; `waitLimit` counts from then. */
  readonly firstWait: Ticks | null;
  /** Pushes while it waited, since it answered one for the last time. */
  readonly probes: number;
  /** Repeats of the push, by time alone, since it was pushed or woke. */
  readonly repeats: number;
  /** The last sign of life that wasn't an answer to this push. */
  readonly lifeAt: Ticks | null;
  /** How often "no subscriber" was asked again after that sign of life. */
  readonly asked: number;
  /** The push, from 1, for which "no subscriber" counts; 0 for none. */
  readonly countedPush: number;
  /** When the push went out last. */
  readonly lastPush: Ticks | null;
  /** A report of the old version came while it was upgrading: without progress until then it has rebooted. */
  readonly rebootAt: Ticks | null;
  /** It reported a version in this attempt that is neither the old nor the new one. */
  readonly thirdVersion: boolean;
  /** Another task pushed to it after this one failed: the target version says nothing of this upgrade any more. */
  readonly overtaken: boolean;
  /** A person named it in a retry, and no newer task has brought it up since: none supersedes it. */
  readonly named: boolean;
  /** A person cancelled it by its name. */
  readonly cancelledByName: boolean;
  /** Wall clock, milliseconds, of the last change. */
  readonly at: number;
  /** Number of history events so far. */
  readonly events: number;
}

/** What the rules need of a task. Only `update` changes it, and `running` follows its status. */
export interface TaskPlan {
  readonly id: number;
  readonly taskId: string;
  readonly name: string;
  readonly description: string;
  /** The first package, as it is pushed. Module and version are those of all variants. */
  readonly upgrade: UpgradeOut;
  /** The first package as it was given, for people. */
  readonly package: { readonly [key: string]: unknown };
  /** All packages, the first included; a device gets the first that fits. */
  readonly packages: readonly PackageVariant[];
  readonly policy: Policy;
  readonly createdAt: number;
  readonly startAt: number | null;
  /** Wall clock, milliseconds; null for never. */
  readonly endAt: number | null;
  readonly endBehavior: EndBehavior;
  /** null: the devices are those that it was created with. */
  readonly joining: Joining | null;
  /** Stands still while the task is paused: see `runningTime`. */
  readonly running: RunningTime;
}

export type Counts = Readonly<Record<DeviceStatus, number>>;

/** The devices of one wave. `waiting` is part of `pending`, `incompatible` part of `failed`. */
export interface WaveCounts {
  readonly total: number;
  readonly pending: number;
  readonly waiting: number;
  /** Pushed or upgrading. */
  readonly active: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly incompatible: number;
  readonly cancelled: number;
}

/**
 * What a person asked of many devices of a task: written before the first of them is moved, and taken away when the
 * last one was. `recount`: limits that run are counted anew, because an `update` changed them.
 */
export interface Intent {
  readonly on: 'cancel' | 'retry' | 'recount';
  /** All devices in these states; null: those that were named. */
  readonly statuses: readonly DeviceStatus[] | null;
  /** recount: also those that are pending with one of these. */
  readonly holds?: readonly Hold[];
  /** Only devices that failed for one of these reasons; null: for any. */
  readonly reasons: readonly FailReason[] | null;
  /** Also devices that were cancelled by name. */
  readonly byName: boolean;
  /** cancel: why, where no person did it. */
  readonly reason?: CancelReason;
  /** Another one whenever somebody else takes it over; absent: it isn't kept, or was taken by an earlier release. */
  readonly id?: string;
  /** Its devices are still being named: it isn't accepted yet. */
  readonly naming?: true;
}

/** A task with what changes. */
export interface Task extends TaskPlan {
  readonly status: TaskStatus;
  readonly reason: string | null;
  /** The wave that is open; counts from 1. */
  readonly wave: number;
  readonly counts: Counts;
  /** Pending devices that wait for a sign of life. */
  readonly waiting: number;
  /** Failed devices that no package fits: they count neither for nor against the release. */
  readonly incompatible: number;
  /** The wave that is open. */
  readonly open: WaveCounts;
  /** When the open wave's gate was reached, and its soak time began; null before. */
  readonly soakFrom: Ticks | null;
  /** What isn't finished of a command; null where nothing is. */
  readonly intent: Intent | null;
  /** Devices taken in by joining. */
  readonly taken: number;
  readonly startedAt: number | null;
  readonly endedAt: number | null;
  /** Up to when the rate is used up; wall clock, milliseconds. */
  readonly pace: number;
  /**
   * Devices that had succeeded, and failed (incompatible ones left out), when a person resumed it: thresholds
   * look at later ones.
   */
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
  /**
   * Until when a 100 of the attempt that ended may still come, because the device said no last word; `clear` where
   * it can't come any more; null where nothing is new.
   */
  readonly lateReport: { readonly until: Ticks } | 'clear' | null;
}

/** Why a task changed, or what a person asked for: one line of its log. */
export interface TaskEvent {
  readonly at: number;
  readonly event: string;
  readonly by: string | null;
  readonly remark: string | null;
  readonly reason: string | null;
  readonly wave: number | null;
}

/** What a device said of its version, as it is remembered. */
export interface KnownDevice {
  readonly version: string;
  readonly lastId: string | null;
  /** It has been heard by retained reports only: nobody knows when it was there. */
  readonly retained: boolean;
  readonly at: number;
}

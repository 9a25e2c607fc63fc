/**
 * What the engine asks of a store, whatever database is behind it. Each method is one transaction: it takes
 * the rows it needs (locked; rows that another instance holds are skipped where it claims), lets the rules of
 * the machine decide, writes, and commits before it returns. There is no read here that a later write relies
 * on, so several instances may share a database.
 *
 * Answers are `Awaitable`: SQLite answers at once, in the same turn, which keeps a batch of reports free of
 * promises; a database over the network answers with a promise. The engine copes with both.
 */
import type { Event, Report, TaskMove } from '../machine';
import type {
  Device,
  DeviceStatus,
  HistoryEvent,
  KnownDevice,
  Task,
  TaskPlan,
  Ticks,
  WaveCounts,
} from '../types';

export type Awaitable<T> = T | Promise<T>;

/** A device that was changed, with the task it belongs to. */
export interface Change {
  readonly plan: TaskPlan;
  readonly before: Device;
  readonly after: Device;
}

export interface Reported {
  readonly changes: readonly Change[];
  /** Devices whose version was not remembered: the table is full. */
  readonly leftOut: number;
}

/** A push that must go out now: its state is committed. */
export interface Push {
  readonly plan: TaskPlan;
  readonly device: Device;
}

export interface Claimed {
  readonly changes: readonly Change[];
  readonly pushes: readonly Push[];
  /** False where the queue was found empty. */
  readonly more: boolean;
}

export interface ClaimRules {
  readonly now: Ticks;
  readonly wall: number;
  /** How many may go out now. */
  readonly room: (task: Task) => number;
  /** The task's pace after so many. */
  readonly pace: (task: Task, pushes: number) => number;
  readonly nextId: (accessToken: string) => string;
}

export interface DueRules {
  readonly now: Ticks;
  readonly wall: number;
  readonly limit: number;
  /** Whether a repeat of this task may go out now; asked once for each. */
  readonly mayPush: (plan: TaskPlan) => boolean;
}

export interface Due {
  readonly changes: readonly Change[];
  /** Repeats. */
  readonly pushes: readonly Push[];
  readonly more: boolean;
}

/** What became of a push, for the device that it was for. */
export interface Answer {
  readonly device: number;
  readonly event: Event;
}

/** Devices of one task: some by their tokens, or a slice of those in one state, in the order of tokens. */
export type Selection =
  | { readonly accessTokens: readonly string[] }
  | { readonly status: DeviceStatus; readonly after: string; readonly limit: number };

export interface Moved {
  readonly changes: readonly Change[];
  /** The token after which the next slice begins; null after the last. */
  readonly next: string | null;
  /** Tokens that aren't in the task, or can't be moved this way. */
  readonly skipped: number;
}

export interface NewTask extends Omit<TaskPlan, 'id' | 'running'> {
  readonly status: 'draft' | 'scheduled' | 'running';
  readonly total: number;
  /** Devices in each wave. */
  readonly waves: readonly number[];
}

export interface NewDevice {
  readonly accessToken: string;
  readonly source: string | null;
  readonly wave: number;
  readonly order: number;
}

export interface Page {
  readonly page: number;
  readonly pageSize: number;
}

export interface DeviceQuery extends Page {
  readonly task: Task;
  readonly status: DeviceStatus | null;
  /** A prefix of the token. */
  readonly search: string;
}

export interface DeviceRow extends Device {
  readonly currentVersion: string | null;
}

export interface KnownQuery {
  readonly module: string;
  /** Tokens after this one, in their order. */
  readonly after: string;
  readonly limit: number;
  /** Wall clock: reported since. */
  readonly since: number;
}

/** The tasks and devices of one service. */
export interface TaskStore {
  /** The platform's own time, as it was saved last. */
  clock(): Awaitable<Ticks>;
  saveClock(now: Ticks): Awaitable<void>;

  /** Applies reports, in their order, all or none. */
  report(reports: readonly Report[], now: Ticks): Awaitable<Reported>;
  /** Applies what became of pushes. */
  answer(answers: readonly Answer[], wall: number): Awaitable<readonly Change[]>;
  /** Applies limits and repeats that are due. */
  due(rules: DueRules): Awaitable<Due>;
  /** Takes the next devices of a running task's open waves from its queue. */
  claim(task: number, rules: ClaimRules): Awaitable<Claimed>;
  /** Pushes that were begun after `since` may not have left: they become due now. */
  recover(since: Ticks, now: Ticks): Awaitable<void>;
  /** Cancels or retries devices. */
  move(task: number, selection: Selection, event: Event, wall: number): Awaitable<Moved>;

  /** A new task is invisible, and does nothing, until it is published. */
  create(task: NewTask): Awaitable<number>;
  addDevices(task: number, devices: readonly NewDevice[]): Awaitable<void>;
  publish(task: number): Awaitable<void>;
  /** Hides an ended task, so that nothing reaches it any more; its rows go by `deleteSlice`. */
  hide(task: number): Awaitable<void>;
  /** Deletes some rows of hidden tasks (and of those that were never finished). False when all are gone. */
  deleteSlice(limit: number, wall: number): Awaitable<boolean>;

  /** Tasks that aren't over, or not cleared up yet. */
  live(): Awaitable<readonly Task[]>;
  task(taskId: string): Awaitable<Task | null>;
  /** The newest first. */
  list(page: Page): Awaitable<{ readonly total: number; readonly tasks: readonly Task[] }>;
  /** Locks a task, lets the rule decide, writes. Answers the task if it was changed. */
  decide(
    task: number,
    rule: (task: Task, waveCounts: (wave: number) => WaveCounts) => TaskChange | null,
    wall: number,
  ): Awaitable<Task | null>;
  addPace(task: number, pace: (task: Task) => number): Awaitable<void>;

  devices(query: DeviceQuery): Awaitable<{ readonly total: number; readonly devices: readonly DeviceRow[] }>;
  history(task: number, accessToken: string): Awaitable<readonly HistoryEvent[] | null>;
  /** Devices that are known to run a module, by their tokens. */
  known(query: KnownQuery): Awaitable<readonly { readonly accessToken: string; readonly version: string }[]>;
  /** What is known of these devices. */
  versions(module: string, accessTokens: readonly string[]): Awaitable<ReadonlyMap<string, KnownDevice>>;
  /** Deletes some history older than `before`; goes round and round. */
  prune(before: number): Awaitable<void>;
}

export interface TaskChange extends Omit<TaskMove, 'soakFrom'> {
  /** Absent: none. */
  readonly soakFrom?: TaskMove['soakFrom'];
  /** Thresholds look at what ended beyond these; as it was where absent. */
  readonly base?: Task['base'];
  /** Nothing is left to do for it. */
  readonly settled?: boolean;
}

/** Devices that are remembered at most, over all services: anyone who may publish can add one. */
export const MAX_DEVICES = 1_000_000;
/** Events of history that are kept of one device in one task. */
export const MAX_HISTORY = 100;
export const HISTORY_DAYS = 90;

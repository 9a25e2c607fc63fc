/**
 * What the transactions of tasks ask of a database, whichever it is: load and lock what a `Need` names, let a pure
 * rule decide, save the whole decision or nothing. A database stores and finds; it holds no rule of tasks.
 *
 * Answers are `Awaitable`: SQLite answers in the same turn, which keeps a batch of reports free of promises; a
 * database over the network answers with a promise. Callers cope with both.
 */
import type { Bucket, Member, OwnLabels, TurnFacts } from '../machine';
import type { FleetRow } from '../shapes';
import type {
  Device,
  DeviceStatus,
  HistoryEvent,
  Hold,
  KnownDevice,
  LabelFilter,
  Labels,
  Task,
  TaskEvent,
  TaskPlan,
  TaskStatus,
  Ticks,
  WaveCounts,
} from '../types';
import type { Effects } from './effects';

export type Awaitable<T> = T | Promise<T>;

/** What a task brings its devices to. */
export type ModuleVersion = Pick<TaskPlan['upgrade'], 'module' | 'version'>;

/** One moment on both clocks. */
export interface Instant {
  /** Wall clock, milliseconds since 1970. */
  readonly wall: number;
  /** The platform's own time, in which limits are counted. */
  readonly ticks: Ticks;
}

// What a transaction reads

/**
 * What a transaction reads and locks. Everything is a set, so that a database over the network needs one statement
 * for each part. Device rows are locked as whole devices (all rows of a token that a rule may look at), in the order
 * of token and number, by one statement.
 */
export interface Need {
  /** By this process's clocks. A database that several instances share answers its own time in `Rows.at`. */
  readonly at: Instant;
  /**
   * The row of one task, locked against every other transaction that names it. With a search in the queue a task
   * that somebody else has locked is not waited for: `Rows.task` is null then.
   */
  readonly task?: number;
  /** The counts of the task's waves as well, see `Rows.wave`. */
  readonly waves?: boolean;
  /**
   * Devices by their access tokens: their open rows in all tasks, the newest closed row of each module, and what is
   * known of them. Locks are waited for.
   */
  readonly tokens?: Iterable<string>;
  /** Those among `tokens` whose `Rows.history` is asked for. */
  readonly histories?: readonly string[];
  /** Rows of devices in tasks by their numbers, open or not; the tokens of these devices stand in `tokens`. */
  readonly devices?: readonly number[];
  /** Rows that the database finds: `Rows.found`, each with its whole device, as by `tokens`. */
  readonly search?: Search;
}

/** Which rows a database finds for a transaction. */
export type Search =
  /** Limits of all tasks that are over: due at or before `until`, the earliest first. Locked rows are left out. */
  | { readonly in: 'due'; readonly until: Ticks; readonly limit: number }
  /**
   * Pushes of `Need.task`: its repeats that are due at or before `Rows.at.ticks` (the earliest first), then the
   * next places of its queue up to the open wave. Locked rows are left out.
   * @see PushRoom what `room` answers for the task as it was loaded; asked only where it runs
   */
  | { readonly in: 'queue'; readonly room: (task: Task, at: Instant) => PushRoom }
  /**
   * The rows of devices in `Need.task`, with their facts whatever their states: they ask for their upgrades. None where
   * the task doesn't have one. Locks are waited for.
   */
  | { readonly in: 'asking'; readonly accessTokens: readonly string[] }
  /**
   * Devices of `Need.task` that are pushed since a time, in the order of their tokens after `after`: whether these
   * pushes left isn't known after a start. Those that a living instance sent are left out,
   * but with `own` this one's.
   */
  | {
      readonly in: 'pushed';
      readonly since: Ticks;
      readonly after: string;
      readonly limit: number;
      readonly own?: boolean;
    }
  /** Devices of `Need.task` that wait (`hold: wait`) and whose next push is later than `after`, in any order. */
  | { readonly in: 'waiting'; readonly after: Ticks; readonly limit: number }
  /** Devices of `Need.task` in one state, in the order of their tokens after `after`. Locks are waited for. */
  | { readonly in: 'task'; readonly status: DeviceStatus; readonly after: string; readonly limit: number }
  /** Devices of `Need.task` with one hold, in the order of their tokens after `after`. Locks are waited for. */
  | { readonly in: 'hold'; readonly hold: Hold; readonly after: string; readonly limit: number }
  /**
   * The next of the tokens that were named in `Need.task` (`Decision.names`), in their order. They are struck off
   * when the decision is saved; `Rows.unknown` counts those that the task doesn't have. Locks are waited for.
   */
  | { readonly in: 'names'; readonly limit: number };

/** How many pushes a task may make now. */
export interface PushRoom {
  /** All together; repeats come first. */
  readonly pushes: number;
  /** First pushes among them at most: as many as `concurrency` still admits. */
  readonly first: number;
}

/** A row that the database found. */
export interface Found extends Member {
  /** When its limit is looked at, as it stands in the database; null: never. */
  readonly due: Ticks | null;
  /** What is known of its device, where its turn to be pushed may have come (a search in the queue, or of a device); else null. */
  readonly facts: TurnFacts | null;
}

/**
 * How far a search has come: also rows that another transaction changed while their lock was waited for, which
 * `Rows.found` leaves out. Where the next slice begins, and whether there is one, follows from this.
 */
export interface Searched {
  readonly count: number;
  /** The token of the last one; null where none was there. */
  readonly last: string | null;
}

/**
 * What was loaded, as it stood when the transaction began. Look-ups without side effects, each defined for what the
 * `Need` named only.
 */
export interface Rows {
  /** The time that the decision counts with. */
  readonly at: Instant;
  /** `Need.task`; null where there is none (any more, or it isn't published yet), or where it is locked. */
  readonly task: Task | null;
  /** The counts of one wave of `Need.task`, from 1; zeros where it has no such wave. */
  wave(number: number): WaveCounts;
  /** All rows of a device, in any task, that a report may still move. */
  open(accessToken: string): readonly Member[];
  /** The newest row of a device and module that no report moves any more; not of tasks that were removed. */
  latest(accessToken: string, module: string): Member | null;
  /** The rows of a device and module that wait until another task is through with it (`hold: busy`). */
  busy(accessToken: string, module: string): readonly Member[];
  /** What is remembered of a device and module. */
  known(accessToken: string, module: string): KnownDevice | null;
  /**
   * True where there is room for a device and module that isn't known yet; how many modules one device may have is
   * the rule's.
   * @param taken how many this decision remembers for the first time already
   */
  hasRoom(accessToken: string, module: string, taken: number): boolean;
  /** Tasks that take in devices which report, the oldest first; open ones only. */
  readonly joining: readonly Task[];
  /** True where a task of `joining` that has begun with `supersede` has the device, in whatever state. */
  isTaken(accessToken: string, task: Task): boolean;
  /** The labels of a device by their origin. */
  labels(accessToken: string): OwnLabels;
  /** What a device runs, of each module that is known. */
  modules(accessToken: string): readonly KnownModule[];
  /** True where a task has the device pending, pushed or upgrading. */
  isInWork(accessToken: string): boolean;
  /** One of `Need.devices`; null where it isn't there any more. */
  device(id: number): Member | null;
  /** The history of a row of a device that `Need.histories` names, the oldest event first. */
  history(id: number): readonly HistoryEvent[];
  /** What `Need.search` found, in its order. */
  readonly found: readonly Found[];
  /** True where another instance that lives carries out a command on `Need.task`. */
  readonly commandElsewhere: boolean;
  /** How far `Need.search` has come, of those that wait for locks. */
  readonly searched: Searched;
  /** Tokens of a search in the names that aren't in the task. */
  readonly unknown: number;
}

// What a transaction writes

/** What a rule decided. All of it is written in the transaction that loaded the rows, or none of it. */
export interface Decision<T> {
  /** What the caller gets, after the commit. */
  readonly result: T;
  /** What becomes of devices, with their history and all counts that follow. */
  readonly effects?: Effects;
  /** Versions to remember, at most one of each device and module. */
  readonly known?: readonly KnownChange[];
  /** What becomes of `Need.task`. */
  readonly task?: TaskState;
  /** What a person changes of `Need.task` by `update`: all of these fields as they are from now on. */
  readonly plan?: PlanChange;
  /** Lines of the log of `Need.task`, the oldest first. */
  readonly log?: readonly TaskEvent[];
  /** Devices that tasks of `Rows.joining` take in; one that is in its task already is left out. */
  readonly joins?: readonly Join[];
  /** Labels of devices, all of them as they are from now on. */
  readonly labels?: readonly { readonly accessToken: string; readonly labels: OwnLabels }[];
  /** Devices that gave a sign of life that was no report, at a time of the wall clock. */
  readonly seen?: readonly { readonly accessToken: string; readonly at: number }[];
  /** Devices of which nothing is to be known any more: no versions, no labels. */
  readonly forget?: readonly string[];
  /** Tokens that a person named for the task's intent, behind those that stand there (`anew`: in place of them). */
  readonly names?: { readonly tokens: readonly string[]; readonly anew: boolean };
  /** The names that a search in them found stay. */
  readonly keepsNames?: true;
}

export type PlanChange = Pick<TaskPlan, 'name' | 'description' | 'endAt' | 'endBehavior' | 'policy'>;

/** A device that reported something by which a task takes it in. */
export interface Join {
  readonly task: Task;
  readonly device: NewDevice;
}

/** What is remembered of a device and module from now on. */
export interface KnownChange {
  readonly accessToken: string;
  readonly module: string;
  readonly known: KnownDevice;
  /** The version that was known before; null where the device wasn't. */
  readonly before: string | null;
}

/** All of a task that a rule may change. Its counts follow from the devices and aren't part of it. */
export interface TaskState {
  readonly status: Task['status'];
  readonly reason: Task['reason'];
  readonly wave: Task['wave'];
  readonly startedAt: Task['startedAt'];
  readonly endedAt: Task['endedAt'];
  readonly pace: Task['pace'];
  readonly base: Task['base'];
  /** Follows the status: see `runningAfter`. */
  readonly running: Task['running'];
  readonly soakFrom: Task['soakFrom'];
  readonly intent: Task['intent'];
  /** False once nothing is left to do for it: `TaskDatabase.live` doesn't answer it any more. */
  readonly live: boolean;
}

export interface NewTask extends Omit<TaskPlan, 'id' | 'running'> {
  readonly status: 'draft' | 'scheduled' | 'running';
  /** Waves; devices are added to them afterwards. */
  readonly waves: number;
}

export interface NewDevice {
  readonly accessToken: string;
  /** What it runs, as far as it is known. */
  readonly source: string | null;
  /** From 1. */
  readonly wave: number;
  /** Its place within the wave's queue. */
  readonly order: number;
  /** Wall clock, milliseconds. */
  readonly at: number;
}

// Reading

/** A device that was changed, with the task it belongs to. */
export interface Change {
  readonly plan: TaskPlan;
  readonly before: Device;
  readonly after: Device;
}

export interface Page {
  /** From 1. */
  readonly page: number;
  readonly pageSize: number;
}

export interface DeviceQuery extends Page {
  readonly task: Task;
  readonly status: DeviceStatus | null;
  /** A prefix of the token. */
  readonly search: string;
  readonly reason?: string | null;
  /** From 1. */
  readonly wave?: number | null;
  readonly hold?: Hold | null;
}

export interface DeviceRow extends Device {
  readonly currentVersion: string | null;
}

export interface KnownQuery {
  readonly module: string;
  /** Tokens after this one, in their order. */
  readonly after: string;
  readonly limit: number;
  /** Wall clock: those that gave a sign of life since. */
  readonly since: number;
}

/** A device as a task's filter looks at it. */
export interface KnownCandidate {
  readonly accessToken: string;
  readonly version: string;
  readonly labels: Labels;
  /** Wall clock: when it gave a sign of life last. */
  readonly seenAt: number;
}

/** A module of a device. */
export interface KnownModule {
  readonly module: string;
  readonly version: string;
  /** Wall clock: when it gave a sign of life last. */
  readonly seenAt: number;
}

export interface TaskQuery extends Page {
  readonly status?: TaskStatus | null;
  /** A part of the name, in any case. */
  readonly search?: string;
}

export interface FleetQuery extends Page {
  readonly module: string | null;
  readonly version: string | null;
  /** A prefix of the token. */
  readonly search: string;
  readonly labels: LabelFilter | null;
}

export interface VersionCount {
  readonly module: string;
  readonly version: string;
  readonly count: number;
}

/** What `get` tells beside a task. */
export interface TaskNumbers {
  readonly reasons: ReadonlyMap<string, number>;
  /** In their order. */
  readonly waves: readonly WaveCounts[];
}

/**
 * The tasks and devices of one fleet. Every method throws, or rejects with, an `OtaError` where the database can't
 * do it (`OTA_STORE_FAILED`, `OTA_DISK_FULL`, …); nothing is changed then.
 */
export interface TaskDatabase {
  /**
   * Loads and locks what `need` names, lets the rule decide, saves: all or nothing.
   * @param decide pure and synchronous: it may run again, after a conflict with another transaction
   */
  transact<T>(need: Need, decide: (rows: Rows) => Decision<T>): Awaitable<T>;

  /**
   * Makes a task without devices: invisible, and without effect, until it is published. Answers its number.
   * @param at the running time of one that runs counts from then
   */
  create(task: NewTask, at: Instant): Awaitable<number>;
  /** Adds devices to a task that isn't published yet, with its counts and waves; they are all there with `publish`. */
  add(task: number, devices: readonly NewDevice[]): Awaitable<void>;
  publish(task: number): Awaitable<void>;
  /** Takes back a task whose making failed: its rows go by `deleteSlice`. One that was published all the same stays. */
  discard(task: number): Awaitable<void>;
  /**
   * Hides a task that is over, so that nothing reaches it any more; its rows go by `deleteSlice`.
   * @returns false where it isn't over, or a command is under way: it stays as it is then
   */
  hide(task: number): Awaitable<boolean>;
  /**
   * Deletes some rows of hidden tasks, and of those whose making was broken off. Devices that wait for one of them
   * become due: they are looked at again. False when all are gone.
   * @param madeBefore wall clock: what isn't published and is younger is still being made
   */
  deleteSlice(limit: number, madeBefore: number): Awaitable<boolean>;
  /** Deletes some history older than `before`, and some late reports that can't come any more; goes round and round. False after the last of them. */
  prune(before: number): Awaitable<boolean>;
  /**
   * Forgets some devices of any fleet of which nothing is known but their versions: in no task, without a label,
   * upgraded by none, and not seen since `before` (wall clock).
   * @returns false when all were looked at; the next call begins anew
   */
  makeRoom(before: number): Awaitable<boolean>;

  /** Stamps of the process's wall clock; absent where the database's own clock stamps. */
  readonly stamps?: StampStore;

  /** The platform's own time, as it was saved last. */
  clock(): Awaitable<Ticks>;
  /** Never sets it back. */
  saveClock(now: Ticks): Awaitable<void>;

  /** Tasks that aren't over, or not cleared up yet. */
  live(): Awaitable<readonly Task[]>;
  task(taskId: string): Awaitable<Task | null>;
  /** Why devices failed or were cancelled, and the counts of each wave. */
  numbers(task: number): Awaitable<TaskNumbers>;
  /** The oldest first; the last 1000 lines. */
  log(task: number): Awaitable<readonly TaskEvent[]>;
  /** How devices ended over time, the earliest first. */
  ends(task: number): Awaitable<readonly Bucket[]>;
  /** The newest first. */
  list(page: TaskQuery): Awaitable<{ readonly total: number; readonly tasks: readonly Task[] }>;
  devices(query: DeviceQuery): Awaitable<{ readonly total: number; readonly devices: readonly DeviceRow[] }>;
  /** Null where the task has no such device. */
  history(task: number, accessToken: string): Awaitable<readonly HistoryEvent[] | null>;
  /** Devices that are known to run a module, by their tokens. */
  known(query: KnownQuery): Awaitable<readonly KnownCandidate[]>;
  /** The labels that filters see, of these devices; those that have none are left out. */
  labels(accessTokens: readonly string[]): Awaitable<ReadonlyMap<string, Labels>>;
  /** How many of these devices a new task of this module and version takes out of others with `supersede`. */
  countPending(upgrade: ModuleVersion, accessTokens: readonly string[]): Awaitable<number>;
  /** Devices of the fleet by their tokens, a row for each module; and how many run which version, most first. */
  fleet(query: FleetQuery): Awaitable<{
    readonly total: number;
    readonly versions: readonly VersionCount[];
    readonly devices: readonly FleetRow[];
  }>;
  /** All that is known of a device, with a page of its rows in tasks, the newest first. */
  device(
    accessToken: string,
    page: Page,
  ): Awaitable<{
    readonly labels: Labels;
    readonly modules: readonly KnownModule[];
    readonly total: number;
    readonly rows: readonly { readonly plan: TaskPlan; readonly device: DeviceRow }[];
  }>;
  /** What is known of these devices. */
  versions(module: string, accessTokens: readonly string[]): Awaitable<ReadonlyMap<string, KnownDevice>>;
}

/** The wall clock by which a fleet's rows were stamped. */
export interface Stamps {
  /** What it stamped since then is moved with it when it is set. */
  readonly from: number;
  /** What it showed last. */
  readonly to: number;
  /** The latest time that was ever stamped, but for those by a clock that turned out to have been ahead. */
  readonly newest: number;
}

/** What was stamped from one time to another belongs so many milliseconds later. */
export interface ClockJump {
  readonly from: number;
  readonly to: number;
  readonly by: number;
}

export interface StampStore {
  /** Null where none was ever saved. */
  read(): Awaitable<Stamps | null>;
  save(stamps: Stamps): Awaitable<void>;
  /**
   * Moves some of the stamps: when devices were seen, times of tasks, their rows and their history.
   * @param after what the call before answered; null for the first
   * @returns null after the last
   */
  move(jump: ClockJump, after: string | null): Awaitable<string | null>;
}

/** Devices and modules that are remembered at most, over all fleets: anyone who may publish can add one. */
export const MAX_DEVICES = 1_000_000;
/** Events of history that are kept of one device in one task. */
export const MAX_HISTORY = 100;
export const HISTORY_DAYS = 90;

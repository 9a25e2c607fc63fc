/**
 * How a device and a task stand in a database's rows, both ways: the columns have the same names and values in each
 * of them. The only place that knows them.
 */
import type { UpgradeOut } from '../../protocol';
import { dueOf, effectiveLabels, isOpen, type NewerTask, queueRank, type Rules } from '../machine';
import { DEFAULT_POLICY } from '../policy';
import {
  type Counts,
  type Device,
  DEVICE_STATUSES,
  type DeviceStatus,
  HOLDS,
  type HistoryEvent,
  type Labels,
  type Policy,
  type Reason,
  type Task,
  type TaskPlan,
  type TaskStatus,
  type Ticks,
  type WaveCounts,
} from '../types';
import type { DeviceRow, KnownCandidate, KnownModule } from './database';

export type SqlValue = string | number | null;
export type SqlRow = { readonly [column: string]: SqlValue };

const STATUS_CODES = new Map(DEVICE_STATUSES.map((status, i) => [status, i]));

export function statusCode(status: DeviceStatus): number {
  return STATUS_CODES.get(status) ?? 0;
}

function statusOf(code: SqlValue | undefined): DeviceStatus {
  return DEVICE_STATUSES[Number(code)] ?? 'pending';
}

function holdCode(device: Device): number | null {
  return device.hold === null ? null : HOLDS.indexOf(device.hold);
}

export const BUSY_CODE = HOLDS.indexOf('busy');
export const WAIT_CODE = HOLDS.indexOf('wait');

/** A place in the queue of a task: who woke first, then by wave, shuffled within. Null where it isn't in the queue. */
function queuePlace(device: Device): number | null {
  const rank = queueRank(device);
  return rank === null ? null : queueStart(rank === 'woken' ? 0 : device.wave) + device.order;
}

/** Below this stand the places of all earlier waves. */
export function queueStart(wave: number): number {
  return wave * 2 ** 32;
}

const text = (value: SqlValue | undefined): string | null => (value ?? null) as string | null;
const number = (value: SqlValue | undefined): number | null => (value ?? null) as number | null;

export function toDevice(row: SqlRow): Device {
  const hold = number(row['hold']);
  return {
    id: row['id'] as number,
    task: row['task'] as number,
    accessToken: row['token'] as string,
    wave: row['wave'] as number,
    order: row['ord'] as number,
    status: statusOf(row['status']),
    hold: hold === null ? null : (HOLDS[hold] ?? null),
    step: number(row['step']),
    attempt: row['attempt'] as number,
    retries: row['retries'] as number,
    reason: text(row['reason']) as Reason | null,
    desc: row['descr'] as string,
    source: text(row['source']),
    pushId: text(row['push_id']),
    pushes: row['pushes'] as number,
    nextPush: number(row['next_push']),
    since: row['since'] as number,
    reported100: row['hundred'] === 1,
    confirmed: row['confirmed'] === 1,
    lateReportUntil: number(row['late_until']),
    versionBefore: text(row['version_before']),
    variant: row['variant'] as number,
    sameAttempt: row['same_attempt'] === 1,
    firstWait: number(row['first_wait']),
    probes: row['probes'] as number,
    repeats: row['repeats'] as number,
    lifeAt: number(row['life_at']),
    asked: row['asked'] as number,
    countedPush: row['counted_push'] as number,
    lastPush: number(row['last_push']),
    rebootAt: number(row['reboot_at']),
    thirdVersion: row['third_version'] === 1,
    overtaken: row['overtaken'] === 1,
    named: row['named'] === 1,
    cancelledByName: row['cancelled_by_name'] === 1,
    at: row['at'] as number,
    events: row['events'] as number,
  };
}

/** When its limit is looked at. */
export function dueIn(row: SqlRow): Ticks | null {
  return number(row['due']);
}

export function toPlan(row: SqlRow): TaskPlan {
  const upgrade = JSON.parse(row['upgrade'] as string) as UpgradeOut;
  const given = JSON.parse(row['package'] as string) as TaskPlan['package'];
  const packages = text(row['packages']);
  const joining = text(row['joining']);
  return {
    id: row['id'] as number,
    taskId: row['key'] as string,
    name: row['name'] as string,
    description: row['description'] as string,
    upgrade,
    package: given,
    packages:
      packages === null
        ? [{ upgrade, package: given, fromVersions: [], requires: null }]
        : (JSON.parse(packages) as TaskPlan['packages']),
    // A task that was made by an earlier release has no field that came later.
    policy: { ...DEFAULT_POLICY, ...(JSON.parse(row['policy'] as string) as Policy) },
    createdAt: row['created_at'] as number,
    startAt: number(row['start_at']),
    endAt: number(row['end_at']),
    endBehavior: row['end_behavior'] as TaskPlan['endBehavior'],
    joining: joining === null ? null : (JSON.parse(joining) as TaskPlan['joining']),
    running: { before: row['running_before'] as number, since: number(row['running_since']) },
  };
}

/** A newer task, as JSON within a row or as its text: drivers and releases of SQLite differ. */
export function toNewer(value: unknown): NewerTask | null {
  if (value === null || value === undefined) return null;
  return (typeof value === 'string' ? JSON.parse(value) : value) as NewerTask;
}

/** Zeros where the task has no such wave. */
export function toWaveCounts(row: SqlRow | undefined): WaveCounts {
  const n = (name: string): number => Number(row?.[name] ?? 0);
  const ended = n('succeeded') + n('failed') + n('cancelled');
  return {
    total: n('total'),
    pending: Math.max(0, n('total') - ended - n('active')),
    waiting: n('waiting'),
    active: n('active'),
    succeeded: n('succeeded'),
    failed: n('failed'),
    incompatible: n('incompatible'),
    cancelled: n('cancelled'),
  };
}

/** @param open the counts of its open wave */
export function toTask(row: SqlRow, plan: TaskPlan, open: WaveCounts): Task {
  const intent = text(row['intent']);
  const counts = Object.fromEntries(DEVICE_STATUSES.map((status) => [status, row[status] as number]));
  return {
    ...plan,
    status: row['status'] as TaskStatus,
    reason: text(row['reason']),
    wave: row['wave'] as number,
    counts: counts as unknown as Counts,
    waiting: row['waiting'] as number,
    incompatible: row['incompatible'] as number,
    open,
    soakFrom: number(row['soak_from']),
    intent: intent === null ? null : (JSON.parse(intent) as Task['intent']),
    taken: row['taken'] as number,
    startedAt: number(row['started_at']),
    endedAt: number(row['ended_at']),
    pace: row['pace'] as number,
    base: { succeeded: row['base_succeeded'] as number, failed: row['base_failed'] as number },
  };
}

/** An event as it stands in the JSON of a row of history. */
export type HistoryLine = readonly [
  at: number,
  event: string,
  from: number,
  to: number,
  step: number | null,
  desc: string,
  id: string | null,
];

export function toLine({ at, event, from, to, step, desc, id }: HistoryEvent): HistoryLine {
  return [at, event, statusCode(from), statusCode(to), step, desc, id];
}

export function toHistory(row: SqlRow): HistoryEvent[] {
  const lines = JSON.parse(row['lines'] as string) as HistoryLine[];
  return lines.map(([at, event, from, to, step, desc, id]) => ({
    at,
    event,
    from: statusOf(from),
    to: statusOf(to),
    step,
    desc,
    id,
  }));
}

type Column = readonly [name: string, value: (device: Device, rules: Rules) => SqlValue];

const COLUMNS: readonly Column[] = [
  ['status', (d) => statusCode(d.status)],
  ['hold', holdCode],
  ['step', (d) => d.step],
  ['attempt', (d) => d.attempt],
  ['retries', (d) => d.retries],
  ['reason', (d) => d.reason],
  ['descr', (d) => d.desc],
  ['source', (d) => d.source],
  ['push_id', (d) => d.pushId],
  ['pushes', (d) => d.pushes],
  ['next_push', (d) => d.nextPush],
  ['since', (d) => d.since],
  ['hundred', (d) => (d.reported100 ? 1 : 0)],
  ['confirmed', (d) => (d.confirmed ? 1 : 0)],
  ['late_until', (d) => d.lateReportUntil],
  ['version_before', (d) => d.versionBefore],
  ['variant', (d) => d.variant],
  ['same_attempt', (d) => Number(d.sameAttempt)],
  ['first_wait', (d) => d.firstWait],
  ['probes', (d) => d.probes],
  ['repeats', (d) => d.repeats],
  ['life_at', (d) => d.lifeAt],
  ['asked', (d) => d.asked],
  ['counted_push', (d) => d.countedPush],
  ['last_push', (d) => d.lastPush],
  ['reboot_at', (d) => d.rebootAt],
  ['third_version', (d) => Number(d.thirdVersion)],
  ['overtaken', (d) => Number(d.overtaken)],
  ['named', (d) => Number(d.named)],
  ['cancelled_by_name', (d) => Number(d.cancelledByName)],
  ['at', (d) => d.at],
  ['events', (d) => d.events],
  ['open', (d) => (isOpen(d) ? 1 : 0)],
  ['queue', queuePlace],
  ['due', dueOf],
];

/** Columns of a device that may change, with what stands in them; `due` is the last. */
export function deviceColumns(): readonly Column[] {
  return COLUMNS;
}

/**
 * True where `due` stays as it is although the limit moved: progress moves it on with each report, and an index that
 * followed would cost more than the row. What is due too early is looked at once, and then gets its real time.
 */
export function keepsDue(before: Device, after: Device): boolean {
  const goesOn =
    before.status === 'upgrading' && after.status === 'upgrading' && before.reported100 === after.reported100;
  return goesOn && (after.rebootAt === null || after.rebootAt === before.rebootAt);
}

/** @param seenAt when the device gave a sign of life that was no report */
export function toKnownModules(rows: readonly SqlRow[], seenAt: number): KnownModule[] {
  return rows.map((row) => ({
    module: row['module'] as string,
    version: row['version'] as string,
    seenAt: Math.max(row['at'] as number, seenAt),
  }));
}

/** A row of a task with what its device runs now. */
export function toDeviceRow(row: SqlRow): DeviceRow {
  return { ...toDevice(row), currentVersion: text(row['current_version']) };
}

export function toCandidate(row: SqlRow): KnownCandidate {
  const operator = text(row['operator']);
  const device = text(row['device']);
  return {
    accessToken: row['token'] as string,
    version: row['version'] as string,
    labels:
      operator === null ? {} : effectiveLabels({ operator: toLabels(operator), device: toLabels(device) }),
    seenAt: Math.max(row['at'] as number, number(row['seen_at']) ?? 0),
  };
}

function toLabels(json: string | null): Labels {
  return json === null || json === '{}' ? {} : (JSON.parse(json) as Labels);
}

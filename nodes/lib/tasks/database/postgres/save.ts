/**
 * Writes what a rule decided, set by set, in the transaction that loaded the rows for it. What instances share comes
 * last: counts, in a part that is this instance's own. Decides nothing.
 */
import {
  type Decision,
  type Join,
  type KnownChange,
  MAX_HISTORY,
  type Need,
  type NewDevice,
} from '../database';
import { type CountDeltas, type DeviceWrite, type Effects, NO_COUNTS } from '../effects';
import { type LabelRow, labelRowChanges } from '../label-rows';
import { deviceColumns, keepsDue, queueStart, type SqlValue, toLine } from '../rows';
import { taskStateValues } from '../task-rows';
import type { PgValue, Transaction } from './driver';
import type { PostgresRows } from './load';
import * as sql from './statements';

export interface SaveContext {
  readonly service: number;
  readonly member: number | null;
  /** Which part of the counts is this instance's. */
  readonly part: number;
  /** The numbers of all modules that the decision names. */
  readonly modules: ReadonlyMap<string, number>;
}

const COLUMNS = deviceColumns();
const PROGRESS = new Set(sql.PROGRESS_COLUMNS);

/** Counts to be added, by task and wave. */
class Counts {
  readonly #rows = new Map<
    string,
    { task: number; wave: number; total: number; deltas: Record<string, number> }
  >();

  add(task: number, wave: number, total: number, deltas: CountDeltas): void {
    const key = `${task} ${wave}`;
    const row = this.#rows.get(key) ?? { task, wave, total: 0, deltas: {} };
    row.total += total;
    for (const [name, by] of Object.entries(deltas)) row.deltas[name] = (row.deltas[name] ?? 0) + by;
    this.#rows.set(key, row);
  }

  write(transaction: Transaction, part: number): void {
    const rows = [...this.#rows.values()]
      .filter(({ total, deltas }) => total !== 0 || Object.values(deltas).some((by) => by !== 0))
      .sort((a, b) => a.task - b.task || a.wave - b.wave);
    if (rows.length === 0) return;
    transaction.write(sql.ADD_COUNTS, [
      rows.map(({ task }) => task),
      rows.map(({ wave }) => wave),
      rows.map(() => part),
      rows.map(({ total }) => total),
      ...sql.COUNT_NAMES.map((name) => rows.map(({ deltas }) => deltas[name] ?? 0)),
    ]);
  }
}

/** The modules that must have numbers before a decision can be written. */
export function modulesOf({ known = [], effects }: Decision<unknown>): ReadonlySet<string> {
  const names = new Set(known.map(({ module }) => module));
  for (const { module } of effects?.lateReports ?? []) names.add(module);
  return names;
}

export function save(
  transaction: Transaction,
  context: SaveContext,
  { need, rows, decision }: { need: Need; rows: PostgresRows; decision: Decision<unknown> },
): void {
  const counts = new Counts();
  const { effects, known = [], task, names } = decision;
  if (effects !== undefined) saveDevices(transaction, context, effects);
  if (rows.orphans.length > 0) {
    transaction.write(sql.SAVE_DUE, [rows.orphans, rows.orphans.map(() => null)]);
  }
  if (known.length > 0) saveKnown(transaction, context, known);
  saveFleet(transaction, context, rows, decision);
  const id = need.task;
  if (id !== undefined) {
    if (rows.lastName > 0 && decision.keepsNames !== true)
      transaction.write(sql.DELETE_NAMES, [id, rows.lastName]);
    if (names !== undefined) {
      if (names.anew) transaction.write(sql.DELETE_NAMES, [id, 2 ** 31 - 1]);
      transaction.write(sql.ADD_NAMES, [id, names.tokens]);
    }
    if (decision.log !== undefined && decision.log.length > 0) addLog(transaction, id, decision.log);
    if (task !== undefined) saveTask(transaction, context, { id, task });
    if (decision.plan !== undefined) changePlan(transaction, id, decision.plan);
  }
  saveJoins(transaction, context, decision.joins ?? []);
  if (effects !== undefined) saveCounts(transaction, context, effects, counts);
  counts.write(transaction, context.part);
}

function saveDevices(transaction: Transaction, context: SaveContext, effects: Effects): void {
  const { member } = context;
  const narrow: DeviceWrite[] = [];
  const wide: DeviceWrite[] = [];
  for (const write of effects.devices) {
    const changed = changedColumns(write);
    if (changed === 'progress') narrow.push(write);
    else if (changed === 'more') wide.push(write);
  }
  // One order, as the rows were locked.
  if (narrow.length > 0) {
    transaction.write(sql.SAVE_PROGRESS, [
      narrow.map(({ after }) => after.id),
      ...columns(narrow, (name) => PROGRESS.has(name)),
    ]);
  }
  if (wide.length > 0) {
    transaction.write(sql.SAVE_DEVICES, [
      wide.map(({ after }) => after.id),
      wide.map(({ before, after }) => keepsDue(before, after)),
      wide.map(({ before, after }) =>
        after.pushes !== before.pushes || after.pushId !== before.pushId ? member : null,
      ),
      ...columns(wide, () => true),
    ]);
  }
  if (effects.looks.size > 0) {
    transaction.write(sql.SAVE_DUE, [[...effects.looks.keys()], [...effects.looks.values()]]);
  }
  saveHistory(
    transaction,
    [...effects.devices].filter(({ history }) => history.length > 0),
  );
  saveLateReports(transaction, context, effects);
}

/** Whether nothing but what progress changes is new. */
function changedColumns({ before, after, plan }: DeviceWrite): 'none' | 'progress' | 'more' {
  const keeps = keepsDue(before, after);
  let changed: 'none' | 'progress' = 'none';
  for (const [name, valueOf] of COLUMNS) {
    if (name === 'due' && keeps) continue;
    if (valueOf(after, plan) === valueOf(before, plan)) continue;
    if (!PROGRESS.has(name)) return 'more';
    changed = 'progress';
  }
  return changed;
}

function columns(writes: readonly DeviceWrite[], isMeant: (name: string) => boolean): SqlValue[][] {
  return COLUMNS.filter(([name]) => isMeant(name)).map(([, valueOf]) =>
    writes.map(({ after, plan }) => valueOf(after, plan)),
  );
}

function saveHistory(transaction: Transaction, writes: readonly DeviceWrite[]): void {
  if (writes.length === 0) return;
  transaction.write(sql.ADD_HISTORY, [
    writes.map(({ after }) => after.id),
    writes.map(({ after }) => after.events),
    writes.map(({ history }) => history.at(-1)?.at ?? 0),
    writes.map(({ history }) => JSON.stringify(history.slice(-MAX_HISTORY).map(toLine))),
  ]);
  const long = writes.filter(({ after }) => after.events > MAX_HISTORY);
  if (long.length === 0) return;
  transaction.write(sql.TRIM_HISTORY, [
    long.map(({ after }) => after.id),
    long.map(({ after }) => after.events - MAX_HISTORY),
  ]);
}

/** The last word on each device and module counts. */
function saveLateReports(transaction: Transaction, { modules }: SaveContext, { lateReports }: Effects): void {
  if (lateReports.length === 0) return;
  const last = new Map(lateReports.map((late) => [`${late.module} ${late.accessToken}`, late]));
  const reports = [...last.values()].sort(byToken);
  const scope = ({ module }: { readonly module: string }): number => modules.get(module) ?? 0;
  const cleared = reports.filter(({ until }) => until === null);
  const set = reports.filter(({ until }) => until !== null);
  if (cleared.length > 0) {
    transaction.write(sql.CLEAR_LATE, [cleared.map(scope), cleared.map(({ accessToken }) => accessToken)]);
  }
  if (set.length > 0) {
    transaction.write(sql.SET_LATE, [
      set.map(scope),
      set.map(({ accessToken }) => accessToken),
      set.map(({ until }) => until),
    ]);
  }
}

function saveKnown(transaction: Transaction, context: SaveContext, known: readonly KnownChange[]): void {
  const changes = [...known].sort(byToken);
  const made = changes.filter(({ before }) => before === null);
  const kept = changes.filter(({ before }) => before !== null);
  const values = (list: readonly KnownChange[]): PgValue[] => [
    list.map(({ module }) => context.modules.get(module) ?? 0),
    list.map(({ accessToken }) => accessToken),
    list.map(({ known: { version } }) => version),
    list.map(({ known: { lastId } }) => lastId),
    list.map(({ known: { at } }) => at),
    list.map(({ known: { retained } }) => Number(retained)),
  ];
  if (made.length > 0) transaction.write(sql.ADD_KNOWN, values(made));
  if (kept.length > 0) {
    transaction.write(sql.SAVE_KNOWN, [...values(kept), kept.map(({ before }) => before), kept.length]);
  }
  countVersions(transaction, context, changes);
}

function byToken(a: { readonly accessToken: string }, b: { readonly accessToken: string }): number {
  return a.accessToken < b.accessToken ? -1 : a.accessToken > b.accessToken ? 1 : 0;
}

function countVersions(
  transaction: Transaction,
  { modules, part }: SaveContext,
  changes: readonly KnownChange[],
): void {
  const counts = new Map<string, { scope: number; version: string; n: number }>();
  const count = (module: string, version: string, by: number): void => {
    const scope = modules.get(module) ?? 0;
    const key = `${scope} ${version}`;
    const row = counts.get(key) ?? { scope, version, n: 0 };
    row.n += by;
    counts.set(key, row);
  };
  for (const { module, before, known } of changes) {
    if (before === known.version) continue;
    if (before !== null) count(module, before, -1);
    count(module, known.version, 1);
  }
  const rows = [...counts.values()].filter(({ n }) => n !== 0);
  if (rows.length === 0) return;
  transaction.write(sql.COUNT_VERSIONS, [
    rows.map(({ scope }) => scope),
    rows.map(({ version }) => version),
    rows.map(() => part),
    rows.map(({ n }) => n),
  ]);
}

/** Labels, signs of life and what is forgotten. */
function saveFleet(
  transaction: Transaction,
  { service, part }: SaveContext,
  rows: PostgresRows,
  decision: Decision<unknown>,
): void {
  const { labels = [], seen = [], forget = [] } = decision;
  const touched = [...new Set([...labels.map(({ accessToken }) => accessToken), ...forget])].sort();
  if (touched.length > 0) {
    transaction.write(sql.ADD_TOKENS, [service, touched]);
    const read = touched.map((accessToken) => rows.labelTexts(accessToken));
    transaction.write(sql.LOCK_LABELS, [
      service,
      touched,
      read.map(({ operator }) => operator),
      read.map(({ device }) => device),
      touched.length,
    ]);
  }
  if (labels.length > 0) {
    transaction.write(sql.SAVE_LABELS, [
      service,
      labels.map(({ accessToken }) => accessToken),
      labels.map(({ labels: { operator } }) => JSON.stringify(operator)),
      labels.map(({ labels: { device } }) => JSON.stringify(device)),
    ]);
  }
  const { gone, made } = labelRowChanges(rows, decision);
  if (gone.length > 0) transaction.write(sql.CLEAR_LABELS, [service, ...labelColumns(gone)]);
  if (made.length > 0) transaction.write(sql.ADD_LABELS, [service, ...labelColumns(made)]);
  if (seen.length > 0) {
    const sortedSeen = [...seen].sort(byToken);
    transaction.write(sql.SAVE_SEEN, [
      service,
      sortedSeen.map(({ accessToken }) => accessToken),
      sortedSeen.map(({ at }) => at),
    ]);
  }
  if (forget.length > 0) {
    const tokens = [...forget].sort();
    transaction.write(sql.FORGET_KNOWN, [service, tokens, part]);
    transaction.write(sql.FORGET_TOKENS, [service, tokens]);
  }
}

function labelColumns(rows: readonly LabelRow[]): PgValue[] {
  return [
    rows.map(({ name }) => name),
    rows.map(({ value }) => value),
    rows.map(({ accessToken }) => accessToken),
  ];
}

function newDevices(devices: readonly NewDevice[]): PgValue[] {
  return [
    devices.map(({ accessToken }) => accessToken),
    devices.map(({ wave }) => wave),
    devices.map(({ order }) => order),
    devices.map(({ source }) => source),
    devices.map(({ at }) => at),
    devices.map(({ wave, order }) => queueStart(wave) + order),
  ];
}

/** Devices of a task that nobody sees yet, with its counts. */
export function addDevices(
  transaction: Transaction,
  { service, part }: Pick<SaveContext, 'service' | 'part'>,
  { task, devices }: { readonly task: number; readonly devices: readonly NewDevice[] },
): void {
  const counts = new Counts();
  for (const { wave } of devices) counts.add(task, wave, 1, { ...NO_COUNTS, pending: 1 });
  transaction.write(sql.ADD_DEVICES, [task, service, ...newDevices(devices)]);
  counts.write(transaction, part);
}

function saveJoins(transaction: Transaction, { service, part }: SaveContext, joins: readonly Join[]): void {
  if (joins.length === 0) return;
  transaction.write(sql.LOCK_NEARLY_FULL, [joins.map(({ task }) => task.id)]);
  transaction.write(sql.JOIN_DEVICES, [
    service,
    part,
    joins.map(({ task }) => task.id),
    ...newDevices(joins.map(({ device }) => device)),
  ]);
}

function addLog(transaction: Transaction, task: number, log: NonNullable<Decision<unknown>['log']>): void {
  transaction.write(sql.ADD_LOG, [
    task,
    log.map(({ at }) => at),
    log.map(({ event }) => event),
    log.map(({ by }) => by),
    log.map(({ remark }) => remark),
    log.map(({ reason }) => reason),
    log.map(({ wave }) => wave),
  ]);
  transaction.write(sql.TRIM_LOG, [task]);
}

function saveTask(
  transaction: Transaction,
  { member }: SaveContext,
  { id, task }: { readonly id: number; readonly task: NonNullable<Decision<unknown>['task']> },
): void {
  transaction.write(sql.SAVE_TASK, [id, ...taskStateValues(task), member]);
}

function changePlan(
  transaction: Transaction,
  id: number,
  plan: NonNullable<Decision<unknown>['plan']>,
): void {
  const { name, description, endAt, endBehavior, policy } = plan;
  transaction.write(sql.CHANGE_PLAN, [id, name, description, endAt, endBehavior, JSON.stringify(policy)]);
}

function saveCounts(transaction: Transaction, { part }: SaveContext, effects: Effects, counts: Counts): void {
  const revived: number[] = [];
  for (const [task, waves] of effects.counts) {
    let opened = 0;
    for (const [wave, deltas] of waves) {
      counts.add(task, wave, 0, deltas);
      opened += deltas.pending + deltas.pushed + deltas.upgrading;
    }
    if (opened > 0) revived.push(task);
  }
  if (revived.length > 0) transaction.write(sql.REVIVE_TASKS, [revived]);
  const { forgiven } = effects;
  if (forgiven.size > 0) transaction.write(sql.FORGIVE, [[...forgiven.keys()], [...forgiven.values()]]);
  const reasons = [...effects.reasons].flatMap(([task, byReason]) =>
    [...byReason].flatMap(([reason, n]) => (n === 0 ? [] : [{ task, reason, n }])),
  );
  if (reasons.length > 0) {
    transaction.write(sql.ADD_REASONS, [
      reasons.map(({ task }) => task),
      reasons.map(({ reason }) => reason),
      reasons.map(() => part),
      reasons.map(({ n }) => n),
    ]);
  }
  const ends = [...effects.ends].flatMap(([task, buckets]) =>
    [...buckets.values()].map((bucket) => ({ task, ...bucket })),
  );
  if (ends.length > 0) {
    transaction.write(sql.ADD_ENDS, [
      ends.map(({ task }) => task),
      ends.map(({ at }) => at),
      ends.map(() => part),
      ends.map(({ succeeded }) => succeeded),
      ends.map(({ failed }) => failed),
      ends.map(({ cancelled }) => cancelled),
    ]);
  }
}

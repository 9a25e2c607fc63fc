/** Writes what a rule decided, in the transaction that loaded the rows for it. Decides nothing. */
import type { Decision, Join, Need, NewDevice, Rows } from '../database';
import { type CountDeltas, type Effects, NO_COUNTS } from '../effects';
import { labelRowChanges } from '../label-rows';
import type { SqliteFile } from './file';
import type { KeyCache } from './keys';
import type { Statements } from './statements';

export function save(
  file: SqliteFile,
  keys: KeyCache,
  { need, rows, decision }: { need: Need; rows: Rows; decision: Decision<unknown> },
): void {
  const sql = file.statements;
  const { effects, known = [], task, names } = decision;
  // Rows are read when they are asked for: before anything of them is written.
  const { gone, made } = labelRowChanges(rows, decision);
  if (effects !== undefined) saveEffects(sql, keys, effects);
  for (const { accessToken, module, known: device, before } of known) {
    const moduleId = keys.moduleOf(module);
    sql.saveKnown(moduleId, accessToken, device);
    if (before === null) file.devices += 1;
    if (before === device.version) continue;
    if (before !== null) sql.countVersion(moduleId, before, -1);
    sql.countVersion(moduleId, device.version, 1);
  }
  for (const { name, value, accessToken } of gone) sql.deleteLabel(keys.service(), name, value, accessToken);
  for (const { name, value, accessToken } of made) sql.addLabel(keys.service(), name, value, accessToken);
  saveFleet(file, keys, decision);
  saveJoins(sql, keys, decision.joins ?? []);
  const id = need.task;
  if (id === undefined) return;
  if (names !== undefined) {
    if (names.anew) sql.deleteNames(id, Number.MAX_SAFE_INTEGER);
    sql.addNames(id, names.tokens);
  }
  if (task !== undefined) sql.saveTask(id, task);
  if (decision.log !== undefined && decision.log.length > 0) sql.addLog(id, decision.log);
  if (decision.plan !== undefined) {
    sql.changePlan(id, decision.plan);
    keys.forgetPlan(id);
  }
}

/** Labels, signs of life and what is forgotten. */
function saveFleet(file: SqliteFile, keys: KeyCache, decision: Decision<unknown>): void {
  const sql = file.statements;
  for (const { accessToken, labels } of decision.labels ?? [])
    sql.saveLabels(keys.service(), accessToken, labels);
  for (const { accessToken, at } of decision.seen ?? []) sql.saveSeen(keys.service(), accessToken, at);
  for (const accessToken of decision.forget ?? []) {
    for (const row of sql.knownModules(keys.service(), accessToken)) {
      const moduleId = row['scope'] as number;
      sql.forgetKnown(moduleId, accessToken);
      sql.countVersion(moduleId, row['version'] as string, -1);
      file.devices -= 1;
    }
    sql.forgetToken(keys.service(), accessToken);
  }
}

/** A device is taken in once: the index of a task's tokens says whether it is there already. */
function saveJoins(sql: Statements, keys: KeyCache, joins: readonly Join[]): void {
  for (const { task, device } of joins) {
    if (sql.findDeviceOfTask(task.id, device.accessToken) !== undefined) continue;
    addDevices(sql, keys, task.id, [device]);
    sql.addTaken(task.id, 1);
  }
}

function saveEffects(sql: Statements, keys: KeyCache, effects: Effects): void {
  for (const { plan, before, after, history } of effects.devices) {
    sql.saveDevice(before, after, plan);
    if (history.length > 0) sql.addHistory(after.id, after.events, history);
  }
  for (const [id, due] of effects.looks) sql.saveDue(id, due);
  for (const [task, waves] of effects.counts) {
    const all = { ...NO_COUNTS };
    for (const [wave, deltas] of waves) {
      sql.addWaveCounts(task, wave, 0, deltas);
      for (const name of COUNT_NAMES) all[name] += deltas[name];
    }
    sql.addCounts(task, all);
  }
  for (const [task, n] of effects.forgiven) sql.forgive(task, n);
  for (const [task, buckets] of effects.ends) {
    for (const bucket of buckets.values()) sql.addEnds(task, bucket);
  }
  for (const [task, reasons] of effects.reasons) {
    for (const [reason, n] of reasons) if (n !== 0) sql.addReason(task, reason, n);
  }
  for (const { accessToken, module, until } of effects.lateReports) {
    if (until === null) sql.clearLateReport(keys.moduleOf(module), accessToken);
    else sql.setLateReport(keys.moduleOf(module), accessToken, until);
  }
}

const COUNT_NAMES = Object.keys(NO_COUNTS) as (keyof CountDeltas)[];

export function addDevices(
  sql: Statements,
  keys: KeyCache,
  task: number,
  devices: readonly NewDevice[],
): void {
  const moduleId = sql.moduleOfTask(task);
  const waves = new Map<number, number>();
  for (const device of devices) {
    sql.addDevice(task, keys.service(), moduleId, device);
    waves.set(device.wave, (waves.get(device.wave) ?? 0) + 1);
  }
  for (const [wave, n] of waves) sql.addWaveCounts(task, wave, n, { ...NO_COUNTS, pending: n });
  sql.addCounts(task, { ...NO_COUNTS, pending: devices.length });
}

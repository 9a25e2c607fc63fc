/** Writes what a rule decided, in the transaction that loaded the rows for it. Decides nothing. */
import type { Decision, Need, NewDevice } from '../database';
import { type CountDeltas, type Effects, NO_COUNTS } from '../effects';
import type { SqliteFile } from './file';
import type { KeyCache } from './keys';
import type { Statements } from './statements';

export function save(file: SqliteFile, keys: KeyCache, need: Need, decision: Decision<unknown>): void {
  const sql = file.statements;
  const { effects, known = [], task, add, names } = decision;
  if (effects !== undefined) saveEffects(sql, keys, effects);
  for (const { accessToken, module, known: device, isNew } of known) {
    sql.saveKnown(keys.moduleOf(module), accessToken, device);
    if (isNew) file.devices += 1;
  }
  const id = need.task;
  if (id === undefined) return;
  if (add !== undefined) addDevices(sql, keys, id, add);
  if (names !== undefined) {
    if (names.anew) sql.deleteNames(id, Number.MAX_SAFE_INTEGER);
    sql.addNames(id, names.tokens);
  }
  if (task !== undefined) sql.saveTask(id, task);
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
  for (const [task, reasons] of effects.reasons) {
    for (const [reason, n] of reasons) if (n !== 0) sql.addReason(task, reason, n);
  }
  for (const { accessToken, module, until } of effects.lateReports) {
    if (until === null) sql.clearLateReport(keys.moduleOf(module), accessToken);
    else sql.setLateReport(keys.moduleOf(module), accessToken, until);
  }
}

const COUNT_NAMES = Object.keys(NO_COUNTS) as (keyof CountDeltas)[];

function addDevices(sql: Statements, keys: KeyCache, task: number, devices: readonly NewDevice[]): void {
  const moduleId = sql.moduleOfTask(task);
  const waves = new Map<number, number>();
  for (const device of devices) {
    sql.addDevice(task, keys.service(), moduleId, device);
    waves.set(device.wave, (waves.get(device.wave) ?? 0) + 1);
  }
  for (const [wave, n] of waves) sql.addWaveCounts(task, wave, n, { ...NO_COUNTS, pending: n });
  sql.addCounts(task, { ...NO_COUNTS, pending: devices.length });
}

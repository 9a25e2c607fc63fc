/**
 * The statements on what is known of a fleet beside its tasks: labels, signs of life, counts of versions,
 * and the log and the ends of a task. Nothing here decides anything.
 */
import type { Bucket, OwnLabels } from '../../machine';
import type { Labels, TaskEvent } from '../../types';
import { MAX_LOG } from '../limits';
import { prepareFleetPages } from './fleet-pages';
import type { SqlDatabase, SqlRow, SqlStatement } from './driver';

export function prepareFleetStatements(db: SqlDatabase) {
  const sql = (text: string): SqlStatement => db.prepare(text);

  const moduleName = sql('SELECT module FROM scopes WHERE id = ?');
  const tokenRow = sql('SELECT operator, device, seen_at FROM tokens WHERE service = ? AND token = ?');
  const saveLabels = sql(`INSERT INTO tokens (service, token, operator, device) VALUES (?, ?, ?, ?)
    ON CONFLICT (service, token) DO UPDATE SET operator = excluded.operator, device = excluded.device`);
  const saveSeen = sql(`INSERT INTO tokens (service, token, seen_at) VALUES (?, ?, ?)
    ON CONFLICT (service, token) DO UPDATE SET seen_at = max(coalesce(seen_at, 0), excluded.seen_at)`);
  const forgetToken = sql('DELETE FROM tokens WHERE service = ? AND token = ?');
  const addLabel = sql(
    'INSERT OR IGNORE INTO label_values (service, name, value, token) VALUES (?, ?, ?, ?)',
  );
  const deleteLabel = sql(
    'DELETE FROM label_values WHERE service = ? AND name = ? AND value = ? AND token = ?',
  );
  const knownModules = sql(`SELECT d.scope, c.module, d.version, d.at FROM devices AS d
    JOIN scopes AS c ON c.id = d.scope WHERE d.token = ? AND c.service = ? ORDER BY c.module`);
  const forgetKnown = sql('DELETE FROM devices WHERE scope = ? AND token = ?');
  const countVersion = sql(`INSERT INTO version_counts (scope, version, n) VALUES (?, ?, ?)
    ON CONFLICT (scope, version) DO UPDATE SET n = n + excluded.n`);
  const clearVersions = sql('DELETE FROM version_counts WHERE scope = ? AND version = ? AND n <= 0');
  const versions =
    sql(`SELECT c.module, v.version, v.n FROM scopes AS c JOIN version_counts AS v ON v.scope = c.id
    WHERE c.service = ? AND (? IS NULL OR c.id = ?) AND v.n > 0 ORDER BY c.module, v.n DESC, v.version LIMIT ?`);
  const countKnownOf =
    sql(`SELECT coalesce(sum(v.n), 0) AS n FROM scopes AS c JOIN version_counts AS v ON v.scope = c.id
    WHERE c.service = ? AND (? IS NULL OR c.id = ?) AND (? IS NULL OR v.version = ?)`);

  const newestTask =
    sql(`SELECT t.key, t.name, t.status FROM task_devices AS d JOIN tasks AS t ON t.id = d.task
    WHERE d.token = ? AND d.scope = ? AND t.visible = 1 ORDER BY d.id DESC LIMIT 1`);
  const tasksOfToken = sql(`SELECT d.*, v.version AS current_version FROM task_devices AS d
    JOIN tasks AS t ON t.id = d.task LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
    WHERE d.token = ? AND d.service = ? AND t.visible = 1 ORDER BY d.id DESC LIMIT ? OFFSET ?`);
  const countTasksOfToken = sql(`SELECT count(*) AS n FROM task_devices AS d JOIN tasks AS t ON t.id = d.task
    WHERE d.token = ? AND d.service = ? AND t.visible = 1`);
  const isInWork = sql(`SELECT 1 AS yes FROM task_devices WHERE token = ? AND service = ?
    AND status IN (0, 1, 2) LIMIT 1`);
  const pendingElsewhere = sql('SELECT task FROM task_devices WHERE token = ? AND scope = ? AND status = 0');

  const lastLog = sql('SELECT max(number) AS n FROM task_log WHERE task = ?');
  const addLog = sql(`INSERT INTO task_log (task, number, at, event, by, remark, reason, wave)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)`);
  const trimLog = sql('DELETE FROM task_log WHERE task = ? AND number <= ?');
  const logOf = sql(
    'SELECT at, event, by, remark, reason, wave FROM task_log WHERE task = ? ORDER BY number',
  );
  const deleteLog = sql('DELETE FROM task_log WHERE task = ?');
  const addEnds = sql(`INSERT INTO task_ends (task, at, succeeded, failed, cancelled) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (task, at) DO UPDATE SET succeeded = succeeded + excluded.succeeded,
      failed = failed + excluded.failed, cancelled = cancelled + excluded.cancelled`);
  const endsOf = sql('SELECT at, succeeded, failed, cancelled FROM task_ends WHERE task = ? ORDER BY at');
  const deleteEnds = sql('DELETE FROM task_ends WHERE task = ?');
  const reasonsOf = sql('SELECT reason, n FROM task_reasons WHERE task = ?');
  const wavesOf = sql('SELECT * FROM task_waves WHERE task = ? ORDER BY wave');

  const forgetUpgraded = sql('DELETE FROM upgraded WHERE scope = ? AND token = ?');
  // With whether nothing but its version is known of the whole device, and that for long.
  const slice = sql(`SELECT d.scope, d.token, d.version, NOT EXISTS (
        SELECT 1 FROM devices AS o JOIN scopes AS s ON s.id = o.scope
        WHERE o.token = d.token AND s.service = c.service AND o.at >= ?)
      AND coalesce(t.seen_at, 0) < ? AND coalesce(t.operator, '{}') = '{}' AND coalesce(t.device, '{}') = '{}'
      AND NOT EXISTS (SELECT 1 FROM task_devices AS m WHERE m.token = d.token AND m.service = c.service)
      AND NOT EXISTS (SELECT 1 FROM upgraded AS u JOIN scopes AS s ON s.id = u.scope
        WHERE u.token = d.token AND s.service = c.service) AS idle
    FROM devices AS d JOIN scopes AS c ON c.id = d.scope
      LEFT JOIN tokens AS t ON t.service = c.service AND t.token = d.token
    WHERE (d.scope, d.token) > (?, ?) ORDER BY d.scope, d.token LIMIT ?`);
  const forgetSeen = sql(
    'DELETE FROM tokens WHERE token = ? AND service = (SELECT service FROM scopes WHERE id = ?)',
  );

  const n = (row: SqlRow | undefined): number => Number(row?.['n'] ?? 0);

  return {
    ...prepareFleetPages(db),
    moduleName: (moduleId: number) => String(moduleName.get(moduleId)?.['module'] ?? ''),
    findToken: (service: number, token: string): (OwnLabels & { readonly seenAt: number | null }) | null => {
      const row = tokenRow.get(service, token);
      if (row === undefined) return null;
      return {
        operator: JSON.parse(row['operator'] as string) as Labels,
        device: JSON.parse(row['device'] as string) as Labels,
        seenAt: row['seen_at'] as number | null,
      };
    },
    saveLabels: (service: number, token: string, { operator, device }: OwnLabels) =>
      saveLabels.run(service, token, JSON.stringify(operator), JSON.stringify(device)),
    /** A label by which a device that has reported is found. */
    addLabel: (service: number, name: string, value: string, token: string) =>
      addLabel.run(service, name, value, token),
    deleteLabel: (service: number, name: string, value: string, token: string) =>
      deleteLabel.run(service, name, value, token),
    saveSeen: (service: number, token: string, at: number) => saveSeen.run(service, token, at),
    forgetToken: (service: number, token: string) => forgetToken.run(service, token),
    knownModules: (service: number, token: string) => knownModules.all(token, service),
    forgetKnown: (moduleId: number, token: string) => {
      forgetKnown.run(moduleId, token);
      forgetUpgraded.run(moduleId, token);
    },
    /** Devices in the order of modules and tokens; `idle`: nobody misses the device that wasn't seen since `before`. */
    sliceOfKnown: (after: { scope: number; token: string }, before: number, limit: number) =>
      slice.all(before, before, after.scope, after.token, limit),
    forgetSeen: (moduleId: number, token: string) => forgetSeen.run(token, moduleId),
    /** @param by how many devices more run it */
    countVersion: (moduleId: number, version: string, by: number) => {
      countVersion.run(moduleId, version, by);
      if (by < 0) clearVersions.run(moduleId, version);
    },
    /** How many devices run which version, of one module or of all. */
    versions: (service: number, moduleId: number | null, limit: number) =>
      versions.all(service, moduleId, moduleId, limit).map((row) => ({
        module: row['module'] as string,
        version: row['version'] as string,
        count: row['n'] as number,
      })),
    countKnownOf: (service: number, moduleId: number | null, version: string | null) =>
      n(countKnownOf.get(service, moduleId, moduleId, version, version)),

    newestTask: (token: string, moduleId: number) => newestTask.get(token, moduleId),
    tasksOfToken: (service: number, token: string, limit: number, offset: number) =>
      tasksOfToken.all(token, service, limit, offset),
    countTasksOfToken: (service: number, token: string) => n(countTasksOfToken.get(token, service)),
    isInWork: (service: number, token: string) => isInWork.get(token, service) !== undefined,
    /** The tasks in which a device is pending. */
    pendingElsewhere: (moduleId: number, token: string) =>
      pendingElsewhere.all(token, moduleId).map((row) => row['task'] as number),

    addLog: (task: number, events: readonly TaskEvent[]) => {
      let number = n(lastLog.get(task));
      for (const { at, event, by, remark, reason, wave } of events) {
        addLog.run(task, (number += 1), at, event, by, remark, reason, wave);
      }
      if (number > MAX_LOG) trimLog.run(task, number - MAX_LOG);
    },
    logOf: (task: number): TaskEvent[] =>
      logOf.all(task).map((row) => ({
        at: row['at'] as number,
        event: row['event'] as string,
        by: row['by'] as string | null,
        remark: row['remark'] as string | null,
        reason: row['reason'] as string | null,
        wave: row['wave'] as number | null,
      })),
    addEnds: (task: number, { at, succeeded, failed, cancelled }: Bucket) =>
      addEnds.run(task, at, succeeded, failed, cancelled),
    endsOf: (task: number): Bucket[] =>
      endsOf.all(task).map((row) => ({
        at: row['at'] as number,
        succeeded: row['succeeded'] as number,
        failed: row['failed'] as number,
        cancelled: row['cancelled'] as number,
      })),
    reasonsOf: (task: number) =>
      new Map(reasonsOf.all(task).map((row) => [row['reason'] as string, row['n'] as number])),
    wavesOf: (task: number) => wavesOf.all(task),
    deleteTaskLog: (task: number) => {
      deleteLog.run(task);
      deleteEnds.run(task);
    },

    knownRow: (() => {
      const known = sql('SELECT version, at FROM devices WHERE scope = ? AND token = ?');
      return (moduleId: number, token: string) => known.get(moduleId, token);
    })(),
  };
}

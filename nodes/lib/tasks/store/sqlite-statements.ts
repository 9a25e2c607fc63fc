/** Every SQL statement of the SQLite store, each a named function. Nothing here decides anything. */
import type { KnownDevice, Ticks } from '../types';
import { prepareDeviceStatements } from './sqlite-device-statements';
import type { KnownQuery, NewTask, Page, TaskChange } from './store';
import type { SqlDatabase, SqlRow, SqlStatement } from './sqlite-driver';

export type Statements = ReturnType<typeof prepareStatements>;

const MUTABLE = `status, reason, wave, pending, pushed, upgrading, succeeded, failed, cancelled, base_succeeded,
  base_failed, pace, started_at, ended_at, waiting, incompatible, soak_from, taken, id`;

export function prepareStatements(db: SqlDatabase) {
  const sql = (text: string): SqlStatement => db.prepare(text);

  const begin = sql('BEGIN IMMEDIATE');
  const commit = sql('COMMIT');
  const rollback = sql('ROLLBACK');
  const dataVersion = sql('PRAGMA data_version');
  const service = sql('SELECT id FROM services WHERE key = ?');
  const addService = sql('INSERT INTO services (key) VALUES (?)');
  const clock = sql('SELECT clock FROM services WHERE id = ?');
  const saveClock = sql('UPDATE services SET clock = max(clock, ?) WHERE id = ?');
  const scope = sql('SELECT id FROM scopes WHERE service = ? AND module = ?');
  const scopes = sql('SELECT count(*) AS n FROM scopes WHERE service = ?');
  const addScope = sql('INSERT INTO scopes (service, module) VALUES (?, ?)');

  const knownDevice = sql('SELECT version, last_id, at FROM devices WHERE scope = ? AND token = ?');
  const countKnown = sql('SELECT count(*) AS n FROM devices');
  const saveKnown = sql(`INSERT INTO devices (scope, token, version, last_id, at) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (scope, token) DO UPDATE SET version = excluded.version, last_id = excluded.last_id, at = excluded.at`);
  const knownSlice = sql(
    'SELECT token, version FROM devices WHERE scope = ? AND token > ? AND at >= ? ORDER BY token LIMIT ?',
  );

  const plan = sql('SELECT * FROM tasks WHERE id = ? AND visible = 1');
  const task = sql(`SELECT ${MUTABLE} FROM tasks WHERE id = ?`);
  const taskByKey = sql('SELECT id FROM tasks WHERE service = ? AND key = ? AND visible = 1');
  const liveTasks = sql(`SELECT ${MUTABLE} FROM tasks WHERE service = ? AND live = 1 AND visible = 1`);
  const countTasks = sql('SELECT count(*) AS n FROM tasks WHERE service = ? AND visible = 1');
  const pageOfTasks = sql(
    `SELECT ${MUTABLE} FROM tasks WHERE service = ? AND visible = 1 ORDER BY id DESC LIMIT ? OFFSET ?`,
  );
  const addTask = sql(`INSERT INTO tasks
    (key, service, scope, status, created_at, start_at, started_at, name, policy, upgrade, package, pending,
      description, packages, end_at, end_behavior, joining)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`);
  const addWave = sql('INSERT INTO task_waves (task, wave, total) VALUES (?, ?, ?)');
  const wave = sql(
    'SELECT total, succeeded, failed, cancelled, active, waiting, incompatible FROM task_waves WHERE task = ? AND wave = ?',
  );
  const scopeOfTask = sql('SELECT scope FROM tasks WHERE id = ?');
  const showTask = sql('UPDATE tasks SET visible = 1 WHERE id = ?');
  const hideTask = sql('UPDATE tasks SET visible = 0, live = 0 WHERE id = ?');
  const hiddenTask = sql('SELECT id FROM tasks WHERE visible = 0 AND (live = 0 OR created_at < ?) LIMIT 1');
  const changeTask =
    sql(`UPDATE tasks SET status = ?, reason = ?, wave = ?, live = ?, started_at = ?, ended_at = ?,
    base_succeeded = ?, base_failed = ?, soak_from = ? WHERE id = ?`);
  const savePace = sql('UPDATE tasks SET pace = ? WHERE id = ?');
  const addCounts =
    sql(`UPDATE tasks SET pending = pending + ?, pushed = pushed + ?, upgrading = upgrading + ?,
    succeeded = succeeded + ?, failed = failed + ?, cancelled = cancelled + ?,
    live = max(live, pending + pushed + upgrading + ? > 0),
    waiting = waiting + ?, incompatible = incompatible + ? WHERE id = ?`);
  const addWaveCounts = sql(`UPDATE task_waves SET succeeded = succeeded + ?, failed = failed + ?,
    cancelled = cancelled + ?, active = active + ?, waiting = waiting + ?, incompatible = incompatible + ?
    WHERE task = ? AND wave = ?`);

  const deleteWaves = sql('DELETE FROM task_waves WHERE task = ?');
  const deleteTask = sql('DELETE FROM tasks WHERE id = ?');

  const open = (c: readonly number[]): number => (c[0] ?? 0) + (c[1] ?? 0) + (c[2] ?? 0);
  const n = (row: SqlRow | undefined): number => Number(row?.['n'] ?? 0);

  return {
    ...prepareDeviceStatements(db),
    begin: () => begin.run(),
    commit: () => commit.run(),
    rollback: () => rollback.run(),

    /** Changes when another connection has written. */
    dataVersion: () => Number(dataVersion.get()?.['data_version']),
    findService: (key: string) => service.get(key)?.['id'] as number | undefined,
    addService: (key: string) => addService.run(key),
    readClock: (id: number) => clock.get(id)?.['clock'] as number,
    saveClock: (id: number, now: Ticks) => saveClock.run(now, id),
    findScope: (serviceId: number, module: string) =>
      scope.get(serviceId, module)?.['id'] as number | undefined,
    countScopes: (serviceId: number) => n(scopes.get(serviceId)),
    addScope: (serviceId: number, module: string) => addScope.run(serviceId, module),

    findKnown: (scopeId: number, token: string): KnownDevice | null => {
      const row = knownDevice.get(scopeId, token);
      if (row === undefined) return null;
      return {
        version: row['version'] as string,
        lastId: row['last_id'] as string | null,
        at: row['at'] as number,
      };
    },
    countKnown: () => n(countKnown.get()),
    saveKnown: (scopeId: number, token: string, known: KnownDevice) =>
      saveKnown.run(scopeId, token, known.version, known.lastId, known.at),
    knownSlice: (scopeId: number, query: KnownQuery) =>
      knownSlice.all(scopeId, query.after, query.since, query.limit),

    findPlan: (id: number) => plan.get(id),
    findTask: (id: number) => task.get(id),
    findTaskId: (serviceId: number, key: string) =>
      taskByKey.get(serviceId, key)?.['id'] as number | undefined,
    liveTasks: (serviceId: number) => liveTasks.all(serviceId),
    countTasks: (serviceId: number) => n(countTasks.get(serviceId)),
    pageOfTasks: (serviceId: number, { page: number, pageSize }: Page) =>
      pageOfTasks.all(serviceId, pageSize, (number - 1) * pageSize),
    addTask: (serviceId: number, scopeId: number, t: NewTask) =>
      addTask.get(
        t.taskId,
        serviceId,
        scopeId,
        t.status,
        t.createdAt,
        t.startAt,
        t.status === 'running' ? t.createdAt : null,
        t.name,
        JSON.stringify(t.policy),
        JSON.stringify(t.upgrade),
        JSON.stringify(t.package),
        t.total,
        t.description,
        JSON.stringify(t.packages),
        t.endAt,
        t.endBehavior,
        t.joining === null ? null : JSON.stringify(t.joining),
      )?.['id'] as number,
    addWave: (taskId: number, number: number, total: number) => addWave.run(taskId, number, total),
    findWave: (taskId: number, number: number) => wave.get(taskId, number),
    scopeOfTask: (id: number) => scopeOfTask.get(id)?.['scope'] as number,
    showTask: (id: number) => showTask.run(id),
    hideTask: (id: number) => hideTask.run(id),
    /** A task that was removed, or whose making was broken off before `madeBefore`. */
    findHidden: (madeBefore: number) => hiddenTask.get(madeBefore)?.['id'] as number | undefined,
    changeTask: (
      id: number,
      change: TaskChange,
      times: { startedAt: number | null; endedAt: number | null },
      base: { succeeded: number; failed: number },
    ) =>
      changeTask.run(
        change.status,
        change.reason,
        change.wave,
        change.status === 'ended' || change.settled === true ? 0 : 1,
        times.startedAt,
        times.endedAt,
        base.succeeded,
        base.failed,
        change.soakFrom ?? null,
        id,
      ),
    savePace: (id: number, pace: number) => savePace.run(pace, id),
    /** @param c what is added: the six statuses in their order, then waiting and incompatible ones */
    addCounts: (id: number, c: readonly number[]) =>
      addCounts.run(...c.slice(0, 6), open(c), c[6] ?? 0, c[7] ?? 0, id),
    addWaveCounts: (id: number, number: number, c: readonly number[]) =>
      addWaveCounts.run(...c.slice(3, 6), (c[1] ?? 0) + (c[2] ?? 0), c[6] ?? 0, c[7] ?? 0, id, number),

    deleteTask: (id: number) => {
      deleteWaves.run(id);
      deleteTask.run(id);
    },
  };
}

/** Every SQL statement of the SQLite store, each a named function. Nothing here decides anything. */
import type { Device, DeviceStatus, KnownDevice, Policy, Ticks } from '../types';
import type { DeviceQuery, KnownQuery, NewDevice, NewTask, Page, TaskChange } from './store';
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from './sqlite-driver';
import { BUSY_CODE, deviceColumns, type HistoryLine, queueStart, statusCode } from './sqlite-rows';
import { MAX_HISTORY } from './store';

export type Statements = ReturnType<typeof prepareStatements>;

/** The end of all texts that begin with a prefix. */
const LAST_CHARACTER = '\u{10FFFF}';
/** So many matches of a search are counted; more are told as this many. */
export const MAX_COUNTED = 200_000;

const DEVICE_COLUMNS = deviceColumns();
const ALL_BUT_DUE = DEVICE_COLUMNS.slice(0, -1);

/**
 * Progress moves the limit on with each report; an index that followed would cost more than the row. What is
 * due too early is looked at once, and then gets its real time.
 */
function columnsOf(before: Device, after: Device): typeof DEVICE_COLUMNS {
  const goesOn =
    before.status === 'upgrading' && after.status === 'upgrading' && before.hundred === after.hundred;
  return goesOn ? ALL_BUT_DUE : DEVICE_COLUMNS;
}

/** Columns of a device in the queue: what never changes, and what may. */
const QUEUED = ['id', 'task', 'token', 'wave', 'ord', ...DEVICE_COLUMNS.map(([name]) => name)];

const MUTABLE = `status, reason, wave, pending, pushed, upgrading, succeeded, failed, cancelled, base_succeeded,
  base_failed, pace, started_at, ended_at, id`;

// Its type is what it returns: written twice, the two would drift apart.
// eslint-disable-next-line @typescript-eslint/explicit-module-boundary-types
export function prepareStatements(db: SqlDatabase) {
  const sql = (text: string): ReturnType<SqlDatabase['prepare']> => db.prepare(text);

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
    (key, service, scope, status, created_at, start_at, started_at, name, policy, upgrade, package, pending)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id`);
  const addWave = sql('INSERT INTO task_waves (task, wave, total) VALUES (?, ?, ?)');
  const wave = sql('SELECT total, succeeded, failed, cancelled FROM task_waves WHERE task = ? AND wave = ?');
  const scopeOfTask = sql('SELECT scope FROM tasks WHERE id = ?');
  const showTask = sql('UPDATE tasks SET visible = 1 WHERE id = ?');
  const hideTask = sql('UPDATE tasks SET visible = 0, live = 0 WHERE id = ?');
  const hiddenTask = sql('SELECT id FROM tasks WHERE visible = 0 AND (live = 0 OR created_at < ?) LIMIT 1');
  const changeTask =
    sql(`UPDATE tasks SET status = ?, reason = ?, wave = ?, live = ?, started_at = ?, ended_at = ?,
    base_succeeded = ?, base_failed = ? WHERE id = ?`);
  const savePace = sql('UPDATE tasks SET pace = ? WHERE id = ?');
  const addCounts =
    sql(`UPDATE tasks SET pending = pending + ?, pushed = pushed + ?, upgrading = upgrading + ?,
    succeeded = succeeded + ?, failed = failed + ?, cancelled = cancelled + ?,
    live = max(live, pending + pushed + upgrading + ? > 0) WHERE id = ?`);
  const addWaveCounts = sql(`UPDATE task_waves SET succeeded = succeeded + ?, failed = failed + ?,
    cancelled = cancelled + ? WHERE task = ? AND wave = ?`);

  const addDevice =
    sql(`INSERT INTO task_devices (task, service, scope, token, wave, ord, status, source, at, queue)
    VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)`);
  const openDevices = sql('SELECT * FROM task_devices WHERE token = ? AND open = 1');
  const latestDevice = sql(
    'SELECT * FROM task_devices WHERE token = ? AND open = 0 AND scope = ? ORDER BY id DESC LIMIT 1',
  );
  const activeDevice = sql(
    'SELECT id FROM task_devices WHERE token = ? AND open = 1 AND scope = ? AND status IN (1, 2)',
  );
  const anyBusy = sql(`SELECT 1 AS yes FROM task_devices WHERE hold = ${BUSY_CODE} LIMIT 1`);
  const busyDevices = sql(`SELECT * FROM task_devices WHERE token = ? AND scope = ? AND hold = ${BUSY_CODE}`);
  const dueDevices = sql('SELECT * FROM task_devices WHERE service = ? AND due <= ? ORDER BY due LIMIT ?');
  // With all that decides on its push: a query for each would cost more than the push. As JSON, because a row
  // of so many columns takes the drivers longer to hand over than SQLite to find.
  const queuedDevices = sql(`SELECT json_object(${QUEUED.map((name) => `'${name}', d.${name}`).join(', ')},
      'known', v.version,
      'opened', (SELECT count(*) FROM task_devices AS o WHERE o.token = d.token AND o.open = 1),
      'unsettled', EXISTS (SELECT 1 FROM unsettled AS u WHERE u.scope = d.scope AND u.token = d.token)) AS json
    FROM task_devices AS d LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
    WHERE d.task = ? AND d.queue < ? ORDER BY d.queue LIMIT ?`);
  const device = sql('SELECT * FROM task_devices WHERE id = ?');
  const deviceOfTask = sql('SELECT * FROM task_devices WHERE task = ? AND token = ?');
  const sliceOfTask = sql(
    'SELECT * FROM task_devices WHERE task = ? AND status = ? AND token > ? ORDER BY token LIMIT ?',
  );
  const recover = sql(`UPDATE task_devices SET next_push = ?, due = ?
    WHERE service = ? AND due IS NOT NULL AND status = 1 AND since >= ?`);
  const saveDue = sql('UPDATE task_devices SET due = ? WHERE id = ?');
  const deleteDevices = sql(`DELETE FROM task_devices WHERE id IN
    (SELECT id FROM task_devices WHERE task = ? ORDER BY token LIMIT ?)`);
  const deleteHistoryOf = sql(`DELETE FROM history WHERE device IN
    (SELECT id FROM task_devices WHERE task = ? ORDER BY token LIMIT ?)`);
  const deleteWaves = sql('DELETE FROM task_waves WHERE task = ?');
  const deleteTask = sql('DELETE FROM tasks WHERE id = ?');

  const setUnsettled = sql('INSERT OR IGNORE INTO unsettled (scope, token) VALUES (?, ?)');
  const clearUnsettled = sql('DELETE FROM unsettled WHERE scope = ? AND token = ?');

  const addHistory = sql('INSERT INTO history (device, upto, at, lines) VALUES (?, ?, ?, ?)');
  const trimHistory = sql('DELETE FROM history WHERE device = ? AND upto <= ?');
  const historyOf = sql('SELECT lines FROM history WHERE device = ? ORDER BY upto');
  const pruneHistory = sql('DELETE FROM history WHERE device > ? AND device <= ? AND at < ?');
  const lastDevice = sql('SELECT max(id) AS id FROM task_devices');

  const page = (where: string): string => `SELECT d.*, v.version AS current_version FROM
      (SELECT id FROM task_devices WHERE ${where} ORDER BY token LIMIT ? OFFSET ?) AS p
      JOIN task_devices AS d ON d.id = p.id
      LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
    ORDER BY d.token`;
  const count = (where: string): string =>
    `SELECT count(*) AS n FROM (SELECT 1 FROM task_devices WHERE ${where} LIMIT ${MAX_COUNTED})`;
  const RANGE = 'token >= ? AND token < ?';
  const pageOfAll = sql(page('task = ?'));
  const pageOfStatus = sql(page('task = ? AND status = ?'));
  const pageOfSearch = sql(page(`task = ? AND ${RANGE}`));
  const pageOfBoth = sql(page(`task = ? AND status = ? AND ${RANGE}`));
  const countSearch = sql(count(`task = ? AND ${RANGE}`));
  const countBoth = sql(count(`task = ? AND status = ? AND ${RANGE}`));
  const open = (c: readonly number[]): number => (c[0] ?? 0) + (c[1] ?? 0) + (c[2] ?? 0);
  const saves = new Map<number, SqlStatement>();
  const saveStatement = (changed: number): SqlStatement => {
    const found = saves.get(changed);
    if (found !== undefined) return found;
    const names = DEVICE_COLUMNS.filter((_, i) => (changed >> i) & 1).map(([name]) => `${name} = ?`);
    const statement = sql(`UPDATE task_devices SET ${names.join(', ')} WHERE id = ?`);
    saves.set(changed, statement);
    return statement;
  };
  /** Writes what differs. A column that isn't named costs nothing, and none of its indexes either. */
  const saveDevice = (before: Device, after: Device, policy: Policy): void => {
    const values: SqlValue[] = [];
    let changed = 0;
    const columns = columnsOf(before, after);
    for (let i = 0; i < columns.length; i += 1) {
      const valueOf = columns[i]?.[1];
      if (valueOf === undefined) break;
      const value = valueOf(after, policy);
      if (value === valueOf(before, policy)) continue;
      changed |= 1 << i;
      values.push(value);
    }
    if (changed === 0) return;
    values.push(after.id);
    saveStatement(changed).run(...values);
  };
  const n = (row: SqlRow | undefined): number => Number(row?.['n'] ?? 0);

  return {
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
        id,
      ),
    savePace: (id: number, pace: number) => savePace.run(pace, id),
    addCounts: (id: number, c: readonly number[]) =>
      addCounts.run(c[0] ?? 0, c[1] ?? 0, c[2] ?? 0, c[3] ?? 0, c[4] ?? 0, c[5] ?? 0, open(c), id),
    addWaveCounts: (id: number, number: number, c: readonly number[]) =>
      addWaveCounts.run(c[3] ?? 0, c[4] ?? 0, c[5] ?? 0, id, number),

    addDevice: (taskId: number, serviceId: number, scopeId: number, d: NewDevice, wall: number) =>
      addDevice.run(
        taskId,
        serviceId,
        scopeId,
        d.accessToken,
        d.wave,
        d.order,
        d.source,
        wall,
        queueStart(d.wave) + d.order,
      ),
    openDevices: (token: string) => openDevices.all(token),
    latestDevice: (token: string, scopeId: number) => latestDevice.get(token, scopeId),
    hasActive: (token: string, scopeId: number) => activeDevice.get(token, scopeId) !== undefined,
    anyBusy: () => anyBusy.get() !== undefined,
    busyDevices: (token: string, scopeId: number) => busyDevices.all(token, scopeId),
    dueDevices: (serviceId: number, now: Ticks, limit: number) => dueDevices.all(serviceId, now, limit),
    /** The next ones of the waves up to `lastWave`. */
    queuedDevices: (taskId: number, lastWave: number, limit: number) =>
      queuedDevices
        .all(taskId, queueStart(lastWave + 1), limit)
        .map((row) => JSON.parse(row['json'] as string) as SqlRow),
    findDevice: (id: number) => device.get(id),
    findDeviceOfTask: (taskId: number, token: string) => deviceOfTask.get(taskId, token),
    sliceOfTask: (taskId: number, status: DeviceStatus, after: string, limit: number) =>
      sliceOfTask.all(taskId, statusCode(status), after, limit),
    recover: (serviceId: number, since: Ticks, now: Ticks) => recover.run(now, now, serviceId, since),
    saveDevice,
    saveDue: (id: number, due: Ticks | null) => saveDue.run(due, id),
    deleteDevices: (taskId: number, limit: number) => {
      deleteHistoryOf.run(taskId, limit);
      return deleteDevices.run(taskId, limit);
    },
    deleteTask: (id: number) => {
      deleteWaves.run(id);
      deleteTask.run(id);
    },

    setUnsettled: (scopeId: number, token: string) => setUnsettled.run(scopeId, token),
    clearUnsettled: (scopeId: number, token: string) => clearUnsettled.run(scopeId, token),

    /** What one transaction brings to a device; older events than are kept go. */
    addHistory: (id: number, upto: number, lines: readonly HistoryLine[]) => {
      addHistory.run(id, upto, lines.at(-1)?.[0] ?? 0, JSON.stringify(lines.slice(-MAX_HISTORY)));
      if (upto > MAX_HISTORY) trimHistory.run(id, upto - MAX_HISTORY);
    },
    historyOf: (id: number) => historyOf.all(id),
    pruneHistory: (after: number, upTo: number, wall: number) => pruneHistory.run(after, upTo, wall),
    lastDevice: () => Number(lastDevice.get()?.['id'] ?? 0),

    pageOfDevices: ({ task: { id }, status, search, page: number, pageSize }: DeviceQuery) => {
      const limits = [pageSize, (number - 1) * pageSize];
      const range = [search, search + LAST_CHARACTER];
      if (search === '') {
        return status === null
          ? pageOfAll.all(id, ...limits)
          : pageOfStatus.all(id, statusCode(status), ...limits);
      }
      return status === null
        ? pageOfSearch.all(id, ...range, ...limits)
        : pageOfBoth.all(id, statusCode(status), ...range, ...limits);
    },
    countDevices: ({ task: { id }, status, search }: DeviceQuery) => {
      const range = [search, search + LAST_CHARACTER];
      return n(
        status === null ? countSearch.get(id, ...range) : countBoth.get(id, statusCode(status), ...range),
      );
    },
  };
}

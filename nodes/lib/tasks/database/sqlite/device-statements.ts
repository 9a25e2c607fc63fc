/** The statements on the devices of tasks, their history and their pages. Nothing here decides anything. */
import type { Rules } from '../../machine';
import { type Device, type DeviceStatus, type HistoryEvent, type Hold, HOLDS, type Ticks } from '../../types';
import { MAX_HISTORY, type NewDevice } from '../database';
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from './driver';
import { BUSY_CODE, deviceColumns, keepsDue, queueStart, statusCode, toLine, WAIT_CODE } from '../rows';

const PENDING_CODE = statusCode('pending');
const PUSHED_CODE = statusCode('pushed');
const SUCCEEDED_CODE = statusCode('succeeded');

const DEVICE_COLUMNS = deviceColumns();
const ALL_BUT_DUE = DEVICE_COLUMNS.slice(0, -1);

function columnsOf(before: Device, after: Device): typeof DEVICE_COLUMNS {
  return keepsDue(before, after) ? ALL_BUT_DUE : DEVICE_COLUMNS;
}

/**
 * A device's columns as one JSON text: what never changes, and what may. A row of so many columns takes the
 * drivers longer to hand over than SQLite to find.
 */
const AS_JSON = ['id', 'task', 'token', 'wave', 'ord', ...DEVICE_COLUMNS.map(([name]) => name)]
  .map((name) => `'${name}', d.${name}`)
  .join(', ');

function fromJson(row: SqlRow): SqlRow {
  return JSON.parse(row['json'] as string) as SqlRow;
}

export function prepareDeviceStatements(db: SqlDatabase) {
  const sql = (text: string): SqlStatement => db.prepare(text);

  const addDevice =
    sql(`INSERT INTO task_devices (task, service, scope, token, wave, ord, status, source, at, queue)
    VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?)`);
  const openDevices = sql('SELECT * FROM task_devices WHERE token = ? AND open = 1');
  const latestDevice = sql(
    'SELECT * FROM task_devices WHERE token = ? AND open = 0 AND scope = ? ORDER BY id DESC LIMIT 1',
  );
  const anyBusy = sql(`SELECT 1 AS yes FROM task_devices WHERE hold = ${BUSY_CODE} LIMIT 1`);
  const busyDevices = sql(`SELECT * FROM task_devices WHERE token = ? AND scope = ? AND hold = ${BUSY_CODE}`);
  const dueDevices = sql(
    'SELECT * FROM task_devices WHERE service = ? AND due <= ? ORDER BY due, id LIMIT ?',
  );
  // With all that decides on its push: a query for each would cost more than the push.
  const withFacts = (where: string): string => `SELECT json_object(${AS_JSON},
      'known', v.version,
      'knownAt', CASE v.retained WHEN 0 THEN v.at END,
      'newer', (SELECT json_object('taskId', key, 'name', name, 'version', version) FROM (
        SELECT o.task, t.key, t.name, json_extract(t.upgrade, '$.version') AS version
          FROM task_devices AS o JOIN tasks AS t ON t.id = o.task
          WHERE o.token = d.token AND o.scope = d.scope AND o.status = ${SUCCEEDED_CODE} AND o.task > d.task
        UNION ALL SELECT u.task, u.key, u.name, u.version
          FROM upgraded AS u WHERE u.scope = d.scope AND u.token = d.token AND u.task > d.task
        ORDER BY 1 DESC LIMIT 1)),
      'opened', (SELECT count(*) FROM task_devices AS o WHERE o.token = d.token AND o.open = 1),
      'lateReportUntil', (SELECT u.until FROM late_reports AS u WHERE u.scope = d.scope AND u.token = d.token)) AS json
    FROM task_devices AS d LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
    WHERE d.task = ? AND ${where} LIMIT ?`;
  const queuedDevices = sql(withFacts('d.queue < ? ORDER BY d.queue, d.id'));
  const probes = sql(
    withFacts(
      `d.status = ${PENDING_CODE} AND d.next_push <= ? AND d.hold = ${WAIT_CODE} ORDER BY d.next_push, d.id`,
    ),
  );
  const deviceWithFacts = sql(withFacts('d.token = ?'));
  const device = sql('SELECT * FROM task_devices WHERE id = ?');
  const deviceOfTask = sql('SELECT * FROM task_devices WHERE task = ? AND token = ?');
  const repeats =
    sql(`SELECT * FROM task_devices WHERE task = ? AND status = ${PUSHED_CODE} AND next_push <= ?
    ORDER BY next_push, id LIMIT ?`);
  const waiting =
    sql(`SELECT * FROM task_devices WHERE task = ? AND status = ${PENDING_CODE} AND next_push > ?
    AND hold = ${WAIT_CODE} ORDER BY next_push, id LIMIT ?`);
  const pushedSince = sql(`SELECT * FROM task_devices WHERE task = ? AND status = ${PUSHED_CODE} AND token > ?
    AND coalesce(last_push, since) >= ? ORDER BY token LIMIT ?`);
  const sliceOfTask = sql(`SELECT json_object(${AS_JSON}) AS json FROM task_devices AS d
    WHERE d.task = ? AND d.status = ? AND d.token > ? ORDER BY d.token LIMIT ?`);
  const sliceOfHold = sql(`SELECT json_object(${AS_JSON}) AS json FROM task_devices AS d
    WHERE d.task = ? AND d.hold = ? AND d.token > ? ORDER BY d.token LIMIT ?`);
  const saveDue = sql('UPDATE task_devices SET due = ? WHERE id = ?');
  const deleteDevices = sql(`DELETE FROM task_devices WHERE id IN
    (SELECT id FROM task_devices WHERE task = ? ORDER BY token LIMIT ?)`);
  const deleteHistoryOf = sql(`DELETE FROM history WHERE device IN
    (SELECT id FROM task_devices WHERE task = ? ORDER BY token LIMIT ?)`);
  const keepUpgraded = sql(`INSERT INTO upgraded (scope, token, task, key, name, version)
    SELECT d.scope, d.token, t.id, t.key, t.name, json_extract(t.upgrade, '$.version')
      FROM (SELECT scope, token, task, status FROM task_devices WHERE task = ? ORDER BY token LIMIT ?) AS d
        JOIN tasks AS t ON t.id = d.task WHERE d.status = ${SUCCEEDED_CODE}
    ON CONFLICT (scope, token) DO UPDATE SET task = excluded.task, key = excluded.key, name = excluded.name,
      version = excluded.version WHERE excluded.task > upgraded.task`);
  const lookAtBusy = sql(`UPDATE task_devices SET due = 0 WHERE id IN (SELECT b.id
    FROM (SELECT scope, token FROM task_devices WHERE task = ? ORDER BY token LIMIT ?) AS d
      JOIN task_devices AS b ON b.token = d.token AND b.scope = d.scope AND b.hold = ${BUSY_CODE})`);
  const setLateReport = sql('INSERT OR REPLACE INTO late_reports (scope, token, until) VALUES (?, ?, ?)');
  const clearLateReport = sql('DELETE FROM late_reports WHERE scope = ? AND token = ?');

  const addHistory = sql('INSERT INTO history (device, upto, at, lines) VALUES (?, ?, ?, ?)');
  const trimHistory = sql('DELETE FROM history WHERE device = ? AND upto <= ?');
  const historyOf = sql('SELECT lines FROM history WHERE device = ? ORDER BY upto');
  const endOfHistory = sql(`SELECT max(device) AS device, count(*) AS n FROM
    (SELECT device FROM history WHERE device > ? ORDER BY device LIMIT ?)`);
  const pruneHistory = sql('DELETE FROM history WHERE device > ? AND device <= ? AND at < ?');
  const lateReports = sql(`SELECT l.scope, l.token, l.until < s.clock AS over FROM late_reports AS l
    LEFT JOIN scopes AS c ON c.id = l.scope LEFT JOIN services AS s ON s.id = c.service
    WHERE (l.scope, l.token) > (?, ?) ORDER BY l.scope, l.token LIMIT ?`);

  const saves = new Map<number, SqlStatement>();
  const saveStatement = (changed: number): SqlStatement => {
    const found = saves.get(changed);
    if (found !== undefined) return found;
    const names = DEVICE_COLUMNS.filter((_, i) => Math.floor(changed / 2 ** i) % 2 === 1).map(
      ([name]) => `${name} = ?`,
    );
    const statement = sql(`UPDATE task_devices SET ${names.join(', ')} WHERE id = ?`);
    saves.set(changed, statement);
    return statement;
  };
  /** Writes what differs. A column that isn't named costs nothing, and none of its indexes either. */
  const saveDevice = (before: Device, after: Device, rules: Rules): void => {
    const values: SqlValue[] = [];
    let changed = 0;
    const columns = columnsOf(before, after);
    for (let i = 0; i < columns.length; i += 1) {
      const valueOf = columns[i]?.[1];
      if (valueOf === undefined) break;
      const value = valueOf(after, rules);
      if (value === valueOf(before, rules)) continue;
      changed += 2 ** i;
      values.push(value);
    }
    if (changed === 0) return;
    values.push(after.id);
    saveStatement(changed).run(...values);
  };

  return {
    addDevice: (taskId: number, serviceId: number, moduleId: number, d: NewDevice) =>
      addDevice.run(
        taskId,
        serviceId,
        moduleId,
        d.accessToken,
        d.wave,
        d.order,
        d.source,
        d.at,
        queueStart(d.wave) + d.order,
      ),
    openDevices: (token: string) => openDevices.all(token),
    latestDevice: (token: string, moduleId: number) => latestDevice.get(token, moduleId),
    anyBusy: () => anyBusy.get() !== undefined,
    busyDevices: (token: string, moduleId: number) => busyDevices.all(token, moduleId),
    dueDevices: (serviceId: number, now: Ticks, limit: number) => dueDevices.all(serviceId, now, limit),
    waiting: (taskId: number, after: Ticks, limit: number) => waiting.all(taskId, after, limit),
    /** Waiting devices that are looked for again. */
    probes: (taskId: number, now: Ticks, limit: number) => probes.all(taskId, now, limit).map(fromJson),
    /** The next ones of the waves up to `lastWave`. */
    queuedDevices: (taskId: number, lastWave: number, limit: number) =>
      queuedDevices.all(taskId, queueStart(lastWave + 1), limit).map(fromJson),
    /** One device of a task, with all that decides on its push. */
    deviceWithFacts: (taskId: number, token: string) => deviceWithFacts.all(taskId, token, 1).map(fromJson),
    findDevice: (id: number) => device.get(id),
    findDeviceOfTask: (taskId: number, token: string) => deviceOfTask.get(taskId, token),
    sliceOfTask: (taskId: number, status: DeviceStatus, after: string, limit: number) =>
      sliceOfTask.all(taskId, statusCode(status), after, limit).map(fromJson),
    sliceOfHold: (taskId: number, hold: Hold, after: string, limit: number) =>
      sliceOfHold.all(taskId, HOLDS.indexOf(hold), after, limit).map(fromJson),
    /** Repeats of a task's pushes that are due. */
    repeats: (taskId: number, now: Ticks, limit: number) => repeats.all(taskId, now, limit),
    pushedSince: (taskId: number, since: Ticks, after: string, limit: number) =>
      pushedSince.all(taskId, after, since, limit),
    saveDevice,
    saveDue: (id: number, due: Ticks | null) => saveDue.run(due, id),
    /**
     * The rows of a task's devices, some of them; what it brought them to is remembered, who waits for one of them is
     * looked at soon.
     */
    deleteDevices: (taskId: number, limit: number) => {
      lookAtBusy.run(taskId, limit);
      keepUpgraded.run(taskId, limit);
      deleteHistoryOf.run(taskId, limit);
      return deleteDevices.run(taskId, limit);
    },
    setLateReport: (moduleId: number, token: string, until: Ticks) =>
      setLateReport.run(moduleId, token, until),
    clearLateReport: (moduleId: number, token: string) => clearLateReport.run(moduleId, token),

    /** What one transaction brings to a device; older events than are kept go. */
    addHistory: (id: number, upto: number, events: readonly HistoryEvent[]) => {
      const lines = events.slice(-MAX_HISTORY).map(toLine);
      addHistory.run(id, upto, events.at(-1)?.at ?? 0, JSON.stringify(lines));
      if (upto > MAX_HISTORY) trimHistory.run(id, upto - MAX_HISTORY);
    },
    historyOf: (id: number) => historyOf.all(id),
    /**
     * Devices have a hundred rows at most, and some have many more than others: slices are of rows.
     * @returns the last device that was looked at; 0 after the last of all
     */
    pruneHistory: (after: number, limit: number, wall: number): number => {
      const end = endOfHistory.get(after, limit);
      const last = Number(end?.['device'] ?? 0);
      if (last > 0) pruneHistory.run(after, last, wall);
      return Number(end?.['n'] ?? 0) < limit ? 0 : last;
    },
    /** Those that can't come any more. @returns the last device that was looked at; null after the last of all */
    pruneLateReports: (after: { scope: number; token: string }, limit: number) => {
      const rows = lateReports.all(after.scope, after.token, limit);
      for (const { scope, token, over } of rows) {
        if (over === 1) clearLateReport.run(Number(scope), String(token));
      }
      const last = rows.at(-1);
      const isLast = last === undefined || rows.length < limit;
      return isLast ? null : { scope: Number(last['scope']), token: String(last['token']) };
    },
  };
}

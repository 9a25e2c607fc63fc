/** Every SQL statement of the SQLite store, each a named function. Nothing here decides anything. */
import type { KnownDevice, Ticks } from '../../types';
import { prepareDeviceStatements } from './device-statements';
import { prepareFleetStatements } from './fleet-statements';
import { prepareStampStatements } from './stamps';
import { prepareDevicePages } from './pages';
import type { KnownQuery, NewTask, PlanChange, TaskQuery, TaskState } from '../database';
import type { CountDeltas } from '../effects';
import { NEW_TASK_COLUMNS, newTaskValues, taskStateValues } from '../task-rows';
import type { SqlDatabase, SqlRow, SqlStatement } from './driver';

export type Statements = ReturnType<typeof prepareStatements>;

const MUTABLE = `status, reason, wave, pending, waiting, pushed, upgrading, succeeded, failed, incompatible, cancelled,
  base_succeeded, base_failed, pace, started_at, ended_at, soak_from, taken, intent, id`;
const COUNTS = [
  'pending',
  'waiting',
  'pushed',
  'upgrading',
  'succeeded',
  'failed',
  'incompatible',
  'cancelled',
] as const;
/** What is counted of a wave; "active" is pushed or upgrading, "pending" what is left of the total. */
const WAVE_COUNTS = [
  'total',
  'waiting',
  'active',
  'succeeded',
  'failed',
  'incompatible',
  'cancelled',
] as const;

function adding(names: readonly string[]): string {
  return names.map((name) => `${name} = ${name} + ?`).join(', ');
}

export function prepareStatements(db: SqlDatabase) {
  const sql = (text: string): SqlStatement => db.prepare(text);

  const fleet = prepareFleetStatements(db);
  const begin = sql('BEGIN IMMEDIATE');
  const commit = sql('COMMIT');
  const rollback = sql('ROLLBACK');
  const dataVersion = sql('PRAGMA data_version');
  const totalChanges = sql('SELECT total_changes() AS n');
  const service = sql('SELECT id FROM services WHERE key = ?');
  const addService = sql('INSERT INTO services (key) VALUES (?)');
  const fleets = sql(`SELECT s.key, count(*) AS n FROM services AS s JOIN tasks AS t ON t.service = s.id
    WHERE t.visible = 1 GROUP BY s.id ORDER BY s.key`);
  const clock = sql('SELECT clock FROM services WHERE id = ?');
  const saveClock = sql('UPDATE services SET clock = max(clock, ?) WHERE id = ?');
  const deviceModule = sql('SELECT id FROM scopes WHERE service = ? AND module = ?');
  const addModule = sql('INSERT INTO scopes (service, module) VALUES (?, ?)');

  const knownDevice = sql('SELECT version, last_id, at, retained FROM devices WHERE scope = ? AND token = ?');
  const countKnown = sql('SELECT count(*) AS n FROM devices');
  const saveKnown =
    sql(`INSERT INTO devices (scope, token, version, last_id, at, retained) VALUES (?, ?, ?, ?, ?, ?)
    ON CONFLICT (scope, token) DO UPDATE SET version = excluded.version, last_id = excluded.last_id,
      at = excluded.at, retained = excluded.retained`);
  const knownSlice = sql(`SELECT d.token, d.version, d.at, t.operator, t.device, t.seen_at
    FROM devices AS d LEFT JOIN tokens AS t ON t.service = ? AND t.token = d.token
    WHERE d.scope = ? AND d.token > ? AND max(d.at, coalesce(t.seen_at, 0)) >= ? ORDER BY d.token LIMIT ?`);

  const plan = sql('SELECT * FROM tasks WHERE id = ? AND visible = 1');
  const task = sql(`SELECT ${MUTABLE} FROM tasks WHERE id = ?`);
  const taskByKey = sql('SELECT id FROM tasks WHERE service = ? AND key = ? AND visible = 1');
  const joiningTasks = sql(`SELECT ${MUTABLE} FROM tasks
    WHERE service = ? AND joining IS NOT NULL AND live = 1 AND visible = 1 ORDER BY id`);
  const liveTasks = sql(`SELECT ${MUTABLE} FROM tasks WHERE service = ? AND live = 1 AND visible = 1`);
  const countTasks = sql('SELECT count(*) AS n FROM tasks WHERE service = ? AND visible = 1');
  const FOUND = `service = ? AND visible = 1 AND (? IS NULL OR status = ?)
    AND (? = '' OR instr(lower(name), lower(?)) > 0)`;
  const countFound = sql(`SELECT count(*) AS n FROM tasks WHERE ${FOUND}`);
  const namesOfTasks = sql(
    'SELECT id, name FROM tasks WHERE service = ? AND visible = 1 AND (? IS NULL OR status = ?) ORDER BY id DESC',
  );
  const pageOfTasks = sql(`SELECT ${MUTABLE} FROM tasks WHERE ${FOUND} ORDER BY id DESC LIMIT ? OFFSET ?`);
  const changePlan = sql(`UPDATE tasks SET name = ?, description = ?, end_at = ?, end_behavior = ?, policy = ?
    WHERE id = ?`);
  const addTaken = sql('UPDATE tasks SET taken = taken + ? WHERE id = ?');
  // Numbers tell which task is the newer one: that of a task that was removed is not given again.
  const addTask = sql(`INSERT INTO tasks (id, ${NEW_TASK_COLUMNS.join(', ')})
    VALUES (
      1 + max(coalesce((SELECT max(id) FROM tasks), 0), coalesce((SELECT max(task) FROM upgraded), 0)),
      ${NEW_TASK_COLUMNS.map(() => '?').join(', ')}) RETURNING id`);
  const addWave = sql('INSERT INTO task_waves (task, wave, total) VALUES (?, ?, 0)');
  const wave = sql(`SELECT ${WAVE_COUNTS.join(', ')} FROM task_waves WHERE task = ? AND wave = ?`);
  const moduleOfTask = sql('SELECT scope FROM tasks WHERE id = ?');
  const showTask = sql('UPDATE tasks SET visible = 1 WHERE id = ?');
  const discardTask = sql('UPDATE tasks SET live = 0 WHERE id = ? AND visible = 0');
  const hideTask = sql(`UPDATE tasks SET visible = 0, live = 0
    WHERE id = ? AND visible = 1 AND status IN ('ended', 'cancelled') AND intent IS NULL`);
  // The row of the newest task stays, without its devices, so that its number isn't given again.
  const hiddenTask = sql(`SELECT id FROM tasks AS t WHERE visible = 0 AND (live = 0 OR created_at < ?)
    AND (id < (SELECT max(id) FROM tasks) OR EXISTS (SELECT 1 FROM task_devices WHERE task = t.id)) LIMIT 1`);
  const changeTask =
    sql(`UPDATE tasks SET status = ?, reason = ?, wave = ?, live = ?, started_at = ?, ended_at = ?,
    pace = ?, base_succeeded = ?, base_failed = ?, soak_from = ?, running_before = ?,
    running_since = ?, intent = ? WHERE id = ?`);
  const addCounts = sql(
    `UPDATE tasks SET ${adding(COUNTS)}, live = max(live, pending + pushed + upgrading + ? > 0) WHERE id = ?`,
  );
  const forgive = sql('UPDATE tasks SET base_failed = max(0, base_failed - ?) WHERE id = ?');
  const addWaveCounts = sql(`UPDATE task_waves SET ${adding(WAVE_COUNTS)} WHERE task = ? AND wave = ?`);
  const addReason = sql(`INSERT INTO task_reasons (task, reason, n) VALUES (?, ?, ?)
    ON CONFLICT (task, reason) DO UPDATE SET n = n + excluded.n`);

  const lastName = sql('SELECT max(n) AS n FROM task_names WHERE task = ?');
  const addName = sql('INSERT INTO task_names (task, n, token) VALUES (?, ?, ?)');
  const nextNames = sql('SELECT n, token FROM task_names WHERE task = ? ORDER BY n LIMIT ?');
  const deleteNames = sql('DELETE FROM task_names WHERE task = ? AND n <= ?');

  const deleteWaves = sql('DELETE FROM task_waves WHERE task = ?');
  const deleteReasons = sql('DELETE FROM task_reasons WHERE task = ?');
  const deleteTask = sql('DELETE FROM tasks WHERE id = ? AND id < (SELECT max(id) FROM tasks)');

  const n = (row: SqlRow | undefined): number => Number(row?.['n'] ?? 0);

  return {
    ...fleet,
    ...prepareDeviceStatements(db),
    ...prepareStampStatements(db),
    ...prepareDevicePages(db),
    begin: () => begin.run(),
    commit: () => commit.run(),
    rollback: () => rollback.run(),

    /** Rows that this connection has ever changed. */
    totalChanges: () => n(totalChanges.get()),
    /** Changes when another connection has written. */
    dataVersion: () => Number(dataVersion.get()?.['data_version']),
    fleets: () => fleets.all(),
    findService: (key: string) => service.get(key)?.['id'] as number | undefined,
    addService: (key: string) => addService.run(key),
    readClock: (id: number) => clock.get(id)?.['clock'] as number,
    saveClock: (id: number, now: Ticks) => saveClock.run(now, id),
    findModule: (serviceId: number, module: string) =>
      deviceModule.get(serviceId, module)?.['id'] as number | undefined,
    addModule: (serviceId: number, module: string) => addModule.run(serviceId, module),

    findKnown: (moduleId: number, token: string): KnownDevice | null => {
      const row = knownDevice.get(moduleId, token);
      if (row === undefined) return null;
      return {
        version: row['version'] as string,
        lastId: row['last_id'] as string | null,
        at: row['at'] as number,
        retained: row['retained'] === 1,
      };
    },
    countKnown: () => n(countKnown.get()),
    saveKnown: (moduleId: number, token: string, known: KnownDevice) =>
      saveKnown.run(moduleId, token, known.version, known.lastId, known.at, Number(known.retained)),
    knownSlice: (serviceId: number, moduleId: number, query: KnownQuery) =>
      knownSlice.all(serviceId, moduleId, query.after, query.since, query.limit),

    findPlan: (id: number) => plan.get(id),
    findTask: (id: number) => task.get(id),
    findTaskId: (serviceId: number, key: string) =>
      taskByKey.get(serviceId, key)?.['id'] as number | undefined,
    joiningTasks: (serviceId: number) => joiningTasks.all(serviceId),
    liveTasks: (serviceId: number) => liveTasks.all(serviceId),
    countTasks: (serviceId: number, { status = null, search = '' }: TaskQuery) =>
      status === null && search === ''
        ? n(countTasks.get(serviceId))
        : n(countFound.get(serviceId, status, status, search, search)),
    pageOfTasks: (serviceId: number, { status = null, search = '', page: number, pageSize }: TaskQuery) =>
      pageOfTasks.all(serviceId, status, status, search, search, pageSize, (number - 1) * pageSize),
    namesOfTasks: (serviceId: number, status: string | null) => namesOfTasks.all(serviceId, status, status),
    changePlan: (id: number, { name, description, endAt, endBehavior, policy }: PlanChange) =>
      changePlan.run(name, description, endAt, endBehavior, JSON.stringify(policy), id),
    addTaken: (id: number, by: number) => addTaken.run(by, id),
    /** @param now in ticks: a running task runs from then on */
    addTask: (serviceId: number, moduleId: number, task: NewTask, now: Ticks) =>
      addTask.get(...newTaskValues(serviceId, moduleId, task, now))?.['id'] as number,
    addWave: (taskId: number, number: number) => addWave.run(taskId, number),
    findWave: (taskId: number, number: number) => wave.get(taskId, number),
    moduleOfTask: (id: number) => moduleOfTask.get(id)?.['scope'] as number,
    showTask: (id: number) => showTask.run(id),
    discardTask: (id: number) => discardTask.run(id),
    hideTask: (id: number) => hideTask.run(id) > 0,
    /** A task that was removed, or whose making was broken off before `madeBefore`. */
    findHidden: (madeBefore: number) => hiddenTask.get(madeBefore)?.['id'] as number | undefined,
    saveTask: (id: number, state: TaskState) => changeTask.run(...taskStateValues(state), id),
    addCounts: (id: number, deltas: CountDeltas) =>
      addCounts.run(
        ...COUNTS.map((name) => deltas[name]),
        deltas.pending + deltas.pushed + deltas.upgrading,
        id,
      ),
    forgive: (id: number, n: number) => forgive.run(n, id),
    /** @param total devices that were added */
    addWaveCounts: (id: number, number: number, total: number, deltas: CountDeltas) => {
      const all = { ...deltas, total, active: deltas.pushed + deltas.upgrading };
      const values = WAVE_COUNTS.map((name) => all[name]);
      // Most reports are progress: to their wave the device was active before and is now.
      if (values.some((value) => value !== 0)) addWaveCounts.run(...values, id, number);
    },
    addReason: (id: number, reason: string, n: number) => addReason.run(id, reason, n),

    /** The tokens that were named in a task, in their order. */
    nextNames: (taskId: number, limit: number) => nextNames.all(taskId, limit),
    deleteNames: (taskId: number, upTo: number) => deleteNames.run(taskId, upTo),
    addNames: (taskId: number, tokens: readonly string[]) => {
      let number = Number(lastName.get(taskId)?.['n'] ?? 0);
      for (const token of tokens) addName.run(taskId, (number += 1), token);
    },

    deleteTask: (id: number) => {
      deleteWaves.run(id);
      deleteReasons.run(id);
      fleet.deleteTaskLog(id);
      deleteNames.run(id, Number.MAX_SAFE_INTEGER);
      deleteTask.run(id);
    },
  };
}

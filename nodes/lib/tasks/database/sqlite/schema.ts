/**
 * The tables, as a list of migrations that run in their order, each in one transaction, and are recorded.
 * A migration that was released is never changed: another one is added.
 */
import { OtaError } from '../../../protocol';
import type { SqlDatabase } from './driver';

interface Migration {
  readonly name: string;
  readonly sql: string;
}

export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'tasks, their devices, versions, history',
    sql: `
      CREATE TABLE services (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, clock REAL NOT NULL DEFAULT 0);
      -- A module of a service's devices. What a device is known by: scope and token.
      CREATE TABLE scopes (
        id INTEGER PRIMARY KEY, service INTEGER NOT NULL, module TEXT NOT NULL, UNIQUE (service, module)
      );
      CREATE TABLE devices (
        scope INTEGER NOT NULL, token TEXT NOT NULL, version TEXT NOT NULL, last_id TEXT, at INTEGER NOT NULL,
        PRIMARY KEY (scope, token)
      ) WITHOUT ROWID;
      CREATE TABLE tasks (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, service INTEGER NOT NULL, scope INTEGER NOT NULL,
        visible INTEGER NOT NULL DEFAULT 0, live INTEGER NOT NULL DEFAULT 1,
        status TEXT NOT NULL, reason TEXT, wave INTEGER NOT NULL DEFAULT 1,
        pending INTEGER NOT NULL DEFAULT 0, pushed INTEGER NOT NULL DEFAULT 0,
        upgrading INTEGER NOT NULL DEFAULT 0, succeeded INTEGER NOT NULL DEFAULT 0,
        failed INTEGER NOT NULL DEFAULT 0, cancelled INTEGER NOT NULL DEFAULT 0,
        base_succeeded INTEGER NOT NULL DEFAULT 0, base_failed INTEGER NOT NULL DEFAULT 0,
        pace REAL NOT NULL DEFAULT 0,
        created_at INTEGER NOT NULL, start_at INTEGER, started_at INTEGER, ended_at INTEGER,
        name TEXT NOT NULL, policy TEXT NOT NULL, upgrade TEXT NOT NULL, package TEXT NOT NULL
      );
      CREATE INDEX tasks_live ON tasks (service) WHERE live = 1 AND visible = 1;
      CREATE INDEX tasks_shown ON tasks (service, id) WHERE visible = 1;
      CREATE INDEX tasks_hidden ON tasks (id) WHERE visible = 0;
      CREATE TABLE task_waves (
        task INTEGER NOT NULL, wave INTEGER NOT NULL, total INTEGER NOT NULL,
        succeeded INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
        cancelled INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (task, wave)
      ) WITHOUT ROWID;
      -- status and hold are places in the lists of the types; limits are ticks, "at" is the wall clock.
      -- open: a report may still move it. due: a limit or a repeat. queue: its place, where it waits for a push.
      CREATE TABLE task_devices (
        id INTEGER PRIMARY KEY, task INTEGER NOT NULL, service INTEGER NOT NULL, scope INTEGER NOT NULL,
        token TEXT NOT NULL, wave INTEGER NOT NULL, ord INTEGER NOT NULL, status INTEGER NOT NULL,
        hold INTEGER, step INTEGER, attempt INTEGER NOT NULL DEFAULT 0, retries INTEGER NOT NULL DEFAULT 0,
        reason TEXT, descr TEXT NOT NULL DEFAULT '', source TEXT, push_id TEXT,
        pushes INTEGER NOT NULL DEFAULT 0, next_push REAL, since REAL NOT NULL DEFAULT 0,
        hundred INTEGER NOT NULL DEFAULT 0, confirmed INTEGER NOT NULL DEFAULT 0,
        version_only INTEGER NOT NULL DEFAULT 0, at INTEGER NOT NULL, events INTEGER NOT NULL DEFAULT 0,
        open INTEGER NOT NULL DEFAULT 1, due REAL, queue INTEGER
      );
      CREATE UNIQUE INDEX task_devices_token ON task_devices (task, token);
      CREATE INDEX task_devices_status ON task_devices (task, status, token);
      CREATE INDEX task_devices_reports ON task_devices (token, open, scope);
      -- At most one active upgrade of a device's module, over all tasks (1: pushed, 2: upgrading).
      CREATE UNIQUE INDEX task_devices_active ON task_devices (token, scope) WHERE status IN (1, 2);
      CREATE INDEX task_devices_due ON task_devices (service, due) WHERE due IS NOT NULL;
      CREATE INDEX task_devices_queue ON task_devices (task, queue) WHERE queue IS NOT NULL;
      -- An upgrade ended without the device's last word: its 100 may still come.
      CREATE TABLE unsettled (
        scope INTEGER NOT NULL, token TEXT NOT NULL, PRIMARY KEY (scope, token)
      ) WITHOUT ROWID;
      -- A ring of slots for each device of a task.
      CREATE TABLE history (
        device INTEGER NOT NULL, slot INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
        from_status INTEGER NOT NULL, to_status INTEGER NOT NULL, step INTEGER, descr TEXT NOT NULL,
        push_id TEXT, number INTEGER NOT NULL, PRIMARY KEY (device, slot)
      ) WITHOUT ROWID;
    `,
  },
  {
    name: 'history by transactions, fewer indexes for each report',
    sql: `
      ALTER TABLE history RENAME TO history_events;
      -- What one transaction brought to a device: JSON, up to and with its event number "upto".
      CREATE TABLE history (
        device INTEGER NOT NULL, upto INTEGER NOT NULL, at INTEGER NOT NULL, lines TEXT NOT NULL,
        PRIMARY KEY (device, upto)
      ) WITHOUT ROWID;
      INSERT INTO history (device, upto, at, lines)
        SELECT device, number, at,
          json_array(json_array(at, event, from_status, to_status, step, descr, push_id))
        FROM history_events ORDER BY device, number;
      DROP TABLE history_events;
      -- Each write is a transaction of its own here, so a look before it will do; this one cost as much as the row.
      DROP INDEX task_devices_active;
      -- Nearly always empty: one look tells that nobody waits (2: busy).
      CREATE INDEX task_devices_busy ON task_devices (token, scope) WHERE hold = 2;
    `,
  },
  {
    name: 'several packages, joining devices, gates of waves, the log of a task; reasons, repeats by task, names',
    sql: `
      ALTER TABLE tasks ADD COLUMN description TEXT NOT NULL DEFAULT '';
      -- JSON of all packages; null: the one of "upgrade" and "package".
      ALTER TABLE tasks ADD COLUMN packages TEXT;
      ALTER TABLE tasks ADD COLUMN end_at INTEGER;
      ALTER TABLE tasks ADD COLUMN end_behavior TEXT NOT NULL DEFAULT 'stop';
      ALTER TABLE tasks ADD COLUMN joining TEXT;
      ALTER TABLE tasks ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE tasks ADD COLUMN soak_from REAL;
      ALTER TABLE tasks ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE tasks ADD COLUMN incompatible INTEGER NOT NULL DEFAULT 0;
      -- Parts of a wave's devices: "waiting" of those that are pending, "incompatible" of those that failed.
      ALTER TABLE task_waves ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_waves ADD COLUMN active INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_waves ADD COLUMN incompatible INTEGER NOT NULL DEFAULT 0;
      UPDATE task_waves SET active = (SELECT count(*) FROM task_devices AS d
          WHERE d.task = task_waves.task AND d.wave = task_waves.wave AND d.status IN (1, 2)),
        waiting = (SELECT count(*) FROM task_devices AS d
          WHERE d.task = task_waves.task AND d.wave = task_waves.wave AND d.status = 0 AND d.hold = 1)
        WHERE EXISTS (SELECT 1 FROM tasks AS t WHERE t.id = task_waves.task AND t.live = 1);
      UPDATE tasks SET waiting = (SELECT coalesce(sum(w.waiting), 0) FROM task_waves AS w WHERE w.task = tasks.id)
        WHERE live = 1;
      CREATE TABLE task_log (
        task INTEGER NOT NULL, number INTEGER NOT NULL, at INTEGER NOT NULL, event TEXT NOT NULL,
        by TEXT, remark TEXT, reason TEXT, wave INTEGER, PRIMARY KEY (task, number)
      ) WITHOUT ROWID;
      -- Devices that failed or were cancelled, by their reason.
      CREATE TABLE task_reasons (
        task INTEGER NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (task, reason)
      ) WITHOUT ROWID;
      INSERT INTO task_reasons (task, reason, n)
        SELECT task, reason, count(*) FROM task_devices WHERE status IN (4, 5) AND reason IS NOT NULL
        GROUP BY task, reason;
      CREATE INDEX task_devices_repeats ON task_devices (task, status, next_push) WHERE next_push IS NOT NULL;
      -- JSON of a command that isn't finished.
      ALTER TABLE tasks ADD COLUMN intent TEXT;
      -- Tokens that a person named in it.
      CREATE TABLE task_names (
        task INTEGER NOT NULL, n INTEGER NOT NULL, token TEXT NOT NULL, PRIMARY KEY (task, n)
      ) WITHOUT ROWID;
    `,
  },
  {
    name: 'devices that wait, wake and are superseded',
    sql: `
      -- Running time of a task: what there was before "running_since" (null: it doesn't run), both in ticks.
      ALTER TABLE tasks ADD COLUMN running_before REAL NOT NULL DEFAULT 0;
      ALTER TABLE tasks ADD COLUMN running_since REAL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN late_until REAL;
      ALTER TABLE task_devices ADD COLUMN version_before TEXT;
      ALTER TABLE task_devices ADD COLUMN variant INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN same_attempt INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN first_wait REAL;
      ALTER TABLE task_devices ADD COLUMN probes INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN life_at REAL;
      ALTER TABLE task_devices ADD COLUMN asked INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN counted_push INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN last_push REAL;
      ALTER TABLE task_devices ADD COLUMN reboot_at REAL;
      ALTER TABLE task_devices ADD COLUMN third_version INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN overtaken INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
      ALTER TABLE task_devices ADD COLUMN cancelled_by_name INTEGER NOT NULL DEFAULT 0;
      -- Heard by retained reports only.
      ALTER TABLE devices ADD COLUMN retained INTEGER NOT NULL DEFAULT 0;
      -- A 100 of an attempt that ended without the device's last word may come until then.
      CREATE TABLE late_reports (
        scope INTEGER NOT NULL, token TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (scope, token)
      ) WITHOUT ROWID;
      INSERT INTO late_reports (scope, token, until)
        SELECT u.scope, u.token, s.clock + 2400000 FROM unsettled AS u
          JOIN scopes AS c ON c.id = u.scope JOIN services AS s ON s.id = c.service;
      DROP TABLE unsettled;
      UPDATE task_devices SET late_until = since + 2400000 WHERE version_only = 1;
      ALTER TABLE task_devices DROP COLUMN version_only;
      UPDATE task_devices SET version_before = source, counted_push = min(pushes, 1) WHERE attempt > 0;
      -- 1 and 2: pushed, upgrading; 4: failed. hold 1: it waits, in the attempt that found nobody.
      UPDATE task_devices SET same_attempt = 1, first_wait = since, next_push = since + 60000
        WHERE status = 0 AND hold = 1 AND push_id IS NOT NULL;
      UPDATE task_devices SET overtaken = 1, open = 0, due = NULL WHERE status = 4 AND EXISTS (
        SELECT 1 FROM task_devices AS o WHERE o.token = task_devices.token AND o.scope = task_devices.scope
          AND o.id > task_devices.id AND o.attempt > 0);
      UPDATE task_devices SET open = 1 WHERE status = 4 AND overtaken = 0;
    `,
  },
  {
    name: 'labels, counts of versions, how devices ended over time',
    sql: `
      -- What is known of a token whatever its modules: labels as JSON, and signs of life that were not reports.
      CREATE TABLE tokens (
        service INTEGER NOT NULL, token TEXT NOT NULL, operator TEXT NOT NULL DEFAULT '{}',
        device TEXT NOT NULL DEFAULT '{}', seen_at INTEGER, PRIMARY KEY (service, token)
      ) WITHOUT ROWID;
      -- The labels that filters see, by which devices are found.
      CREATE TABLE label_values (
        service INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, token TEXT NOT NULL,
        PRIMARY KEY (service, name, value, token)
      ) WITHOUT ROWID;
      CREATE TABLE version_counts (
        scope INTEGER NOT NULL, version TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (scope, version)
      ) WITHOUT ROWID;
      INSERT INTO version_counts (scope, version, n)
        SELECT scope, version, count(*) FROM devices GROUP BY scope, version;
      CREATE INDEX devices_version ON devices (scope, version, token);
      CREATE INDEX devices_token ON devices (token, scope);
      -- Devices that ended, by the end of a span of time.
      CREATE TABLE task_ends (
        task INTEGER NOT NULL, at INTEGER NOT NULL, succeeded INTEGER NOT NULL, failed INTEGER NOT NULL,
        cancelled INTEGER NOT NULL, PRIMARY KEY (task, at)
      ) WITHOUT ROWID;
      -- Pages of a task's devices by a reason, by what they wait for, by their wave.
      CREATE INDEX task_devices_reason ON task_devices (task, reason, token) WHERE reason IS NOT NULL;
      CREATE INDEX task_devices_hold ON task_devices (task, hold, token) WHERE hold IS NOT NULL;
      CREATE INDEX task_devices_wave ON task_devices (task, wave, token);
      CREATE INDEX tasks_joining ON tasks (service) WHERE joining IS NOT NULL AND live = 1 AND visible = 1;
    `,
  },
  {
    name: 'devices that removed tasks have upgraded, clocks that were wrong',
    sql: `
      -- The newest task of those that were removed in which a device succeeded: no older one may undo it.
      CREATE TABLE upgraded (
        scope INTEGER NOT NULL, token TEXT NOT NULL, task INTEGER NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL,
        version TEXT NOT NULL, PRIMARY KEY (scope, token)
      ) WITHOUT ROWID;
      CREATE INDEX upgraded_task ON upgraded (task);
      -- Wall clock: what was stamped from "stamped_from" to "stamped_to" goes with this clock when it is set;
      -- "newest": the latest time that was ever written.
      ALTER TABLE services ADD COLUMN stamped_from INTEGER;
      ALTER TABLE services ADD COLUMN stamped_to INTEGER;
      ALTER TABLE services ADD COLUMN newest INTEGER;
    `,
  },
  {
    name: 'labels by which devices that have reported are found',
    sql: `
      -- A device that has not reported is found by none.
      DELETE FROM label_values WHERE NOT EXISTS (SELECT 1 FROM devices AS d JOIN scopes AS c ON c.id = d.scope
        WHERE d.token = label_values.token AND c.service = label_values.service);
    `,
  },
];

/** The newest schema that this version knows. */
export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Brings a database to the newest schema.
 * @throws OtaError OTA_STORE_NEWER where a later version of this package made it; nothing is changed then
 */
export function migrate(db: SqlDatabase, wall: number): void {
  // Settings that hold for the file or the connection, not for a transaction.
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
  // Reports touch rows and indexes all over the file: the usual 2 MB of cache would read pages again and again.
  db.exec('PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY;');
  db.exec('BEGIN IMMEDIATE');
  try {
    const version = currentVersion(db);
    if (version > SCHEMA_VERSION) throw newerError(version);
    for (const [i, migration] of MIGRATIONS.entries()) {
      if (i < version) continue;
      db.exec(migration.sql);
      db.prepare('INSERT INTO migrations (version, name, at) VALUES (?, ?, ?)').run(
        i + 1,
        migration.name,
        wall,
      );
    }
    db.exec('COMMIT');
  } catch (error) {
    try {
      db.exec('ROLLBACK');
    } catch {
      // SQLite has rolled back by itself (a damaged file, a full disk): the first error tells more.
    }
    throw error;
  }
}

function currentVersion(db: SqlDatabase): number {
  const tables = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
  if (!tables.some((table) => table['name'] === 'migrations')) {
    if (tables.length > 0) {
      throw new OtaError(
        'OTA_STORE_FAILED',
        'The file is the database of something else: choose another file in the ota-store.',
      );
    }
    db.exec('CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL)');
    return 0;
  }
  return Number(db.prepare('SELECT max(version) AS version FROM migrations').get()?.['version'] ?? 0);
}

function newerError(version: number): OtaError {
  return new OtaError(
    'OTA_STORE_NEWER',
    `The store was made by a later version of this package (schema ${version}, this one knows ${SCHEMA_VERSION}): update the package, or choose another file. Nothing was changed.`,
  );
}

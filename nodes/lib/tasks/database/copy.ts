/**
 * Copies all that a store has into an empty one of the other kind, table by table, in slices. What runs arrives
 * paused. Knows the tables of both databases and no rule of tasks.
 */
import fs from 'node:fs';
import { OtaError } from '../../protocol';
import { type CopiedTable, COPIED_TABLES, TASK_COUNTS } from './copy-tables';
import { PostgresPool, type Transaction } from './postgres/driver';
import { KEEP_PLACES } from './postgres/pages';
import { migrate as migratePostgres } from './postgres/schema';
import { WALL } from './postgres/statements';
import type { SqlRow, SqlValue } from './rows';
import { openSqlite } from './sqlite/driver';
import { bringLogIn, makeReady } from './sqlite/file-on-disk';
import { migrate as migrateSqlite } from './sqlite/schema';

/** One end of a copy. */
export interface CopyEnd {
  /** Rows of a table, as the other end takes them. */
  count(table: CopiedTable): Promise<number>;
  /** The rows behind one, in the order of the table's key. */
  slice(table: CopiedTable, after: readonly SqlValue[] | null): Promise<readonly SqlRow[]>;
  write(table: CopiedTable, rows: readonly SqlRow[]): Promise<void>;
  /** Runs while nobody works on it. @throws OtaError where somebody does */
  checkIdle(): Promise<void>;
  /** All rows were written: pauses what runs, and makes what is made of rows. */
  finish(): Promise<void>;
  close(): Promise<void>;
}

export interface Copied {
  readonly table: string;
  readonly from: number;
  readonly to: number;
}

const SLICE = 1000;
/** How long one statement may take: a million rows are counted. */
const LIMIT_MS = 3_600_000;

/** @param progress rows done, of how many, and which table is at it */
export async function copyStore(
  from: CopyEnd,
  to: CopyEnd,
  progress: (done: number, total: number, table: string) => void,
): Promise<readonly Copied[]> {
  await from.checkIdle();
  await to.checkIdle();
  const counts = new Map<string, number>();
  let total = 0;
  for (const table of COPIED_TABLES) {
    if ((await to.count(table)) > 0) {
      throw new OtaError('OTA_BAD_INPUT', 'The target is not empty: give a new file, or an empty schema.');
    }
    const n = await from.count(table);
    counts.set(table.name, n);
    total += n;
  }
  let done = 0;
  for (const table of COPIED_TABLES) {
    for (let after: readonly SqlValue[] | null = null; ;) {
      const rows: readonly SqlRow[] = await from.slice(table, after);
      const last = rows.at(-1);
      if (last === undefined) break;
      await to.write(table, rows);
      after = table.key.map((name) => last[name] ?? null);
      done += rows.length;
      progress(done, total, table.name);
    }
  }
  await to.finish();
  const copied: Copied[] = [];
  for (const table of COPIED_TABLES) {
    copied.push({ table: table.name, from: counts.get(table.name) ?? 0, to: await to.count(table) });
  }
  return copied;
}

/**
 * @param where a file, or `postgresql://…?schema=ota`
 * @param isSource true: a file must be there; otherwise it is made
 * @throws OtaError where it can't be opened
 */
export async function openCopyEnd(where: string, isSource: boolean): Promise<CopyEnd> {
  if (!/^postgres(ql)?:\/\//i.test(where)) return openFile(where, isSource);
  const url = new URL(where);
  const schema = url.searchParams.get('schema') ?? 'ota';
  url.searchParams.delete('schema');
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new OtaError('OTA_BAD_INPUT', 'The schema must be a name of small letters, digits and "_".');
  }
  const pool = new PostgresPool({ url: url.href, schema, poolSize: 3, limitMs: LIMIT_MS });
  pool.open();
  try {
    await migratePostgres(pool, schema, Date.now());
  } catch (error) {
    await pool.close();
    throw error;
  }
  return postgresEnd(pool);
}

/** Names that are words of SQL, too. */
const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ');

function openFile(file: string, isSource: boolean): CopyEnd {
  if (isSource && !fs.existsSync(file)) throw new OtaError('OTA_BAD_INPUT', `There is no file ${file}.`);
  makeReady(file);
  const db = openSqlite(file);
  migrateSqlite(db, Date.now());
  const places = (n: number): string => Array.from({ length: n }, () => '?').join(', ');
  return {
    count: ({ name }) =>
      Promise.resolve(Number(db.prepare(`SELECT count(*) AS n FROM ${name}`).get()?.['n'] ?? 0)),
    slice({ name, key, columns }, after) {
      const where = after === null ? '' : `WHERE (${quoted(key)}) > (${places(key.length)})`;
      const text = `SELECT ${quoted(columns)} FROM ${name} ${where} ORDER BY ${quoted(key)} LIMIT ${SLICE}`;
      return Promise.resolve(db.prepare(text).all(...(after ?? [])));
    },
    write({ name, columns }, rows) {
      const insert = db.prepare(
        `INSERT INTO ${name} (${quoted(columns)}) VALUES (${places(columns.length)})`,
      );
      db.exec('BEGIN IMMEDIATE');
      for (const row of rows) insert.run(...columns.map((column) => row[column] ?? null));
      db.exec('COMMIT');
      return Promise.resolve();
    },
    // A store that is open keeps a lock that nobody can see from outside: Node-RED must be stopped.
    checkIdle: () => Promise.resolve(),
    finish() {
      db.exec(PAUSE_ALL.replaceAll('CLOCK', '(SELECT clock FROM services AS s WHERE s.id = tasks.service)'));
      return Promise.resolve();
    },
    close() {
      bringLogIn(db);
      return Promise.resolve(db.close());
    },
  };
}

/** Running time stops with the task. */
const PAUSE_ALL = `UPDATE tasks SET status = 'paused', reason = 'start-paused',
    running_before = running_before + coalesce(CLOCK - running_since, 0), running_since = NULL
  WHERE status IN ('running', 'scheduled')`;

function postgresEnd(pool: PostgresPool): CopyEnd {
  const source = ({ name, fromPostgres }: CopiedTable): string =>
    fromPostgres === undefined ? name : `(${fromPostgres}) AS v`;
  return {
    async count(table) {
      const [row] = await pool.read({ text: `SELECT count(*) AS n FROM ${source(table)}` });
      return Number(row?.['n'] ?? 0);
    },
    slice(table, after) {
      const { key, columns } = table;
      const where =
        after === null ? '' : `WHERE (${quoted(key)}) > (${key.map((_, i) => `$${i + 1}`).join(', ')})`;
      const text = `SELECT ${quoted(columns)} FROM ${source(table)} ${where} ORDER BY ${quoted(key)} LIMIT ${SLICE}`;
      return pool.read({ text }, after ?? []);
    },
    async write({ name, columns, hasPart = false }, rows) {
      // Counts of waves are made of the devices at the end; those of a task follow from them.
      const target = name === 'task_waves' ? 'task_counts' : name;
      const own = columns.filter((column) => {
        if (name === 'task_waves') return column === 'task' || column === 'wave';
        return name !== 'tasks' || !TASK_COUNTS.includes(column);
      });
      const extra = hasPart || name === 'task_waves' ? ', part' : '';
      const text = `INSERT INTO ${target} (${quoted(own)}${extra})
        SELECT ${quoted(own)}${extra === '' ? '' : ', 0'} FROM json_populate_recordset(NULL::${target}, $1)`;
      await pool.read({ text }, [JSON.stringify(rows)]);
      if (name !== 'tasks') return;
      const taken = rows.filter((row) => Number(row['taken'] ?? 0) > 0);
      for (const row of taken) {
        const add = 'INSERT INTO task_counts (task, wave, part, taken) VALUES ($1, 1, 1, $2)';
        await pool.read({ text: add }, [row['id'] ?? 0, row['taken'] ?? 0]);
      }
    },
    async checkIdle() {
      const text = `SELECT name FROM members WHERE abs(beat_at - ${WALL}) < 5000 LIMIT 1`;
      const [alive] = await pool.read({ text });
      if (alive === undefined) return;
      const name = String(alive['name']);
      throw new OtaError('OTA_BAD_INPUT', `An instance of Node-RED still works on it: stop ${name} first.`);
    },
    async finish() {
      const work = async (transaction: Transaction): Promise<void> => {
        transaction.write({ text: COUNT_WAVES });
        transaction.write({
          text: PAUSE_ALL.replaceAll('CLOCK', '(SELECT clock FROM services AS s WHERE s.id = tasks.service)'),
        });
        for (const table of ['services', 'scopes', 'tasks', 'task_devices']) {
          transaction.write({
            text: `SELECT setval(pg_get_serial_sequence('${table}', 'id'), greatest(1, (SELECT max(id) FROM ${table})))`,
          });
        }
        const tasks = await transaction.read({ text: 'SELECT id FROM tasks WHERE joining IS NULL' });
        for (const row of tasks) transaction.write(KEEP_PLACES, [row['id'] ?? 0]);
        transaction.write({ text: 'ANALYZE' });
        await transaction.commit();
      };
      await pool.transaction(work);
    },
    close: () => pool.close(),
  };
}

/** Status 0 pending, 1 pushed, 2 upgrading, 3 succeeded, 4 failed, 5 cancelled; hold 1: it waits. */
const COUNT_WAVES = `INSERT INTO task_counts AS c (task, wave, part, total, pending, waiting, pushed, upgrading, succeeded,
    failed, incompatible, cancelled)
  SELECT task, wave, 0, count(*), count(*) FILTER (WHERE status = 0),
    count(*) FILTER (WHERE status = 0 AND hold = 1), count(*) FILTER (WHERE status = 1),
    count(*) FILTER (WHERE status = 2), count(*) FILTER (WHERE status = 3), count(*) FILTER (WHERE status = 4),
    count(*) FILTER (WHERE status = 4 AND reason = 'incompatible'), count(*) FILTER (WHERE status = 5)
  FROM task_devices GROUP BY task, wave
  ON CONFLICT (task, wave, part) DO UPDATE SET total = excluded.total, pending = excluded.pending,
    waiting = excluded.waiting, pushed = excluded.pushed, upgrading = excluded.upgrading,
    succeeded = excluded.succeeded, failed = excluded.failed, incompatible = excluded.incompatible,
    cancelled = excluded.cancelled`;

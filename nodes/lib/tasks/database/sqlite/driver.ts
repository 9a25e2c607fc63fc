/**
 * SQLite, whichever way this machine has it: libsql's binary, else the one inside Node.js (22.13 and later).
 * Hides their difference; knows no table.
 */
import { createRequire } from 'node:module';
import { OtaError } from '../../../protocol';
import type { SqlRow, SqlValue } from '../rows';

export type { SqlRow, SqlValue };

export interface SqlStatement {
  /** Rows changed. */
  run(...values: SqlValue[]): number;
  get(...values: SqlValue[]): SqlRow | undefined;
  all(...values: SqlValue[]): SqlRow[];
}

export interface SqlDatabase {
  readonly driver: SqliteDriver;
  exec(sql: string): void;
  prepare(sql: string): SqlStatement;
  close(): void;
}

export type SqliteDriver = 'libsql' | 'node:sqlite';

/** What both drivers have in common. */
interface RawStatement {
  run(...values: unknown[]): { changes: number | bigint };
  get(...values: unknown[]): unknown;
  all(...values: unknown[]): unknown[];
}
interface RawDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): RawStatement;
  close(): void;
}
type Opener = (file: string) => RawDatabase;

const load = createRequire(__filename);

/** The drivers, the best first. `spread`: values are arguments, not an array. */
const DRIVERS: Readonly<Record<SqliteDriver, { open: () => Opener; spread: boolean }>> = {
  libsql: {
    open: () => {
      const Database = load('libsql') as new (file: string, options: object) => RawDatabase;
      return (file) => new Database(file, { timeout: BUSY_MS });
    },
    spread: false,
  },
  'node:sqlite': {
    open: () => {
      const { DatabaseSync } = load('node:sqlite') as { DatabaseSync: new (file: string) => RawDatabase };
      return (file) => {
        const db = new DatabaseSync(file);
        db.exec(`PRAGMA busy_timeout = ${BUSY_MS}`);
        return db;
      };
    },
    spread: true,
  },
};

/** How long a statement waits for another process; the whole runtime waits with it. Longer waits are the file's. */
const BUSY_MS = 5;

/**
 * Opens a file, and makes it where there is none.
 * @throws OtaError OTA_NO_SQLITE where no driver loads, OTA_BAD_SETTINGS for a name that no file can have; the driver's own error where the file can't be opened
 */
export function openSqlite(
  file: string,
  drivers: readonly SqliteDriver[] = ['libsql', 'node:sqlite'],
): SqlDatabase {
  // libsql ends the whole process for one.
  if (file.includes('\0')) throw new OtaError('OTA_BAD_SETTINGS', 'The name of the file has a NUL in it.');
  const reasons: string[] = [];
  for (const name of drivers) {
    const driver = DRIVERS[name];
    let open: Opener;
    try {
      open = driver.open();
    } catch (error) {
      reasons.push(`${name}: ${firstLine(error)}`);
      continue;
    }
    return wrap(name, open(file), driver.spread);
  }
  throw new OtaError(
    'OTA_NO_SQLITE',
    `No SQLite for this machine. Run "npm install libsql" in Node-RED's user directory, or use Node.js 22.13 or later, which has one (${reasons.join('; ')}).`,
  );
}

function wrap(driver: SqliteDriver, db: RawDatabase, spread: boolean): SqlDatabase {
  return {
    driver,
    exec: (sql) => void db.exec(sql),
    prepare(sql) {
      const statement = db.prepare(sql);
      const values = (list: SqlValue[]): unknown[] => (spread ? list : [list]);
      return {
        run: (...list) => Number(statement.run(...values(list)).changes),
        get: (...list) => statement.get(...values(list)) as SqlRow | undefined,
        all: (...list) => statement.all(...values(list)) as SqlRow[],
      };
    },
    close: () => db.close(),
  };
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return (text.split('\n')[0] ?? '').slice(0, 200);
}

/**
 * Real databases with an empty one inside, for the recipes: PostgreSQL and MariaDB as Debian packs them (each a
 * process with a folder and a socket of its own, no port), and SQLite. A statement runs with its values, as the
 * database nodes run it.
 */
import { execFile, spawnSync } from 'node:child_process';
import os from 'node:os';
import path from 'node:path';
import { openSqlite, type SqlValue } from '../../nodes/lib/tasks/database/sqlite/driver';
import { type Child, startChild } from './child';
import { programPath, requireProgram } from './missing';
import { postgresFolder, startPostgresServer } from './postgres';
import { temporaryFolder } from './temporary-folder';
import { until } from './wait';

export interface Database {
  /** Statements without values. */
  exec(sql: string): Promise<void>;
  /** One statement with a value for each of its places. */
  run(statement: string, values: readonly SqlValue[]): Promise<void>;
  /** Rows as texts; NULL is null. */
  rows(query: string): Promise<(string | null)[][]>;
  stop(): Promise<void>;
}

/** Skips (in CI: fails) where the database is absent. */
export const MISSING: Readonly<
  Record<'PostgreSQL' | 'MariaDB' | 'SQLite', (context: Mocha.Context) => void>
> = {
  PostgreSQL: (context) => requireProgram(context, path.join(postgresFolder(), 'initdb'), 'postgresql'),
  MariaDB: (context) => requireProgram(context, 'mariadbd', 'mariadb-server-core mariadb-client-core'),
  SQLite: () => {},
};

export const START: Readonly<Record<keyof typeof MISSING, () => Promise<Database>>> = {
  PostgreSQL: startPostgres,
  MariaDB: startMariadb,
  SQLite: startSqlite,
};

async function startPostgres(): Promise<Database> {
  const server = await startPostgresServer();
  const psql = (sql: string, ...more: string[]): Promise<string> =>
    answer(
      'psql',
      ['-h', server.folder, '-U', 'ota', '-X', '-q', '-v', 'ON_ERROR_STOP=1', ...more, 'postgres'],
      sql,
    );
  return clientOf(psql, () => server.stop(), {
    table: ['-A', '-t', '-F', '\t', '-P', 'null=NULL'],
    prepared: (statement, values) =>
      `PREPARE recipe AS ${statement};\nEXECUTE recipe(${values.map((value) => literal(value, "'")).join(', ')});`,
  });
}

async function startMariadb(): Promise<Database> {
  const folder = await temporaryFolder('ota-mariadb-');
  const data = path.join(folder.path, 'data');
  const socket = path.join(folder.path, 'socket');
  const user = os.userInfo().username;
  const made = spawnSync(
    'mariadb-install-db',
    [
      '--no-defaults',
      `--datadir=${data}`,
      `--user=${user}`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
    ],
    { encoding: 'utf8' },
  );
  if (made.status !== 0) throw new Error(`mariadb-install-db: ${made.stderr}${made.stdout}`);
  const child = startChild(programPath('mariadbd'), [
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${socket}`,
    `--pid-file=${path.join(folder.path, 'pid')}`,
    `--user=${user}`,
    '--skip-networking',
  ]);
  const mariadb = (sql: string, ...more: string[]): Promise<string> =>
    answer('mariadb', ['--no-defaults', `--socket=${socket}`, '-uroot', ...more], `USE ota;\n${sql}`);
  return database(child, folder, mariadb, {
    ready: () =>
      answer(
        'mariadb',
        ['--no-defaults', `--socket=${socket}`, '-uroot'],
        'CREATE DATABASE IF NOT EXISTS ota',
      ),
    table: ['-B', '-N'],
    prepared: (statement, values) => {
      const names = values.map((_value, i) => `@v${i}`);
      const set = values.map((value, i) => `SET @v${i} = ${literal(value, "\\'")};`).join('\n');
      return `${set}\nPREPARE recipe FROM ${literal(statement, "\\'")};\nEXECUTE recipe USING ${names.join(', ')};`;
    },
  });
}

async function startSqlite(): Promise<Database> {
  const folder = await temporaryFolder('ota-sqlite-');
  const db = openSqlite(path.join(folder.path, 'recipe.db'));
  return {
    exec: (sql) => Promise.resolve(db.exec(sql)),
    run: (statement, values) => {
      db.prepare(statement).run(...values);
      return Promise.resolve();
    },
    rows: (query) => {
      const rows = db.prepare(query).all();
      return Promise.resolve(
        rows.map((row) => Object.values(row).map((value) => (value === null ? null : String(value)))),
      );
    },
    async stop() {
      db.close();
      await folder.stop();
    },
  };
}

/** A value as SQL; `quote` stands for a quote within a text. */
function literal(value: SqlValue, quote: string): string {
  if (value === null) return 'NULL';
  if (typeof value === 'number') return String(value);
  const text = quote === "'" ? value : value.replaceAll('\\', '\\\\');
  return `'${text.replaceAll("'", quote === "'" ? "''" : quote)}'`;
}

interface Dialect {
  readonly table: readonly string[];
  readonly prepared: (statement: string, values: readonly SqlValue[]) => string;
}

/** A server whose client is a program: it answers as soon as it is ready. */
async function database(
  child: Child,
  folder: { stop(): Promise<void> },
  client: (sql: string, ...more: string[]) => Promise<string>,
  dialect: Dialect & { readonly ready: () => Promise<unknown> },
): Promise<Database> {
  const stop = async (): Promise<void> => {
    await child.end('SIGTERM');
    await folder.stop();
  };
  try {
    await until(async () => (await dialect.ready(), true), 'the database to answer', 60_000);
  } catch (error) {
    await stop();
    throw new Error(`${String(error)}\n${child.lines.join('\n')}`, { cause: error });
  }
  return clientOf(client, stop, dialect);
}

function clientOf(
  client: (sql: string, ...more: string[]) => Promise<string>,
  stop: () => Promise<void>,
  dialect: Dialect,
): Database {
  return {
    exec: async (sql) => {
      await client(sql);
    },
    run: async (statement, values) => {
      await client(dialect.prepared(statement, values));
    },
    async rows(query) {
      const text = await client(query, ...dialect.table);
      const lines = text.split('\n').filter((line) => line !== '');
      return lines.map((line) => line.split('\t').map((cell) => (cell === 'NULL' ? null : cell)));
    },
    stop,
  };
}

/** What a program prints for what it reads from its standard input. @throws with what it complains of */
function answer(program: string, args: readonly string[], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(program, [...args], (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${program}: ${stderr}`));
    });
    child.stdin?.end(input);
  });
}

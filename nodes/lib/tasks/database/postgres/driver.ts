/**
 * Connections to PostgreSQL by the library `pg`, which is installed by those who use it. Owns the pool, the settings
 * of a session and how a transaction ends; knows no table. Statements of a transaction go out one behind the other
 * without waiting for answers (pipelining): two round trips do for a batch of reports.
 */
import { createRequire } from 'node:module';
import type { Pool, PoolClient, PoolConfig, QueryResult } from 'pg';
import { OtaError } from '../../../protocol';
import type { SqlRow } from '../rows';
import { isConflict, isLost, storeError } from './errors';

/** A statement; those with a name are planned once for each connection. */
export interface Statement {
  /** At most 63 characters. */
  readonly name?: string;
  readonly text: string;
}

/** What a place of a statement takes. */
export type PgValue = string | number | boolean | null | readonly (string | number | boolean | null)[];

export interface PostgresOptions {
  /** `postgresql://user:password@host:5432/database?sslmode=…`. */
  readonly url: string;
  readonly schema: string;
  /** Connections at most. */
  readonly poolSize: number;
  /** Milliseconds that a statement may take, where that isn't a few seconds: for tools. */
  readonly limitMs?: number;
}

/** Milliseconds that a statement, a lock and an idle transaction may take at the server. */
const SERVER_LIMIT_MS = 5000;
/** …and an answer, before the connection counts as dead. */
const ANSWER_LIMIT_MS = 8000;
const CONNECT_LIMIT_MS = 5000;
/** A transaction that met another one is run again so often at most. */
const MAX_RUNS = 20;
/** int8, which pg gives as text; ours are all below 2^53. */
const INT8: number = 20;

type PgModule = typeof import('pg');
const load = createRequire(__filename);

/** @throws OtaError OTA_NO_PG */
function loadPg(): PgModule {
  try {
    return load('pg') as PgModule;
  } catch (error) {
    const text =
      'The library for PostgreSQL is not installed: run "npm install pg" in Node-RED\'s user directory, then restart Node-RED.';
    throw new OtaError('OTA_NO_PG', text, { cause: error });
  }
}

/** One transaction under way. */
export class Transaction {
  readonly #client: PoolClient;
  readonly #limitMs: number;
  readonly #written: Promise<unknown>[] = [];
  /** COMMIT was sent: whether it was done is unknown until the answer. */
  committing = false;
  /** PostgreSQL answered that it was done. */
  committed = false;

  /** @param limitMs how long each answer may take */
  constructor(client: PoolClient, limitMs: number) {
    this.#client = client;
    this.#limitMs = limitMs;
  }

  /** Sends a statement; its rows come later. */
  read(statement: Statement, values: readonly PgValue[] = []): Promise<SqlRow[]> {
    const rows = run(this.#client, statement, values, this.#limitMs).then(
      (result) => result.rows as SqlRow[],
    );
    // Behind one that failed all others fail: the first one tells.
    rows.catch(() => undefined);
    return rows;
  }

  /** Sends a statement whose answer is waited for at the end. */
  write(statement: Statement, values: readonly PgValue[] = []): void {
    const done = run(this.#client, statement, values, this.#limitMs);
    done.catch(() => undefined);
    this.#written.push(done);
  }

  async commit(): Promise<void> {
    this.committing = true;
    const end = run(this.#client, { text: 'COMMIT' }, [], this.#limitMs);
    end.catch(() => undefined);
    for (const done of this.#written) await done;
    // A COMMIT of a transaction that failed doesn't fail: it says ROLLBACK.
    const { command } = await end;
    this.committing = false;
    if (command !== 'COMMIT')
      throw new OtaError('OTA_STORE_FAILED', `PostgreSQL answered ${command} to COMMIT.`);
    this.committed = true;
  }
}

/** PostgreSQL has no NUL in a text. */
function clean(value: PgValue): PgValue {
  if (typeof value === 'string') return cleanText(value);
  if (value === null || typeof value !== 'object') return value;
  return value.map((item) => (typeof item === 'string' ? cleanText(item) : item));
}

function cleanText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\u{FFFD}') : text;
}

function run(
  client: Pool | PoolClient,
  { name, text }: Statement,
  values: readonly PgValue[],
  limitMs: number,
): Promise<QueryResult> {
  const query = { text, values: values.map(clean), query_timeout: limitMs };
  return client.query(name === undefined ? query : { ...query, name });
}

export class PostgresPool {
  readonly #options: PostgresOptions;
  #pool: Pool | null = null;

  constructor(options: PostgresOptions) {
    this.#options = options;
  }

  /** Connects when it is first needed. @throws OtaError OTA_NO_PG, OTA_BAD_SETTINGS */
  open(): void {
    if (this.#pool !== null) return;
    const pg = loadPg();
    const { url, schema, poolSize } = this.#options;
    const config: PoolConfig & { pipeline: boolean } = {
      pipeline: true,
      connectionString: url,
      max: poolSize,
      connectionTimeoutMillis: CONNECT_LIMIT_MS,
      query_timeout: this.#limitMs,
      idleTimeoutMillis: 60_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'node-red-ota',
      types: {
        getTypeParser: (oid, format): unknown =>
          (oid as number) === INT8 ? Number : pg.types.getTypeParser(oid, format),
      },
    };
    let pool: Pool;
    try {
      pool = new pg.Pool(config);
    } catch (error) {
      throw new OtaError('OTA_BAD_SETTINGS', 'The URL of the PostgreSQL database can not be read.', {
        cause: error,
      });
    }
    // An idle connection that breaks is made anew when it is needed; without a listener it would end the process.
    pool.on('error', () => undefined);
    pool.on('connect', (client) => {
      client.on('error', () => undefined);
      client.query(sessionSettings(schema, this.#options.limitMs ?? SERVER_LIMIT_MS)).catch(() => undefined);
    });
    this.#pool = pool;
  }

  async close(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    await pool?.end();
  }

  /** Reads without a transaction. @throws OtaError */
  async read(statement: Statement, values: readonly PgValue[] = []): Promise<SqlRow[]> {
    try {
      return (await run(this.#open(), statement, values, this.#limitMs)).rows as SqlRow[];
    } catch (error) {
      throw storeError(error);
    }
  }

  /**
   * Runs `work` in one transaction, which it commits itself by `Transaction.commit` (one that it doesn't commit is
   * rolled back); again where it met another one, or where the connection was lost before the COMMIT.
   * @param limitMs how long each statement may take
   * @throws OtaError where it can't be done; nothing is changed then, but for a COMMIT that is unknown
   */
  async transaction<T>(
    work: (transaction: Transaction) => Promise<T>,
    { limitMs = this.#limitMs }: { readonly limitMs?: number } = {},
  ): Promise<T> {
    for (let runs = 1; ; runs += 1) {
      const ended = await this.#runOnce(work, limitMs);
      if ('result' in ended) return ended.result;
      const { error, committing } = ended;
      const again = isConflict(error) || (isLost(error) && !committing && runs === 1);
      if (!again || runs >= MAX_RUNS) throw storeError(error);
      if (runs > 1) await new Promise((resolve) => setTimeout(resolve, Math.random() * 20 * runs));
    }
  }

  async #runOnce<T>(
    work: (transaction: Transaction) => Promise<T>,
    limitMs: number,
  ): Promise<{ result: T } | { error: unknown; committing: boolean }> {
    let client: PoolClient;
    try {
      client = await this.#open().connect();
    } catch (error) {
      return { error, committing: false };
    }
    const transaction = new Transaction(client, limitMs);
    try {
      transaction.write({ text: 'BEGIN' });
      if (limitMs !== this.#limitMs) {
        transaction.write({ text: `SET LOCAL statement_timeout TO ${limitMs}` });
      }
      const result = await work(transaction);
      // Nothing was to be written: an open transaction would take the connection's next ones with it, and its locks.
      if (!transaction.committed) await run(client, { text: 'ROLLBACK' }, [], limitMs);
      client.release();
      return { result };
    } catch (error) {
      const { committing } = transaction;
      await client.query('ROLLBACK').then(
        // A plan that was made before a migration is of no use any more.
        () => client.release(isStalePlan(error)),
        () => client.release(true),
      );
      return { error, committing };
    }
  }

  /** How long an answer is waited for. */
  get #limitMs(): number {
    return this.#options.limitMs ?? ANSWER_LIMIT_MS;
  }

  #open(): Pool {
    if (this.#pool === null) throw new OtaError('OTA_CLOSED', 'The store is closed.');
    return this.#pool;
  }
}

function isStalePlan(error: unknown): boolean {
  return (error as { code?: unknown }).code === '0A000';
}

/** @param schema a name that was checked: see `rules` */
function sessionSettings(schema: string, limitMs: number): string {
  return `SET search_path TO "${schema}"; SET statement_timeout TO ${limitMs};
    SET lock_timeout TO ${SERVER_LIMIT_MS}; SET idle_in_transaction_session_timeout TO ${SERVER_LIMIT_MS};
    SET client_min_messages TO warning`;
}

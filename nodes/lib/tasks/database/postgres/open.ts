/** A store in a schema of PostgreSQL: its connections, its form, and the fleets that lie in it. */
import { type PostgresOptions, PostgresPool } from './driver';
import { PostgresTasks } from './database';
import { migrate } from './schema';
import * as sql from './statements';
import { MAX_DEVICES } from '../database';
import type { TaskStore } from '../store';
import { Members } from './members';

export interface PostgresStoreOptions extends PostgresOptions {
  /**
   * `database`: instances share it, and its time is the only one; `caller`: times are given with each call, for tests
   * and tools.
   */
  readonly time?: 'database' | 'caller';
  /** Fewer devices than usual, for tests. */
  readonly maxDevices?: number;
}

export class PostgresStore implements TaskStore {
  readonly pool: PostgresPool;
  readonly #options: PostgresStoreOptions;
  readonly #fleets = new Map<string, PostgresTasks>();
  #opening: Promise<void> | null = null;

  constructor(options: PostgresStoreOptions) {
    this.#options = options;
    this.pool = new PostgresPool(options);
  }

  /** Connects and brings the schema up to date; makes it where there is none. @throws OtaError */
  async open(): Promise<void> {
    this.#opening ??= this.#open();
    try {
      await this.#opening;
    } catch (error) {
      this.#opening = null;
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#fleets.clear();
    this.#opening = null;
    await this.pool.close();
  }

  /** The names under which tasks lie here, with how many there are. @throws OtaError */
  async fleets(): Promise<{ readonly fleet: string; readonly tasks: number }[]> {
    const rows = await this.pool.read(sql.FLEETS);
    return rows.map((row) => ({ fleet: row['key'] as string, tasks: row['n'] as number }));
  }

  /** The tasks of one fleet. */
  tasks(fleet: string): PostgresTasks {
    const { time = 'database', maxDevices = MAX_DEVICES } = this.#options;
    const found = this.#fleets.get(fleet) ?? new PostgresTasks({ pool: this.pool, maxDevices, time }, fleet);
    this.#fleets.set(fleet, found);
    return found;
  }

  members(fleet: string): Members {
    return new Members(this.pool, this.tasks(fleet));
  }

  async #open(): Promise<void> {
    this.pool.open();
    await migrate(this.pool, this.#options.schema, Date.now());
  }
}

/**
 * A store in one SQLite file. Owns the file and its transactions: each runs in one turn of the event loop, so nothing
 * can come between what it reads and what it writes. A write is answered when the disk has it, see `wal.ts`. Where
 * another process has the file locked it is tried again in later turns. The event loop stays free meanwhile.
 */
import fs from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { OtaError } from '../../../protocol';
import type { SqliteFile, Transaction } from './file';
import { bringLogIn, isInMemory, makeReady, PARTS } from './file-on-disk';
import { openSqlite, type SqlDatabase, type SqliteDriver } from './driver';
import { migrate } from './schema';
import { prepareStatements, type Statements } from './statements';
import { AUTO_CHECKPOINT_PAGES, WriteAheadLog } from './wal';
import { SqliteTasks } from './database';
import { type Awaitable, MAX_DEVICES } from '../database';
import type { TaskStore } from '../store';

export interface SqliteOptions {
  /** Absolute, or `:memory:`. */
  readonly file: string;
  readonly drivers?: readonly SqliteDriver[];
  /** Fewer devices than usual, for tests. */
  readonly maxDevices?: number;
  /** How long a file that another process has locked is tried again, in milliseconds. */
  readonly busyMs?: number;
  /** From which size in bytes on the log is brought into the file; smaller than usual for tests. */
  readonly checkpointAt?: number;
}

export class SqliteStore implements SqliteFile, TaskStore {
  readonly #options: SqliteOptions;
  readonly #services = new Map<string, SqliteTasks>();
  #db: SqlDatabase | null = null;
  #statements: Statements | null = null;
  /** null in memory, where nothing is to be flushed. */
  #wal: WriteAheadLog | null = null;
  /** The rest of a checkpoint: writes wait for it. */
  #held: Promise<void> | null = null;
  /** Which files were opened, whatever stands in their place now. */
  #opened: readonly string[] = [];
  /** Rows that this connection has changed, and those of them that the disk has. */
  #changes = 0;
  #flushedChanges = NOT_KNOWN;
  /** Since when another process has had it locked; null where a write went well since. */
  #lockedSince: number | null = null;
  devices = 0;

  constructor(options: SqliteOptions) {
    this.#options = options;
  }

  get maxDevices(): number {
    return this.#options.maxDevices ?? MAX_DEVICES;
  }

  get statements(): Statements {
    if (this.#statements === null) throw new OtaError('OTA_STORE_FAILED', 'The store is closed.');
    return this.#statements;
  }

  /** Opens the file, makes it where there is none, and brings it up to date. @throws OtaError */
  open(): void {
    if (this.#db !== null) return;
    const { file, drivers, checkpointAt } = this.#options;
    this.read(() => {
      makeReady(file);
      const db = openSqlite(file, drivers);
      try {
        migrate(db, Date.now());
        // Flushes and checkpoints are the log's, beside the event loop.
        db.exec(`PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = ${AUTO_CHECKPOINT_PAGES};`);
        this.#statements = prepareStatements(db);
        this.devices = this.#statements.countKnown();
        this.#flushedChanges = NOT_KNOWN;
        this.#opened = PARTS.map((part) => identity(file + part));
        if (!isInMemory(file)) this.#wal = new WriteAheadLog(file, db, checkpointAt);
      } catch (error) {
        this.#statements = null;
        db.close();
        throw error;
      }
      this.#db = db;
    });
  }

  close(): void {
    this.#services.clear();
    this.#statements = null;
    if (this.#db !== null && this.#wal !== null) bringLogIn(this.#db);
    this.#wal?.close();
    this.#wal = null;
    this.#db?.close();
    this.#db = null;
  }

  /** The names under which tasks lie here, with how many there are. @throws OtaError */
  fleets(): { readonly fleet: string; readonly tasks: number }[] {
    return this.read(() =>
      this.statements.fleets().map((row) => ({ fleet: row['key'] as string, tasks: row['n'] as number })),
    );
  }

  /** The tasks of one service. */
  tasks(service: string): SqliteTasks {
    const found = this.#services.get(service) ?? new SqliteTasks(this, service);
    this.#services.set(service, found);
    return found;
  }

  write<T>(transaction: Transaction<T>): Awaitable<T> {
    if (this.#held !== null) return this.#held.then(() => this.write(transaction));
    let result: T;
    try {
      result = this.#writeNow(transaction);
    } catch (error) {
      if (!isBusy(error)) throw error;
      return this.#writeLater(transaction).then((value) => this.#flushed(value));
    }
    return this.#flushed(result);
  }

  /** What was committed is answered when the disk has it; at once where there is nothing new. */
  #flushed<T>(result: T): Awaitable<T> {
    const wal = this.#wal;
    if (wal === null || this.#flushedChanges === this.#changes) return result;
    const changes = this.#changes;
    return wal.flush().then(
      () => {
        this.#flushedChanges = changes;
        if (wal.isDue) this.#checkpoint(wal);
        return result;
      },
      (error: unknown) => {
        // Nobody knows what the disk has of the log; the file itself is written anew.
        this.#checkpoint(wal);
        throw storeError(error, this.#options.file);
      },
    );
  }

  #checkpoint(wal: WriteAheadLog): void {
    void wal.checkpoint((rest) => {
      this.#held = rest.then(() => {
        this.#held = null;
      });
    });
  }

  async #writeLater<T>(transaction: Transaction<T>): Promise<T> {
    const { busyMs = BUSY_LIMIT_MS } = this.#options;
    const since = (this.#lockedSince ??= performance.now());
    for (;;) {
      await sleep(BUSY_RETRY_MS);
      try {
        return this.#writeNow(transaction);
      } catch (error) {
        // Those that waited behind this one are not made to wait as long again.
        if (!isBusy(error) || performance.now() - since > busyMs) throw error;
      }
    }
  }

  #writeNow<T>({ work, committed, undone }: Transaction<T>): T {
    return this.read(() => {
      this.#checkFile();
      const { begin, commit, rollback } = this.statements;
      begin();
      const { devices } = this;
      try {
        const result = work();
        commit();
        this.#changes = this.statements.totalChanges();
        this.#lockedSince = null;
        committed?.(result);
        return result;
      } catch (error) {
        this.devices = devices;
        undone();
        try {
          rollback();
        } catch {
          // SQLite has rolled back by itself (disk full, I/O error): the first error tells more.
        }
        throw error;
      }
    });
  }

  /** SQLite would write on into a file that was deleted, and nobody would find it again. */
  #checkFile(): void {
    const { file } = this.#options;
    const lost = PARTS.find((part, i) => identity(file + part) !== this.#opened[i]);
    if (lost === undefined) return;
    throw new OtaError(
      'OTA_STORE_FAILED',
      `The file ${file}${lost} of the store was taken away or replaced: put it back, or deploy the ota-store again to go on with what is there.`,
    );
  }

  read<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw storeError(error, this.#options.file);
    }
  }
}

/** Which file stands there; blank for none. */
function identity(file: string): string {
  if (isInMemory(file)) return '';
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat === undefined ? '' : `${stat.dev} ${stat.ino}`;
}

const NOT_KNOWN = -1;
/** While another process has the file locked it is tried again after this time… */
const BUSY_RETRY_MS = 20;
/** …and given up after this one; whoever wrote tries it once more then. */
const BUSY_LIMIT_MS = 5000;

function isBusy(error: unknown): boolean {
  return error instanceof OtaError && error.code === 'OTA_STORE_BUSY';
}

function storeError(error: unknown, file: string): OtaError {
  if (error instanceof OtaError) return error;
  const { code, message } = error as { code?: string; message: string };
  const told = (text: string): OtaError => new OtaError('OTA_STORE_FAILED', text, { cause: error });
  const all = `${code ?? ''} ${message}`;
  if (/SQLITE_FULL|ENOSPC|database or disk is full/.test(all)) {
    const text = `The disk is full: the store ${file} can not be written. Nothing is lost; it goes on when there is room.`;
    return new OtaError('OTA_DISK_FULL', text, { cause: error });
  }
  if (/SQLITE_BUSY|SQLITE_LOCKED|database is locked/.test(all)) {
    const text = `The store ${file} is locked by another program; it is tried again.`;
    return new OtaError('OTA_STORE_BUSY', text, { cause: error });
  }
  if (/SQLITE_NOTADB|SQLITE_CORRUPT|not a database|malformed/.test(all)) {
    return told(`The store ${file} is damaged, or no database: move it away, or choose another file.`);
  }
  if (/SQLITE_CANTOPEN|ConnectionFailed|unable to open database/.test(all)) {
    return told(`The store ${file} can not be opened: it must be a file that Node-RED may read and write.`);
  }
  if (/SQLITE_READONLY|readonly database|EROFS|EACCES/.test(all)) {
    return told(`The store ${file} can not be written: Node-RED may only read there.`);
  }
  return told(`The store ${file} can not be used: ${message}.`);
}

/**
 * The write-ahead log of a SQLite file on its way to the disk. A commit leaves it in the system's memory; only a flush
 * makes it durable, and that takes as long as the disk takes. Owns the flush and the checkpoint, both beside the event
 * loop: the one in Node.js's thread pool, the other in a thread of its own. Never writes a row.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { SqliteDriver } from './driver';

const fdatasync = promisify(fs.fdatasync);
const fstat = promisify(fs.fstat);

/** A log of this size, in bytes, is brought into the file. */
const CHECKPOINT_AT = 16 * 1024 * 1024;
/** Where that fails, the connection itself does it at four times the size: the disk is bounded, whatever it costs. */
export const AUTO_CHECKPOINT_PAGES = 16_000;

/**
 * What the thread does. A text, since a file of it would be another one where TypeScript runs as it stands. First
 * while the store writes on; then the rest, while it waits. The empty write at the end begins the log anew, for which
 * SQLite waits for the disk.
 */
const CHECKPOINT = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { file, driver, from } = workerData;
  const load = require('node:module').createRequire(from);
  const Database = driver === 'libsql' ? load('libsql') : load('node:sqlite').DatabaseSync;
  const db = new Database(file);
  db.exec('PRAGMA busy_timeout = 1000');
  db.exec('PRAGMA synchronous = FULL');
  db.prepare('PRAGMA wal_checkpoint(PASSIVE)').all();
  parentPort.once('message', () => {
    try {
      db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all();
      const { user_version } = db.prepare('PRAGMA user_version').get();
      db.exec('PRAGMA user_version = ' + Number(user_version));
    } finally {
      db.close();
    }
  });
  parentPort.postMessage('the rest');
`;

export class WriteAheadLog {
  readonly #file: string;
  readonly #driver: SqliteDriver;
  readonly #checkpointAt: number;
  readonly #handle: number;
  #size = 0;
  /** Where somebody reads an old state the log can't shrink: it is tried again when it has grown by as much again. */
  #dueAt: number;
  #flushing = 0;
  #closed = false;
  #checkpointing = false;

  /** @param file the database, which is open: its log is there */
  constructor(file: string, driver: SqliteDriver, checkpointAt = CHECKPOINT_AT) {
    this.#file = file;
    this.#driver = driver;
    this.#checkpointAt = checkpointAt;
    this.#dueAt = checkpointAt;
    this.#handle = fs.openSync(`${file}-wal`, 'r+');
  }

  /** Resolves when all that was committed before is on the disk. @throws the system's error */
  async flush(): Promise<void> {
    if (this.#closed) return;
    this.#flushing += 1;
    try {
      await fdatasync(this.#handle);
      this.#size = (await fstat(this.#handle)).size;
    } finally {
      this.#flushing -= 1;
      this.#release();
    }
  }

  /** It is large, and nobody sees to it yet. */
  get isDue(): boolean {
    return this.#size >= this.#dueAt && !this.#checkpointing && !this.#closed;
  }

  /**
   * Brings the log into the file. Never rejects: what fails is tried again when the log has grown.
   * @param hold called with what writes have to wait for: the rest is little, and takes a few flushes
   */
  async checkpoint(hold: (rest: Promise<void>) => void): Promise<void> {
    if (this.#checkpointing || this.#closed) return;
    this.#checkpointing = true;
    await this.#runThread(hold).catch(() => undefined);
    this.#checkpointing = false;
    this.#size = 0;
    await this.flush().catch(() => undefined);
    this.#dueAt = this.#size + this.#checkpointAt;
  }

  async #runThread(hold: (rest: Promise<void>) => void): Promise<void> {
    const workerData = { file: this.#file, driver: this.#driver, from: __filename };
    const worker = new Worker(CHECKPOINT, { eval: true, workerData, execArgv: [] });
    const ended = new Promise<void>((resolve) => {
      worker.once('error', () => resolve());
      worker.once('exit', () => resolve());
    });
    worker.once('message', () => {
      hold(ended);
      worker.postMessage('go on');
    });
    await ended;
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  /** A number that is closed under a flush would soon be another file's. */
  #release(): void {
    if (this.#closed && this.#flushing === 0) fs.closeSync(this.#handle);
  }
}

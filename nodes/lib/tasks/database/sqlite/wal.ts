/**
 * The write-ahead log of a SQLite file on its way to the disk. A commit leaves it in the system's memory; only a flush
 * makes it durable, and that takes as long as the disk takes. Owns the flush and the checkpoint, both beside the event
 * loop: the one in Node.js's thread pool, the other in a thread of its own. Writes no row.
 *
 * The log is begun anew by the store's own connection. Where another connection did it, SQLite would throw away the
 * store's whole page cache, every few thousand pages.
 */
import fs from 'node:fs';
import { promisify } from 'node:util';
import { CheckpointThread } from './checkpoint-thread';
import type { SqlDatabase } from './driver';

const fdatasync = promisify(fs.fdatasync);

/** A log of this size, in bytes, is brought into the file. */
const CHECKPOINT_AT = 16 * 1024 * 1024;
/** Where that fails, the connection itself does it at four times the size: the disk is bounded, whatever it costs. */
export const AUTO_CHECKPOINT_PAGES = 16_000;
/** Flushes after which the size of the log is looked at. */
const LOOK_EVERY = 8;

export class WriteAheadLog {
  readonly #db: SqlDatabase;
  readonly #thread: CheckpointThread;
  readonly #checkpointAt: number;
  readonly #handle: number;
  #size = 0;
  /** Where somebody reads an old state the log can't shrink: it is tried again when it has grown by as much again. */
  #dueAt: number;
  #flushes = 0;
  #flushing = 0;
  #closed = false;
  #checkpointing = false;

  /** @param file the database, which is open in `db`: its log is there */
  constructor(file: string, db: SqlDatabase, checkpointAt = CHECKPOINT_AT) {
    this.#db = db;
    this.#thread = new CheckpointThread(file, db.driver);
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
      this.#flushes += 1;
      if (this.#flushes % LOOK_EVERY === 0) this.#look();
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
    // Most of it while the store writes on.
    if (await this.#thread.checkpoint().then(settled, failed)) {
      const rest = this.#beginAnew().then(settled, failed);
      hold(rest.then(() => undefined));
      await rest;
    }
    this.#checkpointing = false;
    this.#look();
    this.#dueAt = this.#size + this.#checkpointAt;
  }

  /** The rest, while nobody writes. */
  async #beginAnew(): Promise<void> {
    const isAll = await this.#thread.checkpoint();
    if (!isAll || this.#closed) return;
    const db = this.#db;
    db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all();
    // The first write into a new log makes SQLite wait for the disk, so that none of the frames behind the log's
    // header is there before it: this empty one doesn't, the flush after it does.
    db.exec('PRAGMA synchronous = OFF');
    try {
      const version = Number(db.prepare('PRAGMA user_version').get()?.['user_version'] ?? 0);
      db.exec(`PRAGMA user_version = ${version}`);
    } finally {
      db.exec('PRAGMA synchronous = NORMAL');
    }
    await this.flush();
  }

  close(): void {
    this.#closed = true;
    this.#thread.end();
    this.#release();
  }

  #look(): void {
    if (!this.#closed) this.#size = fs.fstatSync(this.#handle).size;
  }

  /** A number that is closed under a flush would soon be another file's. */
  #release(): void {
    if (this.#closed && this.#flushing === 0) fs.closeSync(this.#handle);
  }
}

const settled = (): boolean => true;
const failed = (): boolean => false;

/**
 * A thread that brings the write-ahead log of a SQLite file into the file. It has the file open only while it works:
 * the last one to close a file is the store. It ends by itself when it has had nothing to do for a while.
 */
import { Worker } from 'node:worker_threads';
import type { SqliteDriver } from './driver';

const IDLE_MS = 30_000;

/** A text, since a file of it would be another one where TypeScript runs as it stands. */
const WORK = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { file, driver, from } = workerData;
  const load = require('node:module').createRequire(from);
  const Database = driver === 'libsql' ? load('libsql') : load('node:sqlite').DatabaseSync;
  parentPort.on('message', (message) => {
    if (message === 'end') return parentPort.close();
    const db = new Database(file);
    let row;
    try {
      db.exec('PRAGMA busy_timeout = 1000');
      db.exec('PRAGMA synchronous = FULL');
      row = db.prepare('PRAGMA wal_checkpoint(PASSIVE)').get();
    } finally {
      db.close();
    }
    parentPort.postMessage(row.busy === 0 && row.log === row.checkpointed);
  });
`;

interface Asked {
  readonly of: Worker;
  readonly resolve: (isAll: boolean) => void;
  readonly reject: (error: Error) => void;
}

export class CheckpointThread {
  readonly #file: string;
  readonly #driver: SqliteDriver;
  #worker: Worker | null = null;
  #asked: Asked | null = null;
  #idle: NodeJS.Timeout | undefined;

  constructor(file: string, driver: SqliteDriver) {
    this.#file = file;
    this.#driver = driver;
  }

  /** One at a time. Resolves with whether the whole log is in the file, and on the disk. @throws SQLite's error */
  async checkpoint(): Promise<boolean> {
    clearTimeout(this.#idle);
    const worker = (this.#worker ??= this.#start());
    try {
      return await new Promise<boolean>((resolve, reject) => {
        this.#asked = { of: worker, resolve, reject };
        worker.ref();
        worker.postMessage('checkpoint');
      });
    } finally {
      this.#asked = null;
      worker.unref();
      this.#idle = setTimeout(() => this.end(), IDLE_MS).unref();
    }
  }

  /** Once it is through with what it does. */
  end(): void {
    clearTimeout(this.#idle);
    this.#worker?.postMessage('end');
    this.#worker = null;
  }

  #start(): Worker {
    const workerData = { file: this.#file, driver: this.#driver, from: __filename };
    const worker = new Worker(WORK, { eval: true, workerData, execArgv: [] });
    const gone = (error: Error): void => {
      if (this.#worker === worker) this.#worker = null;
      if (this.#asked?.of === worker) this.#asked.reject(error);
    };
    worker.on('message', (isAll: boolean) => this.#asked?.resolve(isAll));
    worker.on('error', gone);
    worker.on('exit', () => gone(new Error('The thread of the checkpoint has ended.')));
    return worker;
  }
}

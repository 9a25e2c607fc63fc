/**
 * The file of a SQLite database, and those beside it: their folder and their rights, and that the file is whole once
 * it is closed. Knows no table, and writes no row.
 */
import fs from 'node:fs';
import path from 'node:path';
import type { SqlDatabase } from './driver';

/** The file itself, and those that SQLite keeps beside it as long as it is open. */
export const PARTS = ['', '-wal', '-shm'];

export function isInMemory(file: string): boolean {
  return file.startsWith(':memory:');
}

/** Makes its folder, and lets nobody else read it. To be called before it is opened. @throws the system's error */
export function makeReady(file: string): void {
  if (isInMemory(file)) return;
  makeFolder(path.dirname(file));
  for (const part of PARTS) keepPrivate(file, part);
}

/**
 * libsql closes a file only when its statements are collected as garbage, mostly never: what is in the log would stay
 * there, and a copy of the file alone, with Node-RED stopped, would miss it.
 * To be called before it is closed.
 */
export function bringLogIn(db: SqlDatabase): void {
  try {
    db.prepare('PRAGMA wal_checkpoint(TRUNCATE)').all();
  } catch {
    // The log is as durable as the file, and is read at the next start.
  }
}

/** With those above it. Not mkdir's own "recursive": below a folder that takes none (/proc) it never comes back. */
function makeFolder(folder: string): void {
  if (fs.existsSync(folder)) return;
  makeFolder(path.dirname(folder));
  fs.mkdirSync(folder, { mode: 0o700 });
}

/**
 * Access tokens stand in the store: nobody but Node-RED's user may read it. SQLite gives the files beside it the
 * rights of the file itself, so that one is made here. A group that somebody has let in stays.
 *
 * A file that is there is never opened here: closing it would end every lock that this process has on it, those of
 * another store that has the same file open, too.
 */
function keepPrivate(file: string, part: string): void {
  try {
    const stat = fs.statSync(file + part, { throwIfNoEntry: false });
    if (stat === undefined) {
      if (part === '') fs.closeSync(fs.openSync(file, 'a', 0o600));
    } else if ((stat.mode & EVERYBODY) !== 0) fs.chmodSync(file + part, stat.mode & 0o770);
  } catch {
    // SQLite tells what is wrong with it; of a file of another owner the rights are that owner's.
  }
}

const EVERYBODY = 0o007;

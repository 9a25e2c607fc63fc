/**
 * A small file of ours that is written whole or not at all, also through a power cut, and that is set aside where
 * it was damaged all the same. Only we read it: 0600, its folder 0700.
 */
import fs from 'node:fs';
import path from 'node:path';
import { isObject, OtaError } from '../protocol';

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** O_EXCL: a file or a link that somebody else put there is never written through. */
const CREATE = 'wx';

/** Writes, flushes, renames, flushes the folder. Blocks until it lies on disk. @throws OtaError OTA_FILE, OTA_DISK_FULL */
export function writeFileAtomic(file: string, text: string): void {
  const temporary = temporaryOf(file);
  try {
    makeFolder(path.dirname(file));
    fs.rmSync(temporary, { force: true });
    const handle = fs.openSync(temporary, CREATE, FILE_MODE);
    try {
      fs.writeFileSync(handle, text);
      fs.fsyncSync(handle);
    } finally {
      fs.closeSync(handle);
    }
    fs.renameSync(temporary, file);
    syncFolder(path.dirname(file));
  } catch (error) {
    fs.rmSync(temporary, { force: true });
    throw fileError(error, file);
  }
}

/** The same without blocking; null removes the file. One at a time for each file. @throws as above */
export async function writeFileDurably(file: string, text: string | null): Promise<void> {
  const temporary = temporaryOf(file);
  const folder = path.dirname(file);
  try {
    if (text === null) {
      if (!fs.existsSync(file)) return;
      await fs.promises.rm(file, { force: true });
    } else {
      makeFolder(folder);
      await fs.promises.rm(temporary, { force: true });
      const handle = await fs.promises.open(temporary, CREATE, FILE_MODE);
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.promises.rename(temporary, file);
    }
    await syncFolderAsync(folder);
  } catch (error) {
    await fs.promises.rm(temporary, { force: true }).catch(() => undefined);
    throw fileError(error, file);
  }
}

/** What a file of ours held. */
export interface LoadedFile {
  /** null where there is none, or it was damaged. */
  readonly value: unknown;
  /** Where the file was damaged: told once, since it lies beside as `.bad` from now on. */
  readonly damaged: OtaError | null;
}

/** Reads a JSON file and removes what a kill left beside it. A damaged one is set aside. Never throws. */
export function loadJsonFile(file: string): LoadedFile {
  try {
    removeLeftovers(file);
    const text = readFileIfAny(file);
    if (text === null) return { value: null, damaged: null };
    const value: unknown = JSON.parse(text);
    if (!isObject(value)) throw new Error('It holds no object.');
    return { value, damaged: null };
  } catch (error) {
    return { value: null, damaged: setAside(file, error) };
  }
}

/** Renames a damaged file to `.bad` (an older one of that name goes) and returns what a person should read. */
export function setAside(file: string, cause: unknown): OtaError {
  let where = `set aside as ${path.basename(file)}.bad`;
  try {
    fs.rmSync(`${file}.bad`, { force: true, recursive: true });
    fs.renameSync(file, `${file}.bad`);
  } catch (error) {
    where = `left where it is, because it can't be renamed (${(error as Error).message})`;
  }
  const text = `The file ${file} is damaged. It was ${where}; what could not be read of it is lost, the rest goes on.`;
  return new OtaError('OTA_FILE', text, { cause });
}

/** The text of a file, or null where there is none. @throws OtaError OTA_FILE */
export function readFileIfAny(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(error, file);
  }
}

function temporaryOf(file: string): string {
  return `${file}.tmp`;
}

/** Earlier releases wrote the process' id into the name. */
function removeLeftovers(file: string): void {
  const folder = path.dirname(file);
  if (!fs.existsSync(folder)) return;
  const name = path.basename(file);
  for (const entry of fs.readdirSync(folder)) {
    const rest = entry.startsWith(`${name}.`) ? entry.slice(name.length) : '';
    if (/^(\.\d+)?\.tmp$/.test(rest)) fs.rmSync(path.join(folder, entry), { force: true });
  }
}

/** A folder that was made is durable once the one above it is flushed. */
function makeFolder(folder: string): void {
  const first = fs.mkdirSync(folder, { recursive: true, mode: FOLDER_MODE });
  if (first === undefined) return;
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) {
    syncFolder(path.dirname(made));
  }
}

/** A rename is durable once its folder is; Windows can't open folders. */
function syncFolder(folder: string): void {
  if (process.platform === 'win32') return;
  const handle = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}

async function syncFolderAsync(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await fs.promises.open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function fileError(error: unknown, file: string): OtaError {
  if (error instanceof OtaError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OtaError('OTA_DISK_FULL', `The disk is full: ${file} could not be written.`, { cause: error });
  }
  return new OtaError('OTA_FILE', `The file ${file} can not be used: ${message}.`, { cause: error });
}

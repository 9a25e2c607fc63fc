/** A small file that is written whole or not at all, also through a power cut. Synchronous: it is small. */
import fs from 'node:fs';
import path from 'node:path';
import { OtaError } from '../protocol';

/** Writes, flushes, renames. @throws OtaError OTA_FILE, OTA_DISK_FULL */
export function writeFileAtomic(file: string, text: string): void {
  const temporary = `${file}.${process.pid}.tmp`;
  try {
    fs.mkdirSync(path.dirname(file), { recursive: true });
    const handle = fs.openSync(temporary, 'w', 0o600);
    try {
      fs.writeSync(handle, text);
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

/** The text of a file, or null where there is none. @throws OtaError OTA_FILE */
export function readFileIfAny(file: string): string | null {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(error, file);
  }
}

export function removeFile(file: string): void {
  try {
    fs.rmSync(file, { force: true });
  } catch (error) {
    throw fileError(error, file);
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

function fileError(error: unknown, file: string): OtaError {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new OtaError('OTA_DISK_FULL', `The disk is full: ${file} could not be written.`, { cause: error });
  }
  return new OtaError('OTA_FILE', `The file ${file} can not be used: ${message}.`, { cause: error });
}

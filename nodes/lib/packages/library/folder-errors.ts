/** Errors of the file system, in the words of the library. */
import { OtaError, toOtaError } from '../../protocol';
import { fileReason, isDiskFull } from '../transfer/files';

/** Errors that name what was wrong: whoever catches one later knows it less well. */
const named = new WeakSet<OtaError>();

/** @returns OTA_DISK_FULL or OTA_FILE; an OtaError that hides none of the file system stays as it is. */
export function folderError(error: unknown, what = 'The folder of the packages'): OtaError {
  if (error instanceof OtaError && named.has(error)) return error;
  const own = inOurWords(error, what);
  named.add(own);
  return own;
}

function inOurWords(error: unknown, what: string): OtaError {
  const cause = fileErrorOf(error);
  const { code, syscall } = cause;
  if (isDiskFull(cause) || (error as { code?: unknown }).code === 'OTA_DISK_FULL') {
    return new OtaError('OTA_DISK_FULL', 'The disk of the packages is full: make room there.', { cause });
  }
  if (typeof code !== 'string' || typeof syscall !== 'string') return toOtaError(error);
  return new OtaError('OTA_FILE', `${what} ${fileReason(cause)}.`, { cause });
}

/** The error of the file system that an error is or hides; an empty one where there is none. */
export function fileErrorOf(error: unknown): Partial<NodeJS.ErrnoException> {
  const cause: unknown = error instanceof OtaError ? error.cause : error;
  return cause ?? {};
}

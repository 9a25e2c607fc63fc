/**
 * Folders and the room on their disk, and errors of the file system in words for people. Knows nothing of what
 * the files are.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { OtaError, type OtaCode } from '../../protocol';

/** Makes a folder and those above it, for their owner only, where they are absent. */
export async function makeDirectory(directory: string): Promise<void> {
  // Not mkdir's own "recursive": below a folder that takes none (/proc) it never comes back.
  try {
    await makeOne(directory);
  } catch (error) {
    const parent = path.dirname(directory);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === directory) rethrow(error);
    await makeDirectory(parent);
    await makeOne(directory).catch(rethrow);
  }
}

async function makeOne(directory: string): Promise<void> {
  try {
    await fs.mkdir(directory, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    // Somebody else may have made it; a file of that name shows when it is used.
  }
}

/** A rename survives a power cut only when the folder is on the disk too. */
export async function syncDirectory(directory: string): Promise<void> {
  try {
    const handle = await fs.open(directory, 'r');
    await handle.sync().finally(() => handle.close());
  } catch (error) {
    // Windows can't open a folder, some network file systems can't sync one: they write names by themselves.
    if (!CANT_SYNC.has((error as NodeJS.ErrnoException).code ?? '')) throw fileError(error);
  }
}

const CANT_SYNC: ReadonlySet<string> = new Set([
  'EISDIR',
  'EPERM',
  'EINVAL',
  'ENOTSUP',
  'EOPNOTSUPP',
  'ENOSYS',
]);

/** False where fewer bytes are free than are still to come. */
export async function hasRoom(directory: string, bytes: number): Promise<boolean> {
  // Where a file system can't tell, writing will.
  const disk = await fs.statfs(directory).catch(() => null);
  return disk === null || disk.blocks === 0 || disk.bavail * disk.bsize >= bytes;
}

/** @throws OtaError OTA_DISK_FULL where fewer bytes are free than are still to come. */
export async function checkFreeSpace(directory: string, bytes: number): Promise<void> {
  if (!(await hasRoom(directory, bytes))) throw diskFull();
}

/** The nodes that write files have one folder each, and call its setting the same. */
const FOLDER = 'The folder of the setting "directory"';

function rethrow(error: unknown): never {
  throw fileError(error);
}

function diskFull(cause?: unknown): OtaError {
  return new OtaError('OTA_DISK_FULL', `The disk of ${FOLDER.toLowerCase()} is full: make room there.`, {
    cause,
  });
}

export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** An error of the file system as one of ours. Its path isn't told: it says nothing to the platform. */
export function fileError(error: unknown, what = FOLDER): OtaError {
  if (error instanceof OtaError) return error;
  if (isDiskFull(error)) return diskFull(error);
  const why = fileReason(error as NodeJS.ErrnoException);
  return new OtaError('OTA_FILE' satisfies OtaCode, `${what} ${why}.`, { cause: error });
}

/** What is wrong with a file or a folder, as the end of a sentence that names it. */
export function fileReason({ code, syscall }: Partial<NodeJS.ErrnoException>): string {
  return REASONS[code ?? ''] ?? `can't be used (${code ?? 'unknown'}, ${syscall ?? 'file system'})`;
}

const REASONS: { readonly [code: string]: string } = {
  ENOENT: "doesn't exist",
  EACCES: "can't be used: permission is denied",
  EPERM: "can't be used: permission is denied",
  EROFS: "can't be written: the file system is read-only",
  ENOTDIR: 'lies below something that is no folder',
  EISDIR: 'is a folder, not a file',
  EEXIST: 'is there already',
  EBUSY: 'is in use',
  ENAMETOOLONG: 'has a name that is too long',
  EMFILE: "can't be opened: too many files are open",
};

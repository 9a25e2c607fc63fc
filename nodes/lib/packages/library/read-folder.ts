/** What lies in the folder of a library at its start: packages, damaged ones, and what a crash left. */
import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { OtaError, toOtaError } from '../../protocol';
import { makeDirectory } from '../transfer/files';
import { isId, isSafeName } from './addresses';
import { folderError } from './folder-errors';
import { tidy } from './half-done';
import { BAD_RECORD_FILE, DamagedPackage, type PackageRecord, readRecord, RECORD_FILE } from './record';

/** Descriptions read at once. */
const AT_ONCE = 16;

export interface FolderContent {
  readonly records: readonly PackageRecord[];
  /** A folder that can't be written; packages that can't be read, which are left out; damaged ones are set aside. */
  readonly faults: OtaError[];
}

/**
 * Reads the folder, made where it is absent, and takes away what a crash left. One that can't be written is read
 * all the same: a worn disk turns read-only, and devices still want what is on it.
 * @throws OtaError OTA_FILE, OTA_DISK_FULL
 */
export async function readFolder(directory: string): Promise<FolderContent> {
  try {
    await makeDirectory(directory);
    const entries = await fs.readdir(directory, { withFileTypes: true });
    const content = await readPackages(directory, entries);
    const readOnly = await fs.access(directory, fs.constants.W_OK).then(
      () => null,
      (error: unknown) => folderError(error),
    );
    if (readOnly === null) await tidy(directory, entries);
    else content.faults.unshift(readOnly);
    return content;
  } catch (error) {
    throw folderError(error);
  }
}

async function readPackages(directory: string, entries: readonly Dirent[]): Promise<FolderContent> {
  const faults: OtaError[] = [];
  const records: PackageRecord[] = [];
  const ids = entries.filter((entry) => entry.isDirectory() && isId(entry.name)).map(({ name }) => name);
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    await Promise.all(
      ids.slice(at, at + AT_ONCE).map(async (id) => {
        try {
          const record = await readPackage(directory, id);
          if (record !== null) records.push(record);
        } catch (error) {
          faults.push(toOtaError(error, 'OTA_FILE'));
        }
      }),
    );
  }
  return { records, faults };
}

/** null for a package that was set aside earlier. @throws OtaError OTA_FILE, OTA_DISK_FULL */
async function readPackage(directory: string, id: string): Promise<PackageRecord | null> {
  const what = `The package ${id.slice(0, 8)}… is left out: its folder`;
  const folder = path.join(directory, id);
  try {
    const text = await readDescription(folder);
    return text === null ? await takeBack(folder, id) : await checkPackage(folder, id, text);
  } catch (error) {
    throw error instanceof DamagedPackage ? await setAside(folder, id, error) : folderError(error, what);
  }
}

/** @throws DamagedPackage where the description or the file is damaged; OtaError OTA_FILE, errors of the file system */
async function checkPackage(folder: string, id: string, text: string): Promise<PackageRecord> {
  const record = readRecord(text, id);
  await checkFile(folder, record);
  return record;
}

/**
 * A package that was set aside and is whole: somebody brought its file back, or an earlier release took its name for
 * a wrong one. Null where it is still damaged.
 */
async function takeBack(folder: string, id: string): Promise<PackageRecord | null> {
  const aside = path.join(folder, BAD_RECORD_FILE);
  try {
    const record = await checkPackage(folder, id, await fs.readFile(aside, 'utf8'));
    // On a disk that has turned read-only it is served all the same.
    await fs.rename(aside, path.join(folder, RECORD_FILE)).catch(() => undefined);
    return record;
  } catch {
    // It was told when it was set aside.
    return null;
  }
}

/** The ids of packages in a folder now; null where it can't be read. */
export async function packageNames(directory: string): Promise<ReadonlySet<string> | null> {
  try {
    return new Set((await fs.readdir(directory)).filter(isId));
  } catch {
    return null;
  }
}

/**
 * A package that was added since the folder was read, by another instance: it is there as a whole, for its folder got
 * its name last. Null where there is none, or where it can't be read; the next start tells why.
 */
export async function readAdded(directory: string, id: string): Promise<PackageRecord | null> {
  if (!isId(id)) return null;
  const folder = path.join(directory, id);
  try {
    return await checkPackage(folder, id, await fs.readFile(path.join(folder, RECORD_FILE), 'utf8'));
  } catch {
    return null;
  }
}

/** null where there is none, because it was set aside. */
async function readDescription(folder: string): Promise<string | null> {
  try {
    return await fs.readFile(path.join(folder, RECORD_FILE), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    const names = await fs.readdir(folder);
    if (names.includes(BAD_RECORD_FILE)) return null;
    throw new DamagedPackage('its description is gone');
  }
}

/** @throws DamagedPackage where the file isn't the one that the description means */
export async function checkFile(
  folder: string,
  { file: name, size: expected }: Pick<PackageRecord, 'file' | 'size'>,
): Promise<void> {
  if (name === null) return;
  if (!isSafeName(name)) throw new DamagedPackage('its file has a wrong name');
  const stat = await fs.lstat(path.join(folder, name)).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw new DamagedPackage('its file is gone');
    throw error;
  });
  if (!stat.isFile()) throw new DamagedPackage('its file is no ordinary one');
  if (stat.size !== expected) {
    throw new DamagedPackage(`its file has ${stat.size} bytes, not ${expected}`);
  }
}

/** So that it is told once; it comes back at the first start that finds it whole. */
async function setAside(folder: string, id: string, { message }: DamagedPackage): Promise<OtaError> {
  const rename = fs.rename(path.join(folder, RECORD_FILE), path.join(folder, BAD_RECORD_FILE));
  const isAside = await rename.then(
    () => true,
    () => false,
  );
  const where = isAside ? ` Its description was set aside as ${id.slice(0, 8)}…/${BAD_RECORD_FILE}.` : '';
  const text = `The package ${id.slice(0, 8)}… is left out: ${message}.${where} Add the package anew, or remove its folder.`;
  return new OtaError('OTA_FILE', text);
}

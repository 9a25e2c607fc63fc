/** What lies in the folder of a library at its start: packages, damaged ones, and what a crash left. */
import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { type OtaError, toOtaError } from '../../protocol';
import { makeDirectory } from '../transfer/files';
import { isId, safeName } from './addresses';
import { folderError } from './folder-errors';
import { type PackageRecord, readRecord, RECORD_FILE, unreadable } from './record';

const LEFTOVER = /^\.(adding|removing)-[0-9a-f]{32}$/;
/** Descriptions read at once. */
const AT_ONCE = 16;

export interface FolderContent {
  readonly records: readonly PackageRecord[];
  /** A folder that can't be written; packages that can't be read, which are left out and left alone. */
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
          records.push(await readPackage(directory, id));
        } catch (error) {
          faults.push(toOtaError(error, 'OTA_FILE'));
        }
      }),
    );
  }
  return { records, faults };
}

async function readPackage(directory: string, id: string): Promise<PackageRecord> {
  const what = `The package ${id.slice(0, 8)}… is left out: its folder`;
  try {
    const folder = path.join(directory, id);
    const record = readRecord(await fs.readFile(path.join(folder, RECORD_FILE), 'utf8'), id);
    if (record.file !== null && record.file !== safeName(record.file)) {
      throw unreadable(id, 'its file has a wrong name');
    }
    const size = record.file === null ? record.size : (await fs.stat(path.join(folder, record.file))).size;
    if (size !== record.size) throw unreadable(id, `its file has ${size} bytes, not ${record.size}`);
    return record;
  } catch (error) {
    throw folderError(error, what);
  }
}

async function tidy(directory: string, entries: readonly Dirent[]): Promise<void> {
  for (const { name } of entries.filter((entry) => LEFTOVER.test(entry.name))) {
    await fs.rm(path.join(directory, name), { recursive: true, force: true });
  }
}

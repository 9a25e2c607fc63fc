/**
 * The library: one folder, in it a folder for each package with its file and its description. The folders are
 * the index: a package is there when its folder has its final name, and a rename gives and takes it. So a crash
 * at any moment leaves the old state or the new; what lies half done under a name of ours goes at the next start.
 *
 *   <id>/                 a package
 *   .adding-<id>/         on its way in
 *   .removing-<id>/       on its way out
 *
 * One process at a time may use a folder; in it `acquireLibrary` makes all users share one Library.
 */
import type { Dirent } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { MAX_URL, OtaError, toOtaError } from '../../protocol';
import type { OnBytes } from '../verify/download';
import { syncDirectory } from '../verify/files';
import { Queue } from '../verify/queue';
import { isId, newId, safeName } from './addresses';
import { describePackage, fileNameOf, type PackageRequest, toPackage } from './describe';
import { folderError } from './folder-errors';
import { type Package, type PackageRecord, readRecord, RECORD_FILE, writeRecord } from './record';
import { bring, type Measured, type PackageSource } from './sources';

export interface AddRequest extends PackageRequest {
  /** Where devices fetch it; blank: a package from a URL is measured and stays there, others are refused. */
  readonly baseUrl: string;
  readonly maxBytes: number;
  /** Aborts; its reason is thrown. */
  readonly stop: AbortSignal;
  readonly onBytes: OnBytes;
}

/** A file that may be served. */
export interface ServedFile {
  readonly folder: string;
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
}

const LEFTOVER = /^\.(adding|removing)-[0-9a-f]{32}$/;
/** Each holds some megabytes and the processor for its digest; the others wait in order. */
const ADDS_AT_ONCE = 4;
/** Descriptions read at once. */
const AT_ONCE = 16;

export class Library {
  readonly #directory: string;
  /** Oldest first. */
  readonly #records = new Map<string, PackageRecord>();
  /** Being removed: no longer to be had, still on the disk. */
  readonly #leaving = new Set<string>();
  readonly #queue = new Queue(ADDS_AT_ONCE);
  readonly #listeners = new Set<() => void>();
  #busy = 0;
  #whenIdle: (() => void)[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Reads the folder, made where it is absent, and takes away what a crash left.
   * @returns the library, and an error for each package that can't be read: it is left out and left alone
   * @throws OtaError OTA_FILE, OTA_DISK_FULL
   */
  static async open(directory: string): Promise<{ library: Library; faults: OtaError[] }> {
    const library = new Library(directory);
    try {
      await fs.mkdir(directory, { recursive: true });
      await fs.access(directory, fs.constants.W_OK);
      const faults = await library.#read(await fs.readdir(directory, { withFileTypes: true }));
      return { library, faults };
    } catch (error) {
      throw folderError(error);
    }
  }

  get size(): number {
    return this.#records.size;
  }

  /** Calls `listener` after each change; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Newest first. */
  list(baseUrl: string): Package[] {
    return [...this.#records.values()].reverse().map((record) => toPackage(record, baseUrl));
  }

  /** @throws OtaError OTA_PACKAGE_NOT_FOUND */
  get(id: string, baseUrl: string): Package {
    return toPackage(this.#record(id), baseUrl);
  }

  /** What a device may fetch, or null. */
  find(id: string, name: string): ServedFile | null {
    const record = this.#records.get(id);
    if (record === undefined || record.file === null || record.file !== name) return null;
    const { size, sha256 } = record;
    return { folder: path.join(this.#directory, id), name, size, sha256 };
  }

  /**
   * Adds a package: measured, signed, described, and then there as a whole or not at all.
   * @throws OtaError what was wrong; nothing of it stays
   */
  async add(request: AddRequest): Promise<Package> {
    const id = newId();
    return this.#work(() => this.#queue.add(id, () => this.#add(id, request)));
  }

  async #add(id: string, request: AddRequest): Promise<Package> {
    const { fields, source, baseUrl, stop } = request;
    stop.throwIfAborted();
    if (baseUrl === '') checkStays(source);
    if (source.kind === 'file') await this.#refuseOwn(source.filename);
    const file = fileNameOf(request);
    const adding = path.join(this.#directory, `.adding-${id}`);
    try {
      await fs.mkdir(adding);
      const target = path.join(adding, file);
      const measured = await bring(source, target, { ...request, method: fields.signMethod });
      const isServed = baseUrl !== '';
      if (!isServed) await fs.rm(target);
      const record = describePackage(id, isServed ? file : null, request, measured);
      await writeWhole(path.join(adding, RECORD_FILE), writeRecord(record));
      await syncDirectory(adding);
      stop.throwIfAborted();
      await this.#publish(adding, record, measured);
      return toPackage(record, baseUrl);
    } catch (error) {
      await fs.rm(adding, { recursive: true, force: true }).catch(() => {
        // The reason of the failure is what counts; the next start takes it away.
      });
      throw folderError(error);
    }
  }

  /** Removes a package and returns what it was. @throws OtaError OTA_PACKAGE_NOT_FOUND, OTA_FILE */
  async remove(id: string, baseUrl: string): Promise<Package> {
    return this.#work(async () => {
      const record = this.#record(id);
      const removing = path.join(this.#directory, `.removing-${id}`);
      this.#leaving.add(id);
      try {
        await fs.rename(path.join(this.#directory, id), removing);
        this.#records.delete(id);
      } catch (error) {
        throw folderError(error, 'The folder of the package');
      } finally {
        this.#leaving.delete(id);
      }
      this.#changed();
      try {
        await syncDirectory(this.#directory);
        await fs.rm(removing, { recursive: true, force: true });
      } catch (error) {
        throw folderError(error, 'The package is out of the library, but what it left');
      }
      return toPackage(record, baseUrl);
    });
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    if (this.#busy > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  async #work<T>(job: () => Promise<T>): Promise<T> {
    this.#busy += 1;
    try {
      return await job();
    } finally {
      this.#busy -= 1;
      if (this.#busy === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }
  }

  /** The rename is the moment from which on the package is there. */
  async #publish(adding: string, record: PackageRecord, measured: Measured): Promise<void> {
    const folder = path.join(this.#directory, record.id);
    await fs.rename(adding, folder);
    try {
      await syncDirectory(this.#directory);
      await measured.settle();
    } catch (error) {
      // The file still lies where it came from: the package must not share it.
      await fs.rename(folder, adding);
      throw error;
    }
    this.#records.set(record.id, record);
    this.#changed();
  }

  #record(id: string): PackageRecord {
    const record = this.#records.get(id);
    if (record === undefined || this.#leaving.has(id)) {
      throw new OtaError(
        'OTA_PACKAGE_NOT_FOUND',
        'There is no package with this id; "list" shows all there are.',
      );
    }
    return record;
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  async #read(entries: readonly Dirent[]): Promise<OtaError[]> {
    const faults: OtaError[] = [];
    const records: PackageRecord[] = [];
    const ids = entries.filter((entry) => entry.isDirectory() && isId(entry.name)).map(({ name }) => name);
    for (let at = 0; at < ids.length; at += AT_ONCE) {
      await Promise.all(
        ids.slice(at, at + AT_ONCE).map(async (id) => {
          try {
            records.push(await this.#readOne(id));
          } catch (error) {
            faults.push(toOtaError(error, 'OTA_FILE'));
          }
        }),
      );
    }
    records.sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0));
    for (const record of records) this.#records.set(record.id, record);
    for (const { name } of entries.filter((entry) => LEFTOVER.test(entry.name))) {
      await fs.rm(path.join(this.#directory, name), { recursive: true, force: true });
    }
    return faults;
  }

  async #readOne(id: string): Promise<PackageRecord> {
    const what = `The package ${id.slice(0, 8)}… is left out: its folder`;
    try {
      const folder = path.join(this.#directory, id);
      const record = readRecord(await fs.readFile(path.join(folder, RECORD_FILE), 'utf8'), id);
      if (record.file !== null && record.file !== safeName(record.file))
        throw damaged(id, 'its file has a wrong name');
      const size = record.file === null ? record.size : (await fs.stat(path.join(folder, record.file))).size;
      if (size !== record.size) throw damaged(id, `its file has ${size} bytes, not ${record.size}`);
      return record;
    } catch (error) {
      throw folderError(error, what);
    }
  }

  /** A file of the library isn't to be moved out of its package. */
  async #refuseOwn(filename: string): Promise<void> {
    const folder = await fs.realpath(path.dirname(path.resolve(filename))).catch(() => '');
    const own = await fs.realpath(this.#directory);
    if (folder === own || folder.startsWith(own + path.sep)) {
      throw new OtaError(
        'OTA_BAD_PACKAGE',
        'The package was not added: msg.filename lies in the folder of the packages.',
      );
    }
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await fs.open(file, 'wx');
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function damaged(id: string, why: string): OtaError {
  return new OtaError(
    'OTA_FILE',
    `The package ${id.slice(0, 8)}… is left out: ${why}. Its files stay as they are.`,
  );
}

/** Nothing is served without a base address: only what is served elsewhere can be added. */
function checkStays(source: PackageSource): void {
  if (source.kind !== 'url') {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'The package was not added: set "baseUrl" to the address at which devices reach this Node-RED.',
    );
  }
  if (source.url.length > MAX_URL) {
    throw new OtaError(
      'OTA_BAD_PACKAGE',
      `The package was not added: its "url" has ${source.url.length} characters; devices take at most ${MAX_URL}.`,
    );
  }
}

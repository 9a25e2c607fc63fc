/**
 * The library: one folder, in it a folder for each package with its file and its description. The folders are
 * the index: a package is there when its folder has its final name, and a rename gives and takes it. So a crash
 * at any moment leaves the old state or the new; what lies half done under a name of ours (see half-done.ts) goes at the next start.
 *
 * Several instances may share a folder, over a network too: each looks there for what it doesn't know. In one process
 * `acquireLibrary` makes all users of a folder share one Library.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { OtaError } from '../../protocol';
import type { OnBytes } from '../transfer/download';
import type { HostRules } from '../transfer/hosts';
import { makeDirectory, syncDirectory } from '../transfer/files';
import { Queue } from '../transfer/queue';
import { newId } from './addresses';
import { describePackage, fileNameOf, type PackageRequest, toPackage } from './describe';
import { checkPushable } from './fields';
import { fileErrorOf, folderError } from './folder-errors';
import { addingName, removingName, showWork } from './half-done';
import { checkFile, packageNames, readAdded, readFolder } from './read-folder';
import {
  byAge,
  DamagedPackage,
  isFound,
  isSamePackage,
  type Package,
  type PackageRecord,
  RECORD_FILE,
  writeRecord,
} from './record';
import { importFile, type Measured, type PackageSource } from './import-file';

export interface AddRequest extends PackageRequest {
  /** Where devices fetch it; blank: a package from a URL is measured and stays there, others are refused. */
  readonly baseUrl: string;
  readonly maxBytes: number;
  /** Where a file may be fetched from. */
  readonly hosts: HostRules;
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

/** Each holds some megabytes and the processor for its digest; the others wait in order. */
const ADDS_AT_ONCE = 4;
/** Bytes that all adds together may hold in memory. */
const WAITING_BYTES = 2 * 1024 ** 3;

export class Library {
  readonly #directory: string;
  readonly #records = new Map<string, PackageRecord>();
  /** Being removed: no longer to be had, still on the disk. */
  readonly #leaving = new Set<string>();
  readonly #queue = new Queue(ADDS_AT_ONCE);
  readonly #listeners = new Set<() => void>();
  #busy = 0;
  #latest = 0;
  #addBytes = 0;
  /** Ends when the last package that was added is there: two equal ones must see each other. */
  #publishing: Promise<unknown> = Promise.resolve();
  #whenIdle: (() => void)[] = [];

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /**
   * Reads the folder, made where it is absent, and takes away what a crash left.
   * @returns the library, and what was wrong with its folder or with single packages
   * @throws OtaError OTA_FILE, OTA_DISK_FULL
   */
  static async open(directory: string): Promise<{ library: Library; faults: OtaError[] }> {
    const { records, faults } = await readFolder(directory);
    const library = new Library(directory);
    for (const record of records) library.#records.set(record.id, record);
    return { library, faults };
  }

  get size(): number {
    return this.#records.size;
  }

  /** Calls `listener` after each change; returns what ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Newest first. @param search part of a name, a version, a product or a module; blank: all */
  async list(baseUrl: string, search = ''): Promise<Package[]> {
    await this.#lookAround();
    const found = [...this.#records.values()].filter((record) => isFound(record, search));
    return found
      .sort(byAge)
      .reverse()
      .map((record) => toPackage(record, baseUrl));
  }

  /** @throws OtaError OTA_PACKAGE_NOT_FOUND */
  async get(id: string, baseUrl: string): Promise<Package> {
    await this.#forgetIfGone(id);
    return toPackage(await this.#record(id), baseUrl);
  }

  /** What a device may fetch, or null. */
  async find(id: string, name: string): Promise<ServedFile | null> {
    const record = this.#records.get(id) ?? (await this.#lookFor(id));
    if (record === undefined || record.file === null || record.file !== name) return null;
    const { size, sha256 } = record;
    return { folder: path.join(this.#directory, id), name, size, sha256 };
  }

  /**
   * Adds a package: measured, signed, described, and then there as a whole or not at all. One that is there
   * already (equal product, module, version and content) is answered as it is.
   * @throws OtaError what was wrong; nothing of it stays
   */
  async add(request: AddRequest): Promise<Package> {
    const id = newId();
    const bytes = request.source.kind === 'content' ? request.source.content.length : 0;
    if (this.#addBytes > 0 && this.#addBytes + bytes > WAITING_BYTES) {
      throw new OtaError('OTA_QUEUE_FULL', 'Too many packages are being added: wait until some are there.');
    }
    this.#addBytes += bytes;
    try {
      return await this.#work(() => this.#queue.add(id, () => this.#add(id, request)));
    } finally {
      this.#addBytes -= bytes;
    }
  }

  async #add(id: string, request: AddRequest): Promise<Package> {
    const { fields, source, baseUrl, stop } = request;
    stop.throwIfAborted();
    if (baseUrl === '') checkStays(source);
    if (fields.expires !== null && request.privateKey === null) throw unsigned();
    if (source.kind === 'file') await this.#refuseOwn(source.filename);
    const file = fileNameOf(request);
    const adding = path.join(this.#directory, addingName(id));
    const done = showWork(adding);
    try {
      // With the folders above it: somebody may have taken them away.
      await makeDirectory(adding);
      const target = path.join(adding, file);
      const measured = await importFile(source, target, { ...request, method: fields.signMethod });
      const isServed = baseUrl !== '';
      if (!isServed) await fs.rm(target);
      const record = describePackage(id, isServed ? file : null, request, measured, this.#now());
      await checkBrought(adding, record);
      await writeWhole(path.join(adding, RECORD_FILE), writeRecord(record));
      await syncDirectory(adding);
      stop.throwIfAborted();
      const published = this.#publishing.then(() => this.#publish(adding, record, measured));
      this.#publishing = published.catch(() => undefined);
      return toPackage(await published, baseUrl);
    } catch (error) {
      await fs.rm(adding, { recursive: true, force: true }).catch(() => {
        // The reason of the failure is what counts; the next start takes it away.
      });
      throw folderError(error);
    } finally {
      done();
    }
  }

  /** Removes a package and returns what it was. @throws OtaError OTA_PACKAGE_NOT_FOUND, OTA_FILE */
  async remove(id: string, baseUrl: string): Promise<Package> {
    return this.#work(async () => {
      const record = await this.#record(id);
      // Another removal may have come first meanwhile.
      if (this.#leaving.has(id)) throw notFound();
      const removing = path.join(this.#directory, removingName(id));
      this.#leaving.add(id);
      try {
        await fs.rename(path.join(this.#directory, id), removing).catch(unlessGone);
        this.#records.delete(id);
      } catch (error) {
        throw folderError(error, 'The folder of the package');
      } finally {
        this.#leaving.delete(id);
      }
      this.#changed();
      try {
        await syncDirectory(this.#directory).catch(unlessGone);
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

  /**
   * The rename is the moment from which on the package is there. Returns what is there then: the new package, or
   * an equal one that was there before.
   */
  async #publish(adding: string, record: PackageRecord, measured: Measured): Promise<PackageRecord> {
    const same = await this.#findSame(record);
    if (same !== null) {
      await fs.rm(adding, { recursive: true, force: true });
      await measured.settle(null);
      return same;
    }
    const folder = path.join(this.#directory, record.id);
    await fs.rename(adding, folder);
    try {
      await syncDirectory(this.#directory);
      await measured.settle(record.file === null ? null : path.join(folder, record.file));
    } catch (error) {
      // The file still lies where it came from: the package must not share it.
      await fs.rename(folder, adding);
      throw error;
    }
    this.#records.set(record.id, record);
    this.#changed();
    return record;
  }

  /**
   * An equal package that is whole on the disk: another instance may have added or removed one meanwhile, and a file
   * may be lost. Null where there is none.
   */
  async #findSame(record: PackageRecord): Promise<PackageRecord | null> {
    await this.#lookAround();
    for (const known of [...this.#records.values()].filter((one) => isSamePackage(one, record))) {
      const isThere = (await readAdded(this.#directory, known.id)) !== null;
      if (isThere && !this.#leaving.has(known.id)) return known;
      if (!isThere && this.#records.delete(known.id)) this.#changed();
    }
    return null;
  }

  /** No two packages of a moment have the same time: their order stays when they are read again. */
  #now(): Date {
    const now = Date.now();
    // A clock that was set back by more is believed.
    const isSameMoment = now <= this.#latest && this.#latest - now < 1000;
    this.#latest = isSameMoment ? this.#latest + 1 : now;
    return new Date(this.#latest);
  }

  async #record(id: string): Promise<PackageRecord> {
    const record = this.#records.get(id) ?? (await this.#lookFor(id));
    if (record === undefined || this.#leaving.has(id)) throw notFound();
    return record;
  }

  /** A package that another instance on the same folder has added meanwhile. */
  async #lookFor(id: string): Promise<PackageRecord | undefined> {
    const record = await readAdded(this.#directory, id);
    if (record === null || this.#leaving.has(id)) return undefined;
    this.#records.set(id, record);
    this.#changed();
    return record;
  }

  /** What other instances on the same folder have added and removed. A folder that can't be read stays as it was. */
  async #lookAround(): Promise<void> {
    const known = [...this.#records.keys()];
    const names = await packageNames(this.#directory);
    if (names === null) return;
    for (const id of names) if (!this.#records.has(id)) await this.#lookFor(id);
    const gone = known.filter((id) => !names.has(id) && this.#records.delete(id));
    if (gone.length > 0) this.#changed();
  }

  /** Another instance, or a person, may have removed it. */
  async #forgetIfGone(id: string): Promise<void> {
    if (!this.#records.has(id)) return;
    const isGone = await fs.access(path.join(this.#directory, id)).then(
      () => false,
      (error: unknown) => fileErrorOf(error).code === 'ENOENT',
    );
    if (isGone && this.#records.delete(id)) this.#changed();
  }

  #changed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** A file of a library, this one or another, isn't to be moved out of its package. */
  async #refuseOwn(filename: string): Promise<void> {
    const folder = await fs.realpath(path.dirname(path.resolve(filename))).catch(() => '');
    const own = await fs.realpath(this.#directory).catch(() => this.#directory);
    const isPackage = await fs.access(path.join(folder, RECORD_FILE)).then(
      () => true,
      () => false,
    );
    if (isPackage || folder === own || folder.startsWith(own + path.sep)) {
      throw new OtaError(
        'OTA_BAD_PACKAGE',
        'The package was not added: msg.filename lies in a folder of packages.',
      );
    }
  }
}

function notFound(): OtaError {
  return new OtaError(
    'OTA_PACKAGE_NOT_FOUND',
    'There is no package with this id; "list" shows all there are.',
  );
}

/** What somebody took away by hand is as gone as it should be. */
function unlessGone(error: unknown): void {
  if (fileErrorOf(error).code !== 'ENOENT') throw error;
}

/** Another program may have changed the folder: what would be damaged at the next start isn't published. */
async function checkBrought(adding: string, record: PackageRecord): Promise<void> {
  try {
    await checkFile(adding, record);
  } catch (error) {
    if (!(error instanceof DamagedPackage)) throw error;
    throw new OtaError('OTA_FILE', `The package was not added: ${error.message}. Add it again.`);
  }
}

async function writeWhole(file: string, text: string): Promise<void> {
  const handle = await fs.open(file, 'wx', 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Who gives a signature an end must not get a package without one. */
function unsigned(): OtaError {
  return new OtaError(
    'OTA_BAD_PACKAGE',
    'The package was not added: "expires" ends a signature, and the node has no private key to sign with.',
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
  checkPushable('url', { url: source.url });
}

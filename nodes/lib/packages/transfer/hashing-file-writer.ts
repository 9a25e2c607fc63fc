/**
 * One file being written and hashed in the same pass. What is hashed is always what was handed to the disk, in
 * order; memory holds at most one batch. Knows nothing of where the bytes come from.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import type { SignMethod } from '../../protocol';
import type { Digests } from './content';
import { fileError, isDiskFull, syncDirectory } from './files';
import { Hasher } from './hasher';

/** Bytes that may wait while the disk is busy; also the size of a read. */
export const BATCH_BYTES = 1024 * 1024;
/** A smaller batch is written after this. */
const LONGEST_IN_MEMORY_MS = 100;

/** Called where the disk is full: resolves with true where something was taken away, and writing may go on. */
export type WhenFull = () => Promise<boolean>;

export class HashingFileWriter {
  readonly #handle: fs.FileHandle;
  #file: string;
  readonly #methods: readonly SignMethod[];
  readonly #whenFull: WhenFull | null;
  #hasher: Hasher;
  #bytes = 0;
  #written = 0;
  #batch: Uint8Array[] = [];
  #batchBytes = 0;
  #writing: Promise<void> | null = null;
  #failed: unknown = null;
  #soon: NodeJS.Timeout | undefined;

  private constructor(
    handle: fs.FileHandle,
    file: string,
    methods: readonly SignMethod[],
    whenFull: WhenFull | null,
  ) {
    this.#handle = handle;
    this.#file = file;
    this.#methods = methods;
    this.#whenFull = whenFull;
    this.#hasher = new Hasher(methods);
  }

  /**
   * Opens a file for writing, readable by its owner only; it is made where it is absent. Its content counts only
   * after `resume`. A symbolic link in its place is refused: it would lead the bytes elsewhere.
   * @throws OtaError OTA_FILE, OTA_DISK_FULL (as every method)
   */
  static async open(
    file: string,
    methods: readonly SignMethod[],
    whenFull: WhenFull | null = null,
  ): Promise<HashingFileWriter> {
    const flags = fs.constants.O_RDWR | fs.constants.O_CREAT | fs.constants.O_NOFOLLOW;
    const handle = await fs.open(file, flags, 0o600).catch(rethrow);
    return new HashingFileWriter(handle, file, methods, whenFull);
  }

  /** The same for a file that must not be there yet. @throws OtaError OTA_FILE where it is */
  static async create(file: string, methods: readonly SignMethod[]): Promise<HashingFileWriter> {
    const { O_RDWR, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
    const handle = await fs.open(file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600).catch(rethrow);
    return new HashingFileWriter(handle, file, methods, null);
  }

  /** Bytes taken so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes what the file holds as the beginning: read once, to hash it. */
  async resume(signal: AbortSignal): Promise<void> {
    const buffer = Buffer.allocUnsafe(BATCH_BYTES);
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.length, this.#bytes).catch(rethrow);
      if (bytesRead === 0) break;
      this.#hasher.update(buffer.subarray(0, bytesRead));
      this.#bytes += bytesRead;
    }
    this.#written = this.#bytes;
  }

  /** Begins again from nothing. */
  async restart(): Promise<void> {
    await this.flush();
    await this.#handle.truncate(0).catch(rethrow);
    this.#hasher = new Hasher(this.#methods);
    this.#bytes = 0;
    this.#written = 0;
  }

  /**
   * Takes a piece, which must not be changed afterwards.
   * @returns null; or, where the disk is a batch behind, what to wait for before the next piece
   */
  take(chunk: Uint8Array): Promise<void> | null {
    this.#check();
    this.#hasher.update(chunk);
    this.#bytes += chunk.length;
    this.#batch.push(chunk);
    this.#batchBytes += chunk.length;
    if (this.#batchBytes < BATCH_BYTES) {
      this.#soon ??= setTimeout(() => this.#writeSoon(), LONGEST_IN_MEMORY_MS);
      return null;
    }
    if (this.#writing !== null) return this.#writing;
    this.#start();
    return null;
  }

  /** Takes a piece, and waits where `take` says so. */
  async write(chunk: Uint8Array): Promise<void> {
    await this.take(chunk);
    this.#check();
  }

  /** Waits until all that was taken is written. */
  async flush(): Promise<void> {
    await this.#drain();
    this.#check();
  }

  /** Bytes that were taken before, from the disk. */
  async readBack(position: number, length: number): Promise<Buffer> {
    await this.flush();
    const buffer = Buffer.allocUnsafe(length);
    let at = 0;
    while (at < length) {
      const { bytesRead } = await this.#handle.read(buffer, at, length - at, position + at).catch(rethrow);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    return buffer.subarray(0, at);
  }

  /** Gives the file another name; it stays open. */
  async moveTo(file: string): Promise<void> {
    await fs.rename(this.#file, file).catch(rethrow);
    this.#file = file;
  }

  digests(): Digests {
    return this.#hasher.digests();
  }

  /** Puts the file, whole and on the disk, under its final name. Closes it. */
  async commit(finalFile: string): Promise<void> {
    await this.flush();
    await this.#handle.sync().catch(rethrow);
    await this.close();
    await fs.rename(this.#file, finalFile).catch(rethrow);
    await syncDirectory(path.dirname(finalFile));
  }

  /** Closes the file as it is; what was taken is written first, as far as that is possible. */
  async close(): Promise<void> {
    await this.#drain();
    await this.#handle.close();
  }

  async #drain(): Promise<void> {
    for (;;) {
      if (this.#writing === null && this.#batchBytes > 0) this.#start();
      if (this.#writing === null) return;
      await this.#writing;
    }
  }

  /** One write at a time; what comes meanwhile is the next. */
  #start(): void {
    clearTimeout(this.#soon);
    this.#soon = undefined;
    const batch = this.#batch;
    const position = this.#written;
    this.#written += this.#batchBytes;
    this.#batch = [];
    this.#batchBytes = 0;
    this.#writing = writeAll(this.#handle, batch, position, this.#whenFull)
      .catch((error: unknown) => {
        this.#failed ??= error;
        this.#batch = [];
        this.#batchBytes = 0;
      })
      .then(() => {
        this.#writing = null;
        if (this.#batchBytes >= BATCH_BYTES) this.#start();
      });
  }

  /** What comes slowly: a process that is killed must not lose what took long to get. */
  #writeSoon(): void {
    this.#soon = undefined;
    if (this.#writing === null && this.#batchBytes > 0) this.#start();
  }

  #check(): void {
    if (this.#failed !== null) throw fileError(this.#failed);
  }
}

/** writev may write less than it was given (a disk that fills up). */
async function writeAll(
  handle: fs.FileHandle,
  batch: Uint8Array[],
  position: number,
  whenFull: WhenFull | null,
): Promise<void> {
  let rest = batch;
  let at = position;
  while (rest.length > 0) {
    let bytesWritten: number;
    try {
      ({ bytesWritten } = await handle.writev(rest, at));
    } catch (error) {
      if (!isDiskFull(error) || whenFull === null || !(await whenFull())) throw error;
      continue;
    }
    at += bytesWritten;
    rest = after(rest, bytesWritten);
  }
}

/** What of a batch is left after its first bytes. */
function after(batch: Uint8Array[], bytes: number): Uint8Array[] {
  let skip = bytes;
  const rest: Uint8Array[] = [];
  for (const chunk of batch) {
    if (skip < chunk.length) rest.push(chunk.subarray(skip));
    skip = Math.max(0, skip - chunk.length);
  }
  return rest;
}

function rethrow(error: unknown): never {
  throw fileError(error);
}

/**
 * A state that is kept in a file of its own. Owns the order of the writes: one at a time, and what changes during
 * one goes out with the next, so that any number of changes costs a flush or two. Never throws: a disk that can't
 * be written is told once, and what depends on it goes on in memory.
 */
import { type OtaError, toOtaError } from '../protocol';
import { loadJsonFile, setAside, writeFileDurably } from './atomic-file';

/** How long a disk that couldn't be written is left alone where nothing changes. */
const RETRY_MS = 30_000;

interface Pending {
  readonly promise: Promise<boolean>;
  readonly resolve: (written: boolean) => void;
}

export class StateFile {
  readonly #file: string;
  readonly #contents: () => string | null;
  readonly #onFault: (error: OtaError) => void;
  #next: Pending | null = null;
  #running: Promise<boolean> | null = null;
  #failed = false;
  #last: string | null | undefined;
  #retry: NodeJS.Timeout | null = null;

  /** @param contents the text of the file, as the state is now; null removes the file */
  constructor(file: string, contents: () => string | null, onFault: (error: OtaError) => void) {
    this.#file = file;
    this.#contents = contents;
    this.#onFault = onFault;
  }

  /**
   * Reads the file. Where it is damaged, or `read` says that not all of it could be read, it is set aside and told.
   * To be called once, before the first `save`.
   */
  load<T>(read: (value: unknown) => { state: T; whole: boolean }, empty: T): T {
    const { value, damaged } = loadJsonFile(this.#file);
    if (damaged !== null) this.#onFault(damaged);
    if (value === null) {
      if (damaged === null) this.#last = null;
      return empty;
    }
    const { state, whole } = read(value);
    if (!whole) {
      this.#onFault(setAside(this.#file, new Error('Not all of it could be read.')));
      void this.save();
    }
    return state;
  }

  /** Resolves when the state as it is now lies on disk (file and folder flushed); with false where it can't. */
  save(): Promise<boolean> {
    this.#next ??= pending();
    const { promise } = this.#next;
    this.#running ??= this.#run();
    return promise;
  }

  /** Resolves when nothing is left to write. */
  async settled(): Promise<boolean> {
    if (this.#next !== null) return this.#next.promise;
    return this.#running ?? !this.#failed;
  }

  /** Ends the retries; what was handed to `save` is still written. */
  close(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  async #run(): Promise<boolean> {
    let written = true;
    // Not at once: what else changes in this turn goes out with the same write.
    await Promise.resolve();
    for (;;) {
      const request = this.#next;
      if (request === null) break;
      this.#next = null;
      written = await this.#write();
      request.resolve(written);
    }
    this.#running = null;
    return written;
  }

  async #write(): Promise<boolean> {
    try {
      const text = this.#contents();
      if (text === this.#last) return true;
      this.#last = undefined;
      await writeFileDurably(this.#file, text);
      this.#last = text;
      this.#failed = false;
      return true;
    } catch (error) {
      if (!this.#failed) this.#onFault(toOtaError(error, 'OTA_FILE'));
      this.#failed = true;
      this.close();
      this.#retry = setTimeout(() => void this.save(), RETRY_MS);
      this.#retry.unref();
      return false;
    }
  }
}

function pending(): Pending {
  let resolve: (written: boolean) => void = () => undefined;
  const promise = new Promise<boolean>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

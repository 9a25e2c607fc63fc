/**
 * The verification of packages, whole: takes upgrades, checks what can be checked beforehand, lets few work at
 * once, shares one download among those who want the same. Owns the folder's order; knows nothing of Node-RED.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import path from 'node:path';
import { isUint8Array } from 'node:util/types';
import { field, isObject, OtaError, toOtaError } from '../../protocol';
import { download, type DownloadRules, type OnBytes } from '../transfer/download';
import { checkUrl } from '../transfer/hosts';
import { Queue } from '../transfer/queue';
import { fullJitter } from '../transfer/retry';
import { type CheckRules, type Expectation, readExpectation } from './expectation';
import { keepNewest, partialName, sweepPartials } from './folder';
import { verifyBuffer, verifyFile } from './local';
import { type Stored, storedOf, wantedContent } from './stored';

export type Source = 'url' | 'file' | 'buffer';

export interface VerifierOptions extends CheckRules, Omit<DownloadRules, 'backoff'> {
  readonly source: Source;
  /** Where a relative `filename` begins; the directory of the process by default. */
  readonly workingDirectory?: string;
  /** The node: part of the names of half-done files, the same after a restart. */
  readonly owner: string;
  /** Downloads at once. */
  readonly concurrency: number;
  /** Verified files of each module that stay. */
  readonly keep: number;
  /** Milliseconds before the nth retry; full jitter by default. */
  readonly backoff?: (retry: number) => number;
  /** Something about the folder that changes no answer: an old file that can't be removed. */
  readonly onFault: (error: OtaError) => void;
}

export interface VerifyRequest {
  /** An upgrade as ota-push gives it. */
  readonly upgrade: unknown;
  /** For source `file`. */
  readonly filename?: unknown;
  /** For source `buffer`. */
  readonly content?: unknown;
  /** What the device runs, for the rollback guard. */
  readonly currentVersion?: unknown;
  /** Called once it is known what the package must be. */
  readonly onExpected?: (expected: Expectation) => void;
  readonly onBytes: OnBytes;
}

export interface Verified extends Stored {
  readonly expected: Expectation;
  /** From the first request to the verified file. */
  readonly seconds: number;
}

/** Messages that may wait or share at most: a platform that repeats itself must not fill the memory. */
const MAX_PENDING = 1000;
const CLOSE_LIMIT_MS = 1000;

interface Job {
  readonly result: Promise<Stored & { seconds: number }>;
  readonly listeners: Set<OnBytes>;
}

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #rules: DownloadRules & { readonly owner: string };
  readonly #queue: Queue;
  readonly #stop = new AbortController();
  /** Downloads by what they are for. */
  readonly #shared = new Map<string, Job>();
  readonly #running = new Set<Promise<unknown>>();
  readonly #partials = new Set<string>();
  #sweeping: Promise<void>;
  #pending = 0;

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#rules = { ...options, backoff: options.backoff ?? fullJitter };
    this.#queue = new Queue(options.concurrency);
    // Each download listens: more than ten are no leak.
    setMaxListeners(0, this.#stop.signal);
    this.#sweeping = this.#sweep();
  }

  /**
   * Downloads or reads a package and verifies it. Settles for every request, also when it is closed.
   * @throws OtaError OTA_BAD_INPUT for a request that couldn't be worked on at all; any other code for a
   * package that failed (see failureStep)
   */
  async verify(request: VerifyRequest): Promise<Verified> {
    const { upgrade, currentVersion } = request;
    if (!isObject(upgrade)) {
      throw new OtaError('OTA_BAD_INPUT', 'msg.payload must be an upgrade, as an ota-push node gives it.');
    }
    const input = this.#readInput(request);
    this.#stop.signal.throwIfAborted();
    const expected = readExpectation(upgrade, currentVersion, this.#options);
    if (this.#pending >= MAX_PENDING) {
      throw new OtaError(
        'OTA_QUEUE_FULL',
        `${MAX_PENDING} packages are waiting already: this one was left out.`,
      );
    }
    request.onExpected?.(expected);
    this.#pending += 1;
    try {
      return { ...(await this.#join(input, expected, request.onBytes)), expected };
    } finally {
      this.#pending -= 1;
    }
  }

  /** Aborts everything within a second; what can be gone on with stays on the disk. */
  async close(): Promise<void> {
    this.#stop.abort(
      new OtaError('OTA_CLOSED', 'The node was closed; the next message for the package goes on from here.'),
    );
    const limit = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_LIMIT_MS).unref());
    await Promise.race([Promise.allSettled([...this.#running, this.#sweeping]), limit]);
  }

  #readInput(request: VerifyRequest): Input {
    switch (this.#options.source) {
      case 'url': {
        const url = isObject(request.upgrade) ? field(request.upgrade, 'url') : undefined;
        if (typeof url !== 'string' || url === '') {
          throw new OtaError('OTA_BAD_INPUT', 'The upgrade in msg.payload has no "url" to download from.');
        }
        return { source: 'url', url: checkUrl(url, this.#rules) };
      }
      case 'file': {
        const { filename } = request;
        if (typeof filename !== 'string' || filename === '') {
          throw new OtaError('OTA_BAD_INPUT', 'msg.filename must name the file to verify.');
        }
        return { source: 'file', filename: path.resolve(this.#options.workingDirectory ?? '', filename) };
      }
      case 'buffer': {
        const { content } = request;
        // Not instanceof: one that a function node made is of another world.
        if (!isUint8Array(content)) {
          throw new OtaError('OTA_BAD_INPUT', 'msg.content must be a Buffer with the package to verify.');
        }
        return { source: 'buffer', content };
      }
    }
  }

  /** Takes part in a download of the same package that waits or runs; else begins one. */
  async #join(input: Input, expected: Expectation, onBytes: OnBytes): Promise<Stored & { seconds: number }> {
    if (input.source !== 'url') return this.#begin(input, expected, new Set([onBytes])).result;
    const key = JSON.stringify([input.url.href, expected]);
    let job = this.#shared.get(key);
    if (job === undefined) {
      job = this.#begin(input, expected, new Set());
      this.#shared.set(key, job);
      const forget = (): void => void this.#shared.delete(key);
      job.result.then(forget, forget);
    }
    job.listeners.add(onBytes);
    return job.result;
  }

  #begin(input: Input, expected: Expectation, listeners: Set<OnBytes>): Job {
    const onBytes: OnBytes = (bytes, total) => {
      for (const listener of listeners) listener(bytes, total);
    };
    const partial = this.#partialFor(input, expected);
    const result = this.#queue.add(partial, async () => {
      await this.#swept();
      this.#stop.signal.throwIfAborted();
      const started = performance.now();
      this.#partials.add(partial);
      try {
        const stored = await this.#work(input, expected, partial, onBytes);
        await this.#tidy(stored);
        return { ...stored, seconds: Math.round(performance.now() - started) / 1000 };
      } finally {
        this.#partials.delete(partial);
        await this.#sweepAgain();
      }
    });
    this.#running.add(result);
    const forget = (): void => void this.#running.delete(result);
    result.then(forget, forget);
    return { result, listeners };
  }

  /** The file that a job writes to: two jobs with the same one never work at once. */
  #partialFor(input: Input, expected: Expectation): string {
    const { owner } = this.#rules;
    if (input.source === 'url') return partialName(expected, input.url.href, owner);
    // Of its own: what is half done here is never gone on with.
    return partialName({ ...expected, sign: '', signedSha256: '' }, randomUUID(), owner);
  }

  async #work(input: Input, expected: Expectation, partial: string, onBytes: OnBytes): Promise<Stored> {
    const stop = this.#stop.signal;
    switch (input.source) {
      case 'url':
        return storedOf(
          expected,
          await download(input.url, wantedContent(expected), partial, this.#rules, stop, onBytes),
        );
      case 'file':
        return verifyFile(input.filename, expected, this.#rules.maxBytes, stop, onBytes);
      case 'buffer':
        return verifyBuffer(input.content, expected, partial, this.#rules, stop, onBytes);
    }
  }

  /** The newest verified files of the module stay, older ones go. */
  async #tidy(stored: Stored): Promise<void> {
    if (this.#options.source === 'file') return;
    const { directory, keep } = this.#options;
    try {
      await keepNewest(directory, path.basename(stored.filename), keep);
    } catch (error) {
      this.#options.onFault(toOtaError(error, 'OTA_FILE'));
    }
  }

  /** No job begins while files are swept: one of them could be what it goes on with. */
  async #swept(): Promise<void> {
    for (let seen: Promise<void> | null = null; seen !== this.#sweeping;) {
      seen = this.#sweeping;
      await seen;
    }
  }

  #sweepAgain(): Promise<void> {
    this.#sweeping = this.#sweeping.then(() => this.#sweep());
    return this.#sweeping;
  }

  async #sweep(): Promise<void> {
    if (this.#options.source === 'file') return;
    try {
      await sweepPartials(this.#rules.directory, this.#rules.owner, this.#partials);
    } catch (error) {
      this.#options.onFault(toOtaError(error, 'OTA_FILE'));
    }
  }
}

type Input =
  | { readonly source: 'url'; readonly url: URL }
  | { readonly source: 'file'; readonly filename: string }
  | { readonly source: 'buffer'; readonly content: Uint8Array };

/**
 * The verification of packages, whole: takes upgrades, checks what can be checked beforehand, lets few work at
 * once, shares one download among those who want the same. Owns the folder's order; knows nothing of Node-RED.
 */
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isUint8Array } from 'node:util/types';
import { field, isObject, OtaError, toOtaError } from '../../protocol';
import { download, type DownloadRules, type OnBytes } from '../transfer/download';
import { checkUrl, refuseLocalName } from '../transfer/hosts';
import { Queue } from '../transfer/queue';
import { fullJitter } from '../transfer/retry';
import {
  type CheckRules,
  type Expectation,
  isContentKnown,
  knownDigest,
  readExpectation,
} from './expectation';
import { finalName, partialName, sweepPartials } from './folder';
import { isDamaged, verifyBuffer, verifyFile } from './local';
import {
  type FileInWork,
  keepNewest,
  makeRoom,
  protectPartial,
  removeOne,
  roomFault,
  type RoomOptions,
} from './room';
import { type Stored, storedOf, wantedContent } from './stored';
import { FileUses } from './uses';

export type Source = 'url' | 'file' | 'buffer';

export interface VerifierOptions
  extends CheckRules, Omit<DownloadRules, 'backoff' | 'room' | 'whenFull' | 'onFault'> {
  readonly source: Source;
  /** Where a relative `filename` begins; the directory of the process by default. */
  readonly workingDirectory?: string;
  /** The node: part of the names of half-done files, the same after a restart. */
  readonly owner: string;
  /** Downloads at once. */
  readonly concurrency: number;
  /** Verified files of each module that stay, for each device. */
  readonly keep: number;
  /** Upgrades whose files must stay, whatever their number; none by default. */
  readonly inWork?: () => readonly FileInWork[];
  /** Where it is kept which device uses which file; memory only by default. */
  readonly usesFile?: string;
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
  /** Whose upgrade it is: `keep` counts for each device. */
  readonly accessToken?: unknown;
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
  /** Who wants the file. */
  readonly tokens: Set<string>;
}

export class Verifier {
  readonly #options: VerifierOptions;
  readonly #rules: DownloadRules & { readonly owner: string };
  readonly #queue: Queue;
  readonly #stop = new AbortController();
  /** Downloads by what they are for. */
  readonly #shared = new Map<string, Job>();
  readonly #uses: FileUses;
  readonly #running = new Set<Promise<unknown>>();
  readonly #partials = new Set<string>();
  #sweeping: Promise<void>;
  #pending = 0;

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#uses = FileUses.open(options.usesFile ?? null, options.onFault);
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
      return { ...(await this.#join(input, expected, request)), expected };
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
        if (isPushForMqtt(request.upgrade, url)) throw noUrl();
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
  async #join(
    input: Input,
    expected: Expectation,
    { onBytes, accessToken }: VerifyRequest,
  ): Promise<Stored & { seconds: number }> {
    const token = typeof accessToken === 'string' ? accessToken : '';
    if (input.source !== 'url') {
      return this.#begin(input, expected, new Set([onBytes]), new Set([token])).result;
    }
    const key = JSON.stringify([input.url.href, expected]);
    let job = this.#shared.get(key);
    if (job === undefined) {
      job = this.#begin(input, expected, new Set(), new Set());
      this.#shared.set(key, job);
      const forget = (): void => void this.#shared.delete(key);
      job.result.then(forget, forget);
    }
    job.listeners.add(onBytes);
    job.tokens.add(token);
    return job.result;
  }

  #begin(input: Input, expected: Expectation, listeners: Set<OnBytes>, tokens: Set<string>): Job {
    const onBytes: OnBytes = (bytes, total) => {
      for (const listener of listeners) listener(bytes, total);
    };
    const partial = this.#partialFor(input, expected);
    const result = this.#queue.add(partial, async () => {
      await this.#swept();
      this.#stop.signal.throwIfAborted();
      const started = performance.now();
      this.#partials.add(partial);
      const unprotect = protectPartial(this.#rules.directory, partial);
      try {
        const stored = await this.#work(input, expected, partial, onBytes);
        await this.#tidy(stored, tokens);
        return { ...stored, seconds: Math.round(performance.now() - started) / 1000 };
      } finally {
        this.#partials.delete(partial);
        unprotect();
        await this.#sweepAgain();
      }
    });
    this.#running.add(result);
    const forget = (): void => void this.#running.delete(result);
    result.then(forget, forget);
    return { result, listeners, tokens };
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
    const rules: DownloadRules & Required<Pick<DownloadRules, 'room' | 'whenFull'>> = {
      ...this.#rules,
      room: (bytes) => makeRoom(this.#room, partial, bytes),
      whenFull: () => removeOne(this.#room, partial),
      onFault: this.#options.onFault,
    };
    switch (input.source) {
      case 'url': {
        const here = await this.#findVerified(input.url, expected, onBytes);
        if (here !== null) return here;
        return storedOf(
          expected,
          await download(input.url, wantedContent(expected), partial, rules, stop, onBytes),
        );
      }
      case 'file':
        return verifyFile(input.filename, expected, this.#rules.maxBytes, stop, onBytes);
      case 'buffer':
        return verifyBuffer(input.content, expected, partial, rules, stop, onBytes);
    }
  }

  /**
   * The package where it lies in the folder already: checked again, and taken away where it is damaged. Its name
   * tells module, version and digest. A whole one stays whatever else is wrong: another upgrade may need it.
   * @throws OtaError where the file is whole but not what this upgrade says (its size), or can't be read now
   */
  async #findVerified(url: URL, expected: Expectation, onBytes: OnBytes): Promise<Stored | null> {
    if (!isContentKnown(expected)) return null;
    const { directory, maxBytes } = this.#rules;
    const filename = path.join(directory, finalName(expected, knownDigest(expected)));
    const found = await fs.lstat(filename).catch(() => null);
    if (found === null) return null;
    // What would refuse the download refuses the file, too.
    await refuseLocalName(url, this.#rules);
    try {
      if (found.isFile()) return await verifyFile(filename, expected, maxBytes, this.#stop.signal, onBytes);
    } catch (error) {
      this.#stop.signal.throwIfAborted();
      if (!(await isDamaged(filename, expected, error, this.#stop.signal))) throw error;
      this.#options.onFault(
        new OtaError('OTA_FILE', 'A verified file was damaged on the disk, and is fetched again.', {
          cause: error,
        }),
      );
    }
    await fs.rm(filename, { force: true, recursive: true });
    return null;
  }

  get #room(): RoomOptions {
    const { directory, keep, inWork } = this.#options;
    return { directory, keep, uses: this.#uses, inWork: inWork ?? (() => []) };
  }

  /** The newest verified files of each device and module stay, older ones go. */
  async #tidy(stored: Stored, tokens: ReadonlySet<string>): Promise<void> {
    if (this.#options.source === 'file') return;
    const name = path.basename(stored.filename);
    try {
      for (const token of tokens) this.#uses.note(name, token);
      await keepNewest(this.#room, name);
      this.#uses.save(await fs.readdir(this.#options.directory));
    } catch (error) {
      this.#options.onFault(roomFault(error));
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
      await sweepPartials(this.#rules.directory, this.#rules.owner, this.#partials, this.#room.inWork);
    } catch (error) {
      this.#options.onFault(toOtaError(error, 'OTA_FILE'));
    }
  }
}

type Input =
  | { readonly source: 'url'; readonly url: URL }
  | { readonly source: 'file'; readonly filename: string }
  | { readonly source: 'buffer'; readonly content: Uint8Array };

/** A push of a platform that sends the package itself over MQTT: there is nothing to download. */
function isPushForMqtt(upgrade: unknown, url: unknown): boolean {
  if (url !== undefined && url !== null && url !== '') return false;
  const version = isObject(upgrade) ? field(upgrade, 'version') : undefined;
  return typeof version === 'string' && version !== '';
}

function noUrl(): OtaError {
  return new OtaError(
    'OTA_NO_URL',
    'The upgrade has no address to download from: the platform must push one, not a package over MQTT.',
  );
}

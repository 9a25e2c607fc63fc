/**
 * One download, from its first request to the verified file: tries again, goes on where it stopped, gives up.
 * Its file has the final name when it is complete, verified and on the disk, and not before.
 */
import path from 'node:path';
import { OtaError, toOtaError, type OtaCode } from '../../protocol';
import { rangeHeaders, readAnswer, type Have } from './answers';
import { consume } from './consume';
import { type Digests, tooLarge, type WantedContent, wrongSize } from './content';
import { checkFreeSpace, makeDirectory } from './files';
import { bodyError, httpGet, type HttpRules, TransferFault } from './http';
import { HashingFileWriter } from './hashing-file-writer';
import { readSidecar, removePartial, type Sidecar, sidecarName, writeSidecar } from './partial';
import { Watch } from './watch';

export interface DownloadRules extends HttpRules {
  readonly directory: string;
  /** Tries after the first, in a row without getting further. */
  readonly retries: number;
  readonly stallMs: number;
  readonly totalMs: number;
  readonly maxBytes: number;
  /** Milliseconds before the nth retry (from 1). */
  readonly backoff: (retry: number) => number;
}

export interface Downloaded {
  readonly filename: string;
  readonly bytes: number;
  /** Of the methods that were wanted. */
  readonly digests: Digests;
}

export type OnBytes = (bytes: number, total: number | null) => void;

/** Half a minute of pauses on the average: a server or a line that is gone for ten seconds is outlasted. */
export const DEFAULT_RETRIES = 7;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 30_000;
/** A try that brought this much further isn't counted: a large package on a bad line needs many. */
const GAIN_BYTES = 1024 * 1024;
const UNKNOWN: Sidecar = { etag: null, lastModified: null, total: null };
/** After these, what is on the disk is of no use to another try, or is what fills the disk. */
const USELESS: ReadonlySet<OtaCode> = new Set<OtaCode>([
  'OTA_DIGEST_MISMATCH',
  'OTA_SIZE_MISMATCH',
  'OTA_SIZE_LIMIT',
  'OTA_BAD_ENCODING',
  'OTA_DISK_FULL',
  'OTA_FILE',
  'OTA_INTERNAL',
]);

/** Anything between nothing and 0.5, 1, 2… 30 s: a fleet that was cut off together doesn't come back as one. */
export function fullJitter(retry: number, random: () => number = Math.random): number {
  return random() * Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(retry - 1, 10));
}

/**
 * Downloads a file that is what was wanted.
 * @param url checked by checkUrl
 * @param partial the name of the half-done file in the folder: two downloads at once never have the same
 * @param stop aborts it; its reason is thrown. What can be gone on with stays on the disk.
 * @throws OtaError
 */
export async function download(
  url: URL,
  wanted: WantedContent,
  partial: string,
  rules: DownloadRules,
  stop: AbortSignal,
  onBytes: OnBytes,
): Promise<Downloaded> {
  stop.throwIfAborted();
  await makeDirectory(rules.directory);
  const file = path.join(rules.directory, partial);
  const writer = await HashingFileWriter.open(file, wanted.methods);
  const watch = new Watch(stop, rules);
  const run = new Download(url, wanted, rules, { file, writer, watch, onBytes });
  try {
    return await run.run();
  } catch (error) {
    const reason = error instanceof TransferFault ? error.error : toOtaError(error);
    await run.leave(reason);
    throw reason;
  } finally {
    watch.end();
  }
}

interface Parts {
  readonly file: string;
  readonly writer: HashingFileWriter;
  readonly watch: Watch;
  readonly onBytes: OnBytes;
}

class Download {
  readonly #url: URL;
  readonly #wanted: WantedContent;
  readonly #rules: DownloadRules;
  readonly #parts: Parts;
  /** Which file at the server the bytes on disk are part of. */
  #source: Sidecar = UNKNOWN;
  /** A description lies beside the file: another run can go on with it. */
  #described = false;
  /** The bytes come from more than one answer. */
  #joined = false;
  #doubted = false;

  constructor(url: URL, wanted: WantedContent, rules: DownloadRules, parts: Parts) {
    this.#url = url;
    this.#wanted = wanted;
    this.#rules = rules;
    this.#parts = parts;
  }

  async run(): Promise<Downloaded> {
    await this.#findEarlier();
    await this.#tryUntilVerified();
    const { writer, file } = this.#parts;
    const { bytes } = writer;
    const digests = writer.digests();
    const filename = path.join(this.#rules.directory, this.#wanted.fileName(digests));
    await writer.commit(filename);
    await removePartial(file);
    return { filename, bytes, digests };
  }

  /** After a failure: keeps what another run can go on with. */
  async leave(reason: OtaError): Promise<void> {
    const { writer, file } = this.#parts;
    try {
      await writer.close();
      const useful = this.#described && writer.bytes > 0 && !USELESS.has(reason.code);
      if (!useful) await removePartial(file);
    } catch {
      // The reason of the failure is what counts; the next sweep removes what lies about.
    }
  }

  /** What a run before us left, where its digest will tell whether it was any good. */
  async #findEarlier(): Promise<void> {
    const { writer, file, watch } = this.#parts;
    const sidecar = this.#wanted.isKnown ? await readSidecar(sidecarName(file)) : null;
    if (sidecar === null) return writer.restart();
    this.#described = true;
    this.#source = sidecar;
    await writer.resume(watch.signal);
    const total = this.#total;
    if (total !== null && writer.bytes > total) await this.#restart();
    this.#joined = writer.bytes > 0;
  }

  async #tryUntilVerified(): Promise<void> {
    const { writer } = this.#parts;
    let furthest = writer.bytes;
    for (let retry = 1; ; retry += 1) {
      try {
        await this.#fetch();
        this.#checkAll();
        return;
      } catch (error) {
        if (!(error instanceof TransferFault)) throw error;
        if (writer.bytes >= furthest + GAIN_BYTES) {
          furthest = writer.bytes;
          retry = 1;
        }
        if (error.fromZero) await this.#restart();
        if (retry > this.#rules.retries || error.final) throw givenUp(error, retry);
        await this.#waitBefore(retry, error);
      }
    }
  }

  async #waitBefore(retry: number, fault: TransferFault): Promise<void> {
    const { watch } = this.#parts;
    const asked = fault.retryAfter ?? 0;
    // Waiting for what comes after the end would only delay the answer.
    if (asked > watch.left) throw fault;
    await watch.wait(Math.max(asked, this.#rules.backoff(retry)));
  }

  /** One request, its body written to the file. */
  async #fetch(): Promise<void> {
    const { writer, watch } = this.#parts;
    if (writer.bytes > 0 && writer.bytes === this.#total) return;
    if (writer.bytes > 0 && !this.#mayJoin()) await this.#restart();
    const request = watch.request((why) => new TransferFault(new OtaError('OTA_STALLED', why)));
    try {
      const have = this.#have();
      const answer = await httpGet(this.#url, rangeHeaders(have), this.#rules, request.signal);
      try {
        request.answered();
        const plan = readAnswer(answer, have);
        await this.#accept(plan.from, plan.source);
        await consume(answer.body, (chunk) => {
          request.got(chunk.length);
          return this.#take(chunk);
        });
      } finally {
        answer.body.destroy();
      }
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      throw error instanceof TransferFault || error instanceof OtaError ? error : bodyError(error);
    } finally {
      request.end();
    }
    await writer.flush();
  }

  async #accept(from: number, source: Sidecar): Promise<void> {
    const { file } = this.#parts;
    if (from === 0) await this.#restart();
    else this.#joined = true;
    const same = this.#described && isSameSource(source, this.#source);
    this.#source = source;
    const total = this.#total;
    if (total !== null) await checkFreeSpace(this.#rules.directory, total - from);
    // A kill while it is written again would cost the part beside it.
    if (this.#wanted.isKnown && !same) {
      await writeSidecar(sidecarName(file), source);
      this.#described = true;
    }
  }

  #take(chunk: Buffer): Promise<void> | null {
    const { writer, onBytes } = this.#parts;
    const total = this.#total;
    const bytes = writer.bytes + chunk.length;
    if (total !== null && bytes > total) throw wrongSize(`more than ${total}`, total);
    if (bytes > this.#rules.maxBytes) throw tooLarge(null, this.#rules.maxBytes);
    const wait = writer.take(chunk);
    onBytes(bytes, total);
    return wait;
  }

  #checkAll(): void {
    const { writer } = this.#parts;
    const total = this.#total;
    // Also where the server ended the body properly: it may be another server behind the same name.
    if (total !== null && writer.bytes < total) throw new TransferFault(wrongSize(writer.bytes, total));
    // Nothing at all is a cut too, where neither a size nor a digest says so.
    if (writer.bytes === 0 && !this.#wanted.isKnown) throw new TransferFault(nothingCame());
    try {
      this.#wanted.check(writer.digests());
    } catch (error) {
      if (!this.#joined || this.#doubted || !(error instanceof OtaError)) throw error;
      // The parts may be of two files, or a power cut spoilt the first: once, all of it from one answer.
      this.#doubted = true;
      throw new TransferFault(error, { fromZero: true });
    }
  }

  /** Without a digest only a strong ETag proves that two parts belong together. */
  #mayJoin(): boolean {
    return this.#wanted.isKnown || this.#source.etag !== null;
  }

  async #restart(): Promise<void> {
    await this.#parts.writer.restart();
    this.#joined = false;
    this.#source = UNKNOWN;
  }

  #have(): Have {
    return {
      bytes: this.#parts.writer.bytes,
      source: this.#source,
      size: this.#wanted.size,
      maxBytes: this.#rules.maxBytes,
      contentKnown: this.#wanted.isKnown,
    };
  }

  /** Bytes of the whole file, where the upgrade or the server told. */
  get #total(): number | null {
    return this.#wanted.size ?? this.#source.total;
  }
}

function isSameSource(a: Sidecar, b: Sidecar): boolean {
  return a.etag === b.etag && a.lastModified === b.lastModified && a.total === b.total;
}

function nothingCame(): OtaError {
  return new OtaError('OTA_DOWNLOAD_FAILED', 'The server sent a file without a single byte.');
}

function givenUp(fault: TransferFault, tries: number): OtaError {
  const { code, message } = fault.error;
  return tries === 1 ? fault.error : new OtaError(code, `${message} Tried ${tries} times.`);
}

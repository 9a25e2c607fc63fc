/**
 * One download, from its first request to the verified file: tries again, goes on where it stopped, gives up.
 * Its file has the final name when it is complete, verified and on the disk, and not before.
 */
import path from 'node:path';
import { OtaError, toOtaError, type OtaCode } from '../../protocol';
import type { Have, Plan } from './answers';
import { ask } from './ask';
import { consume } from './consume';
import { type Digests, tooLarge, type WantedContent, wrongSize } from './content';
import { type Doubt, TransferFault } from './fault';
import { checkFreeSpace, makeDirectory } from './files';
import { HashingFileWriter, type WhenFull } from './hashing-file-writer';
import type { HttpAnswer, HttpRules } from './http';
import { bodyError } from './http-errors';
import {
  otherName,
  readSidecar,
  removePartial,
  type Sidecar,
  sidecarName,
  UNKNOWN,
  writeSidecar,
} from './partial';
import { consumeReplay, Replay } from './replay';
import { gainBytes, waitBefore } from './retry';
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
  /** Makes room for so many bytes. @throws OtaError OTA_DISK_FULL; by default it only looks */
  readonly room?: (bytes: number) => Promise<void>;
  /** Takes something away where the disk is full though there was room. */
  readonly whenFull?: WhenFull;
  /** Something that changes no answer. */
  readonly onFault?: (error: OtaError) => void;
}

export interface Downloaded {
  readonly filename: string;
  readonly bytes: number;
  /** Of the methods that were wanted. */
  readonly digests: Digests;
}

export type OnBytes = (bytes: number, total: number | null) => void;

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
  const writer = await HashingFileWriter.open(file, wanted.methods, rules.whenFull);
  const watch = new Watch(stop, rules);
  const run = new Download(url, wanted, rules, { file, watch, onBytes }, writer);
  try {
    return await run.run();
  } catch (error) {
    const isPassing = error instanceof TransferFault;
    const reason = isPassing ? error.error : toOtaError(error);
    await run.leave(isPassing || !USELESS.has(reason.code));
    throw reason;
  } finally {
    watch.end();
  }
}

interface Parts {
  readonly file: string;
  readonly watch: Watch;
  readonly onBytes: OnBytes;
}

class Download {
  readonly #url: URL;
  readonly #wanted: WantedContent;
  readonly #rules: DownloadRules;
  readonly #parts: Parts;
  #writer: HashingFileWriter;
  /** Which file at the server the bytes on disk are part of. */
  #source: Sidecar = UNKNOWN;
  /** A description lies beside the file: another run can go on with it. */
  #described = false;
  /** The bytes come from more than one answer. */
  #joined = false;
  readonly #doubts = new Set<Doubt>();

  constructor(
    url: URL,
    wanted: WantedContent,
    rules: DownloadRules,
    parts: Parts,
    writer: HashingFileWriter,
  ) {
    this.#url = url;
    this.#wanted = wanted;
    this.#rules = rules;
    this.#parts = parts;
    this.#writer = writer;
  }

  async run(): Promise<Downloaded> {
    await this.#findEarlier();
    await this.#tryUntilVerified();
    const { bytes } = this.#writer;
    const digests = this.#writer.digests();
    const filename = path.join(this.#rules.directory, this.#wanted.fileName(digests));
    await this.#writer.commit(filename);
    await removePartial(this.#parts.file);
    return { filename, bytes, digests };
  }

  /** After a failure. @param keep where another run can go on with what is here */
  async leave(keep: boolean): Promise<void> {
    try {
      await this.#writer.close();
      if (!(keep && this.#described && this.#writer.bytes > 0)) await removePartial(this.#parts.file);
    } catch {
      // The reason of the failure is what counts; the next sweep removes what lies about.
    }
  }

  /** What a run before us left, where its digest will tell whether it was any good. */
  async #findEarlier(): Promise<void> {
    const { file, watch } = this.#parts;
    const onDamaged = this.#rules.onFault ?? ((): void => {});
    const sidecar = this.#wanted.isKnown ? await readSidecar(sidecarName(file), onDamaged) : null;
    if (sidecar === null) return this.#writer.restart();
    this.#described = true;
    this.#source = sidecar;
    await this.#writer.resume(watch.signal);
    const total = this.#total;
    if (total !== null && this.#writer.bytes > total) await this.#restart();
    this.#joined = this.#writer.bytes > 0;
  }

  async #tryUntilVerified(): Promise<void> {
    let furthest = this.#writer.bytes;
    for (let retry = 1; ; retry += 1) {
      try {
        await this.#fetch();
        this.#checkAll();
        return;
      } catch (error) {
        if (!(error instanceof TransferFault)) throw error;
        if (this.#writer.bytes >= furthest + gainBytes(this.#total)) {
          furthest = this.#writer.bytes;
          retry = 1;
        }
        if (error.fromZero) await this.#restart();
        if (error.doubt !== null) {
          // It happens once, and what comes after it gains as much as the first time.
          this.#doubts.add(error.doubt);
          furthest = 0;
        }
        if (retry > this.#rules.retries || error.final) throw givenUp(error, retry);
        await this.#waitBefore(retry, error);
      }
    }
  }

  async #waitBefore(retry: number, fault: TransferFault): Promise<void> {
    const { watch } = this.#parts;
    // Waiting for what comes after the end would only delay the answer.
    if ((fault.retryAfter ?? 0) > Math.max(0, watch.left)) throw fault;
    await watch.wait(waitBefore(this.#rules.backoff(retry), fault.retryAfter));
  }

  /** One request, its body written to the file. */
  async #fetch(): Promise<void> {
    const { watch } = this.#parts;
    if (this.#writer.bytes > 0 && this.#writer.bytes === this.#total) return;
    if (this.#writer.bytes > 0 && !this.#mayJoin()) await this.#restart();
    const request = watch.request((why) => new TransferFault(new OtaError('OTA_STALLED', why)));
    try {
      const have = this.#have();
      const { answer, plan } = await ask(this.#url, have, this.#rules, request.signal);
      try {
        request.answered();
        const isReplay = plan.from === 0 && have.bytes > 0 && this.#wanted.isKnown;
        const got = (chunk: Buffer): void => request.got(chunk.length);
        if (isReplay) await this.#replay(answer, plan, got);
        else await this.#append(answer, plan, got);
      } finally {
        answer.body.destroy();
      }
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      throw error instanceof TransferFault || error instanceof OtaError ? error : bodyError(error);
    } finally {
      request.end();
    }
    await this.#writer.flush();
  }

  /**
   * The body goes on where the file ends. It is read at once, and its first piece waits for the disk: what waited in
   * the connection would go with it where it is cut.
   */
  async #append(answer: HttpAnswer, plan: Plan, got: (chunk: Buffer) => void): Promise<void> {
    let isReady = false;
    const ready = this.#prepareAppend(plan).then(() => {
      isReady = true;
    });
    ready.catch(() => answer.body.destroy());
    const take = (chunk: Buffer): Promise<void> | null => {
      const total = this.#total;
      this.#checkLimits(this.#writer.bytes + chunk.length, total);
      const wait = this.#writer.take(chunk);
      this.#parts.onBytes(this.#writer.bytes, total);
      return wait;
    };
    try {
      await consume(answer.body, (chunk) => {
        got(chunk);
        return isReady ? take(chunk) : ready.then(() => take(chunk) ?? undefined);
      });
    } finally {
      await ready;
    }
  }

  async #prepareAppend(plan: Plan): Promise<void> {
    if (plan.from === 0) await this.#restart();
    else this.#joined = true;
    await this.#describe(plan.source);
    const total = this.#total;
    if (total !== null) await this.#room(total - plan.from);
  }

  /** The body is the whole file, of which a part is here. It is read at once, as above. */
  async #replay(answer: HttpAnswer, plan: Plan, got: (chunk: Buffer) => void): Promise<void> {
    const held = this.#writer;
    const total = this.#wanted.size ?? plan.source.total;
    const prepared = this.#prepareReplay(held, total);
    prepared.catch(() => answer.body.destroy());
    const onBytes = (replay: Replay, bytes: number): void => {
      this.#checkLimits(bytes, total);
      this.#parts.onBytes(replay.writer.bytes, total);
    };
    try {
      await consumeReplay(answer.body, prepared, onBytes, got);
    } finally {
      const replay = await prepared;
      this.#writer = replay.writer;
      if (!replay.isBehind) this.#joined = false;
      await replay.discard();
      if (this.#writer !== held) await this.#describe(plan.source);
    }
  }

  async #prepareReplay(held: HashingFileWriter, total: number | null): Promise<Replay> {
    const { file } = this.#parts;
    await this.#describe({ ...UNKNOWN, total: this.#source.total });
    if (total !== null) await this.#room(total - held.bytes);
    return new Replay({
      held,
      heldFile: file,
      otherFile: otherName(file),
      openOther: async (bytes) => {
        await this.#room(bytes);
        return HashingFileWriter.open(otherName(file), this.#wanted.methods, this.#rules.whenFull);
      },
    });
  }

  #checkLimits(bytes: number, total: number | null): void {
    if (total !== null && bytes > total) throw wrongSize(`more than ${total}`, total);
    if (bytes > this.#rules.maxBytes) throw tooLarge(null, this.#rules.maxBytes);
  }

  async #room(bytes: number): Promise<void> {
    await (this.#rules.room?.(bytes) ?? checkFreeSpace(this.#rules.directory, bytes));
  }

  async #describe(source: Sidecar): Promise<void> {
    const isSame = this.#described && isSameSource(source, this.#source);
    this.#source = source;
    // A kill while it is written again would cost the part beside it.
    if (isSame || !this.#wanted.isKnown) return;
    await writeSidecar(sidecarName(this.#parts.file), source);
    this.#described = true;
  }

  #checkAll(): void {
    const { bytes } = this.#writer;
    const total = this.#total;
    // Also where the server ended the body properly: it may be another server behind the same name.
    if (total !== null && bytes < total) throw new TransferFault(wrongSize(bytes, total));
    // Nothing at all is a cut too, where neither a size nor a digest says so.
    if (bytes === 0 && !this.#wanted.isKnown) throw new TransferFault(nothingCame());
    try {
      this.#wanted.check(this.#writer.digests());
    } catch (error) {
      if (!this.#joined || this.#doubts.has('parts') || !(error instanceof OtaError)) throw error;
      // The parts may be of two files, or a power cut spoilt the first: once, all of it from one answer.
      throw new TransferFault(error, { fromZero: true, doubt: 'parts' });
    }
  }

  /** Without a digest only a strong ETag proves that two parts belong together. */
  #mayJoin(): boolean {
    return this.#wanted.isKnown || this.#source.etag !== null;
  }

  async #restart(): Promise<void> {
    await this.#writer.restart();
    this.#joined = false;
    this.#source = UNKNOWN;
  }

  #have(): Have {
    return {
      bytes: this.#writer.bytes,
      source: this.#source,
      size: this.#wanted.size,
      maxBytes: this.#rules.maxBytes,
      contentKnown: this.#wanted.isKnown,
      believesEtags: !this.#doubts.has('etag'),
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

function givenUp(fault: TransferFault, tries: number): TransferFault {
  const { code, message } = fault.error;
  return tries === 1 ? fault : new TransferFault(new OtaError(code, `${message} Tried ${tries} times.`));
}

/**
 * A whole answer that comes while a part of the file is here already (a server that knows no ranges, another
 * edge of a CDN, or the page of a captive portal). Its bytes are compared with the part: while they are the
 * same nothing is written. From the first other byte on they go to a second file, and that one takes the place
 * of the part when it holds more. So nothing is lost to an answer that turns out to be of no use.
 */
import fs from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { OtaError, toOtaError } from '../../protocol';
import { consume } from './consume';
import type { HashingFileWriter } from './hashing-file-writer';
import { TransferFault } from './fault';

export interface ReplayFiles {
  /** Holds the part. */
  readonly held: HashingFileWriter;
  readonly heldFile: string;
  /** Where the second file lies meanwhile. */
  readonly otherFile: string;
  /** Opens the second file; `bytes` is the room that it needs. */
  readonly openOther: (bytes: number) => Promise<HashingFileWriter>;
}

export class Replay {
  readonly #files: ReplayFiles;
  readonly #heldBytes: number;
  #compared = 0;
  #other: HashingFileWriter | null = null;
  #writer: HashingFileWriter;

  constructor(files: ReplayFiles) {
    this.#files = files;
    this.#heldBytes = files.held.bytes;
    this.#writer = files.held;
  }

  /** Where the file grows now: the part, or what took its place. */
  get writer(): HashingFileWriter {
    return this.#writer;
  }

  /** Bytes of this answer so far. */
  get bytes(): number {
    if (this.#other !== null) return this.#other.bytes;
    return this.#compared < this.#heldBytes ? this.#compared : this.#writer.bytes;
  }

  /** True as long as the answer brought nothing that wasn't here. */
  get isBehind(): boolean {
    return this.#writer === this.#files.held && (this.#other !== null || this.#compared < this.#heldBytes);
  }

  /** Takes the next bytes of the answer. */
  async take(chunk: Buffer): Promise<void> {
    let rest = chunk;
    if (this.#other === null && this.#compared < this.#heldBytes) {
      const length = Math.min(rest.length, this.#heldBytes - this.#compared);
      const here = await this.#files.held.readBack(this.#compared, length);
      if (here.equals(rest.subarray(0, length))) {
        this.#compared += length;
        rest = rest.subarray(length);
      } else {
        await this.#beginOther();
      }
    }
    if (rest.length === 0) return;
    if (this.#other === null) return this.#writer.write(rest);
    await this.#other.write(rest);
    if (this.#writer !== this.#other && this.#other.bytes > this.#heldBytes) await this.#replace(this.#other);
  }

  /** To be called at the end of the answer, whatever it was. @throws TransferFault where it was of no use */
  async end(): Promise<void> {
    if (!(await this.discard())) return;
    throw new TransferFault(
      new OtaError('OTA_DOWNLOAD_FAILED', 'The server sent something else than the file that had begun.'),
    );
  }

  /** Takes a second file away that didn't take the part's place. @returns whether there was one */
  async discard(): Promise<boolean> {
    const other = this.#other;
    if (other === null || other === this.#writer) return false;
    this.#other = null;
    await other.close();
    await fs.rm(this.#files.otherFile, { force: true });
    return true;
  }

  /** What was the same so far is the beginning of the second file, too. */
  async #beginOther(): Promise<void> {
    const { held, openOther } = this.#files;
    const other = await openOther(this.#heldBytes);
    this.#other = other;
    await other.restart();
    const step = 1024 * 1024;
    for (let at = 0; at < this.#compared; at += step) {
      await other.write(await held.readBack(at, Math.min(step, this.#compared - at)));
    }
  }

  async #replace(other: HashingFileWriter): Promise<void> {
    const { held, heldFile } = this.#files;
    await held.close();
    await other.moveTo(heldFile);
    this.#writer = other;
  }
}

/**
 * Takes the body of an answer.
 * @param prepared what takes it, once the disk is ready
 * @param onBytes called with the bytes of the answer before each piece is taken; what it throws ends the answer,
 * and is a passing fault as long as the answer brought nothing new
 */
export async function consumeReplay(
  body: Readable,
  prepared: Promise<Replay>,
  onBytes: (replay: Replay, bytes: number) => void,
  got: (chunk: Buffer) => void,
): Promise<void> {
  const take = async (chunk: Buffer): Promise<void> => {
    const replay = await prepared;
    try {
      onBytes(replay, replay.bytes + chunk.length);
    } catch (error) {
      throw replay.isBehind ? new TransferFault(toOtaError(error)) : error;
    }
    await replay.take(chunk);
  };
  // In order, whatever comes meanwhile; the stream may end before its last piece was taken.
  let taken = Promise.resolve();
  try {
    await consume(body, (chunk) => {
      got(chunk);
      return (taken = taken.then(() => take(chunk)));
    });
  } finally {
    await taken.catch(() => {
      // It is thrown below, or an earlier failure was.
    });
  }
  await taken;
  await (await prepared).end();
}

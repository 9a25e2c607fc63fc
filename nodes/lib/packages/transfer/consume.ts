/**
 * A stream read to its end, as its pieces came: no promise for each, and no copy of large ones. (`for await` joins
 * what is waiting into one Buffer first.) Small pieces that came with one read are joined: a server that sends
 * chunks of one byte would else have all work on a piece done a hundred thousand times for each read.
 *
 * Pieces that come while an earlier one is worked on wait here, not in the stream: a connection that is cut takes
 * what waits in the stream with it, and a line that cuts often would never bring anything.
 */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** Pieces of at least so many bytes aren't joined. */
const LARGE_BYTES = 4096;
/** Pieces that are joined at most. */
const MOST_PIECES = 1024;
/** With so many bytes waiting the stream is paused. */
const MOST_WAITING_BYTES = 256 * 1024;

/**
 * Resolves when all was taken. Rejects with the stream's error, once what came before it was taken, or with what
 * `take` threw: the stream is then destroyed.
 * @param take returns what to wait for before the next piece, or null
 */
export async function consume(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | null,
): Promise<void> {
  const failures: unknown[] = [];
  const pieces: Buffer[] = [];
  let waitingBytes = 0;
  /** The piece that is being worked on. */
  let busy: Promise<void> | null = null;

  const fail = (reason: unknown): void => {
    failures.push(reason);
    pieces.length = 0;
    stream.destroy();
  };
  const next = (): Buffer => {
    const large = pieces.findIndex(({ length }) => length >= LARGE_BYTES);
    const small = Math.min(large === -1 ? pieces.length : large, MOST_PIECES);
    const part = pieces.splice(0, Math.max(1, small));
    const chunk = part.length === 1 && part[0] !== undefined ? part[0] : Buffer.concat(part);
    waitingBytes -= chunk.length;
    return chunk;
  };
  const handOver = (): void => {
    while (busy === null && pieces.length > 0) {
      try {
        const wait = take(next());
        if (wait === null) continue;
        busy = wait.catch(fail).then(() => {
          busy = null;
          handOver();
          if (waitingBytes < MOST_WAITING_BYTES) stream.resume();
        });
      } catch (error) {
        fail(error);
      }
    }
  };
  const allTaken = async (): Promise<void> => {
    handOver();
    while (busy !== null) await busy;
  };

  stream.on('data', (chunk: Buffer) => {
    if (failures.length > 0) return;
    pieces.push(chunk);
    waitingBytes += chunk.length;
    if (waitingBytes >= MOST_WAITING_BYTES && busy !== null) stream.pause();
    if (chunk.length >= LARGE_BYTES || pieces.length >= MOST_PIECES) handOver();
    // Behind all that came with the same read.
    else if (pieces.length === 1) process.nextTick(handOver);
  });
  try {
    await finished(stream, { writable: false });
  } catch (error) {
    await allTaken();
    throw failures[0] ?? error;
  }
  await allTaken();
  if (failures.length > 0) throw failures[0];
}

/**
 * A stream read to its end, as its pieces came: no promise for each, and no copy of large ones. (`for await` joins
 * what is waiting into one Buffer first.) Small pieces that came with one read are joined: a server that sends
 * chunks of one byte would else have all work on a piece done a hundred thousand times for each read.
 */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/** Pieces of at least so many bytes aren't joined. */
const LARGE_BYTES = 4096;
/** Pieces that are joined at most. */
const MOST_PIECES = 1024;

/**
 * Resolves when all was taken. Rejects with the stream's error, or with what `take` threw: the stream is then
 * destroyed.
 * @param take returns what to wait for before the next piece, or null
 */
export async function consume(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | null,
): Promise<void> {
  const failures: unknown[] = [];
  let pieces: Buffer[] = [];
  const fail = (reason: unknown): void => {
    failures.push(reason);
    stream.destroy();
  };
  const handOver = (): Promise<void> | null => {
    const [first] = pieces;
    if (first === undefined || failures.length > 0) return null;
    const chunk = pieces.length === 1 ? first : Buffer.concat(pieces);
    pieces = [];
    try {
      return take(chunk);
    } catch (error) {
      fail(error);
      return null;
    }
  };
  const handOverInTurn = (): void => {
    const wait = handOver();
    if (wait === null) return;
    stream.pause();
    wait.then(() => stream.resume(), fail);
  };
  stream.on('data', (chunk: Buffer) => {
    if (failures.length > 0) return;
    pieces.push(chunk);
    if (chunk.length >= LARGE_BYTES || pieces.length >= MOST_PIECES) handOverInTurn();
    // Behind all that came with the same read.
    else if (pieces.length === 1) process.nextTick(handOverInTurn);
  });
  try {
    await finished(stream, { writable: false });
    await handOver();
  } catch (error) {
    void handOver()?.catch(fail);
    throw failures[0] ?? error;
  }
  if (failures.length > 0) throw failures[0];
}

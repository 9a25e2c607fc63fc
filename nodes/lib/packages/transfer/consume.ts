/**
 * A stream read to its end, piece by piece, as the pieces came: no promise and no copy for each. (`for await`
 * joins what is waiting into one Buffer first.)
 */
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';

/**
 * Resolves when all was taken. Rejects with the stream's error, or with what `take` threw: the stream is then
 * destroyed.
 * @param take returns what to wait for before the next piece, or null
 */
export async function consume(
  stream: Readable,
  take: (chunk: Buffer) => Promise<void> | null,
): Promise<void> {
  let failure: { readonly reason: unknown } | null = null;
  const fail = (reason: unknown): void => {
    failure ??= { reason };
    stream.destroy();
  };
  stream.on('data', (chunk: Buffer) => {
    if (failure !== null) return;
    try {
      const wait = take(chunk);
      if (wait === null) return;
      stream.pause();
      wait.then(() => stream.resume(), fail);
    } catch (error) {
      fail(error);
    }
  });
  try {
    await finished(stream, { writable: false });
  } catch (error) {
    throw (failure as { reason: unknown } | null)?.reason ?? error;
  }
}

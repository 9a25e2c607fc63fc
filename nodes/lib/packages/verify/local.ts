/** Packages that are here already: a file that stays where it is, a Buffer that is written to the folder. */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { OtaError, toOtaError } from '../../protocol';
import { tooLarge, wrongSize } from '../transfer/content';
import type { OnBytes } from '../transfer/download';
import { fileError, makeDirectory } from '../transfer/files';
import { Hasher } from '../transfer/hasher';
import { BATCH_BYTES, HashingFileWriter, type WhenFull } from '../transfer/hashing-file-writer';
import { removePartial } from '../transfer/partial';
import { checkDigests, type Expectation, methodsOf } from './expectation';
import { finalName } from './folder';
import type { Stored } from './stored';

/** To open a named pipe for reading would wait for its writer, for ever where none comes. */
const READ_WITHOUT_WAITING = constants.O_RDONLY | constants.O_NONBLOCK;

interface LocalRules {
  readonly directory: string;
  readonly maxBytes: number;
  readonly room: (bytes: number) => Promise<void>;
  readonly whenFull: WhenFull;
}

/** Hashes a file and compares. @throws OtaError */
export async function verifyFile(
  filename: string,
  expected: Expectation,
  maxBytes: number,
  stop: AbortSignal,
  onBytes: OnBytes,
): Promise<Stored> {
  const handle = await fs.open(filename, READ_WITHOUT_WAITING).catch(asFileError);
  try {
    const stat = await handle.stat().catch(asFileError);
    if (!stat.isFile()) throw new OtaError('OTA_FILE', 'The file of msg.filename is no ordinary file.');
    const total = checkLength(stat.size, expected, maxBytes);
    const hasher = new Hasher(methodsOf(expected));
    const buffer = Buffer.allocUnsafe(BATCH_BYTES);
    let bytes = 0;
    for (;;) {
      stop.throwIfAborted();
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, bytes).catch(asFileError);
      if (bytesRead === 0) break;
      hasher.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
      // It grows while it is read.
      if (bytes > total) throw wrongSize(`more than ${total}`, total);
      onBytes(bytes, total);
    }
    if (bytes !== total) throw wrongSize(bytes, total);
    const digests = hasher.digests();
    checkDigests(expected, digests);
    return { filename, bytes, digest: digests.get(expected.method) ?? '' };
  } finally {
    await handle.close();
  }
}

/**
 * Why a file in the folder couldn't be verified: true where its content isn't that of the digest in its name, where
 * the disk can't give it, or where it has gone; false where it is whole, and something else was wrong.
 * @param error what `verifyFile` threw
 * @throws the reason of `stop`
 */
export async function isDamaged(
  filename: string,
  expected: Expectation,
  error: unknown,
  stop: AbortSignal,
): Promise<boolean> {
  const { code, cause } = toOtaError(error);
  if (code === 'OTA_FILE') {
    return ['EIO', 'ENOENT'].includes((cause as NodeJS.ErrnoException | undefined)?.code ?? '');
  }
  const ownDigest = { ...expected, size: null, ...(expected.sign === '' ? {} : { signedSha256: '' }) };
  // Without a limit: of a file that is too large only its digest tells whether it was damaged, or the limit lowered.
  const reason: unknown = await verifyFile(filename, ownDigest, Infinity, stop, () => undefined).then(
    () => null,
    (thrown: unknown) => thrown,
  );
  stop.throwIfAborted();
  return reason !== null && toOtaError(reason).code === 'OTA_DIGEST_MISMATCH';
}

/** Writes a Buffer to the folder as `partial`, hashed in the same pass, then names it. @throws OtaError */
export async function verifyBuffer(
  content: Uint8Array,
  expected: Expectation,
  partial: string,
  rules: LocalRules,
  stop: AbortSignal,
  onBytes: OnBytes,
): Promise<Stored> {
  const total = checkLength(content.length, expected, rules.maxBytes);
  await makeDirectory(rules.directory);
  await rules.room(total);
  const file = path.join(rules.directory, partial);
  const writer = await HashingFileWriter.open(file, methodsOf(expected), rules.whenFull);
  try {
    for (let at = 0; at < total; at += BATCH_BYTES) {
      stop.throwIfAborted();
      await writer.write(content.subarray(at, at + BATCH_BYTES));
      await writer.flush();
      onBytes(writer.bytes, total);
    }
    const digests = writer.digests();
    checkDigests(expected, digests);
    const digest = digests.get(expected.method) ?? '';
    const filename = path.join(rules.directory, finalName(expected, digest));
    await writer.commit(filename);
    return { filename, bytes: total, digest };
  } catch (error) {
    await writer.close();
    await removePartial(file);
    throw toOtaError(error);
  }
}

function checkLength(bytes: number, expected: Expectation, maxBytes: number): number {
  if (expected.size !== null && bytes !== expected.size) throw wrongSize(bytes, expected.size);
  if (bytes > maxBytes) throw tooLarge(bytes, maxBytes);
  return bytes;
}

function asFileError(error: unknown): never {
  throw fileError(error, 'The file of msg.filename');
}

/** The package of this benchmark: one random-looking MiB again and again, the same in every process. */
import { createCipheriv, createHash } from 'node:crypto';
import { HASH_NAME, type SignMethod } from '../../../nodes/lib/protocol';

export const MIB = 1024 * 1024;

export function block(): Buffer {
  return createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(MIB));
}

/** The digest of `mebibytes` of it, lower-case hex. */
export function digestOf(mebibytes: number, method: SignMethod): string {
  const hash = createHash(HASH_NAME[method]);
  const piece = block();
  for (let done = 0; done < mebibytes; done += 1) hash.update(piece);
  return hash.digest('hex');
}

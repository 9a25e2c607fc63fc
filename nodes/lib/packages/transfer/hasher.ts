/** All the digests of one stream of bytes, in one pass. */
import { createHash } from 'node:crypto';
import { HASH_NAME, type SignMethod } from '../../protocol';
import type { Digests } from './content';

export class Hasher {
  readonly #hashes;

  constructor(methods: readonly SignMethod[]) {
    this.#hashes = methods.map((method) => ({ method, hash: createHash(HASH_NAME[method]) }));
  }

  update(chunk: Uint8Array): void {
    for (const { hash } of this.#hashes) hash.update(chunk);
  }

  /** Of what came so far, lower-case hex; more may come. */
  digests(): Digests {
    return new Map(this.#hashes.map(({ method, hash }) => [method, hash.copy().digest('hex')]));
  }
}

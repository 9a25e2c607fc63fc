/**
 * What a file that is transferred must be, as far as a transfer needs to know. Pure. Knows nothing of upgrades,
 * signatures or versions: who wants the file compares it and names it.
 */
import { OtaError, type SignMethod } from '../../protocol';

/** Lower-case hex of each method. */
export type Digests = ReadonlyMap<SignMethod, string>;

export interface WantedContent {
  /** Bytes; null where nobody said. */
  readonly size: number | null;
  /** The digests that `check` and `fileName` need. */
  readonly methods: readonly SignMethod[];
  /** True where `check` compares a digest: then pieces of different answers may be put together. */
  readonly isKnown: boolean;
  /** @throws OtaError OTA_DIGEST_MISMATCH */
  check(digests: Digests): void;
  /** The name of the complete file in its folder. */
  fileName(digests: Digests): string;
}

/** @returns OTA_SIZE_LIMIT for a package that says, or turns out, to be larger than the node takes. */
export function tooLarge(bytes: number | null, maxBytes: number): OtaError {
  const has = bytes === null ? 'more bytes than' : `${bytes} bytes, more than`;
  return new OtaError('OTA_SIZE_LIMIT', `The package has ${has} the node takes ("maxBytes" ${maxBytes}).`);
}

/** @returns OTA_SIZE_MISMATCH; `found` is what came or was announced. */
export function wrongSize(found: number | string, expected: number): OtaError {
  return new OtaError('OTA_SIZE_MISMATCH', `The package has ${found} bytes, not ${expected} as announced.`);
}

/** A verified file, and what a download is told to fetch one. Pure. */
import type { WantedContent } from '../transfer/content';
import type { Downloaded } from '../transfer/download';
import { checkDigests, type Expectation, isContentKnown, methodsOf } from './expectation';
import { finalName } from './folder';

export interface Stored {
  readonly filename: string;
  readonly bytes: number;
  /** Of the expectation's method, lower-case hex. */
  readonly digest: string;
}

/** An upgrade's package as a download knows it. */
export function wantedContent(expected: Expectation): WantedContent {
  return {
    size: expected.size,
    methods: methodsOf(expected),
    isKnown: isContentKnown(expected),
    check: (digests) => checkDigests(expected, digests),
    fileName: (digests) => finalName(expected, digests.get(expected.method) ?? ''),
  };
}

export function storedOf(expected: Expectation, { filename, bytes, digests }: Downloaded): Stored {
  return { filename, bytes, digest: digests.get(expected.method) ?? '' };
}

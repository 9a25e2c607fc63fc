/** A failure of a transfer that another try may cure. */
import type { OtaError } from '../../protocol';

/** What isn't believed any more: that the server's ETags tell its files apart, or that the parts here fit together. */
export type Doubt = 'etag' | 'parts';

export class TransferFault extends Error {
  readonly error: OtaError;
  /** Milliseconds that the server asked to wait, or null. */
  readonly retryAfter: number | null;
  /** The next try begins at the first byte. */
  readonly fromZero: boolean;
  /** The next try begins at the first byte for this reason: once in a run for each. */
  readonly doubt: Doubt | null;
  /** The server will say the same again to this run. */
  readonly final: boolean;

  constructor(
    error: OtaError,
    how: { retryAfter?: number | null; fromZero?: boolean; doubt?: Doubt | null; final?: boolean } = {},
  ) {
    super(error.message);
    this.error = error;
    this.retryAfter = how.retryAfter ?? null;
    this.fromZero = how.fromZero ?? false;
    this.doubt = how.doubt ?? null;
    this.final = how.final ?? false;
  }
}

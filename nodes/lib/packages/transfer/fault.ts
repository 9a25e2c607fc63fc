/** A failure of a transfer that another try may cure. */
import type { OtaError } from '../../protocol';

export class TransferFault extends Error {
  readonly error: OtaError;
  /** Milliseconds that the server asked to wait, or null. */
  readonly retryAfter: number | null;
  /** The next try begins at the first byte. */
  readonly fromZero: boolean;
  /** The server will say the same again to this run. */
  readonly final: boolean;

  constructor(
    error: OtaError,
    how: { retryAfter?: number | null; fromZero?: boolean; final?: boolean } = {},
  ) {
    super(error.message);
    this.error = error;
    this.retryAfter = how.retryAfter ?? null;
    this.fromZero = how.fromZero ?? false;
    this.final = how.final ?? false;
  }
}

/**
 * Errors of a request and of a body, in words of ours. Must never keep the original: axios puts the URL with its
 * password into it.
 */
import { isTlsCode, OtaError } from '../../protocol';
import { TransferFault } from './fault';

/** An error of a request, before its answer began. */
export function requestError(error: unknown): TransferFault | OtaError {
  for (let at = error; at instanceof Error; at = at.cause) {
    if (at instanceof OtaError || at instanceof TransferFault) return at;
  }
  const code = codeOf(error);
  // Raised before anything is sent: by our own certificate, key or passphrase.
  if (code.startsWith('ERR_OSSL_')) {
    return new OtaError(
      'OTA_TLS',
      `The certificate or key of the TLS configuration can't be used (${code}).`,
    );
  }
  if (!isTlsCode(code)) return bodyError(error);
  const refused = new OtaError('OTA_TLS', `The server's certificate or TLS was refused (${code}).`);
  // A gateway without a battery clock learns the time a little after it starts.
  return code === 'CERT_NOT_YET_VALID' ? new TransferFault(refused) : refused;
}

/** An error in the middle of a body. */
export function bodyError(error: unknown): TransferFault {
  const code = codeOf(error);
  const why = REASONS[code] ?? 'The connection failed';
  return new TransferFault(new OtaError('OTA_DOWNLOAD_FAILED', `${why} (${code}).`));
}

function codeOf(error: unknown): string {
  let code = 'unknown';
  for (let at = error; at instanceof Error; at = at.cause) {
    const own = (at as NodeJS.ErrnoException).code;
    if (typeof own === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(own)) code = own;
  }
  return code;
}

const REASONS: { readonly [code: string]: string } = {
  ECONNREFUSED: 'The server refuses the connection',
  ECONNRESET: 'The connection was cut',
  ECONNABORTED: 'The connection was cut',
  EPIPE: 'The connection was cut',
  ETIMEDOUT: "The server can't be reached in time",
  ENOTFOUND: "The server's name isn't known",
  EAI_AGAIN: "The server's name can't be looked up now",
  EHOSTUNREACH: "The server can't be reached",
  ENETUNREACH: "The network can't be reached",
};

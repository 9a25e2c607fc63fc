/** What the error codes of Node.js say of a connection that didn't come up, to a broker, a database or a download alike. Pure. */

const UNREACHABLE = new Set(
  'ECONNREFUSED ENOTFOUND EAI_AGAIN ETIMEDOUT EHOSTUNREACH ENETUNREACH EHOSTDOWN EADDRNOTAVAIL'.split(' '),
);
const TLS =
  /CERT|^CRL_|^ERR_(TLS|SSL|OSSL)_|^UNABLE_TO_|_SIGNATURE$|^HOSTNAME_MISMATCH$|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH|^EPROTO$/;

/** Nobody answers at that address, or it can't be found. */
export function isUnreachable(code: string): boolean {
  return UNREACHABLE.has(code);
}

/** No secure connection: certificates, names or versions of TLS don't fit. */
export function isTlsCode(code: string): boolean {
  return TLS.test(code);
}

/** What the error codes of Node.js say of a connection that didn't come up, to a broker and to a database alike. Pure. */

const UNREACHABLE = new Set(
  'ECONNREFUSED ENOTFOUND EAI_AGAIN ETIMEDOUT EHOSTUNREACH ENETUNREACH EHOSTDOWN EADDRNOTAVAIL'.split(' '),
);
const TLS =
  /^(CERT_|ERR_TLS|ERR_SSL|ERR_OSSL|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|EPROTO|INVALID_CA)/;

/** Nobody answers at that address, or it can't be found. */
export function isUnreachable(code: string): boolean {
  return UNREACHABLE.has(code);
}

/** No secure connection: certificates, names or versions of TLS don't fit. */
export function isTlsCode(code: string): boolean {
  return TLS.test(code);
}

import assert from 'node:assert/strict';
import { linkError } from '../../nodes/lib/link/state';

function failure(code: string | number | undefined, message = 'why'): Error {
  return Object.assign(new Error(message), code === undefined ? {} : { code });
}

describe('what ended a connection', () => {
  const cases: [unknown, 'before' | 'after', string][] = [
    [failure('ECONNREFUSED'), 'before', 'OTA_UNREACHABLE'],
    [failure('ENOTFOUND'), 'before', 'OTA_UNREACHABLE'],
    [new AggregateError([failure('ECONNREFUSED'), failure('ECONNREFUSED')]), 'before', 'OTA_UNREACHABLE'],
    [new AggregateError([]), 'before', 'OTA_UNREACHABLE'],
    [undefined, 'before', 'OTA_UNREACHABLE'],
    ['text', 'before', 'OTA_UNREACHABLE'],
    [undefined, 'after', 'OTA_CONNECTION_LOST'],
    [failure('ECONNRESET'), 'after', 'OTA_CONNECTION_LOST'],
    [failure(undefined, 'Keepalive timeout'), 'after', 'OTA_CONNECTION_LOST'],
    [failure(4), 'before', 'OTA_AUTH_REFUSED'],
    [failure(5), 'before', 'OTA_AUTH_REFUSED'],
    [failure(134), 'before', 'OTA_AUTH_REFUSED'],
    [failure(135), 'before', 'OTA_AUTH_REFUSED'],
    [failure(2), 'before', 'OTA_BROKER_REFUSED'],
    [failure(136), 'before', 'OTA_BROKER_REFUSED'],
    [failure(142), 'after', 'OTA_CLIENT_ID_TAKEN'],
    [failure(141), 'after', 'OTA_CONNECTION_LOST'],
    [failure(139), 'after', 'OTA_CONNECTION_LOST'],
    [failure('DEPTH_ZERO_SELF_SIGNED_CERT'), 'before', 'OTA_TLS'],
    [failure('CERT_HAS_EXPIRED'), 'before', 'OTA_TLS'],
    [failure('UNABLE_TO_VERIFY_LEAF_SIGNATURE'), 'before', 'OTA_TLS'],
    [failure('ERR_TLS_CERT_ALTNAME_INVALID'), 'before', 'OTA_TLS'],
    [failure('ERROR_IN_CERT_NOT_BEFORE_FIELD'), 'before', 'OTA_TLS'],
    [failure('INVALID_PURPOSE'), 'before', 'OTA_TLS'],
    [failure('ERR_SSL_WRONG_VERSION_NUMBER'), 'before', 'OTA_TLS'],
    [failure(undefined, 'TLS not authorized'), 'before', 'OTA_TLS'],
  ];
  for (const [cause, when, code] of cases) {
    const shown =
      cause instanceof Error ? `${cause.name} ${String((cause as { code?: unknown }).code)}` : cause;
    it(`is ${code} for ${String(shown)} ${when} it was connected`, () => {
      const error = linkError(cause, when === 'after');
      assert.equal(error.code, code);
      assert.equal(error.cause, cause);
      assert.match(error.message, /\.$/);
    });
  }

  it("is told with OpenSSL's reason, without its codes and files", () => {
    const line =
      '801C26CDFF7E0000:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required:../deps/openssl/rec_layer_s3.c:1601:SSL alert number 116\n';
    const { message } = linkError(failure('ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', line), false);
    assert.match(message, /\(tlsv13 alert certificate required\)\.$/);
  });
});

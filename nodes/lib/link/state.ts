/**
 * What state a link is in, and what the errors of mqtt.js, Node.js and brokers mean in our codes.
 * A table: nothing else reads their words.
 */
import { isTlsCode, isUnreachable, type OtaCode, OtaError } from '../protocol';

export type LinkPhase = 'idle' | 'connecting' | 'connected' | 'waiting';

/** `waiting`: not connected, the next try is planned; `error` says why. */
export interface LinkState {
  readonly phase: LinkPhase;
  readonly error: OtaError | null;
}

interface Cause {
  readonly code: OtaCode;
  readonly text: string;
}

const AUTH: Cause = {
  code: 'OTA_AUTH_REFUSED',
  text: 'The broker refused the login: check user name, password and client id in the broker node',
};
const REFUSED: Cause = { code: 'OTA_BROKER_REFUSED', text: 'The broker refused the connection' };
const TAKEN: Cause = {
  code: 'OTA_CLIENT_ID_TAKEN',
  text: 'Another client connected with the same client id: give each its own (ota-service, "Client id")',
};
const UNREACHABLE: Cause = {
  code: 'OTA_UNREACHABLE',
  text: 'The broker can not be reached: check host and port in the broker node, and that it runs',
};
const CERTIFICATE: Cause = {
  code: 'OTA_TLS',
  text: 'No secure connection to the broker: check the certificates in its TLS configuration',
};
const LOST: Cause = { code: 'OTA_CONNECTION_LOST', text: 'The connection to the broker was lost' };

/** Reason codes of CONNACK (3.1.1 and 5) and of DISCONNECT (5). */
const REASONS: ReadonlyMap<number, Cause> = new Map([
  [4, AUTH],
  [5, AUTH],
  [134, AUTH],
  [135, AUTH],
  [138, AUTH],
  [140, AUTH],
  [141, LOST],
  [142, TAKEN],
]);

/** OpenSSL's own line, of which a person wants the reason: `…:SSL routines:ssl3_read_bytes:<reason>:../deps…`. */
const OPENSSL = /^[0-9A-F]+:error:[^:]*:[^:]*:[^:]*:([^:]+):[^]*$/;

/** The meaning of an error that ended a connection or kept one from coming up. */
export function linkError(cause: unknown, wasConnected: boolean): OtaError {
  const { code, message } = describe(cause);
  const found = meaning(code, message, wasConnected);
  const detail = message === '' ? '' : ` (${message})`;
  return new OtaError(found.code, `${found.text}${detail}.`, { cause });
}

/** The error of a link whose id is used by another client. */
export function clientIdTaken(): OtaError {
  return new OtaError(TAKEN.code, `${TAKEN.text}. The broker closes this connection again and again.`);
}

function meaning(code: unknown, message: string, wasConnected: boolean): Cause {
  if (typeof code === 'number') return REASONS.get(code) ?? (wasConnected ? LOST : REFUSED);
  if (typeof code === 'string') {
    if (isUnreachable(code)) return UNREACHABLE;
    if (isTlsCode(code)) return CERTIFICATE;
  }
  if (/certificate|tls|ssl/i.test(message)) return CERTIFICATE;
  return wasConnected ? LOST : UNREACHABLE;
}

function describe(cause: unknown): { code: unknown; message: string } {
  if (cause instanceof AggregateError && cause.errors.length > 0) return describe(cause.errors[0]);
  if (cause instanceof Error) {
    return { code: (cause as { code?: unknown }).code, message: cause.message.replace(OPENSSL, '$1') };
  }
  return { code: undefined, message: '' };
}

/** What the errors of PostgreSQL, `pg` and the network mean in our codes, and what to do. A table; nothing else reads their words. */
import { isTlsCode, isUnreachable, type OtaCode, OtaError } from '../../../protocol';

interface Meaning {
  readonly code: OtaCode;
  readonly text: string;
}

const AUTH: Meaning = {
  code: 'OTA_STORE_AUTH',
  text: 'PostgreSQL refused the login: check user and password in the URL of the ota-store, and pg_hba.conf',
};
const UNREACHABLE: Meaning = {
  code: 'OTA_STORE_UNREACHABLE',
  text: 'PostgreSQL can not be reached: check host and port in the URL of the ota-store, and that it runs; it is tried again',
};
const TLS: Meaning = {
  code: 'OTA_STORE_TLS',
  text: 'No secure connection to PostgreSQL: check "sslmode" and "sslrootcert" in the URL of the ota-store, and "ssl" at the server',
};
const PLAIN: Meaning = {
  code: 'OTA_STORE_TLS',
  text: 'PostgreSQL takes this user by TLS only: add "?sslmode=verify-full&sslrootcert=…" to the URL of the ota-store; or it has no line for it in pg_hba.conf',
};
const RIGHTS: Meaning = {
  code: 'OTA_STORE_AUTH',
  text: 'The user of the ota-store may not do this in PostgreSQL: make it the owner of the schema (CREATE SCHEMA … AUTHORIZATION …), or grant it CREATE on the database',
};
const BUSY: Meaning = { code: 'OTA_STORE_BUSY', text: 'PostgreSQL is busy; it is tried again' };

/** By SQLSTATE. */
const STATES: Readonly<Record<string, Meaning>> = {
  '28000': AUTH,
  '28P01': AUTH,
  '3D000': {
    code: 'OTA_STORE_AUTH',
    text: 'PostgreSQL has no such database: create it (CREATE DATABASE …), or name another one in the URL of the ota-store',
  },
  '3F000': RIGHTS,
  '42501': RIGHTS,
  '25006': {
    code: 'OTA_STORE_FAILED',
    text: 'PostgreSQL takes no writes there (a standby, or set to read only): the URL of the ota-store must name the primary',
  },
  '53100': {
    code: 'OTA_DISK_FULL',
    text: 'The disk of PostgreSQL is full. Nothing is lost; it goes on when there is room',
  },
  '53300': {
    code: 'OTA_STORE_BUSY',
    text: 'PostgreSQL has no connection left: raise max_connections, or lower "Connections" in the ota-store',
  },
  '55P03': BUSY,
  '57014': BUSY,
};

/** A connection that was there broke, or a socket in the file system is gone. */
const BROKEN = new Set(['ECONNRESET', 'EPIPE', 'ENOENT']);
const LOST_TEXT =
  /connection (error|terminated|timeout|ended)|timeout exceeded when trying to connect|query read timeout|client was closed|client has encountered/i;

function describe(error: unknown): { code: string; message: string } {
  if (error instanceof AggregateError && error.errors.length > 0) return describe(error.errors[0]);
  if (!(error instanceof Error)) return { code: '', message: String(error) };
  const { code } = error as { code?: unknown };
  return { code: typeof code === 'string' ? code : '', message: error.message };
}

/** Another transaction came between: the same one, run again, may well go through. */
export function isConflict(error: unknown): boolean {
  const { code } = describe(error);
  // Deadlock, serialization; two that made the same row; a version that was changed meanwhile (see `save`); a plan
  // from before a migration.
  return ['40P01', '40001', '23505', '22012', '0A000'].includes(code);
}

/** The connection broke: nothing more is answered on it. */
export function isLost(error: unknown): boolean {
  if (error instanceof OtaError) return false;
  const { code, message } = describe(error);
  // 57P01 to 57P03: the server stops, crashed, or starts. 25P03: a transaction that stood still for too long.
  return (
    isUnreachable(code) ||
    BROKEN.has(code) ||
    /^(08|57P0|25P03)/.test(code) ||
    (code === '' && LOST_TEXT.test(message))
  );
}

export function storeError(error: unknown): OtaError {
  if (error instanceof OtaError) return error;
  const { code, message } = describe(error);
  const told = ({ code: own, text }: Meaning): OtaError =>
    new OtaError(own, `${text} (${message}).`, { cause: error });
  // pg_hba.conf has lines for TLS only.
  if (/pg_hba\.conf.*no encryption/.test(message)) return told(PLAIN);
  // A certificate that the URL names is no file, or may not be read.
  if ((error as { syscall?: unknown } | null)?.syscall === 'open') return told(TLS);
  const known = STATES[code];
  if (known !== undefined) return told(known);
  if (isTlsCode(code) || /certificate|\b(tls|ssl)\b/i.test(message)) return told(TLS);
  if (isLost(error)) return told(UNREACHABLE);
  // What it met says nothing to a person: "division by zero" is our own, see `save`.
  if (isConflict(error)) return new OtaError(BUSY.code, `${BUSY.text}.`, { cause: error });
  return new OtaError('OTA_STORE_FAILED', `PostgreSQL can not be used: ${message}.`, { cause: error });
}

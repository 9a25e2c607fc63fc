/**
 * One GET of a package: the request, its redirects, and what its answer says. The only file that knows axios.
 * Owns what leaves the machine (headers, credentials) and the texts of network errors; must never show a URL:
 * it may hold a password.
 */
import axios, { type AxiosResponse } from 'axios';
import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import type { Readable } from 'node:stream';
import type { TLSSocketOptions } from 'node:tls';
import { OtaError } from '../../protocol';
import { checkUrl, guardedLookup, type HostRules } from './hosts';
import { BATCH_BYTES } from './hashing-file-writer';

export interface HttpRules extends HostRules {
  readonly maxRedirects: number;
  /** Of other hosts that redirects lead to; as `allowLocal` where absent. */
  readonly allowLocalRedirects?: boolean;
  /** CA, client certificate… of a core tls-config node; asked for at each request. */
  readonly tls?: () => TlsOptions;
}

export type TlsOptions = Pick<
  TLSSocketOptions & https.AgentOptions,
  'ca' | 'cert' | 'key' | 'passphrase' | 'rejectUnauthorized' | 'servername' | 'ALPNProtocols'
>;

export interface HttpAnswer {
  readonly status: number;
  /** A header in lower case, or null. */
  header(name: string): string | null;
  /** Must be read or destroyed. */
  readonly body: Readable;
}

/** A failure that another try may cure. */
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

/** Most answers are short: a redirect, an error. */
const FIRST_READ_BYTES = 64 * 1024;
const LEAST_READ_BYTES = 256 * 1024;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);
/** A line with a long way (satellite, GPRS) needs more than Node's 250 ms to connect to one of several addresses. */
const CONNECT_ATTEMPT_MS = 3000;

/**
 * Asks for a package and follows redirects, each checked like the first address.
 * @param url checked by checkUrl; credentials in it are sent to its own host only
 * @param headers of every request, e.g. `Range`
 * @throws TransferFault where another try may help; OtaError where none will
 */
export async function httpGet(
  url: URL,
  headers: { readonly [name: string]: string },
  rules: HttpRules,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  const first = url;
  const elsewhere = { ...rules, allowLocal: rules.allowLocalRedirects ?? rules.allowLocal };
  let at = url;
  for (let redirects = 0; ; redirects += 1) {
    const isOwn = isSameHost(first, at);
    const answer = await request(at, headers, isOwn ? rules : elsewhere, isOwn, signal);
    if (!REDIRECTS.has(answer.status)) return answer;
    answer.body.destroy();
    if (redirects >= rules.maxRedirects) {
      throw new OtaError('OTA_REDIRECT', `The server redirects more than ${rules.maxRedirects} times.`);
    }
    at = redirected(at, answer, rules);
    if (!isSameHost(first, at)) checkUrl(at.href, elsewhere);
  }
}

function redirected(from: URL, answer: HttpAnswer, rules: HttpRules): URL {
  const location = answer.header('location');
  if (location === null) throw new OtaError('OTA_REDIRECT', 'The server redirects without saying where to.');
  const to = checkUrl(location, rules, from);
  if (from.protocol === 'https:' && to.protocol === 'http:') {
    throw new OtaError(
      'OTA_REDIRECT',
      `The server redirects from https to http (${to.hostname.slice(0, 40)}).`,
    );
  }
  if (to.username === '' && to.password === '' && mayCarryLogin(from, to)) {
    to.username = from.username;
    to.password = from.password;
  }
  return to;
}

/** A password goes on to the same origin, and from http to https of the same name. */
function mayCarryLogin(from: URL, to: URL): boolean {
  if (from.origin === to.origin) return true;
  const upgraded = from.protocol === 'http:' && to.protocol === 'https:';
  return upgraded && from.hostname === to.hostname && from.port === '' && to.port === '';
}

function isSameHost(a: URL, b: URL): boolean {
  return a.hostname === b.hostname;
}

async function request(
  url: URL,
  headers: { readonly [name: string]: string },
  rules: HttpRules,
  ownHost: boolean,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  signal.throwIfAborted();
  const connection = {
    keepAlive: false,
    lookup: guardedLookup(rules),
    highWaterMark: BATCH_BYTES,
    autoSelectFamilyAttemptTimeout: CONNECT_ATTEMPT_MS,
  };
  const secure = url.protocol === 'https:';
  const agent = secure
    ? { httpsAgent: new https.Agent({ ...connection, ...tlsFor(rules, ownHost) }) }
    : { httpAgent: new http.Agent({ ...connection, onread: largeReads() }) };
  let response: AxiosResponse<Readable>;
  try {
    response = await axios.request<Readable>({
      ...agent,
      url: url.href,
      method: 'GET',
      responseType: 'stream',
      headers: { 'User-Agent': 'node-red-ota', Accept: '*/*', 'Accept-Encoding': 'identity', ...headers },
      decompress: false,
      maxRedirects: 0,
      maxContentLength: -1,
      proxy: false,
      validateStatus: null,
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw requestError(error);
  }
  // Whoever reads the body gets its error; between reads nobody listens.
  response.data.on('error', () => {});
  return {
    status: response.status,
    body: response.data,
    header(name) {
      const value: unknown = response.headers[name];
      return typeof value === 'string' ? value : null;
    },
  };
}

/**
 * Reads of up to a megabyte, where Node takes 64 KiB at a time: a tenth of the processor time of a large download
 * and more. Not with TLS, whose records hold 16 KiB. No piece of memory is read into twice: Node's parser copies
 * the body out of it, but nothing promises that.
 */
function largeReads(): net.OnReadOpts {
  let free = Buffer.allocUnsafeSlow(FIRST_READ_BYTES);
  return {
    buffer: () => free,
    callback(this: net.Socket, bytes, buffer) {
      const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, bytes);
      free =
        free.length - bytes < LEAST_READ_BYTES ? Buffer.allocUnsafeSlow(BATCH_BYTES) : free.subarray(bytes);
      this.emit('data', chunk);
      return true;
    },
  };
}

/** A client certificate is a credential: another host gets nothing but the answer whom we trust. */
function tlsFor(rules: HttpRules, ownHost: boolean): TlsOptions {
  const own = rules.tls?.() ?? {};
  if (ownHost) return own;
  const { ca, rejectUnauthorized } = own;
  return { ca, rejectUnauthorized };
}

/**
 * An error of a request, in words of ours. The original isn't kept: axios puts the URL with its password
 * into it.
 */
function requestError(error: unknown): TransferFault | OtaError {
  for (let at = error; at instanceof Error; at = at.cause) if (at instanceof OtaError) return at;
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

function isTlsCode(code: string): boolean {
  return /CERT|^ERR_TLS_|^ERR_SSL_|_SIGNATURE$|^INVALID_(CA|PURPOSE)$|^PATH_LENGTH|^EPROTO$/.test(code);
}

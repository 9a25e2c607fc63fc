/**
 * One GET of a package: the request, its redirects, and what its answer says. The only file that knows axios.
 * Owns what leaves the machine (headers, credentials) and the texts of network errors; must never show a URL:
 * it may hold a password.
 */
import { Axios, type AxiosResponse } from 'axios';
import type https from 'node:https';
import type { Readable } from 'node:stream';
import type { TLSSocketOptions } from 'node:tls';
import { OtaError } from '../../protocol';
import { checkUrl, type HostRules, refuseLocalName } from './hosts';
import { requestError } from './http-errors';
import { type Proxy, proxyFor } from './proxy';
import { transportFor } from './transport';

export interface HttpRules extends HostRules {
  readonly maxRedirects: number;
  /** Of other origins that redirects lead to; as `allowLocal` where absent. */
  readonly allowLocalRedirects?: boolean;
  /** Whom requests go through; none by default. */
  readonly proxy?: Proxy | null;
  /** Servers that bend HTTP are borne: lines that end in a bare LF, long headers. */
  readonly lenient?: boolean;
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

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

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
    const isOwn = isSameOrigin(first, at);
    const answer = await request(at, headers, isOwn ? rules : elsewhere, isOwn, signal);
    if (!REDIRECTS.has(answer.status)) return answer;
    answer.body.destroy();
    if (redirects >= rules.maxRedirects) {
      throw new OtaError('OTA_REDIRECT', `The server redirects more than ${rules.maxRedirects} times.`);
    }
    at = redirected(at, answer, rules);
    if (!isSameOrigin(first, at)) checkUrl(at.href, elsewhere);
  }
}

function redirected(from: URL, answer: HttpAnswer, rules: HttpRules): URL {
  const location = answer.header('location');
  if (location === null) throw new OtaError('OTA_REDIRECT', 'The server redirects without saying where to.');
  const to = checkUrl(readableLocation(location), rules, from);
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

/**
 * Node gives header bytes as Latin-1. Those of an address are UTF-8 nearly always; bytes that aren't stay the
 * bytes that they are.
 */
function readableLocation(header: string): string {
  if (!/[\x80-\xff]/.test(header)) return header;
  const bytes = Buffer.from(header, 'latin1');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return header.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16)}`);
  }
}

/** A password goes on to the same origin, and from http to https of the same name. */
function mayCarryLogin(from: URL, to: URL): boolean {
  if (from.origin === to.origin) return true;
  const upgraded = from.protocol === 'http:' && to.protocol === 'https:';
  return upgraded && from.hostname === to.hostname && from.port === '' && to.port === '';
}

function isSameOrigin(a: URL, b: URL): boolean {
  return a.origin === b.origin;
}

async function request(
  url: URL,
  headers: { readonly [name: string]: string },
  rules: HttpRules,
  isOwn: boolean,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  signal.throwIfAborted();
  const proxy = proxyFor(url, rules.proxy);
  // The proxy looks names up for itself; what we can tell of them is told before it is asked.
  if (proxy !== null) await refuseLocalName(url, rules);
  const progress = { largeReads: false };
  let response: AxiosResponse<Readable>;
  try {
    response = await CLIENT.request<Readable>({
      url: url.href,
      method: 'GET',
      responseType: 'stream',
      headers: { 'User-Agent': 'node-red-ota', Accept: '*/*', 'Accept-Encoding': 'identity', ...headers },
      transport: transportFor(url, proxy, { ...rules, tls: tlsFor(rules, isOwn) }, progress, signal),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw requestError(error);
  }
  // A body in chunks may have as many pieces as bytes: all that is read at once is parsed at once.
  progress.largeReads = response.headers['transfer-encoding'] === undefined;
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

/** Nothing of it is shared: what another node puts into axios' defaults or interceptors stays with that node. */
const CLIENT = new Axios({
  adapter: 'http',
  decompress: false,
  maxRedirects: 0,
  maxContentLength: -1,
  maxBodyLength: -1,
  proxy: false,
  validateStatus: null,
  transitional: { silentJSONParsing: false, forcedJSONParsing: false, clarifyTimeoutError: false },
});

/** A client certificate is a credential: another origin gets nothing but the answer whom we trust. */
function tlsFor(rules: HttpRules, isOwn: boolean): TlsOptions {
  const own = rules.tls?.() ?? {};
  if (isOwn) return own;
  const { ca, rejectUnauthorized } = own;
  return { ca, rejectUnauthorized };
}

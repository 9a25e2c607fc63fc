/**
 * An HTTP proxy in front of a server: who is asked through it, and how. An http address is asked for with its
 * whole address, an https one through a tunnel (CONNECT). Owns the login of the proxy, which no server gets and
 * no error shows.
 */
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import { OtaError, reasonText } from '../../protocol';
import { proxyRule } from '../../rules';
import { TransferFault } from './fault';

export interface Proxy {
  /** http or https; a login in it is the proxy's. */
  readonly url: URL;
  /** Hosts that are asked without it: names, `.example.com` for all below, with a port or without, `*` for all. */
  readonly except: readonly string[];
}

/** Reads the address of a proxy. @throws OtaError OTA_BAD_SETTINGS */
export function parseProxy(text: string): URL {
  const { value, reason } = proxyRule.read(text);
  if (reason === null) return new URL(value);
  throw new OtaError('OTA_BAD_SETTINGS', `The setting "proxy" ${reasonText(reason)}.`);
}

/** The proxy for an address, or null where it is asked directly. */
export function proxyFor(url: URL, proxy: Proxy | null | undefined): Proxy | null {
  if (proxy === null || proxy === undefined) return null;
  const host = url.hostname.toLowerCase();
  const port = portOf(url);
  const isExcepted = proxy.except.some((entry) => {
    const [name, at] = splitPort(entry.trim().toLowerCase());
    if (name === '' || (at !== '' && at !== port)) return false;
    if (name === '*') return true;
    const suffix = name.startsWith('*.') ? name.slice(1) : name;
    return suffix.startsWith('.') ? host.endsWith(suffix) || host === suffix.slice(1) : host === suffix;
  });
  return isExcepted ? null : proxy;
}

function splitPort(entry: string): [string, string] {
  const colon = entry.lastIndexOf(':');
  const port = entry.slice(colon + 1);
  return colon > 0 && /^[0-9]{1,5}$/.test(port) && !entry.endsWith(']')
    ? [entry.slice(0, colon), port]
    : [entry, ''];
}

function portOf(url: URL): string {
  return url.port === '' ? (url.protocol === 'https:' ? '443' : '80') : url.port;
}

/** What a request through the proxy to an http address has other than a direct one. */
export function throughProxy(url: URL, { url: proxy }: Proxy, headers: Headers): http.RequestOptions {
  const target = new URL(url);
  target.username = '';
  target.password = '';
  return {
    ...addressOf(proxy),
    path: target.href,
    headers: { ...headers, host: url.host, ...authorization(proxy) },
  };
}

type Headers = { readonly [name: string]: unknown } & http.OutgoingHttpHeaders;

/** `protocol` too: it says which of Node's modules makes the connection to the proxy. */
function addressOf(proxy: URL): http.RequestOptions {
  return {
    protocol: proxy.protocol,
    hostname: bareHost(proxy),
    port: Number(portOf(proxy)),
  };
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function authorization({ username, password }: URL): { 'proxy-authorization'?: string } {
  if (username === '' && password === '') return {};
  const login = `${decode(username)}:${decode(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(login).toString('base64')}` };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Connects to an https address through a tunnel, and speaks TLS with the server behind it. */
export class TunnelAgent extends https.Agent {
  readonly #target: URL;
  readonly #proxy: Proxy;
  readonly #signal: AbortSignal;

  constructor(options: https.AgentOptions, target: URL, proxy: Proxy, signal: AbortSignal) {
    super(options);
    this.#target = target;
    this.#proxy = proxy;
    this.#signal = signal;
  }

  override createConnection(
    options: tls.ConnectionOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): null {
    const done = callback as (error: Error | null, stream?: Duplex) => void;
    this.#tunnel().then(
      (socket) => {
        const host = bareHost(this.#target);
        const servername = options.servername ?? (net.isIP(host) === 0 ? host : '');
        done(null, tls.connect({ ...options, host, servername, socket, lookup: undefined }));
      },
      (error: unknown) => done(error as Error),
    );
    return null;
  }

  #tunnel(): Promise<Duplex> {
    const { url: proxy } = this.#proxy;
    const host = `${this.#target.hostname}:${portOf(this.#target)}`;
    const { request } = proxy.protocol === 'https:' ? https : http;
    return new Promise((resolve, reject) => {
      const asking = request({
        ...addressOf(proxy),
        method: 'CONNECT',
        path: host,
        headers: { host, ...authorization(proxy) },
        agent: false,
        signal: this.#signal,
      });
      asking.once('error', reject);
      // A refusal may come as an ordinary answer, too.
      asking.once('response', (response) => {
        response.destroy();
        reject(proxyRefused(response.statusCode ?? 0));
      });
      asking.once('connect', (response, socket, head) => {
        if (response.statusCode !== 200) {
          socket.destroy();
          return reject(proxyRefused(response.statusCode ?? 0));
        }
        if (head.length > 0) socket.unshift(head);
        resolve(socket);
      });
      asking.end();
    });
  }
}

function proxyRefused(status: number): Error {
  const why = status === 407 ? ': it wants another user or password' : '';
  const error = new OtaError('OTA_HTTP_STATUS', `The proxy answered ${status}${why}.`);
  return status >= 500 || status === 408 || status === 429 ? new TransferFault(error) : error;
}

/**
 * How the connection of one request is made: directly or through a proxy, with large reads, and with a bound on
 * what a server may send before its answer. Knows nothing of what is asked for.
 */
import http from 'node:http';
import https from 'node:https';
import type net from 'node:net';
import { OtaError } from '../../protocol';
import { TransferFault } from './fault';
import { BATCH_BYTES } from './hashing-file-writer';
import { guardedLookup, type HostRules } from './hosts';
import type { TlsOptions } from './http';
import { type Proxy, throughProxy, TunnelAgent } from './proxy';

export interface ConnectionRules extends HostRules {
  readonly tls: TlsOptions;
  readonly lenient?: boolean;
}

/** Most answers are short: a redirect, an error. */
const FIRST_READ_BYTES = 64 * 1024;
const LEAST_READ_BYTES = 256 * 1024;
/** A line with a long way (satellite, GPRS) needs more than Node's 250 ms to connect to one of several addresses. */
const CONNECT_ATTEMPT_MS = 3000;
/** Interim answers (100, 103) before the answer: one or two are usual. */
const MOST_INTERIM = 16;
/** Bytes of an answer's headers where servers that bend HTTP are borne; Node's own limit is 16 KiB. */
const LENIENT_HEADER_BYTES = 256 * 1024;

type Respond = (response: http.IncomingMessage) => void;

/**
 * What axios makes its request with.
 * @param progress `largeReads` is set by the caller once the answer has begun
 */
export function transportFor(
  url: URL,
  proxy: Proxy | null,
  rules: ConnectionRules,
  progress: { readonly largeReads: boolean },
  signal: AbortSignal,
): { request(options: http.RequestOptions, respond: Respond): http.ClientRequest } {
  return {
    request(options, respond) {
      const own = { ...options, ...lenientOptions(rules), ...connectionOf(options) };
      const isSecure = own.protocol === 'https:';
      return bounded(isSecure ? https.request(own, respond) : http.request(own, respond));
    },
  };

  function connectionOf(options: http.RequestOptions): http.RequestOptions {
    const isSecure = url.protocol === 'https:';
    if (proxy !== null) {
      if (isSecure) {
        return { agent: new TunnelAgent({ ...SHORT_LIVED, ...rules.tls }, url, proxy, signal) };
      }
      const through = throughProxy(url, proxy, options.headers as http.OutgoingHttpHeaders);
      const isProxySecure = proxy.url.protocol === 'https:';
      const agent = isProxySecure ? new https.Agent(SHORT_LIVED) : plainAgent(SHORT_LIVED);
      return { ...through, agent };
    }
    const direct = { ...SHORT_LIVED, lookup: guardedLookup(rules) };
    return { agent: isSecure ? new https.Agent({ ...direct, ...rules.tls }) : plainAgent(direct) };
  }

  function plainAgent(options: http.AgentOptions): http.Agent {
    const onread = largeReads(progress);
    return new http.Agent({ ...options, onread });
  }
}

const SHORT_LIVED = {
  keepAlive: false,
  highWaterMark: BATCH_BYTES,
  autoSelectFamilyAttemptTimeout: CONNECT_ATTEMPT_MS,
};

function lenientOptions({ lenient }: ConnectionRules): http.RequestOptions {
  return lenient === true ? { insecureHTTPParser: true, maxHeaderSize: LENIENT_HEADER_BYTES } : {};
}

/** A server that sends interim answers only would keep the process busy for as long as it likes. */
function bounded(request: http.ClientRequest): http.ClientRequest {
  let interim = 0;
  request.on('information', () => {
    interim += 1;
    if (interim <= MOST_INTERIM || request.destroyed) return;
    request.destroy(
      new TransferFault(
        new OtaError('OTA_DOWNLOAD_FAILED', 'The server sends interim answers only, and no file.'),
      ),
    );
  });
  return request;
}

/**
 * Reads of up to a megabyte, where Node takes 64 KiB at a time: a tenth of the processor time of a large download
 * and more. Not with TLS, whose records hold 16 KiB, and not before the answer has begun: all that is read at
 * once is parsed at once. No piece of memory is read into twice: Node's parser copies the body out of it, but
 * nothing promises that.
 */
function largeReads(progress: { readonly largeReads: boolean }): net.OnReadOpts {
  let free = Buffer.allocUnsafeSlow(FIRST_READ_BYTES);
  return {
    buffer: () => free,
    callback(this: net.Socket, bytes, buffer) {
      const chunk = Buffer.from(buffer.buffer, buffer.byteOffset, bytes);
      if (free.length - bytes >= LEAST_READ_BYTES) free = free.subarray(bytes);
      else free = Buffer.allocUnsafeSlow(progress.largeReads ? BATCH_BYTES : FIRST_READ_BYTES);
      this.emit('data', chunk);
      return true;
    },
  };
}

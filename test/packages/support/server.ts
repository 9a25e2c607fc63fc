/**
 * Servers of packages. `startServer` answers as a script says, byte by byte: a node:net server does what no
 * HTTP library would do. `good` is a well-behaved answer with Range and ETag.
 */
import { createHash } from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { listen } from '../../support/ports';

export interface Asked {
  readonly path: string;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The first byte of `Range`, or null. */
  readonly from: number | null;
  /** Which request this is, from 0. */
  readonly index: number;
}

/** Writes an answer to the socket; the connection is closed by whoever wants to. */
export type Answer = (socket: net.Socket, asked: Asked) => void;

export interface PackageServer {
  readonly port: number;
  /** `http://127.0.0.1:<port>` */
  readonly url: string;
  readonly asked: Asked[];
  /** The most connections that were open at the same time. */
  readonly mostOpen: number;
  readonly open: number;
  stop(): Promise<void>;
}

/** Each request gets the next answer, the last one again and again. */
export async function startServer(
  answers: Answer | Answer[],
  secure?: tls.TlsOptions,
): Promise<PackageServer> {
  const list = Array.isArray(answers) ? answers : [answers];
  const asked: Asked[] = [];
  const sockets = new Set<net.Socket>();
  let mostOpen = 0;
  const serve = (socket: net.Socket): void => {
    sockets.add(socket);
    mostOpen = Math.max(mostOpen, sockets.size);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    let text = '';
    let done = false;
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      // A TLS hello at a server without TLS.
      if (text.startsWith('\x16')) socket.end(head(400));
      if (done || !text.includes('\r\n\r\n')) return;
      done = true;
      const request = parse(text, asked.length);
      asked.push(request);
      const answer = list[Math.min(request.index, list.length - 1)]!;
      answer(socket, request);
    });
  };
  const server = secure ? tls.createServer(secure, serve) : net.createServer(serve);
  server.on('tlsClientError', () => {});
  const port = await listen(server);
  return {
    port,
    url: `${secure ? 'https' : 'http'}://127.0.0.1:${port}`,
    asked,
    get mostOpen() {
      return mostOpen;
    },
    get open() {
      return sockets.size;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

function parse(text: string, index: number): Asked {
  const [first = '', ...lines] = text.split('\r\n\r\n', 1)[0]!.split('\r\n');
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
  }
  const range = /^bytes=([0-9]+)-$/.exec(headers['range'] ?? '');
  return { path: first.split(' ')[1] ?? '', headers, from: range ? Number(range[1]) : null, index };
}

/** The head of an answer as it goes over the wire. */
export function head(status: number, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} X\r\n${lines.join('')}\r\n`;
}

export function etagOf(body: Uint8Array): string {
  return `"${createHash('sha1').update(body).digest('hex')}"`;
}

/** The file with Content-Length and ETag; a part of it where Range and If-Range say so. */
export function good(body: Uint8Array): Answer {
  return (socket, asked) => {
    socket.end(Buffer.concat([Buffer.from(goodHead(body, asked)), body.subarray(partOf(body, asked))]));
  };
}

/** As `good`, but after byte `at` of the whole file the connection is reset. */
export function cutAt(body: Uint8Array, at: number): Answer {
  return (socket, asked) => {
    const from = partOf(body, asked);
    const sent = body.subarray(from, Math.max(from, at));
    const data = Buffer.concat([Buffer.from(goodHead(body, asked)), sent]);
    socket.write(data, () => resetWhenRead(socket));
  };
}

/**
 * Resets a connection after its other end, in this process, has read what was sent: a reset throws away what is
 * on its way. However late the timer comes on a busy machine, a round of the event loop follows in which
 * sockets are read.
 */
export function resetWhenRead(socket: net.Socket): void {
  setTimeout(() => setImmediate(() => setImmediate(() => socket.resetAndDestroy())), 100);
}

/** As `good` up to byte `at`, then silence. */
export function stallAt(body: Uint8Array, at: number): Answer {
  return (socket, asked) => {
    const from = partOf(body, asked);
    socket.write(
      Buffer.concat([Buffer.from(goodHead(body, asked)), body.subarray(from, Math.max(from, at))]),
    );
  };
}

export function status(code: number, headers: Readonly<Record<string, string | number>> = {}): Answer {
  return (socket) => {
    socket.end(head(code, { 'Content-Length': 0, ...headers }));
  };
}

/** 200 with the body and exactly these headers. */
export function raw(body: Uint8Array, headers: Readonly<Record<string, string | number>>): Answer {
  return (socket) => {
    socket.end(Buffer.concat([Buffer.from(head(200, headers)), body]));
  };
}

export function chunked(body: Uint8Array): Answer {
  return (socket) => {
    socket.write(head(200, { 'Transfer-Encoding': 'chunked' }));
    for (let at = 0; at < body.length; at += 10_000) {
      const chunk = body.subarray(at, at + 10_000);
      socket.write(`${chunk.length.toString(16)}\r\n`);
      socket.write(chunk);
      socket.write('\r\n');
    }
    socket.end('0\r\n\r\n');
  };
}

function partOf(body: Uint8Array, asked: Asked): number {
  const same = asked.headers['if-range'] === undefined || asked.headers['if-range'] === etagOf(body);
  return asked.from !== null && same && asked.from < body.length ? asked.from : 0;
}

function goodHead(body: Uint8Array, asked: Asked): string {
  const from = partOf(body, asked);
  const common = { 'Content-Length': body.length - from, ETag: etagOf(body) };
  if (from === 0) return head(200, common);
  return head(206, { ...common, 'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}` });
}

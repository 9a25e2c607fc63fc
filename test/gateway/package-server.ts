/** A server of packages that takes its time, so that a download can be met in its middle. */
import { createHash, randomBytes } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const PIECES = 12;
const PIECE_MS = 25;

export interface PackageServer {
  /** The upgrade to a version, as the wire has it. Its package is made when it is first asked for. */
  paramsOf(version: string): Readonly<Record<string, unknown>>;
  /** Requests for the package of a version. */
  requests(version: string): number;
  stop(): Promise<void>;
}

export async function startPackageServer(bytes = 200_000): Promise<PackageServer> {
  const packages = new Map<string, Buffer>();
  const requests = new Map<string, number>();
  const packageOf = (version: string): Buffer => {
    const known = packages.get(version) ?? randomBytes(bytes);
    packages.set(version, known);
    return known;
  };
  const server = http.createServer((request, response) => {
    const version = (request.url ?? '').slice(1);
    const body = packages.get(version);
    if (body === undefined) {
      response.writeHead(404).end();
      return;
    }
    requests.set(version, (requests.get(version) ?? 0) + 1);
    void answer(body, request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    paramsOf(version) {
      const body = packageOf(version);
      const sign = createHash('sha256').update(body).digest('hex');
      const url = `http://127.0.0.1:${port}/${version}`;
      return { version, size: body.length, url, signMethod: 'SHA256', sign };
    },
    requests: (version) => requests.get(version) ?? 0,
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}

async function answer(
  body: Buffer,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const rest = body.subarray(from);
  const headers = { 'Content-Length': rest.length, ETag: '"1"' };
  if (from === 0) response.writeHead(200, headers);
  else
    response.writeHead(206, {
      ...headers,
      'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}`,
    });
  const piece = Math.ceil(body.length / PIECES);
  for (let at = 0; at < rest.length && !response.destroyed; at += piece) {
    response.write(rest.subarray(at, at + piece));
    await sleep(PIECE_MS);
  }
  response.end();
}

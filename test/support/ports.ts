/** Free TCP ports for tests. Owns nothing: the port is free again as soon as it is told. */
import { randomInt } from 'node:crypto';
import net from 'node:net';
import type { AddressInfo } from 'node:net';

/** Below what systems give to connections and to port 0: nobody is given one of these before its server listens. */
const FIRST = 10_000;
const LAST = 32_000;
const given = new Set<number>();

/**
 * A port of 127.0.0.1 that nobody listens on; never one that this process was told before. Prefer port 0 where the
 * server can tell its port itself.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST);
    if (given.has(port)) continue;
    given.add(port);
    const server = net.createServer();
    const isFree = await listen(server, port).then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
}

/** Starts to listen on 127.0.0.1 and resolves with the port. @throws the server's error, e.g. EADDRINUSE */
export function listen(server: net.Server, port = 0): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject);
      resolve((server.address() as AddressInfo).port);
    });
  });
}

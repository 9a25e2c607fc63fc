/** Ports on 127.0.0.1: the wanted one, else the next that is free. */
import net from 'node:net';

const TRIES = 100;

/** The first free port from `wanted` on. @throws Error where a hundred in a row are taken */
export async function nextFreePort(wanted: number): Promise<number> {
  for (let port = wanted; port < wanted + TRIES; port += 1) {
    if (await isFree(port)) return port;
  }
  throw new Error(`The ports ${wanted} to ${wanted + TRIES - 1} are all taken.`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

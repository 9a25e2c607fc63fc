/** A TCP proxy in front of a server, that breaks the line in the ways lines break. */
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { listen } from './ports';

export interface TcpProxy {
  readonly port: number;
  /** `mqtt://127.0.0.1:<port>` */
  readonly url: string;
  /** Open connections of clients. */
  readonly connections: number;
  /** Connections since the start. */
  readonly accepted: number;
  /** Resets every connection (RST). New ones are taken. */
  cut(): void;
  /** From now on all bytes vanish both ways and nobody is told; new connections are taken and stay silent. */
  blackhole(): void;
  /** Each piece of data arrives that much later, both ways. */
  delay(milliseconds: number): void;
  /** Ends blackhole and delay. What vanished stays lost: connections of that time never get well. */
  heal(): void;
  stop(): Promise<void>;
}

export async function startTcpProxy(targetPort: number, targetHost = '127.0.0.1'): Promise<TcpProxy> {
  const clients = new Set<net.Socket>();
  const upstreams = new Set<net.Socket>();
  let dropping = false;
  let latency = 0;
  let accepted = 0;

  const relay = (from: net.Socket, to: net.Socket): void => {
    let line = Promise.resolve();
    let lost = false;
    from.on('data', (data) => {
      if (dropping) lost = true;
      if (lost) return;
      if (latency === 0) {
        if (!to.write(data)) {
          from.pause();
          to.once('drain', () => from.resume());
        }
        return;
      }
      const due = Date.now() + latency;
      // One after the other, so that a shorter delay never overtakes a longer one.
      line = line.then(async () => {
        await sleep(Math.max(0, due - Date.now()));
        if (!dropping && to.writable) to.write(data);
      });
    });
    from.on('error', () => {});
    from.once('close', () => {
      clients.delete(from);
      upstreams.delete(from);
      if (!dropping) to.destroy();
    });
    from.once('end', () => {
      if (!dropping) void line.then(() => to.end());
    });
  };

  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    accepted += 1;
    clients.add(client);
    const upstream = net.connect({ port: targetPort, host: targetHost, allowHalfOpen: true });
    upstreams.add(upstream);
    relay(client, upstream);
    relay(upstream, client);
  });
  const port = await listen(server);
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    get connections() {
      return clients.size;
    },
    get accepted() {
      return accepted;
    },
    cut() {
      for (const socket of [...clients, ...upstreams]) {
        // Node can't reset what it is about to end: the process would then never exit.
        if (socket.writableEnded) socket.destroy();
        else socket.resetAndDestroy();
      }
    },
    blackhole() {
      dropping = true;
    },
    delay(milliseconds) {
      latency = milliseconds;
    },
    heal() {
      dropping = false;
      latency = 0;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of [...clients, ...upstreams]) socket.destroy();
      await closed;
    },
  };
}

/** An MQTT 3.1.1 broker inside the test's process. No MQTT 5 and no shared subscriptions: see mosquitto.ts. */
import type { Aedes, AedesOptions } from 'aedes' with { 'resolution-mode': 'import' };
import net from 'node:net';
import { listen } from './ports';

export interface AedesServer {
  readonly port: number;
  /** `mqtt://127.0.0.1:<port>` */
  readonly url: string;
  readonly broker: Aedes;
  /** Open connections. */
  readonly connections: number;
  /** Ends it in good order. */
  stop(): Promise<void>;
  /** Resets every connection and stops listening: as if the machine had lost its power. */
  kill(): Promise<void>;
}

/** Starts a broker on 127.0.0.1. `port` 0 (the default) takes a free one. */
export async function startAedes(options: AedesOptions & { port?: number } = {}): Promise<AedesServer> {
  const { port = 0, ...brokerOptions } = options;
  const aedes = await import('aedes');
  const broker = await aedes.Aedes.createBroker(brokerOptions);
  // A client that is cut off is no error of the test.
  broker.on('clientError', () => {});
  broker.on('connectionError', () => {});
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  const taken = await listen(server, port);
  let ended: Promise<void> | null = null;
  const end = async (): Promise<void> => {
    const closed = new Promise((resolve) => server.close(resolve));
    await new Promise<void>((resolve) => broker.close(resolve));
    for (const socket of sockets) socket.destroy();
    await closed;
  };
  return {
    port: taken,
    url: `mqtt://127.0.0.1:${taken}`,
    broker,
    get connections() {
      return sockets.size;
    },
    stop: () => (ended ??= end()),
    kill() {
      for (const socket of sockets) socket.resetAndDestroy();
      return (ended ??= end());
    },
  };
}

/** The demo's broker: aedes on 127.0.0.1, and a tap on what goes over it. */
import net from 'node:net';
import type { AedesPublishPacket } from 'aedes' with { 'resolution-mode': 'import' };
import { createScheme, DEFAULT_SCHEME, readWire, type WireMessage } from '../../nodes/lib/protocol';

export interface DemoBroker {
  readonly port: number;
  /** Called for each message of the protocol that goes over the broker. */
  watch(listener: (message: WireMessage) => void): void;
  stop(): Promise<void>;
}

/** Starts the broker. @throws Error where the port was taken meanwhile */
export async function startBroker(port: number): Promise<DemoBroker> {
  const { Aedes } = await import('aedes');
  const broker = await Aedes.createBroker();
  const listeners: ((message: WireMessage) => void)[] = [];
  const scheme = createScheme(DEFAULT_SCHEME);
  broker.on('publish', (packet: AedesPublishPacket, client) => {
    if (client === null) return;
    const read = readWire(scheme, packet.topic, Buffer.from(packet.payload), packet.retain);
    if (read.ok) for (const listener of listeners) listener(read.value);
  });
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    broker.handle(socket);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    port,
    watch: (listener) => void listeners.push(listener),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      await new Promise<void>((resolve) => broker.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A broker that connects and subscribes everyone, but never acknowledges a publish. */
import mqttPacket from 'mqtt-packet';
import net from 'node:net';
import { listen } from './ports';

export interface DeafBroker {
  readonly port: number;
  readonly url: string;
  /** Open connections. */
  readonly connections: number;
  /** The publishes that came, oldest first; a repeat counts again. */
  readonly publishes: readonly mqttPacket.IPublishPacket[];
  stop(): Promise<void>;
}

/** Speaks MQTT 3.1.1 and 5. `receiveMaximum` is announced to MQTT 5 clients. */
export async function startDeafBroker(options: { receiveMaximum?: number } = {}): Promise<DeafBroker> {
  const sockets = new Set<net.Socket>();
  const publishes: mqttPacket.IPublishPacket[] = [];

  const server = net.createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    const parser = mqttPacket.parser();
    let version = 4;
    const send = (packet: mqttPacket.Packet): void => {
      socket.write(mqttPacket.generate(packet, { protocolVersion: version }));
    };
    parser.on('packet', (packet) => {
      switch (packet.cmd) {
        case 'connect': {
          version = packet.protocolVersion ?? 4;
          const properties = options.receiveMaximum ? { receiveMaximum: options.receiveMaximum } : {};
          send({ cmd: 'connack', sessionPresent: false, returnCode: 0, reasonCode: 0, properties });
          break;
        }
        case 'subscribe':
          send({
            cmd: 'suback',
            messageId: packet.messageId ?? 0,
            granted: packet.subscriptions.map((subscription) => subscription.qos),
          });
          break;
        case 'unsubscribe':
          send({
            cmd: 'unsuback',
            messageId: packet.messageId ?? 0,
            granted: packet.unsubscriptions.map(() => 0),
          });
          break;
        case 'pingreq':
          send({ cmd: 'pingresp' });
          break;
        case 'publish':
          publishes.push(packet);
          break;
        case 'disconnect':
          socket.end();
          break;
        default:
      }
    });
    parser.on('error', () => socket.destroy());
    socket.on('data', (data) => parser.parse(data));
  });
  const port = await listen(server);
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    publishes,
    get connections() {
      return sockets.size;
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A broker worked by hand: it connects and subscribes everyone, and the test decides about each publish. */
import mqttPacket from 'mqtt-packet';
import net from 'node:net';
import { listen } from '../support/ports';

export interface HandBroker {
  readonly port: number;
  readonly url: string;
  /** Connections since the start. */
  readonly accepted: number;
  /** What came, oldest first, of all connections. */
  readonly packets: readonly mqttPacket.Packet[];
  readonly publishes: readonly mqttPacket.IPublishPacket[];
  readonly pubacks: readonly mqttPacket.IPubackPacket[];
  /** Answers a publish on the newest connection. */
  acknowledge(messageId: number, reasonCode?: number): void;
  /** Sends packets to the newest connection, in one piece. */
  send(...packets: mqttPacket.Packet[]): void;
  /** Sends bytes to the newest connection. */
  sendBytes(bytes: Buffer): void;
  /** Closes the newest connection without a word. */
  hangUp(): void;
  stop(): Promise<void>;
}

export interface HandBrokerOptions {
  /** Properties of CONNACK (MQTT 5). */
  readonly properties?: mqttPacket.IConnackPacket['properties'];
  readonly sessionPresent?: boolean;
  /** Packets that follow in the same piece as the CONNACK, as a kept session sends them. */
  readonly afterConnack?: readonly mqttPacket.Packet[];
}

export async function startHandBroker(options: HandBrokerOptions = {}): Promise<HandBroker> {
  const sockets = new Set<net.Socket>();
  const packets: mqttPacket.Packet[] = [];
  let newest: { socket: net.Socket; version: number } | null = null;
  let accepted = 0;
  const send = (...out: mqttPacket.Packet[]): void => {
    if (newest === null) throw new Error('Nobody is connected');
    const { socket, version } = newest;
    socket.write(
      Buffer.concat(out.map((packet) => mqttPacket.generate(packet, { protocolVersion: version }))),
    );
  };

  const server = net.createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => sockets.delete(socket));
    const parser = mqttPacket.parser();
    parser.on('packet', (packet) => {
      packets.push(packet);
      if (packet.cmd === 'connect') {
        newest = { socket, version: packet.protocolVersion ?? 4 };
        const connack = {
          cmd: 'connack' as const,
          sessionPresent: options.sessionPresent ?? false,
          returnCode: 0,
          reasonCode: 0,
          ...(options.properties === undefined ? {} : { properties: options.properties }),
        };
        send(connack, ...(options.afterConnack ?? []));
      } else if (packet.cmd === 'subscribe') {
        const granted = packet.subscriptions.map((subscription) => subscription.qos);
        send({ cmd: 'suback', messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === 'unsubscribe') {
        const granted = packet.unsubscriptions.map(() => 0);
        send({ cmd: 'unsuback', messageId: packet.messageId ?? 0, granted });
      } else if (packet.cmd === 'pingreq') {
        send({ cmd: 'pingresp' });
      } else if (packet.cmd === 'disconnect') {
        socket.end();
      }
    });
    parser.on('error', () => socket.destroy());
    socket.on('data', (data) => parser.parse(data));
  });
  const port = await listen(server);
  return {
    port,
    url: `mqtt://127.0.0.1:${port}`,
    packets,
    get accepted() {
      return accepted;
    },
    get publishes() {
      return packets.filter((packet) => packet.cmd === 'publish');
    },
    get pubacks() {
      return packets.filter((packet) => packet.cmd === 'puback');
    },
    acknowledge: (messageId, reasonCode = 0) => send({ cmd: 'puback', messageId, reasonCode }),
    send,
    sendBytes: (bytes) => void newest?.socket.write(bytes),
    hangUp: () => void newest?.socket.end(),
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A bare mqtt.js client: the other side of the wire, as a device or a platform that isn't ours. */
import mqtt from 'mqtt';
import { noteTopic } from './secrets';
import { until } from './wait';

export interface Received {
  readonly topic: string;
  readonly text: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
}

export interface TestClient {
  readonly client: mqtt.MqttClient;
  /** What was received, oldest first. */
  readonly messages: Received[];
  /** QoS 1 unless told; text and bytes as they are, anything else as JSON. Resolves at the PUBACK. */
  publish(topic: string, payload: unknown, options?: mqtt.IClientPublishOptions): Promise<void>;
  /** QoS 1 unless told. @throws where the broker refuses */
  subscribe(filter: string | string[], qos?: 0 | 1): Promise<void>;
  /** Resolves with all messages (of a topic, where one is named) as soon as there are at least `count`. */
  atLeast(count: number, topic?: string): Promise<Received[]>;
  /** Disconnects in good order. */
  stop(): Promise<void>;
  /** Ends the connection without a DISCONNECT packet. */
  kill(): Promise<void>;
}

/** Connects. MQTT 3.1.1 unless `protocolVersion` is 5; it doesn't reconnect unless `reconnectPeriod` is set. */
export async function connectClient(url: string, options: mqtt.IClientOptions = {}): Promise<TestClient> {
  const client = mqtt.connect(url, { reconnectPeriod: 0, ...options });
  const messages: Received[] = [];
  // Before it is connected: what the broker kept comes right behind the CONNACK.
  client.on('message', (topic, payload, packet) => {
    const { qos, retain, dup } = packet;
    messages.push({ topic, text: payload.toString('utf8'), qos, retain, dup });
  });
  await connected(client);
  const end = (force: boolean): Promise<void> =>
    client.disconnected && client.disconnecting ? Promise.resolve() : client.endAsync(force);
  return {
    client,
    messages,
    async publish(topic, payload, publishOptions) {
      const body =
        typeof payload === 'string' || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload);
      noteTopic(topic);
      await client.publishAsync(topic, body, { qos: 1, ...publishOptions });
    },
    async subscribe(filter, qos = 1) {
      await client.subscribeAsync(filter, { qos });
    },
    atLeast(count, topic) {
      const wanted = (): Received[] =>
        topic === undefined ? messages : messages.filter((message) => message.topic === topic);
      return until(
        () => (wanted().length >= count ? wanted() : null),
        `${count} messages${topic === undefined ? '' : ` on ${topic}`}`,
      );
    },
    stop: () => end(false),
    async kill() {
      client.stream.destroy();
      await end(true);
    },
  };
}

function connected(client: mqtt.MqttClient): Promise<void> {
  return new Promise((resolve, reject) => {
    let last = new Error('The broker closed the connection.');
    client.on('error', (error) => {
      last = error;
    });
    client.once('connect', () => resolve());
    client.once('close', () => {
      if (client.options.reconnectPeriod === 0) reject(last);
    });
  });
}

/** All devices in one process: each push is answered by five reports, at once or when it is told. */
import mqtt from 'mqtt';
import { TOPIC, WINDOW } from './fleet';
import { obey } from './orders';

export interface DeviceOrders {
  readonly silent: { order: { silent: boolean }; answer: object };
  readonly first: { order: object; answer: { at: number } };
}

const [url = ''] = process.argv.slice(2);
const client = mqtt.connect(url, { protocolVersion: 5, clientId: 'devices' });
const STEPS = [20, 40, 60, 80, 100] as const;
const BODIES = STEPS.map((step) => `{"step":"${step}","desc":"upgrade ${step}%"}`);
const queue: string[] = [];
/** Place in the queue, and the next report of the device that stands there. */
let next = 0;
let step = 0;
let open = 0;
let silent = false;
/** When the first push was heard since that was asked for last, by the wall clock; 0: none was. */
let firstAt = 0;

function report(): void {
  while (open < WINDOW && next < queue.length) {
    const topic = `${TOPIC}/progress/${queue[next] ?? ''}`;
    const body = BODIES[step] ?? '';
    step = (step + 1) % BODIES.length;
    if (step === 0) next += 1;
    open += 1;
    client.publish(topic, body, { qos: 1 }, () => {
      open -= 1;
      report();
    });
  }
  if (next < queue.length) return;
  queue.length = 0;
  next = 0;
}

client.on('message', (topic) => {
  if (firstAt === 0) firstAt = Date.now();
  if (silent) return;
  queue.push(topic.slice(topic.lastIndexOf('/') + 1));
  if (open === 0) report();
});
client.once('connect', () => {
  client.subscribe(`${TOPIC}/upgrade/+`, { qos: 1 }, () =>
    obey<DeviceOrders>({
      silent: (order) => {
        silent = order.silent;
        return {};
      },
      first: () => {
        const at = firstAt;
        firstAt = 0;
        return { at };
      },
    }),
  );
});

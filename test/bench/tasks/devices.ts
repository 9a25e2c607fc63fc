/** All devices in one process: each push is answered by five reports, at once or when it is told. */
import mqtt from 'mqtt';
import { TOPIC, WINDOW } from './fleet';
import { obey } from './orders';

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
  if (silent) return;
  queue.push(topic.slice(topic.lastIndexOf('/') + 1));
  if (open === 0) report();
});
client.once('connect', () => {
  client.subscribe(`${TOPIC}/upgrade/+`, { qos: 1 }, () =>
    obey<{ silent: { order: { silent: boolean }; answer: object } }>({
      silent: (order) => {
        silent = order.silent;
        return {};
      },
    }),
  );
});

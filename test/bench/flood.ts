/** The devices: publishes as many progress reports as it is told, never more than a window at a time. */
import mqtt from 'mqtt';
import { ready } from './meter';

const [url = '', window = '200'] = process.argv.slice(2);
const client = mqtt.connect(url, { protocolVersion: 4 });
client.on('connect', ready);
process.on('message', ({ topic, count }: { topic: string; count: number }) => {
  let next = 0;
  let through = 0;
  const one = (): void => {
    const i = next;
    next += 1;
    const body = `{"step":"${(i % 99) + 1}","desc":"upgrade ${i % 100}%","module":"MCU"}`;
    client.publish(`${topic}/device-${i % 10_000}`, body, { qos: 1 }, () => {
      through += 1;
      if (next < count) one();
      else if (through === count) process.send?.({ told: 'through' });
    });
  };
  for (let i = 0; i < Math.min(Number(window), count); i += 1) one();
});

/** A platform in a process of its own: it writes each report to a file in its commit. To be killed. */
import fs from 'node:fs';
import { Channel } from '../../nodes/lib/link';
import { createScheme } from '../../nodes/lib/protocol';

const [url = '', file = ''] = process.argv.slice(2);
const out = fs.openSync(file, 'a');
let rows = '';
const committer = {
  commit(): void {
    fs.writeSync(out, rows);
    rows = '';
  },
};
const channel = new Channel({
  url,
  mqtt: { protocolVersion: 4 },
  clientId: 'killed',
  persistent: true,
  window: 20,
  scheme: createScheme('thingspanel'),
  shareGroup: '',
  onState: ({ phase }) => console.log(phase),
  onSubscription: () => console.log('subscribed'),
  onFault: (error) => console.log(String(error)),
});
channel.listen({
  kind: 'inform',
  accessToken: '+',
  onMessage({ accessToken }, batch) {
    rows += `${accessToken}\n`;
    batch.join(committer);
  },
  onRefused: () => undefined,
  onSubscription: () => undefined,
});
channel.acquire({ onState: () => undefined });

/** A platform with little memory: it prints whose reports it heard, what it refused, and its peak memory in MiB. */
import { Channel } from '../../nodes/lib/link';
import { createScheme } from '../../nodes/lib/protocol';
import { peakMiB } from '../support/peak-memory';

const [url = '', version = '4'] = process.argv.slice(2);
const channel = new Channel({
  url,
  mqtt: { protocolVersion: version === '5' ? 5 : 4 },
  clientId: 'small',
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
  onMessage: ({ accessToken }) => console.log(`heard ${accessToken} ${peakMiB().toFixed()}`),
  onRefused: ({ error }) => console.log(`refused ${error.code}`),
  onSubscription: () => undefined,
});
channel.acquire({ onState: () => undefined });

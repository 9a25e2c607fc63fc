/** What somebody would write with mqtt.js alone: reports read and checked, or one upgrade pushed to many. */
import mqtt from 'mqtt';
import { obey, ready } from './meter';

const [url = '', topic = '', what = 'progress', window = '200'] = process.argv.slice(2);
const client = mqtt.connect(url, { protocolVersion: 4 });
const empty = (report: object | null): void => {
  if (report !== null) meter.hit();
};

client.on('message', (path, body) => {
  const accessToken = path.slice(topic.length + 1);
  empty(accessToken === '' || accessToken.includes('/') ? null : read(accessToken, body));
});

/** The same checks as ota-progress makes. */
function read(accessToken: string, body: Buffer): object | null {
  if (body.length > 65_536) return null;
  let report: unknown;
  try {
    report = JSON.parse(body.toString('utf8'));
  } catch {
    return null;
  }
  if (typeof report !== 'object' || report === null || Array.isArray(report)) return null;
  const { step: given, desc, module } = report as Record<string, unknown>;
  const isText = typeof given === 'string' && /^-?\d{1,10}$/.test(given);
  const step = isText ? Number(given) : given;
  if (typeof step !== 'number' || !Number.isInteger(step) || step < -4 || step > 100) return null;
  if (desc !== undefined && typeof desc !== 'string') return null;
  if (module !== undefined && typeof module !== 'string') return null;
  const status = step < 0 ? 'failed' : step === 100 ? 'succeeded' : 'upgrading';
  return {
    accessToken,
    module: module ?? null,
    step,
    status,
    desc: desc ?? '',
    at: new Date().toISOString(),
  };
}

const meter = obey((count) => {
  const tokens = Array.from({ length: count }, (_, i) => `device-${i}`);
  const head = '{"id":"';
  const tail = `","code":200,"params":{"version":"v1.1","size":432945,"url":"https://packages.example.com/fw.bin","signMethod":"Md5","sign":"${'a'.repeat(32)}"}}`;
  let next = 0;
  const one = (): void => {
    const i = next;
    next += 1;
    client.publish(`${topic}/${tokens[i] ?? ''}`, head + String(1_000_000_000 + i) + tail, { qos: 1 }, () => {
      meter.hit();
      if (next < count) one();
    });
  };
  return () => {
    for (let i = 0; i < Math.min(Number(window), count); i += 1) one();
  };
});

client.on('connect', () => {
  if (what === 'push') ready();
  else client.subscribe(`${topic}/+`, { qos: 1 }, ready);
});

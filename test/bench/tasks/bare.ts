/** The same work with mqtt.js alone, nothing stored: pushes to all, reads and checks each report. */
import mqtt from 'mqtt';
import { PACKAGE, REPORTS, TOPIC, tokens, WINDOW } from './fleet';
import { beginMeasure, type Cost } from './measure';
import { obey } from './orders';

export interface BareOrders {
  readonly run: { readonly order: { readonly run: string; readonly count: number }; readonly answer: Cost };
}

const [url = ''] = process.argv.slice(2);
const client = mqtt.connect(url, { protocolVersion: 5, clientId: 'bare' });
let heard: () => void = () => undefined;

client.on('message', (topic, body) => {
  const accessToken = topic.slice(topic.lastIndexOf('/') + 1);
  if (accessToken !== '' && isReport(body)) heard();
});

/** The checks that the platform makes. */
function isReport(body: Buffer): boolean {
  if (body.length > 65_536) return false;
  let report: unknown;
  try {
    report = JSON.parse(body.toString('utf8'));
  } catch {
    return false;
  }
  if (typeof report !== 'object' || report === null || Array.isArray(report)) return false;
  const { step: given, desc, module } = report as Record<string, unknown>;
  const step = typeof given === 'string' && /^-?\d{1,10}$/.test(given) ? Number(given) : given;
  if (typeof step !== 'number' || !Number.isInteger(step) || step < -4 || step > 100) return false;
  return (
    (desc === undefined || typeof desc === 'string') && (module === undefined || typeof module === 'string')
  );
}

async function run(name: string, count: number): Promise<Cost> {
  const all = tokens(name, count);
  const { sign, size, url: from, version } = PACKAGE;
  const params = JSON.stringify({ version, size, url: from, signMethod: 'Md5', sign });
  const end = beginMeasure();
  await new Promise<void>((resolve) => {
    let left = count * REPORTS;
    heard = () => {
      left -= 1;
      if (left === 0) resolve();
    };
    let next = 0;
    const push = (): void => {
      if (next >= count) return;
      const body = `{"id":"${1_000_000_000 + next}","code":200,"params":${params}}`;
      client.publish(`${TOPIC}/upgrade/${all[next++] ?? ''}`, body, { qos: 1 }, push);
    };
    for (let i = 0; i < WINDOW; i += 1) push();
  });
  return end();
}

client.once('connect', () => {
  client.subscribe(`${TOPIC}/progress/+`, { qos: 1 }, () =>
    obey<BareOrders>({ run: ({ run: name, count }) => run(name, count) }),
  );
});

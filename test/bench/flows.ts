/** The flows that are compared: ours, and what Node-RED's core nodes would make of it. */
import { brokerNode, tabNode } from '../support/flow';
import type { FlowNode } from '../support/node-red';

const AT = { z: 'tab', x: 1, y: 1 } as const;

/** ota-progress, or ota-push, wired to the node that counts. */
export function ourFlow(port: number, what: 'progress' | 'push', topic: string): FlowNode[] {
  const service = {
    id: 'service',
    type: 'ota-service',
    broker: 'broker',
    scheme: 'custom',
    informTopic: `${topic}-inform/{accessToken}`,
    upgradeTopic: what === 'push' ? `${topic}/{accessToken}` : `${topic}-upgrade/{accessToken}`,
    progressTopic: what === 'push' ? `${topic}-progress/{accessToken}` : `${topic}/{accessToken}`,
    window: '200',
    persistent: false,
  };
  const node = { ...AT, id: what, type: `ota-${what}`, side: 'platform', service: 'service' };
  const wires = what === 'push' ? [['sink'], ['sink']] : [['sink']];
  return [
    tabNode(),
    brokerNode('broker', port),
    service,
    { ...node, wires },
    { ...AT, id: 'sink', type: 'bench-sink', wires: [] },
  ];
}

const CHECKS = `
const { step: given, desc, module } = msg.payload || {};
const isText = typeof given === 'string' && /^-?\\d{1,10}$/.test(given);
const step = isText ? Number(given) : given;
if (typeof step !== 'number' || !Number.isInteger(step) || step < -4 || step > 100) return null;
if (desc !== undefined && typeof desc !== 'string') return null;
if (module !== undefined && typeof module !== 'string') return null;
const accessToken = msg.topic.slice(msg.topic.lastIndexOf('/') + 1);
const status = step < 0 ? 'failed' : step === 100 ? 'succeeded' : 'upgrading';
const at = new Date().toISOString();
msg.payload = { accessToken, module: module === undefined ? null : module, step, status, desc: desc || '', at };
return msg;`;

const SPLIT = (topic: string): string => `
const { version, url, size, sign } = msg.payload;
let id = 1000000000;
for (const token of msg.accessToken) {
  id += 1;
  const params = { version, size, url, signMethod: 'Md5', sign };
  node.send({ topic: '${topic}/' + token, payload: { id: String(id), code: 200, params } });
}
return null;`;

/** mqtt in → function, or function → mqtt out. */
export function coreFlow(port: number, what: 'progress' | 'push', topic: string): FlowNode[] {
  const start = [tabNode(), brokerNode('broker', port)];
  if (what === 'progress') {
    const input = {
      type: 'mqtt in',
      topic: `${topic}/+`,
      qos: '1',
      datatype: 'json',
      broker: 'broker',
      inputs: 0,
    };
    return [
      ...start,
      { ...AT, id: 'in', ...input, nl: false, rap: true, rh: 0, wires: [['check']] },
      { ...AT, id: 'check', type: 'function', func: CHECKS, outputs: 1, wires: [['sink']] },
      { ...AT, id: 'sink', type: 'bench-sink', wires: [] },
    ];
  }
  return [
    ...start,
    { ...AT, id: 'split', type: 'function', func: SPLIT(topic), outputs: 1, wires: [['out']] },
    { ...AT, id: 'out', type: 'mqtt out', topic: '', qos: '1', retain: '', broker: 'broker', wires: [] },
    { ...AT, id: 'sink', type: 'bench-sink', acknowledgements: true, wires: [] },
  ];
}

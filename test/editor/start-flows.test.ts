/** What the menu's first upgrade adds: the examples, on a broker and a service that are there already. */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { type FlowFileNode, onBroker } from '../../nodes/lib/red/start-flows/on-broker';
import { ROOT } from '../../scripts/build/paths';

const FOLDER = path.join(ROOT, 'examples/first-upgrade');
const nodes = ['platform', 'device'].flatMap(
  (name) => JSON.parse(fs.readFileSync(path.join(FOLDER, `${name}.json`), 'utf8')) as FlowFileNode[],
);
const ofType = (flow: readonly FlowFileNode[], type: string): FlowFileNode[] =>
  flow.filter((node) => node.type === type);

describe('the first upgrade of the menu', () => {
  it('comes with one broker at the address that was typed, and one service', () => {
    const flow = onBroker(nodes, { host: 'mqtt.example.com', port: '8883' }, 'http://192.168.1.10:1880');
    const [broker, ...others] = ofType(flow, 'mqtt-broker');
    assert.deepEqual([broker?.['broker'], broker?.['port'], others], ['mqtt.example.com', '8883', []]);
    assert.equal(ofType(flow, 'ota-service').length, 1);
  });

  it('is put on the broker and the service that are there, and brings none', () => {
    const flow = onBroker(nodes, { id: 'mine', service: 'my-service' }, 'http://192.168.1.10:1880');
    assert.deepEqual([...ofType(flow, 'mqtt-broker'), ...ofType(flow, 'ota-service')], []);
    const services = new Set(flow.map((node) => node['service']).filter((service) => service !== undefined));
    assert.deepEqual([...services], ['my-service']);
  });

  it('brings a service where the broker has none', () => {
    const flow = onBroker(nodes, { id: 'mine', service: null }, 'http://192.168.1.10:1880');
    assert.deepEqual(
      ofType(flow, 'ota-service').map(({ broker }) => broker),
      ['mine'],
    );
  });

  it('serves packages where the editor is, without its path: ota-package adds that of httpNodeRoot', () => {
    const flow = onBroker(nodes, { id: 'mine', service: null }, 'http://192.168.1.10:1880/admin/#flow/1');
    assert.match(JSON.stringify(ofType(flow, 'tab')), /"value":"http:\/\/192\.168\.1\.10:1880"/);
  });
});

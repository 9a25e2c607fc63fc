/**
 * What this package relies on in Node-RED beyond its documented API, looked at in the Node-RED that the tests
 * run on. A test that fails here says which of our nodes would break, and how.
 */
import assert from 'node:assert/strict';
import path from 'node:path';
import { type AedesServer, startAedes } from '../support/aedes';
import { makeCertificates, opensslMissing } from '../support/certificates';
import { cleanup } from '../support/cleanup';
import { brokerNode, tabNode } from '../support/flow';
import { type FlowNode, type NodeRed, startNodeRed } from '../support/node-red';
import { nodeRedVersion } from '../support/runtime';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

// Not one word: it is Node-RED that puts the value in.
const VARIABLE = ['$', '{OTA_CONTRACT}'].join('');

interface Broker {
  readonly brokerurl: unknown;
  readonly options: Readonly<Record<string, unknown>>;
  readonly clientid: unknown;
}

interface Seen {
  readonly what: 'start' | 'close' | 'caught';
  readonly id: string;
  readonly [key: string]: unknown;
}

/** What the probe's node `id` told last, since line number `from` of the log. */
function told(red: NodeRed, what: Seen['what'], id: string, from = 0): Seen | undefined {
  return red.lines
    .slice(from)
    .map((line) => /PROBE (\{.*\})/.exec(line)?.[1])
    .filter((text) => text !== undefined)
    .map((text) => JSON.parse(text) as Seen)
    .filter((seen) => seen.what === what && seen.id === id)
    .at(-1);
}

const SECRET = 'contract-password';

function flow(port: number, ca: string): FlowNode[] {
  const will = { willTopic: 'gone', willPayload: 'gone', willQos: '1', willRetain: 'false' };
  const login = { credentials: { user: 'contract-user', password: SECRET } };
  const seen = `node.warn('PROBE ' + JSON.stringify({ what: 'caught', id: msg.error.code,
    source: msg.error.source.id, message: msg.error.message }));`;
  const probe = { type: 'contract-probe', z: 'tab', x: 1, y: 1, wires: [] };
  return [
    tabNode(),
    { id: 'group', type: 'group', z: 'tab', name: '', style: {}, nodes: ['probe'], x: 1, y: 1, w: 9, h: 9 },
    brokerNode('plain', port, { ...will, ...login, keepalive: '17' }),
    brokerNode('five', port, { protocolVersion: '5', clientid: 'fixed', sessionExpiry: '9' }),
    brokerNode('secure', port, { usetls: true, tls: 'tls' }),
    brokerNode('socket', port, { broker: `ws://127.0.0.1:${port}/mqtt` }),
    {
      id: 'tls',
      type: 'tls-config',
      name: '',
      cert: '',
      key: '',
      ca,
      verifyservercert: false,
      servername: 'other-name',
    },
    { id: 'disabled', type: 'tls-config', d: true, name: '', cert: '', key: '', ca: '' },
    {
      ...probe,
      id: 'probe',
      g: 'group',
      brokers: ['plain', 'five', 'secure', 'socket'],
      tls: 'tls',
      disabled: 'disabled',
      shared: 'five',
      variable: VARIABLE,
      credentials: { secret: VARIABLE },
      wires: [['caught'], []],
    },
    // The chain that a device node has: ota-service → mqtt-broker → tls-config.
    { ...probe, id: 'user', service: 'secure' },
    { id: 'click', type: 'inject', z: 'tab', x: 1, y: 1, props: [{ p: 'payload' }], wires: [['probe']] },
    { id: 'catch', type: 'catch', z: 'tab', x: 1, y: 1, scope: ['probe'], uncaught: false, wires: [['log']] },
    { id: 'log', type: 'function', z: 'tab', x: 1, y: 1, func: seen, outputs: 0, libs: [], wires: [] },
    { id: 'caught', type: 'debug', z: 'tab', x: 1, y: 1, active: false, wires: [] },
  ];
}

describe(`what we rely on in Node-RED ${nodeRedVersion()}`, function () {
  this.timeout(240_000);
  const later = cleanup(after);
  let server: AedesServer;
  let red: NodeRed;
  let start: Seen;
  let nodes: FlowNode[];
  const brokers = (): Broker[] => start['brokers'] as Broker[];

  before(async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    server = later(await startAedes());
    nodes = flow(server.port, makeCertificates(folder.path).ca);
    red = later(
      await startNodeRed({
        userDir: folder.path,
        nodesDir: [path.join(__dirname, 'fixtures', 'probe')],
        settings: {
          functionExternalModules: false,
          httpNodeRoot: '/nodes',
          httpNodeAuth: { user: 'u', pass: 'p' },
        },
        env: { OTA_CONTRACT: 'from the environment' },
      }),
    );
    await red.deploy(nodes);
    start = await until(() => told(red, 'start', 'probe'), 'the probe to start');
  });

  it('the core mqtt-broker node has its address in "brokerurl" (ota-service connects to it)', () => {
    const at = `127.0.0.1:${server.port}`;
    assert.deepEqual(
      brokers().map(({ brokerurl }) => brokerurl),
      [`mqtt://${at}`, `mqtt://${at}`, `mqtts://${at}`, `ws://${at}/mqtt`],
      'ota-service would find no broker: OTA_NO_BROKER for everybody',
    );
  });

  it('it has login, keep-alive and protocol in "options", as mqtt.js wants them', () => {
    // Blank is 3.1.1 for both.
    const { username, password, keepalive, protocolVersion = 4 } = brokers()[0]!.options;
    assert.deepEqual(
      { username, password, keepalive: Number(keepalive), protocolVersion: Number(protocolVersion) },
      { username: 'contract-user', password: SECRET, keepalive: 17, protocolVersion: 4 },
      'ota-service would connect without login, or with another protocol, than the broker node says',
    );
    assert.equal(Number(brokers()[1]!.options['protocolVersion']), 5);
  });

  it('it has its will in "options.will", and the session expiry in "options.properties"', () => {
    assert.ok(
      'will' in brokers()[0]!.options,
      "ota-service leaves the user's will out under this name: under another one it would be copied",
    );
    assert.ok(
      'sessionExpiryInterval' in (brokers()[1]!.options['properties'] as object),
      'ota-service leaves it out under this name, and sets its own',
    );
  });

  it('it has TLS in "options", certificates as mqtt.js wants them', () => {
    const { ca, rejectUnauthorized, servername } = brokers()[2]!.options;
    assert.match(String(ca), /BEGIN CERTIFICATE/, 'ota-service would not trust the broker');
    assert.deepEqual(
      { rejectUnauthorized, servername },
      { rejectUnauthorized: false, servername: 'other-name' },
    );
  });

  it('it has the client id that was typed in "clientid", blank where none was, and the one in use in "options"', () => {
    const [plain, five] = brokers();
    assert.ok(
      plain!.clientid === undefined || plain!.clientid === '',
      'ota-service would take a random client id for a fixed one, and lose the session at each start',
    );
    assert.equal(five!.clientid, 'fixed');
    assert.equal(five!.options['clientId'], 'fixed', 'ota-service makes its own client id from it');
    assert.match(String(plain!.options['clientId']), /./);
  });

  it('it stays unconnected while no core MQTT node uses it', () => {
    assert.equal(server.connections, 0, 'a device would have two connections, one of them for nothing');
  });

  it('the core tls-config node has "addTLSOptions", which returns what a TLS client takes', () => {
    const { valid, options } = start['tls'] as { valid: unknown; options: Record<string, unknown> | null };
    assert.ok(options, 'ota-verify would refuse its "tls" setting: OTA_BAD_SETTINGS');
    assert.equal(valid, true, 'ota-verify reads "valid": false means that a file could not be read');
    assert.match(String(options['ca']), /BEGIN CERTIFICATE/);
    assert.equal(options['rejectUnauthorized'], false);
    assert.equal(options['servername'], 'other-name');
  });

  it('a disabled node, and one that is not there, is not found by getNode', () => {
    assert.deepEqual(
      [start['disabled'], start['missing']],
      [null, null],
      'OTA_NO_SERVICE, OTA_NO_BROKER and OTA_NO_STORE are told where getNode finds nothing',
    );
  });

  it('RED.settings names the user directory', () => {
    const { userDir } = start['settings'] as { userDir: unknown };
    assert.equal(
      userDir,
      red.userDir,
      'ota-verify, ota-package, ota-store and held upgrades would lie in the folder of the process',
    );
  });

  it('RED.settings has httpNodeRoot and httpNodeAuth, and RED.httpNode takes a handler', () => {
    const { httpNodeRoot, httpNodeAuth } = start['settings'] as Record<string, unknown>;
    assert.equal(httpNodeRoot, '/nodes/', 'ota-package would give devices URLs that lead nowhere');
    assert.ok(httpNodeAuth, 'ota-package would not tell that devices get 401');
    assert.equal(start['httpNode'], 'function', 'ota-package could not serve');
  });

  it('a node has its tab in "z", its group in "g", its wires and its credentials', () => {
    const { z, g, wires, credentials } = start;
    assert.deepEqual({ z, g }, { z: 'tab', g: 'group' }, 'errors of a service would be told twice or never');
    assert.deepEqual(wires, [['caught'], []], 'ota-task looks whether its second output is wired');
    assert.deepEqual(credentials, { secret: 'from the environment' }, 'access tokens by a variable');
  });

  it('a variable as the whole of a setting comes from the environment', () => {
    assert.equal(start['variable'], 'from the environment');
  });

  it('eachNode shows Catch nodes with tab and scope', () => {
    assert.deepEqual(
      start['catches'],
      [{ id: 'catch', z: 'tab', scope: ['probe'] }],
      'an error of ota-service or ota-store would be told once for each user, or reach no Catch node',
    );
  });

  it('an error of a config node reaches the Catch nodes of those in its "users", with its code', async () => {
    const caught = await until(() => told(red, 'caught', 'PROBE_SHARED'), 'the error at the Catch node');
    assert.equal(caught['message'], 'Error: of a config node');
  });

  it('an error given to done() reaches a Catch node with its code', async () => {
    await red.post('/inject/click', {});
    const caught = await until(() => told(red, 'caught', 'PROBE_MESSAGE'), 'the error at the Catch node');
    assert.equal(caught['source'], 'probe');
    assert.equal(caught['message'], 'PROBE_MESSAGE: of a message', 'the README shows errors in this form');
  });

  describe('on a redeploy', () => {
    const redeploy = async (change: (node: FlowNode) => FlowNode | null): Promise<number> => {
      const from = red.lines.length;
      nodes = nodes.map(change).filter((node) => node !== null);
      await red.deploy(nodes, 'nodes');
      return from;
    };

    it('a node starts anew when a config node changed that it reaches through another', async () => {
      const from = await redeploy((node) => (node.id === 'tls' ? { ...node, servername: 'changed' } : node));
      await until(
        () => told(red, 'start', 'user', from),
        'the user of the broker node to start anew: else it would go on with the old certificates',
      );
    });

    it('close handlers with two parameters get (removed, done), false for a node that starts anew', async () => {
      const from = await redeploy((node) => (node.id === 'user' ? { ...node, name: 'changed' } : node));
      const closed = await until(() => told(red, 'close', 'user', from), 'the node to close');
      assert.deepEqual([closed['removed'], closed['done']], [false, 'function']);
    });

    it('and true for one that was deleted', async () => {
      const from = await redeploy((node) => (node.id === 'user' ? null : node));
      const closed = await until(() => told(red, 'close', 'user', from), 'the node to close');
      assert.equal(
        closed['removed'],
        true,
        'a service that was deleted would leave its session at the broker',
      );
    });
  });
});

import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import type { Node, NodeAPI, NodeInitializer, NodeMessage } from 'node-red';
import { parsePublicKeys, verifySignature } from '../../nodes/lib/packages/verify/signature';
import { checkUpgrade } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { catchNode, helperNode, tabNode } from '../support/flow';
import { type CaughtError, type Credentials, loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

// eslint-disable-next-line @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires
const otaPackage = require('../../nodes/ota-package/ota-package') as NodeInitializer;

const FIRMWARE = Buffer.from('firmware of the pump');
const SHA256 = createHash('sha256').update(FIRMWARE).digest('hex');

type Payload = Record<string, unknown>;

/** The arguments of each call: the helper spies on all nodes. */
function callsOf(node: Node, method: 'warn' | 'error'): unknown[][] {
  return (node[method] as unknown as { args: unknown[][] }).args;
}

describe('ota-package', () => {
  const later = cleanup();
  let userDir: string;
  let base: string;
  let app: http.RequestListener;

  beforeEach(async () => {
    userDir = later(await temporaryFolder()).path;
    const server = http.createServer((request, response) => app(request, response));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    later({
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
  });

  const flowOf = (...nodes: Payload[]): FlowNode[] => [
    tabNode(),
    ...nodes.map((node, i) => ({
      id: `n${i + 1}`,
      type: 'ota-package',
      z: 'tab',
      x: 1,
      y: 1,
      baseUrl: base,
      wires: [['out']],
      ...node,
    })),
    helperNode('out'),
    catchNode('catch', 'caught'),
    helperNode('caught'),
  ];

  const load = async (
    node: Payload = {},
    { credentials, settings }: { credentials?: Credentials; settings?: Payload } = {},
  ): Promise<LoadedFlow> => {
    const initializer: NodeInitializer = (RED: NodeAPI) => {
      app = RED.httpNode;
      return otaPackage(RED);
    };
    const flow = await loadFlow([initializer], flowOf(node), credentials, { userDir, ...settings });
    return later(flow);
  };

  /** One command, its answer. */
  const ask = async (flow: LoadedFlow, payload: unknown, more: object = {}, id = 'n1'): Promise<Payload> => {
    const out = flow.messages('out');
    flow.send(id, { payload, ...more });
    const [message] = await out.atLeast(1);
    out.stop();
    return message!.payload as Payload;
  };

  const failure = async (flow: LoadedFlow, payload: unknown, more: object = {}): Promise<CaughtError> => {
    const caught = flow.messages('caught');
    flow.send('n1', { payload, ...more });
    const [message] = await caught.atLeast(1);
    caught.stop();
    return (message as NodeMessage & { error: CaughtError }).error;
  };

  const add = (flow: LoadedFlow, fields: object = {}): Promise<Payload> =>
    ask(flow, { action: 'add', version: 'v1', ...fields }, { content: FIRMWARE });

  it('adds a Buffer, serves it, and gives what ota-push takes', async () => {
    const flow = await load();
    const added = await add(flow, { name: 'fw.bin', module: 'MCU' });
    assert.equal(added['sha256'], SHA256);
    assert.equal(checkUpgrade(added).url, `${base}/ota/files/${String(added['id'])}/fw.bin`);
    const answer = await fetch(String(added['url']));
    assert.equal(answer.headers.get('content-length'), String(FIRMWARE.length));
    assert.deepEqual(Buffer.from(await answer.arrayBuffer()), FIRMWARE);
  });

  it('adds bytes that a function node made', async () => {
    const content: unknown = runInNewContext('Uint8Array.from(bytes)', { bytes: [...FIRMWARE] });
    const added = await ask(await load(), { action: 'add', version: 'v1' }, { content });
    assert.equal(added['sha256'], SHA256);
  });

  it('keeps the other properties of a message', async () => {
    const flow = await load();
    const out = flow.messages('out');
    flow.send('n1', { payload: { action: 'list' }, topic: 't', accessToken: 'a' });
    const [message] = await out.atLeast(1);
    assert.equal(message!.topic, 't');
    assert.equal((message as unknown as Payload)['accessToken'], 'a');
    assert.deepEqual(message!.payload, []);
  });

  it('adds a file by its path, and moves it', async () => {
    const flow = await load();
    const filename = path.join(userDir, 'upload.bin');
    await fs.writeFile(filename, FIRMWARE);
    const added = await ask(flow, { action: 'add', version: 'v1' }, { filename });
    assert.equal(added['name'], 'upload.bin');
    await assert.rejects(fs.access(filename));
  });

  it('takes a relative path as the core file nodes do', async () => {
    const flow = await load({}, { settings: { fileWorkingDirectory: userDir } });
    await fs.writeFile(path.join(userDir, 'upload.bin'), FIRMWARE);
    assert.equal((await ask(flow, { action: 'add', version: 'v1' }, { filename: 'upload.bin' }))['size'], 20);
  });

  it('adds from an address', async () => {
    const flow = await load({ allowLocal: true });
    const first = await add(flow, { name: 'first.bin' });
    const added = await ask(flow, { action: 'add', version: 'v2', url: first['url'] });
    assert.equal(added['sha256'], SHA256);
    assert.notEqual(added['url'], first['url']);
  });

  for (const [what, settings] of [
    ['addresses of this machine, unless they are allowed', {}],
    ['hosts that are not among the allowed ones', { allowLocal: 'true', allowedHosts: 'example.com' }],
  ] as const) {
    it(`refuses ${what}`, async () => {
      const flow = await load(settings);
      const { code } = await failure(flow, { action: 'add', version: 'v1', url: `${base}/fw.bin` });
      assert.equal(code, 'OTA_HOST_REFUSED');
    });
  }

  it('never takes separators alone for any host', async () => {
    const flow = await load({ allowLocal: 'true', allowedHosts: ' , ' });
    const { code, message } = await failure(flow, { action: 'add', version: 'v1', url: `${base}/fw.bin` });
    assert.equal(code, 'OTA_BAD_SETTINGS');
    assert.match(message, /"allowedHosts" holds separators only/);
  });

  it('lists what is searched for, and one page where a page is asked for', async () => {
    const flow = await load();
    for (const version of ['v1', 'v2', 'v3']) await add(flow, { version, name: `pump ${version}` });
    await add(flow, { version: 'v1', name: 'valve' });
    const versions = (payload: unknown): unknown[] => (payload as Payload[]).map(({ version }) => version);
    assert.deepEqual(versions(await ask(flow, { action: 'list', search: 'PUMP' })), ['v3', 'v2', 'v1']);
    const page = await ask(flow, { action: 'list', search: 'pump', page: 2, pageSize: '2' });
    assert.deepEqual(
      { ...page, packages: versions(page['packages']) },
      {
        ...{ total: 3, page: 2, pageSize: 2 },
        packages: ['v1'],
      },
    );
    assert.equal((await failure(flow, { action: 'list', page: 0 })).code, 'OTA_BAD_INPUT');
    assert.equal((await failure(flow, { action: 'list', search: {} })).code, 'OTA_BAD_INPUT');
  });

  it('keeps the labels that a device needs', async () => {
    const flow = await load();
    const added = await add(flow, { requires: { board: ['a', 'b'] } });
    assert.deepEqual(added['requires'], { board: ['a', 'b'] });
    assert.deepEqual(await ask(flow, { action: 'get', id: added['id'] }), added);
  });

  it('prefers msg.content to an address, and an address to msg.filename', async () => {
    const flow = await load({ allowLocal: true });
    const more = { content: FIRMWARE, filename: '/nowhere' };
    const first = await ask(flow, { action: 'add', version: 'v1', url: 'http://127.0.0.1:9/' }, more);
    assert.equal(first['sha256'], SHA256);
    const second = await ask(
      flow,
      { action: 'add', version: 'v1', url: first['url'] },
      { filename: '/nowhere' },
    );
    assert.equal(second['sha256'], SHA256);
  });

  it('lists, gives and removes', async () => {
    const flow = await load();
    const added = await add(flow);
    assert.deepEqual(await ask(flow, { action: 'list' }), [added]);
    assert.deepEqual(await ask(flow, { action: 'get', id: added['id'] }), added);
    assert.deepEqual(await ask(flow, { action: 'remove', id: added['id'] }), added);
    assert.deepEqual(await ask(flow, { action: 'list' }), []);
    assert.equal((await fetch(String(added['url']))).status, 404);
  });

  for (const [what, payload, more, code] of [
    ['text as a payload', 'add', {}, 'OTA_BAD_INPUT'],
    ['an unknown action', { action: 'drop' }, {}, 'OTA_BAD_INPUT'],
    ['no action', {}, {}, 'OTA_BAD_INPUT'],
    ['an add without a file', { action: 'add', version: 'v1' }, {}, 'OTA_BAD_INPUT'],
    ['a content that is text', { action: 'add', version: 'v1' }, { content: 'text' }, 'OTA_BAD_INPUT'],
    ['an add without a version', { action: 'add' }, { content: FIRMWARE }, 'OTA_BAD_PACKAGE'],
    ['an empty file', { action: 'add', version: 'v1' }, { content: Buffer.alloc(0) }, 'OTA_BAD_PACKAGE'],
    ['a file that is not there', { action: 'add', version: 'v1' }, { filename: '/nowhere/x' }, 'OTA_FILE'],
    ['an address that is no URL', { action: 'add', version: 'v1', url: 'x' }, {}, 'OTA_BAD_URL'],
    ['an unknown id', { action: 'get', id: '0'.repeat(32) }, {}, 'OTA_PACKAGE_NOT_FOUND'],
    ['the removal of an unknown id', { action: 'remove', id: '../x' }, {}, 'OTA_PACKAGE_NOT_FOUND'],
    ['a get without an id', { action: 'get' }, {}, 'OTA_BAD_INPUT'],
  ] as const) {
    it(`answers ${what} with ${code}`, async () => {
      const flow = await load();
      const error = await failure(flow, payload, more);
      assert.equal(error.code, code);
      await flow.status(
        'n1',
        code === 'OTA_BAD_INPUT' ? 'common.status.messageRefused' : 'common.status.failed',
      );
      assert.deepEqual(await ask(flow, { action: 'list' }), []);
      await flow.status('n1', 'ota-package.status.packages');
    });
  }

  it('refuses a file over the limit', async () => {
    const flow = await load({ maxBytes: '10' });
    const error = await failure(flow, { action: 'add', version: 'v1' }, { content: FIRMWARE });
    assert.equal(error.code, 'OTA_SIZE_LIMIT');
  });

  it('shows the number of packages', async () => {
    const flow = await load();
    await flow.status('n1', 'ota-package.status.packages');
    const added = await add(flow);
    await flow.status('n1', 'ota-package.status.onePackage');
    await ask(flow, { action: 'remove', id: added['id'] });
    await until(
      () => (flow.statuses('n1').at(-1) as { text?: string }).text === 'ota-package.status.packages',
      'the number to go down',
    );
  });

  for (const signMethod of ['MD5', 'Md5']) {
    it(`uses the digest of its setting, ${signMethod}`, async () => {
      const flow = await load({ signMethod });
      const added = await add(flow);
      assert.equal(added['signMethod'], 'MD5');
      assert.equal(added['sign'], createHash('md5').update(FIRMWARE).digest('hex'));
    });
  }

  it('signs with its private key, on one line as an input field makes it', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ed25519', {
      privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
      publicKeyEncoding: { format: 'pem', type: 'spki' },
    });
    const key = privateKey.replace(/\n/g, '');
    const flow = await load({}, { credentials: { n1: { privateKey: key } } });
    const added = await add(flow);
    const signature = (added['extData'] as Record<string, string>)['_signature'];
    const fields = { module: 'default', version: 'v1', size: FIRMWARE.length };
    assert.equal(verifySignature(parsePublicKeys(publicKey), signature, fields).sha256, SHA256);
  });

  describe('with its private key in a file', () => {
    const pair = (): { privateKey: string; publicKey: string } =>
      generateKeyPairSync('ed25519', {
        privateKeyEncoding: { format: 'pem', type: 'pkcs8' },
        publicKeyEncoding: { format: 'pem', type: 'spki' },
      });
    const write = async (text: string, mode: number): Promise<void> => {
      await fs.mkdir(path.join(userDir, 'keys'), { recursive: true });
      await fs.writeFile(path.join(userDir, 'keys/private.pem'), text);
      await fs.chmod(path.join(userDir, 'keys/private.pem'), mode);
    };
    const file = { privateKeyFile: 'keys/private.pem' };

    it('signs with it', async () => {
      const { privateKey, publicKey } = pair();
      await write(privateKey, 0o600);
      const added = await add(await load(file));
      const signature = (added['extData'] as Record<string, string>)['_signature'];
      const fields = { module: 'default', version: 'v1', size: FIRMWARE.length };
      assert.equal(verifySignature(parsePublicKeys(publicKey), signature, fields).sha256, SHA256);
    });

    for (const [what, mode, more, code, says] of [
      ['others can read it', 0o644, {}, 'OTA_BAD_SETTINGS', /chmod 600/],
      [
        'a credential is set, too',
        0o600,
        { n1: { privateKey: 'my secret' } },
        'OTA_BAD_SETTINGS',
        /clear one/,
      ],
      ['it is missing', null, {}, 'OTA_FILE', /private\.pem/],
    ] as const) {
      it(`signs nothing where ${what}`, async () => {
        if (mode !== null) await write(pair().privateKey, mode);
        const error = await failure(await load(file, { credentials: more }), { action: 'list' });
        assert.equal(error.code, code);
        assert.match(error.message, says);
        assert.doesNotMatch(error.message, /PRIVATE|my secret/);
      });
    }
  });

  for (const [what, node, credentials] of [
    ['a base address that is none', { baseUrl: 'localhost' }, undefined],
    ['a limit that is no number', { maxBytes: 'many' }, undefined],
    ['an unknown digest', { signMethod: 'SHA1' }, undefined],
    ['a private key that is none', {}, { n1: { privateKey: 'my secret' } }],
  ] as const) {
    it(`answers every command with OTA_BAD_SETTINGS where it has ${what}`, async () => {
      const flow = await load(node, credentials === undefined ? {} : { credentials });
      await flow.status('n1', 'common.status.badSettings');
      const error = await failure(flow, { action: 'list' });
      assert.equal(error.code, 'OTA_BAD_SETTINGS');
      assert.ok(!error.message.includes('my secret'));
    });
  }

  describe('without a base address', () => {
    it('says so, and refuses to add a file', async () => {
      const flow = await load({ baseUrl: '' });
      await flow.status('n1', 'ota-package.status.noBaseUrl');
      const error = await failure(flow, { action: 'add', version: 'v1' }, { content: FIRMWARE });
      assert.equal(error.code, 'OTA_BAD_SETTINGS');
      assert.match(error.message, /baseUrl/);
    });

    it('serves nothing, whatever lies in its folder', async () => {
      const first = await load();
      const added = await add(first);
      await first.stop();
      await load({ baseUrl: '' });
      const answer = await fetch(String(added['url']));
      assert.equal(answer.ok, false);
    });

    it('measures a package that lies elsewhere', async () => {
      const elsewhere = http.createServer((_request, response) => response.end(FIRMWARE));
      await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
      later({ stop: () => void elsewhere.close() });
      const url = `http://127.0.0.1:${(elsewhere.address() as AddressInfo).port}/fw.bin`;
      const flow = await load({ baseUrl: '', allowLocal: true });
      const added = await ask(flow, { action: 'add', version: 'v1', url });
      assert.equal(added['url'], url);
      assert.equal(checkUpgrade(added).sign, SHA256);
    });
  });

  describe("and Node-RED's HTTP settings", () => {
    const warnings = async (node: Payload, settings: Payload): Promise<string[]> => {
      // An address that devices reach: one of this machine is warned of.
      const flow = await load({ baseUrl: 'http://192.0.2.1:1880', ...node }, { settings });
      const told = callsOf(flow.node('n1'), 'warn').map(([text]) => String(text));
      await flow.stop();
      return told;
    };

    it('warns where httpNodeAuth stands in the way', async () => {
      const told = await warnings({}, { httpNodeAuth: { user: 'u', pass: 'p' } });
      assert.equal(told.length, 1);
      assert.match(told[0]!, /httpNodeAuth.*401/);
    });

    it('never tells to put a login into the base address, and warns of one that is there', async () => {
      const guarded = { httpNodeAuth: { user: 'u', pass: 'p' } };
      const [told = ''] = await warnings({}, guarded);
      assert.match(told, /Never put a login/);
      const both = await warnings({ baseUrl: 'http://u:p@192.0.2.1' }, guarded);
      assert.equal(both.length, 2);
      assert.match(both[1]!, /holds a login/);
    });

    it('does not warn where httpNodeAuth is a function or several, which may let devices through', async () => {
      assert.deepEqual(await warnings({}, { httpNodeAuth: () => {} }), []);
      assert.deepEqual(await warnings({}, { httpNodeAuth: [() => {}] }), []);
    });

    it('warns of a base address that only this machine reaches', async () => {
      for (const host of ['localhost', '127.0.0.1', '[::1]', '169.254.1.1', '0x7f.1']) {
        const [told = '', ...more] = await warnings({ baseUrl: `http://${host}:1880` }, {});
        assert.match(told, /no device on another machine/, host);
        assert.deepEqual(more, []);
      }
    });

    it('does not warn without httpNodeAuth', async () => {
      assert.deepEqual(await warnings({}, {}), []);
    });

    it('puts httpNodeRoot behind an address that has no path', async () => {
      const flow = await load({ baseUrl: 'http://192.0.2.1:1880' }, { settings: { httpNodeRoot: '/api/' } });
      assert.match(String((await add(flow))['url']), /^http:\/\/192\.0\.2\.1:1880\/api\/ota\/files\//);
    });

    it('refuses where Node-RED serves nothing', async () => {
      const flow = await load({}, { settings: { httpNodeRoot: false } });
      assert.equal((await failure(flow, { action: 'list' })).code, 'OTA_BAD_SETTINGS');
    });
  });

  it('serves through redeploys with one route', async () => {
    const flow = await load();
    const added = await add(flow);
    const routes = (): number => (app as unknown as { _router: { stack: unknown[] } })._router.stack.length;
    const before = routes();
    for (let i = 0; i < 10; i += 1) await flow.deploy(flowOf({}, { directory: `more-${i}` }));
    assert.equal(routes(), before);
    assert.equal((await fetch(String(added['url']))).status, 200);
    await flow.deploy([tabNode()]);
    assert.equal((await fetch(String(added['url']))).status, 404);
  });

  it('shares a folder with another node: each serves and lists what the other added', async () => {
    const flow = await load();
    await flow.deploy(flowOf({}, { signMethod: 'MD5' }));
    const added = await add(flow);
    assert.deepEqual(await ask(flow, { action: 'list' }, {}, 'n2'), [added]);
    assert.deepEqual(await ask(flow, { action: 'remove', id: added['id'] }, {}, 'n2'), added);
    assert.deepEqual(await ask(flow, { action: 'list' }), []);
  });

  it('takes an add back when it is redeployed, and ends its message', async () => {
    const slow = http.createServer((_request, response) => {
      response.writeHead(200, { 'content-length': 1000 });
      response.write('a');
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    later({
      stop: () => {
        slow.closeAllConnections();
        slow.close();
      },
    });
    const asked = new Promise((resolve) => slow.once('request', resolve));
    const flow = await load({ allowLocal: true });
    const url = `http://127.0.0.1:${(slow.address() as AddressInfo).port}/`;
    const node = flow.node('n1');
    flow.send('n1', { payload: { action: 'add', version: 'v1', url } });
    await asked;
    const folder = path.join(userDir, 'ota', 'packages');
    await until(async () => (await fs.readdir(folder)).length === 1, 'the add to begin');
    await flow.deploy(flowOf({ signMethod: 'MD5' }));
    await until(async () => (await fs.readdir(folder)).length === 0, 'the add to be taken back');
    const [error] = callsOf(node, 'error')[0] ?? [];
    assert.equal((error as CaughtError).code, 'OTA_CLOSED');
    assert.deepEqual(await ask(flow, { action: 'list' }), []);
  });

  it('tells where its folder can not be used, and works once it can', async () => {
    const blocked = path.join(userDir, 'blocked');
    await fs.writeFile(blocked, '');
    const flow = await load({ directory: 'blocked' });
    assert.equal((await failure(flow, { action: 'list' })).code, 'OTA_FILE');
    await fs.rm(blocked);
    assert.deepEqual(await ask(flow, { action: 'list' }), []);
  });
});

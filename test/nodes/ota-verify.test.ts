/** ota-verify in a flow: what leaves by which output, what a Catch node gets, what the status says. */
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import { runInNewContext } from 'node:vm';
import type { NodeInitializer, NodeMessage } from 'node-red';
import { signFields, signPackage } from '../../nodes/lib/packages/verify/signature';
import { digestOf, FIRMWARE, upgradeTo } from '../packages/support/packages';
import { chunked, good, raw, stallAt, startServer, status } from '../packages/support/server';
import { makeCertificates, opensslMissing } from '../support/certificates';
import { cleanup } from '../support/cleanup';
import { catchNode, helperNode, tabNode } from '../support/flow';
import { type CaughtError, loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { listen } from '../support/ports';
import { requireNodeRed } from '../support/runtime';
import { temporaryFolder } from '../support/temporary-folder';
import { collect, type Collected, until, within } from '../support/wait';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
const nodes: readonly NodeInitializer[] = [
  requireNodeRed('@node-red/nodes/core/network/05-tls.js') as NodeInitializer,
  requireNodeRed('@node-red/nodes/core/network/06-httpproxy.js') as NodeInitializer,
  requireNodeRed('@node-red/nodes/core/common/24-complete.js') as NodeInitializer,
  require('../../nodes/ota-verify/ota-verify') as NodeInitializer,
];
/* eslint-enable */

interface Report {
  readonly step: number;
  readonly desc: string;
  readonly module: string;
  readonly code?: string;
}

interface Bench {
  readonly flow: LoadedFlow;
  readonly folder: string;
  readonly verified: Collected<NodeMessage>;
  readonly progress: Collected<NodeMessage>;
  readonly caught: Collected<NodeMessage>;
  readonly completed: Collected<NodeMessage>;
  send(payload: unknown, fields?: object): void;
  /** What output 2 said, after something left by output 1 or a failure by output 2. */
  reports(): Report[];
  ended(): Promise<Report>;
}

const later = cleanup();

function flowOf(settings: object, more: FlowNode[] = []): FlowNode[] {
  return [
    tabNode(),
    {
      id: 'n1',
      type: 'ota-verify',
      z: 'tab',
      x: 1,
      y: 1,
      wires: [['out0'], ['out1']],
      allowLocal: true,
      ...settings,
    },
    helperNode('out0'),
    helperNode('out1'),
    catchNode('catch', 'caught'),
    helperNode('caught'),
    { id: 'complete', type: 'complete', z: 'tab', x: 1, y: 1, scope: ['n1'], wires: [['completed']] },
    helperNode('completed'),
    ...more,
  ];
}

async function start(
  settings: object = {},
  more: FlowNode[] = [],
  credentials = {},
  red: object = {},
): Promise<Bench> {
  const { path: userDir } = later(await temporaryFolder());
  const flow = later(await loadFlow(nodes, flowOf(settings, more), credentials, { userDir, ...red }));
  const progress = flow.messages('out1');
  const verified = flow.messages('out0');
  const reports = (): Report[] => progress.items.map(({ payload }) => payload as Report);
  return {
    flow,
    folder: path.join(userDir, 'ota/downloads'),
    verified,
    progress,
    caught: flow.messages('caught'),
    completed: flow.messages('completed'),
    send: (payload, fields = {}) => flow.send('n1', { payload, ...fields }),
    reports,
    ended: () =>
      until(() => {
        const last = reports().at(-1);
        return last !== undefined && (last.step < 0 || verified.items.length > 0) ? last : null;
      }, 'an answer'),
  };
}

describe('ota-verify', () => {
  it('gives the upgrade with the file, its bytes, digest and seconds, and keeps the message', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const bench = await start();
    const upgrade = upgradeTo(FIRMWARE, server.url);
    bench.send(upgrade, { accessToken: 'token-1', topic: 'kept', mine: 5 });
    const [message] = (await bench.verified.atLeast(1)) as [NodeMessage & Record<string, unknown>];
    const payload = message.payload as Record<string, unknown>;
    const { filename, bytes, digest, seconds, ...rest } = payload;
    assert.deepEqual(rest, upgrade);
    assert.deepEqual([bytes, digest, typeof seconds], [FIRMWARE.length, digestOf(FIRMWARE), 'number']);
    assert.equal(message['filename'], filename);
    assert.equal(path.dirname(String(filename)), bench.folder);
    assert.deepEqual(await fs.readFile(String(filename)), FIRMWARE);
    assert.deepEqual([message['accessToken'], message.topic, message['mine']], ['token-1', 'kept', 5]);
    await bench.completed.atLeast(1);
    assert.deepEqual(bench.caught.items, []);
    await bench.flow.status('n1', 'ota-verify.status.verified');
  });

  it('reports steps that only rise, from the first block to downloadShare', async () => {
    const body = randomBytes(40_000);
    const server = later(
      await startServer((socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n');
        let at = 0;
        const timer = setInterval(() => {
          socket.write(body.subarray(at, at + 10_000));
          at += 10_000;
          if (at >= body.length) clearInterval(timer);
        }, 300);
      }),
    );
    const bench = await start({ downloadShare: '50' });
    bench.send(upgradeTo(body, server.url), { accessToken: 'token-1' });
    await bench.verified.atLeast(1);
    const steps = bench.reports().map(({ step }) => step);
    assert.deepEqual(
      steps,
      [...steps].sort((a, b) => a - b),
    );
    assert.ok(steps.length >= 2 && steps[0]! >= 1 && steps[0]! < 50, String(steps));
    assert.equal(steps.filter((step) => step === 50).length, 1);
    for (const message of bench.progress.items) {
      assert.equal((message as { accessToken?: string }).accessToken, 'token-1');
    }
    const [first] = bench.reports();
    assert.match(first!.desc, /^downloading [0-9]+ %$/);
    assert.equal(first!.module, 'MCU');
    await bench.flow.status('n1', /^[0-9]+ %$/);
  });

  it('reports the first block and the end of a package of unknown size', async () => {
    const server = later(await startServer(chunked(FIRMWARE)));
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url, { size: null, module: undefined }));
    await bench.verified.atLeast(1);
    assert.deepEqual(bench.reports(), [
      { step: 1, desc: 'downloading', module: 'default' },
      { step: 90, desc: 'downloaded, verified', module: 'default' },
    ]);
  });

  it('reports -2 with reason and code for a download that failed, and completes the message', async () => {
    const server = later(await startServer(status(404)));
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url));
    const failure = await bench.ended();
    assert.deepEqual([failure.step, failure.code, failure.module], [-2, 'OTA_HTTP_STATUS', 'MCU']);
    await bench.completed.atLeast(1);
    assert.deepEqual([bench.verified.items, bench.caught.items], [[], []]);
    await bench.flow.status('n1', 'ota-verify.status.notDownloaded');
  });

  it('reports -3 when one bit differs, and leaves no file', async () => {
    const wrong = Buffer.from(FIRMWARE);
    wrong[5]! ^= 8;
    const server = later(await startServer(good(wrong)));
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url));
    const failure = await bench.ended();
    assert.deepEqual([failure.step, failure.code], [-3, 'OTA_DIGEST_MISMATCH']);
    assert.ok(failure.desc.length > 0 && Array.from(failure.desc).length <= 128);
    assert.deepEqual(await fs.readdir(bench.folder), []);
    await bench.flow.status('n1', 'ota-verify.status.notVerified');
  });

  const answers: [string, object, object, number, string][] = [
    ['a wrong scheme', { url: 'ftp://127.0.0.1/x' }, {}, -2, 'OTA_BAD_URL'],
    ['an address that is none', { url: 'http://:bad' }, {}, -2, 'OTA_BAD_URL'],
    [
      'a host that is not allowed',
      { url: 'http://evil.org/' },
      { allowedHosts: 'good.org' },
      -2,
      'OTA_HOST_REFUSED',
    ],
    ['a local host', { url: 'http://2130706433/' }, { allowLocal: false }, -2, 'OTA_HOST_REFUSED'],
    ['a size above maxBytes', {}, { maxBytes: '10' }, -2, 'OTA_SIZE_LIMIT'],
    ['an unreadable size', { size: {} }, {}, -2, 'OTA_SIZE_MISMATCH'],
    ['no sign', { sign: '' }, {}, -3, 'OTA_UNSIGNED'],
    ['a sign that is none', { sign: 'abc' }, {}, -3, 'OTA_BAD_SIGN'],
    ['an unknown signMethod', { signMethod: 'ROT13' }, {}, -3, 'OTA_BAD_SIGN_METHOD'],
    ['a lower version', { version: '1' }, { rollback: 'refuse' }, -3, 'OTA_ROLLBACK'],
    [
      'nothing but an address',
      { sign: undefined, size: undefined, version: undefined },
      {},
      -3,
      'OTA_UNSIGNED',
    ],
  ];
  for (const [what, fields, settings, step, code] of answers) {
    it(`answers ${what} on output 2, and only there`, async () => {
      const bench = await start(settings);
      bench.send(upgradeTo(FIRMWARE, 'http://127.0.0.1:9/', fields), { currentVersion: '2' });
      const failure = await bench.ended();
      assert.deepEqual([failure.step, failure.code], [step, code]);
      await bench.completed.atLeast(1);
      assert.deepEqual(bench.caught.items, []);
      assert.equal(bench.progress.items.length, 1);
    });
  }

  it('gives a message without an upgrade to a Catch node, and only there', async () => {
    const bench = await start();
    for (const payload of [undefined, 'v1', 5, [], {}, { url: 7 }]) bench.send(payload);
    const caught = await bench.caught.atLeast(6);
    for (const message of caught) {
      assert.equal((message as unknown as { error: CaughtError }).error.code, 'OTA_BAD_INPUT');
    }
    assert.deepEqual(bench.progress.items, []);
  });

  it('answers an upgrade whose file or Buffer is missing on output 2, because the platform waits', async () => {
    for (const source of ['file', 'buffer']) {
      const bench = await start({ source });
      bench.send(upgradeTo(FIRMWARE, 'http://127.0.0.1:9/'));
      const failure = await bench.ended();
      assert.deepEqual([failure.step, failure.code], [-2, 'OTA_BAD_INPUT']);
      await bench.completed.atLeast(1);
      bench.send(upgradeTo(FIRMWARE, ''));
      const [caught] = await bench.caught.atLeast(1);
      assert.equal((caught as unknown as { error: CaughtError }).error.code, 'OTA_BAD_INPUT');
      assert.equal(bench.progress.items.length, 1);
      await bench.flow.stop();
    }
  });

  it('says that a package without sign was taken unchecked', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const bench = await start({ requireSign: false });
    const warned = collect(bench.flow.node('n1'), 'call:warn');
    bench.send(upgradeTo(FIRMWARE, server.url, { sign: '', signMethod: null }));
    const [message] = await bench.verified.atLeast(1);
    assert.equal((message!.payload as { digest: string }).digest, digestOf(FIRMWARE));
    assert.match(bench.reports().at(-1)!.desc, /not verified/);
    assert.equal(warned.items.length, 1);
    await bench.flow.status('n1', 'ota-verify.status.unsigned');
  });

  it('warns of MD5 without a signature once', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const bench = await start();
    const warned = collect(bench.flow.node('n1'), 'call:warn');
    const md5 = { sign: digestOf(FIRMWARE, 'md5'), signMethod: 'Md5' };
    for (const version of ['v1', 'v2']) bench.send(upgradeTo(FIRMWARE, server.url, { ...md5, version }));
    await bench.verified.atLeast(2);
    assert.equal(warned.items.length, 1);
  });

  it('checks the signature against any of its public keys', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const pairs = [generateKeyPairSync('ed25519'), generateKeyPairSync('ed25519')];
    const publicKeys = pairs
      .map(({ publicKey }) => publicKey.export({ type: 'spki', format: 'pem' }))
      .join('\n');
    const bench = await start({ publicKeys });
    bench.send(upgradeTo(FIRMWARE, server.url));
    const unsigned = await bench.ended();
    assert.deepEqual([unsigned.step, unsigned.code], [-3, 'OTA_BAD_SIGNATURE']);
    const fields = { module: 'MCU', version: 'v1.1', size: FIRMWARE.length, sha256: digestOf(FIRMWARE) };
    const extData = { _signature: signFields(pairs[1]!.privateKey, fields) };
    bench.send(upgradeTo(FIRMWARE, server.url, { sign: '', extData }));
    await bench.verified.atLeast(1);
  });

  it('tells a bad setting at the start, and answers upgrades on output 2', async () => {
    for (const settings of [
      { retries: 'many' },
      { source: 'tape' },
      { publicKeys: 'x' },
      { tls: 'gone' },
      { allowedHosts: 'a/b' },
      { directory: '${' + 'OTA_NOT_SET}' },
      { keep: '${' + 'OTA_NOT_SET}' },
    ]) {
      const bench = await start(settings);
      const [caught] = await bench.caught.atLeast(1);
      assert.equal((caught as unknown as { error: CaughtError }).error.code, 'OTA_BAD_SETTINGS');
      bench.send(upgradeTo(FIRMWARE, 'http://127.0.0.1:9/'));
      const failure = await bench.ended();
      assert.deepEqual([failure.step, failure.code], [-2, 'OTA_BAD_SETTINGS']);
      await bench.flow.status('n1', 'common.status.badSettings');
      await bench.flow.stop();
    }
  });

  it('shows no password of a URL', async () => {
    const server = later(await startServer(status(401)));
    const bench = await start({ retries: '0' });
    const url = server.url.replace('//', '//user:top-secret@');
    for (const bad of [
      url,
      'ftp://user:top-secret@h/',
      'http://user:top-secret@evil org/',
      'http://user:top-secret@127.0.0.1:1/',
    ]) {
      bench.send(upgradeTo(FIRMWARE, bad, { version: bad.slice(0, 4) }));
    }
    await bench.progress.atLeast(4);
    assert.doesNotMatch(JSON.stringify(bench.reports()), /top-secret/);
    assert.doesNotMatch(JSON.stringify(bench.flow.statuses('n1')), /top-secret/);
  });

  it('verifies the file of msg.filename where it lies', async () => {
    const folder = later(await temporaryFolder());
    const filename = path.join(folder.path, 'fw.bin');
    await fs.writeFile(filename, FIRMWARE);
    const bench = await start({ source: 'file' });
    bench.send(upgradeTo(FIRMWARE, ''), { filename });
    const [message] = await bench.verified.atLeast(1);
    assert.equal((message!.payload as { filename: string }).filename, filename);
    assert.equal(bench.reports()[0]!.desc, 'checking 100 %');
    assert.deepEqual(bench.reports().at(-1), { step: 90, desc: 'verified', module: 'MCU' });
  });

  it("finds a relative msg.filename where Node-RED's file nodes do", async () => {
    const folder = later(await temporaryFolder());
    await fs.writeFile(path.join(folder.path, 'fw.bin'), FIRMWARE);
    const bench = await start({ source: 'file' }, [], {}, { fileWorkingDirectory: folder.path });
    bench.send(upgradeTo(FIRMWARE, ''), { filename: 'fw.bin' });
    const [message] = await bench.verified.atLeast(1);
    assert.equal((message as { filename?: string }).filename, path.join(folder.path, 'fw.bin'));
  });

  it('verifies the Buffer of msg.content and writes it to the folder', async () => {
    const bench = await start({ source: 'buffer' });
    bench.send(upgradeTo(FIRMWARE, ''), { content: FIRMWARE });
    const [message] = await bench.verified.atLeast(1);
    const { filename } = message!.payload as { filename: string };
    assert.equal(path.dirname(filename), bench.folder);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    bench.send(upgradeTo(FIRMWARE, ''), { content: Buffer.from('x') });
    const failure = await until(() => bench.reports().find(({ step }) => step < 0), 'a failure');
    assert.deepEqual([failure.step, failure.code], [-2, 'OTA_SIZE_MISMATCH']);
  });

  it('verifies bytes that a function node made', async () => {
    const bench = await start({ source: 'buffer' });
    const content: unknown = runInNewContext('Uint8Array.from(bytes)', { bytes: [...FIRMWARE] });
    bench.send(upgradeTo(FIRMWARE, ''), { content });
    const [message] = await bench.verified.atLeast(1);
    assert.equal((message!.payload as { bytes?: number }).bytes, FIRMWARE.length);
  });

  it('trusts the CA of its tls-config node', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const [cert, key] = await Promise.all([fs.readFile(made.good.cert), fs.readFile(made.good.key)]);
    const server = later(await startServer(good(FIRMWARE), { cert, key }));
    const config = { id: 'tls', type: 'tls-config', cert: '', key: '', ca: made.ca, verifyservercert: true };
    const bench = await start({ tls: 'tls' }, [config]);
    bench.send(upgradeTo(FIRMWARE, server.url));
    await bench.verified.atLeast(1);
  });

  it('breaks its download off on a redeploy, however long it could still wait, and goes on where it stopped', async () => {
    const server = later(await startServer([stallAt(FIRMWARE, 60_000), good(FIRMWARE)]));
    const bench = await start({ stallTimeout: '3600' });
    const upgrade = upgradeTo(FIRMWARE, server.url);
    bench.send(upgrade);
    await bench.progress.atLeast(1);
    const gone = until(() => server.open === 0, 'the connection to close');
    await within(Promise.all([bench.flow.deploy(flowOf({ retries: '4' }), 'nodes'), gone]), 'the redeploy');
    const verified = bench.flow.messages('out0');
    bench.send(upgrade);
    await verified.atLeast(1);
    assert.equal(server.asked[1]!.from, 60_000);
  });

  it('answers a push without an address, for a package over MQTT, on output 2', async () => {
    const bench = await start();
    for (const url of [undefined, null, '']) {
      const before = bench.progress.items.length;
      bench.send({ ...upgradeTo(FIRMWARE, ''), url }, { accessToken: 'a' });
      await bench.progress.atLeast(before + 1);
      assert.deepEqual(
        bench
          .reports()
          .map(({ step, code }) => [step, code])
          .at(-1),
        [-2, 'OTA_NO_URL'],
      );
    }
    assert.deepEqual(bench.caught.items, []);
  });

  it('reports no failure for a download that a deploy breaks off', async () => {
    const server = later(await startServer(stallAt(FIRMWARE, 60_000)));
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url), { accessToken: 'a' });
    await bench.progress.atLeast(1);
    await bench.flow.deploy(flowOf({ retries: '4' }), 'nodes');
    await until(() => server.open === 0, 'the connection to close');
    assert.ok(bench.reports().every(({ step }) => step > 0));
  });

  it('refuses everything where a signature is required and there is no key to check it with', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    for (const settings of [
      { requireSignature: true },
      { requireSignature: 'true', publicKeys: ' ' },
      { publicKeys: ' , ' },
      { allowedHosts: ',' },
    ]) {
      const bench = await start(settings);
      bench.send(upgradeTo(FIRMWARE, server.url));
      const { code } = await bench.ended();
      assert.equal(code, 'OTA_BAD_SETTINGS');
      await bench.flow.stop();
    }
    assert.equal(server.asked.length, 0);
  });

  it('takes a signed package where a signature is required', async () => {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    const server = later(await startServer(good(FIRMWARE)));
    const publicKeys = publicKey.export({ format: 'pem', type: 'spki' });
    const bench = await start({ requireSignature: true, publicKeys });
    const fields = { module: 'MCU', version: 'v1.1', size: FIRMWARE.length, sha256: digestOf(FIRMWARE) };
    const about = { signed: new Date().toISOString(), product: '', requires: null, extData: { a: 'b' } };
    const extData = { a: 'b', _signature: signPackage(privateKey, { ...fields, ...about }) };
    bench.send(upgradeTo(FIRMWARE, server.url, { extData }));
    await bench.verified.atLeast(1);
    bench.send(upgradeTo(FIRMWARE, server.url, { extData: { ...extData, a: 'c' } }));
    await until(() => bench.reports().at(-1)?.code === 'OTA_BAD_SIGNATURE', 'the refusal');
  });

  it('goes out through a core http proxy node, with its login, or through an address', async () => {
    const seen: (string | undefined)[] = [];
    const proxy = http.createServer((request, response) => {
      seen.push(request.headers['proxy-authorization']);
      http.get(request.url ?? '', (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.pipe(response);
      });
    });
    const port = await listen(proxy);
    later({ stop: async () => void proxy.close() });
    const server = later(await startServer(good(FIRMWARE)));
    const node = {
      id: 'proxy',
      type: 'http proxy',
      url: `http://127.0.0.1:${port}`,
      noproxy: ['example.com'],
    };
    const login = { proxy: { username: 'me', password: 'p@ss:w' } };
    for (const [setting, more, credentials] of [
      ['proxy', [node], login],
      [`127.0.0.1:${port}`, [], {}],
    ] as const) {
      const bench = await start({ proxy: setting }, [...more], credentials);
      bench.send(upgradeTo(FIRMWARE, server.url));
      await bench.verified.atLeast(1);
      await bench.flow.stop();
    }
    assert.deepEqual(seen, [`Basic ${Buffer.from('me:p@ss:w').toString('base64')}`, undefined]);
  });

  it('never goes out directly where its proxy is missing, empty or no address', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const empty = { id: 'proxy', type: 'http proxy', url: '', noproxy: [] };
    for (const [setting, more] of [
      ['0123456789abcdef', []],
      ['proxy', [empty]],
      ['ftp://host', []],
    ] as const) {
      const bench = await start({ proxy: setting }, [...more]);
      bench.send(upgradeTo(FIRMWARE, server.url));
      assert.equal((await bench.ended()).code, 'OTA_BAD_SETTINGS');
      await bench.flow.stop();
    }
    assert.equal(server.asked.length, 0);
  });

  it('bears a server that bends HTTP where it is lenient', async () => {
    const bent = `HTTP/1.1 200 OK\nContent-Length: ${FIRMWARE.length}\n\n`;
    const server = later(
      await startServer((socket) => socket.end(Buffer.concat([Buffer.from(bent), FIRMWARE]))),
    );
    const bench = await start({ lenient: true });
    bench.send(upgradeTo(FIRMWARE, server.url));
    await bench.verified.atLeast(1);
  });

  it('keeps files for each device that a message names, outside the folder of packages', async () => {
    const bodies = [1, 2, 3].map((n) => randomBytes(1000 + n));
    const server = later(
      await startServer((socket, asked) => good(bodies[Number(asked.path.slice(1))]!)(socket, asked)),
    );
    const bench = await start({ keep: '1' });
    for (const [n, accessToken] of ['sleeper', 'a', 'a'].entries()) {
      bench.send(upgradeTo(bodies[n]!, `${server.url}/${n}`, { version: `v${n}` }), { accessToken });
      await bench.verified.atLeast(n + 1);
    }
    assert.equal((await fs.readdir(bench.folder)).length, 2);
    assert.equal((await fs.readdir(path.join(bench.folder, '../uses'))).length, 1);
  });

  it('shares one download between two messages, each with its own answer', async () => {
    const server = later(
      await startServer((socket, asked) => void setTimeout(() => good(FIRMWARE)(socket, asked), 50)),
    );
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url, { id: '1' }), { accessToken: 'a' });
    bench.send(upgradeTo(FIRMWARE, server.url, { id: '2' }), { accessToken: 'b' });
    const messages = await bench.verified.atLeast(2);
    assert.equal(server.asked.length, 1);
    assert.deepEqual(messages.map(({ payload }) => (payload as { id: string }).id).sort(), ['1', '2']);
    for (const token of ['a', 'b']) {
      const own = bench.progress.items.filter(
        (msg) => (msg as { accessToken?: string }).accessToken === token,
      );
      assert.equal((own.at(-1)!.payload as Report).step, 90);
    }
  });

  it('refuses a packed body as a failed download', async () => {
    const server = later(await startServer(raw(FIRMWARE, { 'Content-Encoding': 'gzip' })));
    const bench = await start();
    bench.send(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual([(await bench.ended()).step, (await bench.ended()).code], [-2, 'OTA_BAD_ENCODING']);
  });
});

/** Downloads as they happen in the field: CDNs, captive portals, bad lines, bent servers, proxies. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import axios from 'axios';
import { makeCertificates, opensslMissing } from '../support/certificates';
import { cleanup } from '../support/cleanup';
import { listen } from '../support/ports';
import { temporaryFolder } from '../support/temporary-folder';
import { digestOf, FIRMWARE, startVerifier, upgradeTo } from './support/packages';
import { type Answer, cutAt, good, head, raw, resetWhenRead, startServer, status } from './support/server';

const later = cleanup();
const SIZE = FIRMWARE.length;
const PAGE = Buffer.from(`<html>${'Please log in. '.repeat(200)}</html>`);

describe('a CDN whose servers give different ETags', () => {
  /** Each connection has an ETag of its own and is cut after so many bytes. */
  function edge(body: Buffer, bytes: number, ignoresIfRange = false): Answer {
    return (socket, asked) => {
      const etag = `"edge-${asked.index}"`;
      const condition = asked.headers['if-range'];
      const same = ignoresIfRange || condition === undefined || condition === etag;
      const from = asked.from !== null && same ? asked.from : 0;
      const range = { 'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}` };
      const headers = { ETag: etag, 'Content-Length': body.length - from, ...(from > 0 ? range : {}) };
      const data = [Buffer.from(head(from > 0 ? 206 : 200, headers)), body.subarray(from, from + bytes)];
      socket.write(Buffer.concat(data), () => resetWhenRead(socket));
    };
  }

  /** Downloads from them; which parts were asked for, and on which condition. */
  async function download({ ignoresIfRange }: { ignoresIfRange: boolean }): Promise<{
    froms: readonly (number | null)[];
    conditions: readonly (string | undefined)[];
  }> {
    const body = randomBytes(8 * 1024 * 1024);
    const server = later(await startServer(edge(body, 1.5 * 1024 * 1024, ignoresIfRange)));
    const test = later(await startVerifier({ retries: 2, totalMs: 30_000 }));
    const { filename } = await test.verify(upgradeTo(body, server.url));
    assert.equal(digestOf(await fs.readFile(filename)), digestOf(body));
    return {
      froms: server.asked.map(({ from }) => from),
      conditions: server.asked.map(({ headers }) => headers['if-range']),
    };
  }

  it('is gone on with after one full answer, without If-Range: the digest decides', async () => {
    const { conditions } = await download({ ignoresIfRange: false });
    assert.deepEqual(conditions, [undefined, '"edge-0"', ...conditions.slice(2).map(() => undefined)]);
  });

  it('and which know no If-Range: after one restart their ETags are not believed any more', async () => {
    const { conditions, froms } = await download({ ignoresIfRange: true });
    assert.deepEqual(conditions, [undefined, '"edge-0"', ...conditions.slice(2).map(() => undefined)]);
    const begun = froms.map((from) => from === null);
    assert.deepEqual(begun, [true, false, true, ...begun.slice(3).map(() => false)]);
  });

  it('and which know no If-Range never join parts without a digest', async () => {
    const server = later(await startServer(edge(FIRMWARE, 50_000, true)));
    const test = later(await startVerifier({ requireSign: false, retries: 2 }));
    const error = await test.failure(upgradeTo(FIRMWARE, server.url, { sign: '' }));
    assert.equal(error.code, 'OTA_DOWNLOAD_FAILED');
  });

  it('still never joins parts of two files without a digest', async () => {
    const server = later(await startServer([edge(FIRMWARE, 50_000), good(FIRMWARE)]));
    const test = later(await startVerifier({ requireSign: false }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url, { sign: '' }));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.equal(server.asked.length, 2);
  });
});

describe('a captive portal in the middle of a download', () => {
  const portals: [string, Answer][] = [
    ['with a length', raw(PAGE, { 'Content-Length': PAGE.length, 'Content-Type': 'text/html' })],
    ['packed', raw(gzipSync(PAGE), { 'Content-Encoding': 'gzip', 'Content-Length': gzipSync(PAGE).length })],
    [
      'chunked',
      (socket) => {
        const size = PAGE.length.toString(16);
        socket.end(
          `${head(200, { 'Transfer-Encoding': 'chunked' })}${size}\r\n${PAGE.toString()}\r\n0\r\n\r\n`,
        );
      },
    ],
    ['until the connection ends', raw(PAGE, { 'Content-Type': 'text/html' })],
    ['by a redirect to its own page', status(302, { Location: 'http://127.0.0.2:1/login' })],
    ['by a redirect to what is no address', status(302, { Location: 'portal://login' })],
  ];
  for (const [how, portal] of portals) {
    it(`that answers ${how} is a passing fault: nothing that was here is lost`, async () => {
      const server = later(await startServer([cutAt(FIRMWARE, 60_000), portal, portal, good(FIRMWARE)]));
      const test = later(await startVerifier({ allowedHosts: ['127.0.0.1'] }));
      const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual(await fs.readFile(filename), FIRMWARE);
      assert.deepEqual(
        server.asked.map(({ from }) => from),
        [null, 60_000, 60_000, 60_000],
      );
    });

    it(`that answers ${how} to the last try leaves the half-done file for the next message`, async () => {
      const server = later(await startServer([cutAt(FIRMWARE, 60_000), portal, portal, good(FIRMWARE)]));
      const test = later(await startVerifier({ retries: 1, allowedHosts: ['127.0.0.1'] }));
      await test.failure(upgradeTo(FIRMWARE, server.url));
      await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.equal(server.asked.at(-1)?.from, 60_000);
    });
  }

  it('before the first byte is answered as what it is', async () => {
    const server = later(await startServer(raw(PAGE, { 'Content-Length': PAGE.length })));
    const test = later(await startVerifier());
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_SIZE_MISMATCH');
    assert.equal(server.asked.length, 1);
  });
});

describe('a download that began again from zero because its parts did not fit', () => {
  it('counts its tries anew with each gain, as the first time', async () => {
    /** So many bytes from where it is asked, without an ETag. */
    const piece = (body: Buffer, bytes: number): Answer => {
      return (socket, asked) => {
        const from = asked.from ?? 0;
        const range = { 'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}` };
        const headers = { 'Content-Length': body.length - from, ...(from > 0 ? range : {}) };
        const data = [Buffer.from(head(from > 0 ? 206 : 200, headers)), body.subarray(from, from + bytes)];
        socket.write(Buffer.concat(data), () => resetWhenRead(socket));
      };
    };
    const other = Buffer.from(FIRMWARE).fill(1, 0, 10);
    const server = later(
      await startServer([piece(other, 90_000), piece(FIRMWARE, SIZE), piece(FIRMWARE, 10_000)]),
    );
    const test = later(await startVerifier({ retries: 2 }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
  });
});

describe('a whole answer while a part is here', () => {
  it('brings only what is missing, where its beginning is the same', async () => {
    const whole = raw(FIRMWARE, { 'Content-Length': SIZE });
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), whole]));
    const test = later(await startVerifier({ retries: 1 }));
    const told: number[] = [];
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const { filename } = await test.verify(upgrade, { onBytes: (bytes) => told.push(bytes) });
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(
      told,
      [...told].sort((a, b) => a - b),
    );
  });

  it('takes the place of a part that was spoilt, and not before it holds more', async () => {
    const folder = later(await temporaryFolder());
    const server = later(
      await startServer([
        cutAt(FIRMWARE, 60_000),
        // No ranges any more: first less than is here, then all.
        raw(FIRMWARE.subarray(0, 50_000), {}),
        raw(FIRMWARE, {}),
      ]),
    );
    const first = later(await startVerifier({ directory: folder.path, retries: 0 }));
    await first.failure(upgradeTo(FIRMWARE, server.url));
    const name = (await fs.readdir(folder.path)).find((entry) => entry.endsWith('.part')) ?? '';
    const part = path.join(folder.path, name);
    const handle = await fs.open(part, 'r+');
    await handle.write(Buffer.alloc(100), 0, 100, 20_000);
    await handle.close();
    await first.failure(upgradeTo(FIRMWARE, server.url));
    assert.equal((await fs.stat(part)).size, 60_000);
    assert.deepEqual((await fs.readdir(folder.path)).sort(), [name, `${name}.json`]);
    const { filename } = await first.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(await fs.readdir(folder.path), [path.basename(filename)]);
  });
});

describe('a line that cuts', () => {
  it('every 32 KiB still brings 400 KiB, with the fewest retries', async () => {
    const body = randomBytes(400 * 1024);
    const piece: Answer = (socket, asked) => cutAt(body, (asked.from ?? 0) + 32 * 1024)(socket, asked);
    const server = later(await startServer(piece));
    const test = later(await startVerifier({ retries: 1, totalMs: 30_000 }));
    const { filename } = await test.verify(upgradeTo(body, server.url));
    assert.deepEqual(await fs.readFile(filename), body);
    assert.equal(server.asked.length, 13);
  });

  for (const [how, cut] of [
    ['in good order', (socket: net.Socket) => socket.end()],
    ['without a word', (socket: net.Socket) => socket.destroy()],
  ] as const) {
    it(`${how} as soon as a piece has left loses none of it, also where each answer is whole`, async () => {
      const body = randomBytes(200 * 1024);
      const parts: Answer = (socket, asked) => {
        const [from, to] = [asked.from ?? 0, (asked.from ?? 0) + 64 * 1024];
        const range = { 'Content-Range': `bytes ${from}-${body.length - 1}/${body.length}` };
        const headers = { 'Content-Length': body.length - from, ...(from === 0 ? {} : range) };
        const answer = [Buffer.from(head(from === 0 ? 200 : 206, headers)), body.subarray(from, to)];
        socket.write(Buffer.concat(answer), () => cut(socket));
      };
      const whole: Answer = (socket, { index }) => {
        const answer = Buffer.concat([Buffer.from(head(200, { 'Content-Length': body.length })), body]);
        socket.write(answer.subarray(0, (index + 1) * 64 * 1024), () => cut(socket));
      };
      const server = later(await startServer(parts));
      const test = later(await startVerifier({ retries: 1 }));
      await test.verify(upgradeTo(body, server.url));
      assert.equal(server.asked.length, 4);
      const stubborn = later(await startServer(whole));
      const other = later(await startVerifier({ retries: 1 }));
      const { filename } = await other.verify(upgradeTo(body, stubborn.url));
      assert.deepEqual(await fs.readFile(filename), body);
    });
  }

  it('and brings less than a hundredth each time is given up on', async () => {
    const piece: Answer = (socket, asked) => cutAt(FIRMWARE, (asked.from ?? 0) + 300)(socket, asked);
    const server = later(await startServer(piece));
    const test = later(await startVerifier({ retries: 2, totalMs: 30_000 }));
    await test.failure(upgradeTo(FIRMWARE, server.url));
    assert.ok(server.asked.length < 10);
  });

  it('for ever is ended by the total time limit', async () => {
    const body = randomBytes(2_000_000);
    const piece: Answer = (socket, asked) => cutAt(body, (asked.from ?? 0) + 25_000)(socket, asked);
    const server = later(await startServer(piece));
    const test = later(await startVerifier({ retries: 1, totalMs: 1000 }));
    assert.equal((await test.failure(upgradeTo(body, server.url))).code, 'OTA_TOTAL_TIMEOUT');
  });
});

describe('the headers of an answer', () => {
  it('name an address in UTF-8, or in bytes that stay as they are', async () => {
    for (const [location, asked] of [
      [Buffer.from('/固件/größe.bin'), '/%E5%9B%BA%E4%BB%B6/gr%C3%B6%C3%9Fe.bin'],
      [Buffer.from('/\xb9\xcc\xbc\xfe.bin', 'latin1'), '/%b9%cc%bc%fe.bin'],
    ] as const) {
      const redirect: Answer = (socket) => {
        const [before = '', after = ''] = head(302, { 'Content-Length': 0, Location: '@' }).split('@');
        socket.end(Buffer.concat([Buffer.from(before), location, Buffer.from(after)]));
      };
      const server = later(await startServer([redirect, good(FIRMWARE)]));
      await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
      assert.equal(server.asked[1]?.path, asked);
    }
  });

  it('name a time to come back by the clock of the server, not by ours', async () => {
    const busy = status(503, {
      Date: 'Sun, 01 Feb 2099 10:00:00 GMT',
      'Retry-After': 'Sun, 01 Feb 2099 10:00:01 GMT',
    });
    const server = later(await startServer([busy, good(FIRMWARE)]));
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    assert.equal(server.asked.length, 2);
  });
});

describe('a server that bends HTTP', () => {
  const bent: [string, string][] = [
    ['lines that end in a bare LF', head(200, { 'Content-Length': SIZE }).replaceAll('\r\n', '\n')],
    ['headers of 100 kB', head(200, { 'Content-Length': SIZE, 'X-Long': 'x'.repeat(100_000) })],
  ];
  for (const [what, text] of bent) {
    it(`with ${what} is refused, and borne where the node is lenient`, async () => {
      const server = later(
        await startServer((socket) => socket.end(Buffer.concat([Buffer.from(text), FIRMWARE]))),
      );
      const strict = later(await startVerifier({ retries: 0 }));
      assert.equal((await strict.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_DOWNLOAD_FAILED');
      const lenient = later(await startVerifier({ lenient: true }));
      await lenient.verify(upgradeTo(FIRMWARE, server.url));
    });
  }

  for (const [code, line] of [
    [100, 'HTTP/1.1 100 Continue\r\n\r\n'],
    [103, 'HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n'],
  ] as const) {
    it(`with interim answers ${code} only is given up on, while another download goes through`, async () => {
      const flood = Buffer.from(line.repeat(40_000));
      const server = later(await startServer((socket) => void socket.write(flood)));
      const test = later(await startVerifier({ retries: 1 }));
      const other = later(await startVerifier({}));
      const healthy = later(await startServer(good(FIRMWARE)));
      const [error] = await Promise.all([
        test.failure(upgradeTo(FIRMWARE, server.url)),
        other.verify(upgradeTo(FIRMWARE, healthy.url)),
      ]);
      assert.equal(error.code, 'OTA_DOWNLOAD_FAILED');
      assert.equal(server.asked.length, 2);
    });

    it(`with a few interim answers ${code} before its answer is borne`, async () => {
      const server = later(
        await startServer((socket, asked) => {
          socket.write(line.repeat(3));
          good(FIRMWARE)(socket, asked);
        }),
      );
      await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    });
  }
});

describe('a proxy', () => {
  interface Seen {
    readonly method: string;
    readonly target: string;
    readonly authorization: string | undefined;
    readonly login: string | undefined;
  }

  /** A real one: passes plain requests on and opens tunnels. */
  async function startProxy(login?: string): Promise<{ url: string; seen: Seen[]; stop(): Promise<void> }> {
    const seen: Seen[] = [];
    const sockets = new Set<net.Socket>();
    const note = ({ method = '', url = '', headers }: http.IncomingMessage): boolean => {
      const given = headers['proxy-authorization'];
      seen.push({ method, target: url, authorization: headers.authorization, login: given });
      return login === undefined || given === `Basic ${Buffer.from(login).toString('base64')}`;
    };
    const server = http.createServer((request, response) => {
      if (!note(request)) return void response.writeHead(407).end();
      const { 'proxy-authorization': _login, ...headers } = request.headers;
      http
        .get(request.url ?? '', { headers }, (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers);
          // A server that cuts its answer cuts that of the proxy, too.
          answer.on('error', () => response.destroy());
          answer.pipe(response);
        })
        .on('error', () => response.destroy());
    });
    server.on('connection', (socket) => {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    });
    server.on('connect', (request, client, first) => {
      client.on('error', () => {});
      if (!note(request)) return void client.end('HTTP/1.1 407 X\r\n\r\n');
      const [host = '', port = ''] = (request.url ?? '').split(':');
      const upstream = net.connect(Number(port), host, () => {
        client.write('HTTP/1.1 200 X\r\n\r\n');
        upstream.write(first);
        upstream.pipe(client).pipe(upstream);
      });
      upstream.on('error', () => client.destroy());
      client.once('close', () => upstream.destroy());
    });
    const port = await listen(server);
    return {
      url: `http://127.0.0.1:${port}`,
      seen,
      async stop() {
        const closed = new Promise((resolve) => server.close(resolve));
        for (const socket of sockets) socket.destroy();
        await closed;
      },
    };
  }

  it('is asked for http addresses, with its login, which the server does not get', async () => {
    const proxy = later(await startProxy('me:p@ss'));
    const server = later(await startServer([cutAt(FIRMWARE, 50_000), good(FIRMWARE)]));
    const url = new URL(proxy.url.replace('//', '//me:p%40ss@'));
    const test = later(await startVerifier({ proxy: { url, except: [] } }));
    await test.verify(upgradeTo(FIRMWARE, `${server.url.replace('//', '//user:secret@')}/fw`));
    assert.deepEqual(
      proxy.seen.map(({ method, target }) => [method, target]),
      Array(2).fill(['GET', `${server.url}/fw`]),
    );
    const basic = `Basic ${Buffer.from('user:secret').toString('base64')}`;
    assert.deepEqual(
      server.asked.map(({ headers }) => [headers['authorization'], headers['proxy-authorization']]),
      Array(2).fill([basic, undefined]),
    );
  });

  it('opens a tunnel for https addresses, and TLS is checked behind it', async function () {
    opensslMissing(this);
    const folder = later(await temporaryFolder());
    const made = makeCertificates(folder.path);
    const [cert, key, ca] = await Promise.all(
      [made.good.cert, made.good.key, made.ca].map((file) => fs.readFile(file)),
    );
    const server = later(await startServer(good(FIRMWARE), { cert, key }));
    const proxy = later(await startProxy());
    const via = { url: new URL(proxy.url), except: [] };
    const test = later(await startVerifier({ proxy: via, tls: () => ({ ca }) }));
    await test.verify(upgradeTo(FIRMWARE, `${server.url}/fw`));
    assert.deepEqual(
      proxy.seen.map(({ method, target }) => [method, target]),
      [['CONNECT', `127.0.0.1:${server.port}`]],
    );
    const strict = later(await startVerifier({ proxy: via }));
    assert.equal((await strict.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_TLS');
  });

  it('that wants another login, or is not there, says so, without its password', async () => {
    const proxy = later(await startProxy('me:right'));
    const server = later(await startServer(good(FIRMWARE)));
    for (const [url, code] of [
      [proxy.url.replace('//', '//me:top-wrong@'), 'OTA_HTTP_STATUS'],
      ['http://me:top-wrong@127.0.0.1:1', 'OTA_DOWNLOAD_FAILED'],
    ] as const) {
      for (const target of [server.url, server.url.replace('http:', 'https:')]) {
        const test = later(await startVerifier({ retries: 0, proxy: { url: new URL(url), except: [] } }));
        const error = await test.failure(upgradeTo(FIRMWARE, target));
        assert.equal(error.code, code, target);
        assert.doesNotMatch(String(error), /top-wrong/);
      }
    }
    assert.equal(server.asked.length, 0);
  });

  it('is not asked for hosts that are excepted', async () => {
    const proxy = later(await startProxy());
    const server = later(await startServer(good(FIRMWARE)));
    for (const except of [['127.0.0.1'], [`127.0.0.1:${server.port}`], ['*']]) {
      const test = later(await startVerifier({ proxy: { url: new URL(proxy.url), except } }));
      await test.verify(upgradeTo(FIRMWARE, server.url));
    }
    assert.equal(proxy.seen.length, 0);
  });

  it('opens no way to a local address', async () => {
    const proxy = later(await startProxy());
    const test = later(
      await startVerifier({ proxy: { url: new URL(proxy.url), except: [] }, allowLocal: false }),
    );
    for (const host of ['127.0.0.1', 'localhost', '[::1]', '169.254.169.254']) {
      assert.equal((await test.failure(upgradeTo(FIRMWARE, `http://${host}/`))).code, 'OTA_HOST_REFUSED');
    }
    assert.equal(proxy.seen.length, 0);
  });
});

describe("another node's axios", () => {
  it('shares neither defaults nor interceptors with a download', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const seen: unknown[] = [];
    const { common } = axios.defaults.headers;
    const id = axios.interceptors.request.use((config) => (seen.push(config.url), config));
    axios.defaults.headers.common = { ...common, Authorization: 'Bearer of-another-node' };
    axios.defaults.baseURL = 'http://127.0.0.1:1';
    axios.defaults.timeout = 1;
    axios.defaults.maxContentLength = 10;
    try {
      await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    } finally {
      axios.interceptors.request.eject(id);
      axios.defaults.headers.common = common;
      delete axios.defaults.baseURL;
      axios.defaults.timeout = 0;
      axios.defaults.maxContentLength = -1;
    }
    assert.deepEqual(seen, []);
    assert.equal(server.asked[0]?.headers['authorization'], undefined);
  });
});

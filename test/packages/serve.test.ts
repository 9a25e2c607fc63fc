/** Packages over HTTP, as devices fetch them: ranges, conditions, and what is refused. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { FileServer, type Finder } from '../../nodes/lib/packages/serve';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';

const ID = 'a'.repeat(32);
const NAME = 'fw.bin';
const PATH = `/ota/files/${ID}/${NAME}`;
const BODY = randomBytes(100_000);
const SHA256 = createHash('sha256').update(BODY).digest('hex');
const ETAG = `"${SHA256}"`;

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

describe('the file server', () => {
  const later = cleanup();
  let files: FileServer;
  let port: number;
  let folder: string;
  let finder: Finder;

  beforeEach(async () => {
    folder = later(await temporaryFolder()).path;
    await fs.writeFile(path.join(folder, NAME), BODY);
    await fs.writeFile(path.join(folder, '.ota-package.json'), 'secret');
    files = new FileServer();
    finder = (id, name) =>
      Promise.resolve(
        id === ID && name === NAME ? { folder, name, size: BODY.length, sha256: SHA256 } : null,
      );
    later({ stop: files.add(finder) });
    const server = http.createServer((request, response) => {
      // As Express does for app.use('/ota/files', …).
      const [, host = '', inside] = /^(http:\/\/[^/]*)?\/ota\/files(?=\/)(.*)$/.exec(request.url ?? '') ?? [];
      const next = (): unknown => response.writeHead(299).end('next');
      if (inside === undefined) return next();
      request.url = host + inside;
      files.handle(request, response, next);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
    later({
      stop: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    });
  });

  const ask = (
    headers: http.OutgoingHttpHeaders = {},
    { path: target = PATH, method = 'GET' } = {},
  ): Promise<Answer> =>
    new Promise((resolve, reject) => {
      const request = http.request({ host: '127.0.0.1', port, path: target, method, headers, agent: false });
      request.on('error', reject);
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks),
          }),
        );
      });
      request.end();
    });

  it('gives the whole file with all that a device needs', async () => {
    const { status, headers, body } = await ask();
    assert.equal(status, 200);
    assert.deepEqual(body, BODY);
    assert.equal(headers['content-length'], String(BODY.length));
    assert.equal(headers['transfer-encoding'], undefined);
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['content-disposition'], 'attachment; filename="fw.bin"');
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.equal(headers['etag'], ETAG);
    assert.match(headers['cache-control'] ?? '', /immutable.*no-transform/);
  });

  it('answers HEAD as GET, without the file, and without a part', async () => {
    const head = await ask({ range: 'bytes=0-9' }, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], String(BODY.length));
    assert.equal(head.headers['etag'], ETAG);
    assert.equal(head.body.length, 0);
  });

  describe('gives a part', () => {
    const last = BODY.length - 1;
    for (const [range, from, to] of [
      ['bytes=0-0', 0, 0],
      ['bytes=0-', 0, last],
      ['bytes=99999-', last, last],
      ['bytes=10-19', 10, 19],
      ['bytes=-10', last - 9, last],
      ['bytes=99990-200000', 99_990, last],
      ['bytes=50000-99999999999999999999', 50_000, last],
      ['bytes=-99999999999999999999', 0, last],
    ] as const) {
      it(`for ${range}`, async () => {
        const { status, headers, body } = await ask({ range });
        assert.equal(status, 206);
        assert.equal(headers['content-range'], `bytes ${from}-${to}/${BODY.length}`);
        assert.equal(headers['content-length'], String(to - from + 1));
        assert.equal(headers['transfer-encoding'], undefined);
        assert.equal(headers['etag'], ETAG);
        assert.deepEqual(body, BODY.subarray(from, to + 1));
      });
    }
  });

  describe('has no such part', () => {
    for (const range of ['bytes=100000-', 'bytes=100000-100001', 'bytes=99999999999999999999-', 'bytes=-0']) {
      it(`for ${range}`, async () => {
        const { status, headers, body } = await ask({ range });
        assert.equal(status, 416);
        assert.equal(headers['content-range'], `bytes */${BODY.length}`);
        assert.equal(headers['content-length'], String(body.length));
        assert.equal(headers['etag'], undefined);
      });
    }
  });

  describe('gives the whole, or nothing, never something else', () => {
    const many = Array.from({ length: 500 }, (_, i) => `${2 * i}-${2 * i}`).join(',');
    for (const range of [
      'bytes=0-1,5-6',
      `bytes=${many}`,
      'bytes=20-10',
      'bytes=a-b',
      'bytes=--5',
      'bytes=',
      'lines=0-1',
      'bytes 0-1',
      '',
    ]) {
      it(`for ${range.slice(0, 20) || 'a blank range'}`, async () => {
        const { status, headers, body } = await ask({ range });
        assert.ok(status === 200 || status === 416, `${status}`);
        if (status === 200) assert.deepEqual(body, BODY);
        assert.equal(headers['content-length'], String(body.length));
      });
    }
  });

  describe('goes on with a part under If-Range', () => {
    it('when it is the same file', async () => {
      assert.equal((await ask({ range: 'bytes=5-', 'if-range': ETAG })).status, 206);
    });
    for (const ifRange of ['"other"', `W/${ETAG}`, `${ETAG}, "x"`, 'Mon, 01 Jan 2035 00:00:00 GMT', 'x']) {
      it(`but not for ${ifRange.slice(0, 8)}: then it gives the whole`, async () => {
        const { status, body } = await ask({ range: 'bytes=5-', 'if-range': ifRange });
        assert.equal(status, 200);
        assert.deepEqual(body, BODY);
      });
    }
  });

  describe('says that a copy is still good', () => {
    for (const value of [ETAG, `W/${ETAG}`, `"x", ${ETAG}`, '*']) {
      it(`for If-None-Match: ${value.slice(0, 8)}`, async () => {
        const { status, headers, body } = await ask({ 'if-none-match': value });
        assert.equal(status, 304);
        assert.equal(headers['etag'], ETAG);
        assert.equal(body.length, 0);
      });
    }
    it('but not for another', async () => {
      assert.equal((await ask({ 'if-none-match': '"other"' })).status, 200);
    });
  });

  it('refuses under If-Match for another file', async () => {
    const { status, headers, body } = await ask({ 'if-match': '"other"' });
    assert.equal(status, 412);
    assert.equal(headers['content-length'], String(body.length));
  });

  describe('finds nothing', () => {
    for (const target of [
      `/ota/files/${ID}`,
      `/ota/files/${ID}/`,
      `/ota/files/${'b'.repeat(32)}/${NAME}`,
      `/ota/files/${ID.toUpperCase()}/${NAME}`,
      `/ota/files/${ID}/other.bin`,
      `/ota/files/${ID}/.ota-package.json`,
      `/ota/files/${ID}/${NAME}/`,
      `/ota/files/${ID}/${NAME}%00`,
      `/ota/files/${ID}/../${ID}/${NAME}`,
      `/ota/files/${ID}/..%2f..%2fetc%2fpasswd`,
      `/ota/files/${ID}/%2e%2e/%2e%2e/etc/passwd`,
      `/ota/files/${ID}/..\\..\\x`,
      `/ota/files/../../../etc/passwd`,
      `/ota/files//etc/passwd`,
      `/ota/files/${ID}/%66w.bin`,
      `/ota/files/__proto__/constructor`,
      `/ota/files/${ID}/%zz`,
    ]) {
      it(`at ${target.replace(ID, '<id>')}`, async () => {
        const { status, headers, body } = await ask({}, { path: target });
        assert.equal(status, 404);
        assert.equal(headers['content-length'], String(body.length));
        assert.ok(!body.includes('secret') && !body.includes('root:'));
      });
    }
  });

  it('answers a request that names the host in front of the path', async () => {
    const target = `http://127.0.0.1:${port}${PATH}`;
    assert.deepEqual((await ask({}, { path: target })).body, BODY);
    assert.equal((await ask({}, { path: `${target}x` })).status, 404);
  });

  it('ignores a date to compare with: a file here has none', async () => {
    const date = 'Mon, 01 Jan 2035 00:00:00 GMT';
    assert.equal((await ask({ 'if-unmodified-since': date, 'if-modified-since': date })).status, 200);
  });

  it('ignores a query', async () => {
    assert.equal((await ask({}, { path: `${PATH}?token=1` })).status, 200);
  });

  for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
    it(`refuses ${method}`, async () => {
      const { status, headers } = await ask({}, { method });
      assert.equal(status, 405);
      assert.equal(headers['allow'], 'GET, HEAD');
    });
  }

  it('says 404 for a file that went from the disk', async () => {
    await fs.rm(path.join(folder, NAME));
    assert.equal((await ask()).status, 404);
  });

  it('says 500 where a library can not be opened', async () => {
    later({ stop: files.add(() => Promise.reject(new Error('disk'))) });
    assert.equal((await ask({}, { path: `/ota/files/${'c'.repeat(32)}/x` })).status, 500);
  });

  it('serves what another library has, though one can not be opened', async () => {
    const two = new FileServer();
    files = two;
    two.add(() => Promise.reject(new Error('disk')));
    two.add(finder);
    assert.equal((await ask()).status, 200);
  });

  it('asks devices to come back while a library is restarted, and only then', async () => {
    const one = new FileServer();
    files = one;
    one.add(finder)('restart');
    const meanwhile = await ask();
    assert.deepEqual([meanwhile.status, meanwhile.headers['retry-after']], [503, '2']);
    const leave = one.add(() => Promise.resolve(null));
    assert.equal((await ask()).status, 404);
    leave();
    assert.equal((await ask()).status, 299);
  });

  it('no longer waits for a library that does not come back', async () => {
    const one = new FileServer({ restartMs: 20 });
    files = one;
    one.add(finder)('restart');
    await until(async () => (await ask()).status === 299, 'the request to be left to others');
  });

  it('asks every library, and leaves requests to others when there is none', async () => {
    const two = new FileServer();
    files = two;
    assert.equal((await ask()).status, 299);
    const stopA = two.add(() => Promise.resolve(null));
    const stopB = two.add(finder);
    assert.equal((await ask()).status, 200);
    stopB();
    assert.equal((await ask()).status, 404);
    stopA();
    assert.equal((await ask()).status, 299);
  });

  it('serves a thousand at once, each whole', async () => {
    const answers = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => ask(i % 2 === 0 ? {} : { range: `bytes=${i}-` })),
    );
    for (const [i, { body }] of answers.entries()) {
      assert.ok(body.equals(i % 2 === 0 ? BODY : BODY.subarray(i)), `answer ${i}`);
    }
  });

  it('lets other clients through while one has hundreds of downloads that it does not read', async () => {
    files = new FileServer({ perClient: 8 });
    later({ stop: files.add(finder) });
    await fs.writeFile(path.join(folder, NAME), Buffer.alloc(20_000_000));
    const idle = Array.from({ length: 300 }, () => {
      const socket = net.connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' }, () => {
        socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
      });
      socket.on('error', () => {});
      return later({ socket, stop: () => void socket.destroy() });
    });
    await until(() => idle.every(({ socket }) => socket.bytesWritten > 0), 'all to have asked');
    assert.equal((await ask()).body.length, 20_000_000);
  });

  it('asks a client to come back where too many of its downloads wait', async () => {
    files = new FileServer({ perClient: 1, waiting: 0 });
    later({ stop: files.add(finder) });
    await fs.writeFile(path.join(folder, NAME), Buffer.alloc(20_000_000));
    const first = net.connect(port, '127.0.0.1', () => {
      first.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
    later({ stop: () => void first.destroy() });
    await new Promise((resolve) => first.once('readable', resolve));
    const answer = await ask();
    assert.deepEqual([answer.status, answer.headers['retry-after']], [503, '20']);
    first.destroy();
    await until(async () => (await ask()).status === 200, 'the place to be free');
  });

  it('ends a download that is not read, and gives its place to the next', async () => {
    files = new FileServer({ perClient: 1, wantedMs: 20, everyMs: 10 });
    later({ stop: files.add(finder) });
    await fs.writeFile(path.join(folder, NAME), Buffer.alloc(20_000_000));
    const lazy = net.connect(port, '127.0.0.1', () => {
      lazy.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
    });
    lazy.on('error', () => {});
    later({ stop: () => void lazy.destroy() });
    await new Promise((resolve) => lazy.once('readable', resolve));
    assert.equal((await ask()).body.length, 20_000_000);
  });

  it('goes on serving when devices hang up in the middle', async () => {
    await fs.writeFile(path.join(folder, NAME), Buffer.alloc(20_000_000));
    await Promise.all(
      Array.from(
        { length: 20 },
        () =>
          new Promise<void>((resolve) => {
            const socket = net.connect(port, '127.0.0.1', () => {
              socket.write(`GET ${PATH} HTTP/1.1\r\nHost: x\r\n\r\n`);
            });
            socket.once('data', () => socket.resetAndDestroy());
            socket.on('error', () => {});
            socket.once('close', () => resolve());
          }),
      ),
    );
    assert.equal((await ask()).body.length, 20_000_000);
  });

  it('speaks to HTTP/1.0 devices without chunks', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET ${PATH} HTTP/1.0\r\n\r\n`));
      let received = '';
      socket.setEncoding('latin1');
      socket.on('data', (chunk: string) => (received += chunk));
      socket.on('error', reject);
      socket.on('close', () => resolve(received));
    });
    assert.match(text, /\r\nContent-Length: 100000\r\n/);
    assert.doesNotMatch(text, /chunked/i);
    assert.ok(text.endsWith(BODY.toString('latin1')));
  });
});

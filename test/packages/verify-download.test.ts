/** A download and its checks, against servers that behave and servers that don't. */
import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { retryAfter } from '../../nodes/lib/packages/transfer/answers';
import { cleanup } from '../support/cleanup';
import { digestOf, FIRMWARE, startVerifier, upgradeTo } from './support/packages';
import {
  chunked,
  cutAt,
  etagOf,
  good,
  head,
  raw,
  resetWhenRead,
  stallAt,
  startServer,
  status,
} from './support/server';

const later = cleanup();
const SIZE = FIRMWARE.length;

describe('verifying a download', () => {
  it('writes the file whole and tells its name, bytes and digest', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const { filename, bytes, digest } = await test.verify(upgradeTo(FIRMWARE, `${server.url}/fw.bin`));
    assert.equal(path.dirname(filename), test.directory);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual([bytes, digest], [SIZE, digestOf(FIRMWARE)]);
    assert.deepEqual(await test.files(), [path.basename(filename)]);
  });

  it('asks for the file as it is, by GET, without naming itself a part', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    await test.verify(upgradeTo(FIRMWARE, `${server.url}/a/fw.bin?x=1`));
    assert.equal(server.asked[0]?.path, '/a/fw.bin?x=1');
    assert.equal(server.asked[0].headers['accept-encoding'], 'identity');
    assert.equal(server.asked[0].headers['range'], undefined);
  });

  it('takes MD5 in upper case', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const sign = digestOf(FIRMWARE, 'md5');
    const upgrade = upgradeTo(FIRMWARE, server.url, { signMethod: 'MD5', sign: sign.toUpperCase() });
    assert.equal((await test.verify(upgrade)).digest, sign);
  });

  it('takes a chunked body, and one that ends with the connection', async () => {
    for (const answer of [chunked(FIRMWARE), raw(FIRMWARE, {})]) {
      const server = later(await startServer(answer));
      const test = later(await startVerifier());
      for (const size of [SIZE, null, 0, String(SIZE)]) {
        assert.equal((await test.verify(upgradeTo(FIRMWARE, server.url, { size }))).bytes, SIZE);
      }
    }
  });

  it('takes a body in chunks of one byte, as few pieces as reads', async () => {
    const body = FIRMWARE.subarray(0, 50_000);
    const bytes = Array.from(body, (byte) => [Buffer.from('1\r\n'), Buffer.of(byte), Buffer.from('\r\n')]);
    const answer = Buffer.concat([...bytes.flat(), Buffer.from('0\r\n\r\n')]);
    const server = later(
      await startServer((socket) => {
        socket.write(head(200, { 'Transfer-Encoding': 'chunked' }));
        socket.end(answer);
      }),
    );
    let pieces = 0;
    const test = later(await startVerifier());
    const { bytes: whole } = await test.verify(upgradeTo(body, server.url), { onBytes: () => (pieces += 1) });
    assert.equal(whole, body.length);
    assert.ok(pieces < body.length / 100, `${pieces} pieces`);
  });

  it('tells the bytes as they come, and the whole where it is known', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const told: [number, number | null][] = [];
    await test.verify(upgradeTo(FIRMWARE, server.url, { size: null }), {
      onBytes: (bytes, total) => told.push([bytes, total]),
    });
    assert.deepEqual(told.at(-1), [SIZE, SIZE]);
  });

  it('refuses a body with one bit wrong, and leaves nothing', async () => {
    const wrong = Buffer.from(FIRMWARE);
    wrong[77_777]! ^= 1;
    const server = later(await startServer(good(wrong)));
    const test = later(await startVerifier());
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_DIGEST_MISMATCH');
    assert.deepEqual(await test.files(), []);
    assert.equal(server.asked.length, 1);
  });

  it('refuses the MD5 of one file with the size of another', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const upgrade = upgradeTo(FIRMWARE, server.url, {
      sign: digestOf(Buffer.from('x'), 'md5'),
      signMethod: 'Md5',
    });
    assert.equal((await test.failure(upgrade)).code, 'OTA_DIGEST_MISMATCH');
  });

  it('refuses a Content-Length that is not the size, before the body', async () => {
    for (const length of [SIZE - 1, SIZE + 1]) {
      const server = later(
        await startServer((socket) => void socket.write(head(200, { 'Content-Length': length }))),
      );
      const test = later(await startVerifier());
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_SIZE_MISMATCH');
      assert.equal(server.asked.length, 1);
    }
  });

  it('stops a body that is longer than the size while it comes', async () => {
    const server = later(
      await startServer((socket) => {
        socket.write(head(200));
        const timer = setInterval(() => socket.write(FIRMWARE), 5);
        socket.once('close', () => clearInterval(timer));
      }),
    );
    const test = later(await startVerifier());
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_SIZE_MISMATCH');
    assert.deepEqual(await test.files(), []);
  });

  it('stops an endless body of unknown size at maxBytes', async () => {
    const server = later(
      await startServer((socket) => {
        socket.write(head(200));
        const timer = setInterval(() => socket.write(FIRMWARE), 1);
        socket.once('close', () => clearInterval(timer));
      }),
    );
    const test = later(await startVerifier({ maxBytes: 1_000_000 }));
    const error = await test.failure(upgradeTo(FIRMWARE, server.url, { size: 0 }));
    assert.equal(error.code, 'OTA_SIZE_LIMIT');
  });

  it('asks for nothing where the size is above maxBytes', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ maxBytes: SIZE - 1 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_SIZE_LIMIT');
    assert.equal(server.asked.length, 0);
    const unknown = await test.failure(upgradeTo(FIRMWARE, server.url, { size: null }));
    assert.equal(unknown.code, 'OTA_SIZE_LIMIT');
  });

  it('refuses a packed body: of unknown length, without a size, or without a digest', async () => {
    const length = { 'Content-Length': SIZE };
    for (const encoding of ['gzip', 'br']) {
      const headers = { 'Content-Encoding': encoding };
      for (const [more, fields] of [
        [{}, {}],
        [length, { size: null }],
        [length, { sign: '' }],
      ] as const) {
        const server = later(await startServer(raw(FIRMWARE, { ...headers, ...more })));
        const test = later(await startVerifier({ requireSign: false }));
        assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url, fields))).code, 'OTA_BAD_ENCODING');
        assert.equal(server.asked.length, 1);
      }
    }
  });

  it('takes the very bytes that were announced, whatever encoding the server names, and never unpacks', async () => {
    for (const encoding of ['x-gzip', 'aws-chunked', 'none', 'binary', 'utf-8', 'gzip']) {
      const headers = { 'Content-Encoding': encoding, 'Content-Length': SIZE };
      const server = later(await startServer(raw(FIRMWARE, headers)));
      const test = later(await startVerifier());
      const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual(await fs.readFile(filename), FIRMWARE, encoding);
    }
    const packed = gzipSync(FIRMWARE);
    const headers = { 'Content-Encoding': 'gzip', 'Content-Length': packed.length };
    const server = later(await startServer(raw(packed, headers)));
    const { filename } = await later(await startVerifier()).verify(upgradeTo(packed, server.url));
    assert.deepEqual(await fs.readFile(filename), packed);
  });

  it('takes Content-Encoding: identity', async () => {
    const server = later(await startServer(raw(FIRMWARE, { 'Content-Encoding': 'identity' })));
    const test = later(await startVerifier());
    assert.equal((await test.verify(upgradeTo(FIRMWARE, server.url))).bytes, SIZE);
  });

  for (const code of [204, 206, 300, 304, 400, 401, 403, 404, 410, 416]) {
    it(`takes ${code} for a refusal, and asks once only`, async () => {
      const server = later(await startServer(status(code)));
      const test = later(await startVerifier());
      const error = await test.failure(upgradeTo(FIRMWARE, server.url));
      assert.equal(error.code, 'OTA_HTTP_STATUS');
      assert.match(error.message, new RegExp(String(code)));
      assert.equal(server.asked.length, 1);
      assert.deepEqual(await test.files(), []);
    });
  }

  it('refuses what cannot be a digest before it asks', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const refused: [object, string][] = [
      [{ sign: 'z'.repeat(64) }, 'OTA_BAD_SIGN'],
      [{ sign: digestOf(FIRMWARE).slice(1) }, 'OTA_BAD_SIGN'],
      [{ sign: digestOf(FIRMWARE), signMethod: 'MD5' }, 'OTA_BAD_SIGN'],
      [{ sign: 1234 }, 'OTA_BAD_SIGN'],
      [{ signMethod: 'CRC32' }, 'OTA_BAD_SIGN_METHOD'],
      [{ signMethod: 256 }, 'OTA_BAD_SIGN_METHOD'],
      [{ sign: '' }, 'OTA_UNSIGNED'],
      [{ sign: null }, 'OTA_UNSIGNED'],
      [{ size: 'many' }, 'OTA_SIZE_MISMATCH'],
      [{ size: -5 }, 'OTA_SIZE_MISMATCH'],
    ];
    for (const [fields, code] of refused) {
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url, fields))).code, code);
    }
    assert.equal(server.asked.length, 0);
  });

  it('takes a package without sign only where none is required', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ requireSign: false }));
    const verified = await test.verify(upgradeTo(FIRMWARE, server.url, { sign: '', signMethod: null }));
    assert.equal(verified.digest, digestOf(FIRMWARE));
  });

  it('gives up on a server that goes silent, at the stall limit', async () => {
    const server = later(await startServer(stallAt(FIRMWARE, 5000)));
    const test = later(await startVerifier({ retries: 0, stallMs: 300 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_STALLED');
  });

  it('gives up on a server that never answers, at the stall limit', async () => {
    const server = later(await startServer(() => {}));
    const test = later(await startVerifier({ retries: 0, stallMs: 300 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_STALLED');
  });

  it('gives up on a trickle, though it never stops', async () => {
    const server = later(
      await startServer((socket) => {
        socket.write(head(200, { 'Content-Length': SIZE }));
        const timer = setInterval(() => socket.write('x'), 50);
        socket.once('close', () => clearInterval(timer));
      }),
    );
    const test = later(await startVerifier({ retries: 0, stallMs: 500 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_STALLED');
  });

  it('gives up at the total limit, retries included', async () => {
    const server = later(await startServer(status(503)));
    const test = later(await startVerifier({ retries: 1000, totalMs: 300, backoff: () => 20 }));
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_TOTAL_TIMEOUT');
  });

  it('says that nobody listens, or that the name is not known', async () => {
    const server = await startServer(good(FIRMWARE));
    await server.stop();
    const test = later(await startVerifier({ retries: 1 }));
    const refused = await test.failure(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(
      [refused.code, /refuses the connection/.test(refused.message)],
      ['OTA_DOWNLOAD_FAILED', true],
    );
    const unknown = await test.failure(upgradeTo(FIRMWARE, 'http://no-such-host.invalid/fw'));
    assert.equal(unknown.code, 'OTA_DOWNLOAD_FAILED');
  });
});

describe('going on with a broken download', () => {
  it('goes on at the very byte, with If-Range, after each cut', async () => {
    const cuts = [0, 1, 50_000, SIZE - 1];
    const server = later(await startServer([...cuts.map((at) => cutAt(FIRMWARE, at)), good(FIRMWARE)]));
    const test = later(await startVerifier({ retries: 4 }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, null, 1, 50_000, SIZE - 1],
    );
    assert.equal(server.asked[4]?.headers['if-range'], etagOf(FIRMWARE));
  });

  it('goes on after a stall', async () => {
    const server = later(await startServer([stallAt(FIRMWARE, 5000), good(FIRMWARE)]));
    const test = later(await startVerifier({ stallMs: 3000 }));
    await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.equal(server.asked[1]?.from, 5000);
  });

  it('begins again where the server ignores the range', async () => {
    const whole = raw(FIRMWARE, { 'Content-Length': SIZE });
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), whole]));
    const test = later(await startVerifier({ retries: 1 }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
  });

  it('never joins parts of two files: a changed ETag begins again', async () => {
    const older = Buffer.from(FIRMWARE);
    older[3] = older[3]! ^ 255;
    const server = later(await startServer([cutAt(older, 60_000), good(FIRMWARE)]));
    const test = later(await startVerifier());
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.equal(server.asked.length, 2);
  });

  const wrongParts: [string, Record<string, string | number>][] = [
    ['another first byte', { 'Content-Range': `bytes 0-${SIZE - 1}/${SIZE}` }],
    ['another total', { 'Content-Range': `bytes 60000-${SIZE - 1}/${SIZE + 1}` }],
    ['no Content-Range', {}],
    ['an unreadable Content-Range', { 'Content-Range': 'bytes 60000-' }],
    [
      'another length than its range',
      { 'Content-Range': `bytes 60000-${SIZE - 1}/${SIZE}`, 'Content-Length': 10 },
    ],
    ['another ETag', { 'Content-Range': `bytes 60000-${SIZE - 1}/${SIZE}`, ETag: '"other"' }],
  ];
  for (const [what, headers] of wrongParts) {
    it(`begins again from zero after a part with ${what}`, async () => {
      const wrong = (socket: import('node:net').Socket): void => {
        socket.end(Buffer.concat([Buffer.from(head(206, headers)), FIRMWARE.subarray(60_000)]));
      };
      const server = later(await startServer([cutAt(FIRMWARE, 60_000), wrong, good(FIRMWARE)]));
      const test = later(await startVerifier({ retries: 2 }));
      await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual(
        server.asked.map(({ from }) => from),
        [null, 60_000, null],
      );
    });
  }

  it('begins again from zero after 416, and counts it as a retry', async () => {
    const answers = [cutAt(FIRMWARE, 60_000), status(416), good(FIRMWARE)];
    const server = later(await startServer(answers));
    const test = later(await startVerifier({ retries: 2 }));
    await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 60_000, null],
    );
    const other = later(await startServer(answers));
    const strict = later(await startVerifier({ retries: 1 }));
    assert.equal((await strict.failure(upgradeTo(FIRMWARE, other.url))).code, 'OTA_HTTP_STATUS');
  });

  it('drops a part that the server refuses, where no retry is left: the next run begins at zero', async () => {
    for (const [refusal, retries] of [
      [status(416), 0],
      [status(412), 3],
    ] as const) {
      const server = later(await startServer([cutAt(FIRMWARE, 60_000), refusal, good(FIRMWARE)]));
      const test = later(await startVerifier({ retries }));
      const upgrade = upgradeTo(FIRMWARE, server.url);
      if (retries === 0) assert.equal((await test.failure(upgrade)).code, 'OTA_DOWNLOAD_FAILED');
      assert.equal((await test.failure(upgrade)).code, 'OTA_HTTP_STATUS');
      assert.deepEqual(await test.files(), []);
      await test.verify(upgrade);
      assert.deepEqual(
        server.asked.map(({ from }) => from),
        [null, 60_000, null],
      );
    }
  });

  it('asks for all of it once where the joined parts are wrong', async () => {
    const other = Buffer.from(FIRMWARE);
    other[3] = other[3]! ^ 255;
    const noEtag = (socket: import('node:net').Socket): void => {
      socket.write(
        Buffer.concat([Buffer.from(head(200, { 'Content-Length': SIZE })), other.subarray(0, 60_000)]),
      );
      resetWhenRead(socket);
    };
    const server = later(await startServer([noEtag, good(FIRMWARE)]));
    const test = later(await startVerifier({ retries: 2 }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 60_000, null],
    );
  });

  it('joins nothing without a digest and without a strong ETag', async () => {
    const weak = (socket: import('node:net').Socket): void => {
      const headers = { 'Content-Length': SIZE, ETag: 'W/"weak"' };
      socket.write(Buffer.concat([Buffer.from(head(200, headers)), FIRMWARE.subarray(0, 60_000)]));
      resetWhenRead(socket);
    };
    const server = later(await startServer([weak, good(FIRMWARE)]));
    const test = later(await startVerifier({ requireSign: false }));
    await test.verify(upgradeTo(FIRMWARE, server.url, { sign: '' }));
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, null],
    );
  });

  it('begins again without a digest, where a part does not prove its file', async () => {
    const unproven = (socket: import('node:net').Socket): void => {
      const range = { 'Content-Range': `bytes 60000-${SIZE - 1}/${SIZE}` };
      socket.end(Buffer.concat([Buffer.from(head(206, range)), FIRMWARE.subarray(60_000)]));
    };
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), unproven, good(FIRMWARE)]));
    const test = later(await startVerifier({ requireSign: false }));
    await test.verify(upgradeTo(FIRMWARE, server.url, { sign: '' }));
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 60_000, null],
    );
  });

  it('takes a body that ends short for a cut', async () => {
    const short = raw(FIRMWARE.subarray(0, 60_000), {});
    const server = later(await startServer([short, good(FIRMWARE)]));
    const test = later(await startVerifier());
    await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.equal(server.asked[1]?.from, 60_000);
    const always = later(await startServer(short));
    const error = await later(await startVerifier()).failure(upgradeTo(FIRMWARE, always.url));
    assert.equal(error.code, 'OTA_SIZE_MISMATCH');
    assert.equal(always.asked.length, 4);
  });

  it('takes a body without a byte for a cut, where nothing tells how long it is', async () => {
    const nothing = raw(Buffer.alloc(0), {});
    const server = later(await startServer([nothing, good(FIRMWARE)]));
    const test = later(await startVerifier({ requireSign: false, retries: 1 }));
    const upgrade = { version: 'v1', url: server.url };
    assert.equal((await test.verify(upgrade)).bytes, SIZE);
    const always = later(await startServer(nothing));
    assert.equal((await test.failure({ ...upgrade, url: always.url })).code, 'OTA_DOWNLOAD_FAILED');
  });

  for (const code of [408, 429, 500, 502, 503, 504]) {
    it(`tries again after ${code}`, async () => {
      const server = later(await startServer([status(code), status(code), good(FIRMWARE)]));
      const test = later(await startVerifier({ retries: 2 }));
      await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.equal(server.asked.length, 3);
    });
  }

  it('gives up after so many retries, with the last reason', async () => {
    const server = later(await startServer(status(500)));
    const test = later(await startVerifier({ retries: 3 }));
    const error = await test.failure(upgradeTo(FIRMWARE, server.url));
    assert.equal(error.code, 'OTA_HTTP_STATUS');
    assert.match(error.message, /500.*4 times/);
    assert.equal(server.asked.length, 4);
  });

  it('does not wait for a Retry-After beyond the total limit', async () => {
    for (const wait of ['3600', '99999999999', '9'.repeat(400), 'Fri, 31 Dec 2199 23:59:59 GMT']) {
      const headers = { 'Retry-After': wait, Date: 'Mon, 01 Jan 2035 00:00:00 GMT' };
      const server = later(await startServer(status(429, headers)));
      const test = later(await startVerifier());
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_HTTP_STATUS');
      assert.equal(server.asked.length, 1);
    }
  });

  it('waits an hour at most for a Retry-After', () => {
    const now = Date.parse('Mon, 01 Jan 2035 00:00:00 GMT');
    for (const wait of ['3600', '86400', '9'.repeat(400), 'Tue, 02 Jan 2035 00:00:00 GMT']) {
      assert.equal(retryAfter(wait, now), 3_600_000);
    }
    assert.equal(retryAfter('59', null), 59_000);
    assert.equal(retryAfter('Mon, 01 Jan 2035 00:00:07 GMT', now), 7000);
  });

  it('goes by its own waits where Retry-After is a date and the server tells no time', async () => {
    const busy = status(503, { 'Retry-After': 'Fri, 31 Dec 2199 23:59:59 GMT' });
    const server = later(await startServer([busy, good(FIRMWARE)]));
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    assert.equal(server.asked.length, 2);
  });

  it('waits as long as Retry-After says', async () => {
    const at: number[] = [];
    const busy = status(503, { 'Retry-After': '1' });
    const server = later(
      await startServer([
        (socket, asked) => (at.push(performance.now()), busy(socket, asked)),
        (socket, asked) => (at.push(performance.now()), good(FIRMWARE)(socket, asked)),
      ]),
    );
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    assert.ok(at[1]! - at[0]! >= 990);
  });
});

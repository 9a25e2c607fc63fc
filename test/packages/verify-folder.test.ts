/** The download folder and the order of work: names, what stays, who waits, what survives a stop or a kill. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { FileInWork } from '../../nodes/lib/packages/verify/room';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until, within } from '../support/wait';
import { smallDisk } from './support/disk';
import { digestOf, FIRMWARE, startVerifier, upgradeTo } from './support/packages';
import { type Answer, chunked, cutAt, good, head, raw, stallAt, startServer, status } from './support/server';

const later = cleanup();
const SIZE = FIRMWARE.length;

describe('the name of a verified file', () => {
  it('never leaves the folder, whatever module, version and URL say', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ keep: 100 }));
    const wild = [
      '../../etc',
      '/etc/passwd',
      'a\0b',
      'x'.repeat(300),
      '..',
      '.',
      'con',
      'ä/ö',
      '\\..\\',
      'a\nb',
    ];
    for (const text of wild) {
      const url = `${server.url}/${encodeURIComponent(text)}/..%2f..%2fx`;
      const { filename } = await test.verify(upgradeTo(FIRMWARE, url, { module: text, version: text }));
      assert.equal(path.dirname(filename), test.directory);
      assert.match(path.basename(filename), /^[A-Za-z0-9_][A-Za-z0-9._-]{0,120}\.bin$/);
    }
    assert.equal((await test.files()).length, wild.length);
  });

  it('tells different contents of one version apart', async () => {
    const other = randomBytes(50);
    const server = later(await startServer([good(FIRMWARE), good(other)]));
    const test = later(await startVerifier({ requireSign: false }));
    const upgrade = { version: 'v1', url: server.url };
    const [first, second] = [await test.verify(upgrade), await test.verify(upgrade)];
    assert.deepEqual(await fs.readFile(first.filename), FIRMWARE);
    assert.deepEqual(await fs.readFile(second.filename), other);
  });
});

describe('the folder', () => {
  it('keeps the newest files of each module', async () => {
    const bodies = [1, 2, 3, 4].map((n) => randomBytes(1000 + n));
    const server = later(
      await startServer((socket, asked) => good(bodies[Number(asked.path.slice(1))]!)(socket, asked)),
    );
    const test = later(await startVerifier({ keep: 2 }));
    const made: string[] = [];
    for (const [index, body] of bodies.entries()) {
      for (const module of ['MCU', 'modem']) {
        const upgrade = upgradeTo(body, `${server.url}/${index}`, { version: `v${index}`, module });
        made.push(path.basename((await test.verify(upgrade)).filename));
      }
    }
    assert.deepEqual(await test.files(), made.slice(-4).sort());
  });

  it('leaves what it did not make alone', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const folder = later(await temporaryFolder());
    const names = ['notes.txt', 'MCU-v1.bin', 'x.part', 'MCU-v1-0123.bin'];
    for (const name of names) await fs.writeFile(path.join(folder.path, name), 'mine');
    const test = later(await startVerifier({ directory: folder.path, keep: 1 }));
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(await test.files(), [...names, path.basename(filename)].sort());
  });

  it('is made where it is absent', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ directory: path.join(folder.path, 'a/b/c') }));
    await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.equal((await test.files()).length, 1);
  });

  it('that cannot be one is OTA_FILE, before anything is asked for', async () => {
    const folder = later(await temporaryFolder());
    await fs.writeFile(path.join(folder.path, 'file'), '');
    const server = later(await startServer(good(FIRMWARE)));
    for (const directory of [
      path.join(folder.path, 'file'),
      path.join(folder.path, 'file/below'),
      '/proc/ota',
    ]) {
      const test = later(await startVerifier({ directory }));
      assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_FILE');
    }
    assert.equal(server.asked.length, 0);
  });

  it('on a full disk is OTA_DISK_FULL, and nothing is left on it', async function () {
    const disk = later(await smallDisk(this, 1));
    const large = randomBytes(3_000_000);
    for (const [answer, size] of [
      [good(large), large.length],
      [chunked(large), null],
    ] as const) {
      const server = later(await startServer(answer));
      const test = later(await startVerifier({ directory: disk.path }));
      assert.equal((await test.failure(upgradeTo(large, server.url, { size }))).code, 'OTA_DISK_FULL');
      assert.deepEqual(await test.files(), []);
    }
    const buffer = later(await startVerifier({ directory: disk.path, source: 'buffer' }));
    assert.equal((await buffer.failure(upgradeTo(large, ''), { content: large })).code, 'OTA_DISK_FULL');
  });
});

describe('a folder on a disk that turned read-only', () => {
  it('is OTA_FILE with its reason, and a half-done file is gone on with once it can be written', async function () {
    const disk = later(await smallDisk(this, 4));
    const remount = (how: string): void => void execFileSync('mount', ['-o', `remount,${how}`, disk.path]);
    const server = later(await startServer([cutAt(FIRMWARE, 30_000), good(FIRMWARE)]));
    const test = later(await startVerifier({ directory: disk.path, retries: 0 }));
    await test.failure(upgradeTo(FIRMWARE, server.url));
    remount('ro');
    const error = await test.failure(upgradeTo(FIRMWARE, server.url));
    assert.equal(error.code, 'OTA_FILE');
    assert.match(error.message, /read-only/);
    remount('rw');
    await test.verify(upgradeTo(FIRMWARE, server.url));
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 30_000],
    );
  });

  it('still gives a package that lies verified there', async function () {
    const disk = later(await smallDisk(this, 4));
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ directory: disk.path }));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const { filename } = await test.verify(upgrade);
    execFileSync('mount', ['-o', 'remount,ro', disk.path]);
    assert.equal((await test.verify(upgrade)).filename, filename);
    assert.equal(server.asked.length, 1);
  });
});

describe('several packages', () => {
  it('are downloaded so many at once, the others in order', async () => {
    const bodies = [0, 1, 2, 3, 4, 5].map((n) => randomBytes(1000 + n));
    const slow: Answer = (socket, asked) =>
      void setTimeout(() => good(bodies[Number(asked.path.slice(1))]!)(socket, asked), 20);
    const server = later(await startServer(slow));
    const test = later(await startVerifier({ concurrency: 2, keep: 10 }));
    await Promise.all(
      bodies.map((body, n) => test.verify(upgradeTo(body, `${server.url}/${n}`, { version: `v${n}` }))),
    );
    assert.equal(server.mostOpen, 2);
    // Two at once may overtake each other by one.
    for (const [place, { path: asked }] of server.asked.entries()) {
      assert.ok(Math.abs(Number(asked.slice(1)) - place) <= 1, `place ${place}: ${asked}`);
    }
  });

  it('that are the same are one download for all who ask while it runs', async () => {
    const server = later(
      await startServer((socket, asked) => void setTimeout(() => good(FIRMWARE)(socket, asked), 50)),
    );
    const test = later(await startVerifier());
    const told = [0, 0, 0];
    const upgrades = [1, 2, 3].map((id) => upgradeTo(FIRMWARE, server.url, { id }));
    const all = await Promise.all(
      upgrades.map((upgrade, n) => test.verify(upgrade, { onBytes: (bytes) => (told[n] = bytes) })),
    );
    assert.equal(server.asked.length, 1);
    assert.equal(new Set(all.map(({ filename }) => filename)).size, 1);
    assert.deepEqual(told, [SIZE, SIZE, SIZE]);
  });

  it('that are the same fail for all who asked', async () => {
    const server = later(await startServer(status(404)));
    const test = later(await startVerifier());
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const errors = await Promise.all([test.failure(upgrade), test.failure(upgrade)]);
    assert.deepEqual(
      errors.map(({ code }) => code),
      ['OTA_HTTP_STATUS', 'OTA_HTTP_STATUS'],
    );
    assert.equal(server.asked.length, 1);
  });

  it('with one content and two addresses do not write to one file at once', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ concurrency: 4 }));
    await Promise.all([1, 2, 3].map((n) => test.verify(upgradeTo(FIRMWARE, `${server.url}/${n}`))));
    assert.equal(server.mostOpen, 1);
    assert.equal((await test.files()).length, 1);
  });

  it('beyond a thousand are refused, not piled up', async () => {
    const server = later(await startServer(() => {}));
    const test = later(await startVerifier());
    const pending = Array.from({ length: 1001 }, () => test.failure(upgradeTo(FIRMWARE, server.url)));
    assert.equal((await pending[1000]!).code, 'OTA_QUEUE_FULL');
    await test.verifier.close();
    await Promise.all(pending);
  });
});

describe('a download that was stopped', () => {
  it('ends when the verifier closes, however long it could still wait, and so do those that wait', async () => {
    const server = later(await startServer(stallAt(FIRMWARE, 30_000)));
    const test = later(await startVerifier({ concurrency: 1, stallMs: 3_600_000, totalMs: 3_600_000 }));
    const failures = [1, 2, 3].map((n) =>
      test.failure(upgradeTo(FIRMWARE, server.url, { version: `v${n}` })),
    );
    await until(async () => (await test.files()).length > 0, 'the download to begin');
    await within(test.verifier.close(), 'the end');
    assert.deepEqual(
      (await Promise.all(failures)).map(({ code }) => code),
      Array(3).fill('OTA_CLOSED'),
    );
    await until(() => server.open === 0, 'the connection to close');
    assert.equal((await test.failure(upgradeTo(FIRMWARE, server.url))).code, 'OTA_CLOSED');
  });

  it('goes on in the next life of the node, at another address of the same package too', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([stallAt(FIRMWARE, 30_000), good(FIRMWARE)]));
    const first = later(await startVerifier({ directory: folder.path, stallMs: 60_000 }));
    const failed = first.failure(upgradeTo(FIRMWARE, `${server.url}/fw?token=1`));
    await until(async () => (await partial(folder.path))?.size === 30_000, '30000 bytes on the disk');
    await first.verifier.close();
    await failed;
    const second = later(await startVerifier({ directory: folder.path }));
    const { filename } = await second.verify(upgradeTo(FIRMWARE, `${server.url}/fw?token=2`));
    assert.equal(server.asked[1]!.from, 30_000);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(await second.files(), [path.basename(filename)]);
  });

  it('goes on after its process was killed', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([stallAt(FIRMWARE, 70_000), good(FIRMWARE)]));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const script = path.join(__dirname, 'support/verify-child.ts');
    const child = startChild(
      process.execPath,
      ['--import', 'tsx', script, folder.path, JSON.stringify(upgrade)],
      {},
    );
    await until(async () => (await partial(folder.path))?.size === 70_000, '70000 bytes on the disk');
    await child.end('SIGKILL');
    const test = later(await startVerifier({ directory: folder.path }));
    const { filename } = await test.verify(upgrade);
    assert.equal(server.asked[1]!.from, 70_000);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(await test.files(), [path.basename(filename)]);
  });

  it('begins again where what lies on the disk was spoilt', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), good(FIRMWARE)]));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const first = later(await startVerifier({ directory: folder.path, retries: 0 }));
    await first.failure(upgrade);
    const { file } = (await partial(folder.path))!;
    await fs.writeFile(file, Buffer.alloc(60_000));
    const second = later(await startVerifier({ directory: folder.path, retries: 1 }));
    await second.verify(upgrade);
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 60_000, null],
    );
  });

  it('that had all its bytes asks for nothing any more', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), good(FIRMWARE)]));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    await later(await startVerifier({ directory: folder.path, retries: 0 })).failure(upgrade);
    await fs.writeFile((await partial(folder.path))!.file, FIRMWARE);
    await later(await startVerifier({ directory: folder.path })).verify(upgrade);
    assert.equal(server.asked.length, 1);
  });

  it('is not gone on with where nothing tells what the whole must be', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer(cutAt(FIRMWARE, 60_000)));
    const test = later(await startVerifier({ directory: folder.path, retries: 0, requireSign: false }));
    await test.failure(upgradeTo(FIRMWARE, server.url, { sign: '' }));
    assert.deepEqual(await test.files(), []);
  });

  it('leaves nothing where its bytes are of no use', async () => {
    const wrong = Buffer.from(FIRMWARE);
    wrong[99_999]! ^= 1;
    for (const answer of [good(wrong), raw(FIRMWARE, { 'Content-Encoding': 'gzip' })]) {
      const server = later(await startServer(answer));
      const test = later(await startVerifier());
      await test.failure(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual(await test.files(), []);
    }
  });

  it('is removed at the next start where nobody can go on with it', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([cutAt(FIRMWARE, 30_000), good(FIRMWARE)]));
    const first = later(await startVerifier({ directory: folder.path, retries: 0 }));
    await first.failure(upgradeTo(FIRMWARE, server.url));
    const { file } = (await partial(folder.path))!;
    await fs.rm(`${file}.json`);
    const second = later(await startVerifier({ directory: folder.path }));
    await until(async () => (await second.files()).length === 0, 'the folder to be empty');
  });

  it('is removed after a week, whoever left it', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer(cutAt(FIRMWARE, 30_000)));
    const other = later(await startVerifier({ directory: folder.path, retries: 0, owner: 'another node' }));
    await other.failure(upgradeTo(FIRMWARE, server.url));
    const young = later(await startVerifier({ directory: folder.path }));
    await young.failure({ url: 'ftp://x' });
    assert.equal((await young.files()).length, 2);
    const old = new Date(Date.now() - 8 * 24 * 3600 * 1000);
    for (const name of await other.files()) await fs.utimes(path.join(folder.path, name), old, old);
    const test = later(await startVerifier({ directory: folder.path }));
    await until(async () => (await test.files()).length === 0, 'the folder to be empty');
  });

  it('stays though it looks old, where its upgrade is in work: the clock may have been wrong', async () => {
    const folder = later(await temporaryFolder());
    const server = later(await startServer([cutAt(FIRMWARE, 30_000), good(FIRMWARE)]));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const first = later(await startVerifier({ directory: folder.path, retries: 0 }));
    await first.failure(upgrade);
    for (const name of await first.files()) await fs.utimes(path.join(folder.path, name), 864_000, 864_000);
    const inWork = (): FileInWork[] => [
      { module: 'MCU', version: 'v1.1', signMethod: 'SHA256', sign: String(upgrade['sign']) },
    ];
    const second = later(await startVerifier({ directory: folder.path, inWork }));
    await second.verify(upgrade);
    assert.deepEqual(
      server.asked.map(({ from }) => from),
      [null, 30_000],
    );
  });

  it('leaves four half-done files at most, however many packages are cut', async () => {
    const server = later(await startServer(cutAt(FIRMWARE, 30_000)));
    const test = later(await startVerifier({ retries: 0 }));
    for (let n = 0; n < 7; n += 1) await test.failure(upgradeTo(FIRMWARE, server.url, { version: `v${n}` }));
    assert.equal((await test.files()).filter((name) => name.endsWith('.part')).length, 4);
    assert.equal((await test.files()).length, 8);
  });
});

async function partial(folder: string): Promise<{ file: string; size: number } | null> {
  const name = (await fs.readdir(folder)).find((entry) => entry.endsWith('.part'));
  if (name === undefined) return null;
  const file = path.join(folder, name);
  return { file, size: (await fs.stat(file)).size };
}

describe('a package that is here already', () => {
  it('is verified as a file where it lies', async () => {
    const folder = later(await temporaryFolder());
    const filename = path.join(folder.path, 'fw');
    await fs.writeFile(filename, FIRMWARE);
    const test = later(await startVerifier({ source: 'file' }));
    const told: number[] = [];
    const result = await test.verify(upgradeTo(FIRMWARE, ''), {
      filename,
      onBytes: (bytes) => told.push(bytes),
    });
    assert.deepEqual([result.filename, result.bytes, result.digest], [filename, SIZE, digestOf(FIRMWARE)]);
    assert.equal(told.at(-1), SIZE);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual(await test.files(), []);
  });

  it('stays where it is when it is wrong', async () => {
    const folder = later(await temporaryFolder());
    const filename = path.join(folder.path, 'fw');
    await fs.writeFile(filename, FIRMWARE);
    const test = later(await startVerifier({ source: 'file', maxBytes: SIZE }));
    const failure = async (fields: object): Promise<string> =>
      (await test.failure(upgradeTo(FIRMWARE, '', fields), { filename })).code;
    assert.equal(await failure({ sign: digestOf(Buffer.from('')) }), 'OTA_DIGEST_MISMATCH');
    assert.equal(await failure({ size: SIZE - 1 }), 'OTA_SIZE_MISMATCH');
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
  });

  it('that is no file is OTA_FILE', async () => {
    const folder = later(await temporaryFolder());
    const test = later(await startVerifier({ source: 'file' }));
    // Nobody will write to the pipe.
    const pipe = path.join(folder.path, 'pipe');
    if (process.platform !== 'win32') execFileSync('mkfifo', [pipe]);
    for (const filename of [folder.path, path.join(folder.path, 'none'), '/dev/zero', 'a\0b', pipe]) {
      assert.equal((await test.failure(upgradeTo(FIRMWARE, ''), { filename })).code, 'OTA_FILE');
    }
  });

  it('is written to the folder where it is a Buffer', async () => {
    const test = later(await startVerifier({ source: 'buffer' }));
    const result = await test.verify(upgradeTo(FIRMWARE, ''), { content: FIRMWARE });
    assert.deepEqual(await fs.readFile(result.filename), FIRMWARE);
    assert.deepEqual(await test.files(), [path.basename(result.filename)]);
  });

  it('leaves nothing in the folder where the Buffer is wrong', async () => {
    const test = later(await startVerifier({ source: 'buffer', maxBytes: SIZE }));
    const failure = async (content: Uint8Array, fields: object = {}): Promise<string> =>
      (await test.failure(upgradeTo(FIRMWARE, '', fields), { content })).code;
    assert.equal(await failure(randomBytes(SIZE)), 'OTA_DIGEST_MISMATCH');
    assert.equal(await failure(FIRMWARE.subarray(1)), 'OTA_SIZE_MISMATCH');
    assert.equal(await failure(randomBytes(SIZE + 1), { size: null }), 'OTA_SIZE_LIMIT');
    assert.deepEqual(await test.files(), []);
  });

  it('is a wrong message where there is none', async () => {
    const file = later(await startVerifier({ source: 'file' }));
    const buffer = later(await startVerifier({ source: 'buffer' }));
    const url = later(await startVerifier());
    assert.equal((await file.failure({})).code, 'OTA_BAD_INPUT');
    assert.equal((await buffer.failure({}, { content: 'text' })).code, 'OTA_BAD_INPUT');
    for (const upgrade of [null, 'v1', [], {}, { url: 5 }, { url: '' }]) {
      assert.equal((await url.failure(upgrade)).code, 'OTA_BAD_INPUT');
    }
  });
});

describe('a server that is gone for a while', () => {
  it('is found again by the retries', async () => {
    const answer: Answer = (socket) => void socket.resetAndDestroy();
    const server = later(
      await startServer([
        answer,
        (socket) => void socket.write(head(200).slice(0, 8), () => socket.resetAndDestroy()),
        good(FIRMWARE),
      ]),
    );
    await later(await startVerifier()).verify(upgradeTo(FIRMWARE, server.url));
    assert.equal(server.asked.length, 3);
  });
});

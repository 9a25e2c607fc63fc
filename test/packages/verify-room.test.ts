/** What stays in the download folder and what makes way: devices that share it, upgrades in work, a small disk. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { smallDisk } from './support/disk';
import { digestOf, FIRMWARE, startVerifier, type TestVerifier, upgradeTo } from './support/packages';
import { type Answer, chunked, cutAt, good, startServer } from './support/server';

const later = cleanup();
const MEGABYTE = 1024 * 1024;

/** Serves `/0`, `/1`… */
function each(bodies: readonly Buffer[], how: (body: Buffer) => Answer = good): Answer {
  return (socket, asked) => how(bodies[Number(asked.path.slice(1))]!)(socket, asked);
}

interface Wanted {
  readonly version: string;
  readonly body: Buffer;
  readonly url: string;
}

async function releases(count: number, bytes = 1000): Promise<Wanted[]> {
  const bodies = Array.from({ length: count }, () => randomBytes(bytes));
  const server = later(await startServer(each(bodies)));
  return bodies.map((body, n) => ({ version: `v${n}`, body, url: `${server.url}/${n}` }));
}

async function fetch(test: TestVerifier, { version, body, url }: Wanted, accessToken = ''): Promise<string> {
  return path.basename((await test.verify(upgradeTo(body, url, { version }), { accessToken })).filename);
}

describe('files of several devices behind a gateway', () => {
  it('stay as long as they are among the newest of one of them', async () => {
    const [old, mid, late, last] = await releases(4);
    const test = later(await startVerifier({ keep: 2 }));
    const kept = [await fetch(test, old!, 'sleeper')];
    await fetch(test, mid!, 'a');
    kept.push(await fetch(test, late!, 'a'), await fetch(test, last!, 'a'));
    assert.deepEqual(await test.finished(), kept.sort());
  });

  it('are one file where they want the same one, used by each of them', async () => {
    const all = await releases(4);
    const test = later(await startVerifier({ keep: 1 }));
    const shared = await fetch(test, all[0]!, 'a');
    await fetch(test, all[0]!, 'b');
    const [second, third] = [await fetch(test, all[1]!, 'a'), await fetch(test, all[2]!, 'a')];
    assert.deepEqual(await test.finished(), [shared, third].sort());
    const fourth = await fetch(test, all[3]!, 'b');
    assert.deepEqual(await test.finished(), [third, fourth].sort());
    assert.notEqual(second, third);
  });

  it('are known after a restart', async () => {
    const folder = later(await temporaryFolder());
    const options = { directory: path.join(folder.path, 'd'), usesFile: path.join(folder.path, 'uses.json') };
    const all = await releases(3);
    const first = later(await startVerifier({ ...options, keep: 1 }));
    const name = await fetch(first, all[0]!, 'sleeper');
    await first.stop();
    // Another name of the same file: nothing of this process knows it.
    const usesFile = path.join(folder.path, 'moved.json');
    await fs.rename(options.usesFile, usesFile);
    const second = later(await startVerifier({ ...options, usesFile, keep: 1 }));
    await fetch(second, all[1]!, 'a');
    const last = await fetch(second, all[2]!, 'a');
    assert.deepEqual(await second.finished(), [name, last].sort());
    assert.equal((await fs.stat(usesFile)).mode & 0o777, 0o600);
    assert.doesNotMatch(await fs.readFile(usesFile, 'utf8'), /sleeper/);
  });

  it('are told where the list of them is damaged, and the work goes on', async () => {
    const folder = later(await temporaryFolder());
    for (const [n, text] of [
      '',
      '\0\0\0\0',
      '{"format":1,"files":',
      '[]',
      '{"format":1,"files":{"a":[]}}',
    ].entries()) {
      const usesFile = path.join(folder.path, `uses-${n}.json`);
      await fs.writeFile(usesFile, text);
      const test = later(await startVerifier({ usesFile }));
      const [wanted] = await releases(1);
      await fetch(test, wanted!, 'a');
      assert.deepEqual(
        test.faults.map(({ code }) => code),
        ['OTA_FILE'],
      );
      assert.equal(await fs.readFile(`${usesFile}.bad`, 'utf8'), text);
      assert.match(await fs.readFile(usesFile, 'utf8'), /"format":1/);
    }
  });

  it('are never those of an upgrade that is in work', async () => {
    const all = await releases(4);
    const work = [
      { module: 'MCU', version: 'v0', signMethod: 'SHA256', sign: digestOf(all[0]!.body).toUpperCase() },
      { module: 'MCU', version: 'v1', signMethod: null, sign: null },
    ];
    const test = later(await startVerifier({ keep: 1, inWork: () => work }));
    const names: string[] = [];
    for (const wanted of all) names.push(await fetch(test, wanted, 'a'));
    assert.deepEqual(await test.finished(), [names[0]!, names[1]!, names[3]!].sort());
    work.length = 0;
    await fetch(test, all[3]!, 'a');
    assert.deepEqual(await test.finished(), [names[3]!]);
  });
});

describe('a package that lies verified in the folder', () => {
  it('is handed out after its digest was checked, and not fetched again', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const first = await test.verify(upgradeTo(FIRMWARE, server.url));
    // Another address and another id: the content is the same.
    const again = await test.verify(upgradeTo(FIRMWARE, `${server.url}/other`, { id: '7' }));
    assert.deepEqual(
      [again.filename, again.bytes, again.digest],
      [first.filename, first.bytes, first.digest],
    );
    assert.equal(server.asked.length, 1);
  });

  it('is fetched again where module, version or digest differ, or where no digest is known', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ requireSign: false }));
    const md5 = { signMethod: 'MD5', sign: digestOf(FIRMWARE, 'md5') };
    const fields = [{}, { module: 'modem' }, { version: 'v2' }, md5, { sign: '' }, { sign: '' }];
    for (const [n, each] of fields.entries()) {
      await test.verify(upgradeTo(FIRMWARE, server.url, each));
      assert.equal(server.asked.length, n + 1);
    }
  });

  it('is fetched again where it was damaged on the disk, and that is told', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    for (const damage of [Buffer.alloc(FIRMWARE.length), FIRMWARE.subarray(1), Buffer.alloc(0)]) {
      await fs.writeFile(filename, damage);
      assert.equal((await test.verify(upgradeTo(FIRMWARE, server.url))).filename, filename);
      assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    }
    assert.equal(server.asked.length, 4);
    assert.equal(test.faults.length, 3);
  });

  it('is fetched again where it was damaged so that it is larger than what is allowed', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier({ maxBytes: FIRMWARE.length }));
    const upgrade = { ...upgradeTo(FIRMWARE, server.url), size: null };
    const { filename } = await test.verify(upgrade);
    await fs.appendFile(filename, 'more');
    assert.equal((await test.verify(upgrade)).filename, filename);
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.deepEqual([server.asked.length, test.faults.length], [2, 1]);
  });

  it('stays where an upgrade names a wrong size for it: another may need it', async () => {
    const server = later(await startServer(good(FIRMWARE)));
    const test = later(await startVerifier());
    const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
    const wrong = { ...upgradeTo(FIRMWARE, server.url), size: FIRMWARE.length + 1 };
    assert.equal((await test.failure(wrong)).code, 'OTA_SIZE_MISMATCH');
    assert.deepEqual(await fs.readFile(filename), FIRMWARE);
    assert.equal(server.asked.length, 1);
    assert.deepEqual(test.faults, []);
  });

  it('is refused for whatever a new one is refused for', async () => {
    const folder = later(await temporaryFolder());
    const directory = folder.path;
    const server = later(await startServer(good(FIRMWARE)));
    await later(await startVerifier({ directory })).verify(upgradeTo(FIRMWARE, server.url));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    const refused: [Parameters<typeof startVerifier>[0], object, string][] = [
      [{ allowLocal: false }, upgrade, 'OTA_HOST_REFUSED'],
      [{ allowLocal: false }, { ...upgrade, url: 'http://localhost/x' }, 'OTA_HOST_REFUSED'],
      [{ allowedHosts: ['example.com'] }, upgrade, 'OTA_HOST_REFUSED'],
      [{}, { ...upgrade, size: FIRMWARE.length + 1 }, 'OTA_SIZE_MISMATCH'],
      [{ maxBytes: 10 }, upgrade, 'OTA_SIZE_LIMIT'],
      [{ rollback: 'refuse' }, upgrade, 'OTA_ROLLBACK'],
    ];
    for (const [options, wrong, code] of refused) {
      const test = later(await startVerifier({ directory, ...options }));
      assert.equal((await test.failure(wrong)).code, code);
    }
  });
});

describe('a disk that is short of room', () => {
  it('keeps taking packages: older verified ones make way', async function () {
    const disk = later(await smallDisk(this, 20));
    const all = await releases(6, 8 * MEGABYTE);
    const test = later(await startVerifier({ directory: disk.path, keep: 2, totalMs: 60_000 }));
    for (const wanted of all) await fetch(test, wanted, 'a');
    assert.equal((await test.finished()).length, 2);
  });

  it('gives up half-done files before verified ones', async function () {
    const disk = later(await smallDisk(this, 20));
    const body = randomBytes(8 * MEGABYTE);
    const broken = later(await startServer(cutAt(body, 6 * MEGABYTE)));
    const [first, second] = await releases(2, 8 * MEGABYTE);
    const test = later(await startVerifier({ directory: disk.path, keep: 5, retries: 0, totalMs: 60_000 }));
    const kept = await fetch(test, first!);
    await test.failure(upgradeTo(body, broken.url, { version: 'broken' }));
    const next = await fetch(test, second!);
    assert.deepEqual(await test.files(), [kept, next].sort());
  });

  it('makes way while a file comes whose length nobody told', async function () {
    const disk = later(await smallDisk(this, 20));
    const [first, second] = await releases(2, 8 * MEGABYTE);
    const body = randomBytes(8 * MEGABYTE);
    const server = later(await startServer(chunked(body)));
    const test = later(await startVerifier({ directory: disk.path, keep: 5, totalMs: 60_000 }));
    await fetch(test, first!);
    const kept = await fetch(test, second!);
    const { filename } = await test.verify(upgradeTo(body, server.url, { size: null, version: 'v9' }));
    assert.deepEqual(await test.finished(), [kept, path.basename(filename)].sort());
  });

  it('is OTA_DISK_FULL where all that is there is in work, and nothing of that is touched', async function () {
    const disk = later(await smallDisk(this, 20));
    const all = await releases(3, 8 * MEGABYTE);
    const inWork = (): { module: string; version: string; signMethod: string; sign: string }[] =>
      all.map(({ version, body }) => ({
        module: 'MCU',
        version,
        signMethod: 'SHA256',
        sign: digestOf(body),
      }));
    const test = later(await startVerifier({ directory: disk.path, keep: 2, inWork, totalMs: 60_000 }));
    const kept = [await fetch(test, all[0]!), await fetch(test, all[1]!)];
    const error = await test.failure(upgradeTo(all[2]!.body, all[2]!.url, { version: all[2]!.version }));
    assert.equal(error.code, 'OTA_DISK_FULL');
    assert.deepEqual(await test.files(), kept.sort());
  });
});

describe('the description of a half-done file', () => {
  it('that is damaged is set aside and told, and the download goes on where it was', async () => {
    for (const text of ['', '\0'.repeat(40), '{"etag":', '{"etag":5}', '[]']) {
      const folder = later(await temporaryFolder());
      const server = later(await startServer([cutAt(FIRMWARE, 60_000), good(FIRMWARE)]));
      const test = later(await startVerifier({ directory: folder.path, retries: 0 }));
      await test.failure(upgradeTo(FIRMWARE, server.url));
      const name = (await test.files()).find((each) => each.endsWith('.json')) ?? '';
      await fs.writeFile(path.join(folder.path, name), text);
      const { filename } = await test.verify(upgradeTo(FIRMWARE, server.url));
      assert.deepEqual(await fs.readFile(filename), FIRMWARE);
      assert.equal(server.asked[1]?.from, 60_000);
      assert.deepEqual(
        test.faults.map(({ code }) => code),
        ['OTA_FILE'],
      );
      assert.deepEqual(await test.files(), [path.basename(filename)]);
    }
  });
});

describe('what is written to the folder', () => {
  it('is for its owner only, and never goes through a symbolic link', async () => {
    const folder = later(await temporaryFolder());
    const directory = path.join(folder.path, 'new/downloads');
    const server = later(await startServer([cutAt(FIRMWARE, 60_000), good(FIRMWARE)]));
    const test = later(await startVerifier({ directory, retries: 0 }));
    const upgrade = upgradeTo(FIRMWARE, server.url);
    await test.failure(upgrade);
    const modes = async (): Promise<number[]> => {
      const files = (await test.files()).map((name) => path.join(directory, name));
      const stats = await Promise.all(
        [...files, directory, path.dirname(directory)].map((file) => fs.stat(file)),
      );
      return stats.map(({ mode }) => mode & 0o777);
    };
    assert.deepEqual(await modes(), [0o600, 0o600, 0o700, 0o700]);
    const part = path.join(directory, (await test.files())[0]!);
    const victim = path.join(folder.path, 'victim');
    await fs.writeFile(victim, 'mine');
    await fs.rm(part);
    await fs.symlink(victim, part);
    assert.equal((await test.failure(upgrade)).code, 'OTA_FILE');
    assert.equal(await fs.readFile(victim, 'utf8'), 'mine');
    await fs.rm(part, { force: true });
    await test.verify(upgrade);
    assert.deepEqual(await modes(), [0o600, 0o700, 0o700]);
  });
});

/** The library of packages: what it takes, what it gives, and what it refuses. */
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import {
  acquireLibrary,
  fileUrl,
  Library,
  readBaseUrl,
  readFields,
  safeName,
} from '../../nodes/lib/packages/library';
import { verifySignature } from '../../nodes/lib/packages/signature';
import { checkUpgrade, OtaError } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { BASE, content, digest, request, served, tree } from './library-support';

const byDefault = { signMethod: 'SHA256' } as const;

function withCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof OtaError && error.code === code;
}

describe('the library of packages', () => {
  const later = cleanup();
  let folder: string;
  let library: Library;

  beforeEach(async () => {
    folder = later(await temporaryFolder()).path;
    ({ library } = await Library.open(path.join(folder, 'packages')));
  });

  const reopened = async (): Promise<Library> => (await Library.open(path.join(folder, 'packages'))).library;

  describe('adds', () => {
    it('a Buffer, with all that ota-push needs', async () => {
      const fields = {
        name: 'Pump firmware.bin',
        product: 'pump',
        module: 'MCU',
        description: 'two\nlines',
        extData: { key1: 'value1', key2: 7 },
      };
      const { id, at, ...added } = await library.add(request(content('firmware'), fields));
      const sha256 = digest('sha256', Buffer.from('firmware'));
      assert.match(id, /^[0-9a-f]{32}$/);
      assert.equal(new Date(at).toISOString(), at);
      assert.deepEqual(added, {
        name: 'Pump firmware.bin',
        product: 'pump',
        version: 'v1',
        module: 'MCU',
        size: 8,
        signMethod: 'SHA256',
        sign: sha256,
        sha256,
        url: `${BASE}/ota/files/${id}/Pump_firmware.bin`,
        type: 'full',
        fromVersion: null,
        description: 'two\nlines',
        extData: { key1: 'value1', key2: '7' },
      });
    });

    it('what ota-push takes without a change', async () => {
      const added = await library.add(request(content('x'), { signMethod: 'MD5', extData: { a: 'b' } }));
      const upgrade = checkUpgrade(added);
      assert.equal(upgrade.sign, digest('md5', Buffer.from('x')));
      assert.equal(upgrade.signMethod, 'Md5');
      assert.deepEqual(upgrade.extData, { a: 'b' });
    });

    it('the very bytes it was given, of many sizes', async () => {
      for (const size of [1, 1024 * 1024 - 1, 1024 * 1024, 3 * 1024 * 1024 + 7]) {
        const bytes = Buffer.alloc(size, `${size},`);
        const added = await library.add(request(content(bytes)));
        assert.equal(added.sha256, digest('sha256', await served(library, added)));
        assert.equal(added.sha256, digest('sha256', bytes));
        assert.equal(added.size, size);
      }
    });

    it('an MD5 beside the SHA-256 where it is asked for', async () => {
      const added = await library.add(request(content('x'), { signMethod: 'Md5' }));
      assert.equal(added.signMethod, 'MD5');
      assert.equal(added.sign, digest('md5', Buffer.from('x')));
      assert.equal(added.sha256, digest('sha256', Buffer.from('x')));
    });

    it('a signature over what was measured, with its end', async () => {
      const keys = generateKeyPairSync('ed25519');
      const fields = { module: 'MCU', expires: '2090-01-01T00:00:00Z', extData: { a: 'b' } };
      const added = await library.add(request(content('x'), fields, { privateKey: keys.privateKey }));
      const signed = verifySignature([keys.publicKey], added.extData['_signature'], added);
      assert.equal(signed.sha256, added.sha256);
      assert.equal(signed.expires, '2090-01-01T00:00:00.000Z');
      assert.equal(added.extData['a'], 'b');
    });

    it('a differential package with the version it starts from', async () => {
      const added = await library.add(request(content('x'), { type: 'differential', fromVersion: 'v0' }));
      assert.equal(added.type, 'differential');
      assert.equal(added.fromVersion, 'v0');
    });

    it('several at once, each with its own bytes', async () => {
      const texts = Array.from({ length: 20 }, (_, i) => `firmware ${i}`);
      const added = await Promise.all(texts.map((text) => library.add(request(content(text)))));
      for (const [i, one] of added.entries()) {
        assert.equal((await served(library, one)).toString(), texts[i]);
      }
      assert.equal(library.size, 20);
    });
  });

  describe('refuses, and keeps nothing of', () => {
    afterEach(async () => {
      assert.deepEqual(await tree(path.join(folder, 'packages')), []);
      assert.equal(library.size, 0);
    });

    it('an empty file', () => assert.rejects(library.add(request(content(''))), withCode('OTA_BAD_PACKAGE')));

    it('a file over the limit', () =>
      assert.rejects(
        library.add(request(content('12345'), {}, { maxBytes: 4 })),
        withCode('OTA_SIZE_LIMIT'),
      ));

    it('a file where no base address is set', () =>
      assert.rejects(library.add(request(content('x'), {}, { baseUrl: '' })), withCode('OTA_BAD_SETTINGS')));

    it('an add that is stopped', async () => {
      const stop = new AbortController();
      const bytes = Buffer.alloc(8 * 1024 * 1024);
      const onBytes = (): void => stop.abort(new OtaError('OTA_CLOSED', 'stopped'));
      const adding = library.add(request(content(bytes), {}, { stop: stop.signal, onBytes }));
      await assert.rejects(adding, withCode('OTA_CLOSED'));
    });
  });

  describe('from a file', () => {
    const source = async (text: string | Buffer): Promise<string> => {
      const filename = path.join(folder, 'fw v1.bin');
      await fs.writeFile(filename, text);
      return filename;
    };
    const exists = (file: string): Promise<boolean> =>
      fs.access(file).then(
        () => true,
        () => false,
      );

    it('moves it without copying', async () => {
      const filename = await source('firmware');
      const { ino } = await fs.stat(filename);
      const added = await library.add(request({ kind: 'file', filename }));
      assert.equal(await exists(filename), false);
      assert.equal(added.name, 'fw_v1.bin');
      const file = library.find(added.id, 'fw_v1.bin')!;
      assert.equal((await fs.stat(path.join(file.folder, file.name))).ino, ino);
      assert.equal(added.sha256, digest('sha256', Buffer.from('firmware')));
    });

    it('copies what has a second name, so that nobody can change the package', async () => {
      const filename = await source('firmware');
      await fs.link(filename, `${filename}.2`);
      const added = await library.add(request({ kind: 'file', filename }));
      await fs.writeFile(`${filename}.2`, 'CHANGED!');
      assert.equal((await served(library, added)).toString(), 'firmware');
      assert.equal(await exists(filename), false);
    });

    it('copies what a symbolic link leads to, and takes the link', async () => {
      const filename = await source('firmware');
      await fs.symlink(filename, `${filename}.link`);
      const added = await library.add(request({ kind: 'file', filename: `${filename}.link` }));
      assert.equal((await served(library, added)).toString(), 'firmware');
      assert.equal(await exists(filename), true);
      await assert.rejects(fs.lstat(`${filename}.link`), { code: 'ENOENT' });
    });

    it('moves it to another device', async function () {
      const other = '/dev/shm';
      const [here, there] = [await fs.stat(folder), await fs.stat(other).catch(() => null)];
      if (there === null || here.dev === there.dev) {
        this.skip();
      }
      const away = later(await temporaryFolder());
      const elsewhere = await fs.mkdtemp(path.join(other, 'ota-test-'));
      later({ stop: () => fs.rm(elsewhere, { recursive: true, force: true }) });
      const filename = path.join(elsewhere, 'fw.bin');
      await fs.writeFile(filename, Buffer.alloc(3_000_000, 'abc'));
      const { library: own } = await Library.open(path.join(away.path, 'packages'));
      const added = await own.add(request({ kind: 'file', filename }));
      assert.equal(added.sha256, digest('sha256', Buffer.alloc(3_000_000, 'abc')));
      assert.equal((await served(own, added)).length, 3_000_000);
      assert.equal(await exists(filename), false);
    });

    it('leaves it where it was when it is refused', async () => {
      const filename = await source('firmware');
      await assert.rejects(
        library.add(request({ kind: 'file', filename }, {}, { maxBytes: 3 })),
        withCode('OTA_SIZE_LIMIT'),
      );
      assert.equal(await fs.readFile(filename, 'utf8'), 'firmware');
      assert.equal((await fs.stat(filename)).nlink, 1);
    });

    it('leaves it where it was when the add is stopped', async () => {
      const filename = await source(Buffer.alloc(5_000_000));
      const stop = new AbortController();
      const onBytes = (): void => stop.abort(new OtaError('OTA_CLOSED', 'stopped'));
      const adding = library.add(request({ kind: 'file', filename }, {}, { stop: stop.signal, onBytes }));
      await assert.rejects(adding, withCode('OTA_CLOSED'));
      assert.equal((await fs.stat(filename)).size, 5_000_000);
      assert.deepEqual(await tree(path.join(folder, 'packages')), []);
    });

    it('refuses one that is written meanwhile', async () => {
      const filename = await source(Buffer.alloc(5_000_000));
      const handle = await fs.open(filename, 'a');
      later({ stop: () => handle.close() });
      const grown: Promise<unknown>[] = [];
      const onBytes = (): void => {
        if (grown.length === 0) grown.push(handle.write('more'));
      };
      const adding = library.add(request({ kind: 'file', filename }, {}, { onBytes }));
      await assert.rejects(adding, withCode('OTA_FILE'));
      await Promise.all(grown);
    });

    for (const [what, filename] of [
      ['absent', 'nowhere.bin'],
      ['a folder', '.'],
    ] as const) {
      it(`refuses one that is ${what}`, async () => {
        const adding = library.add(request({ kind: 'file', filename: path.join(folder, filename) }));
        await assert.rejects(adding, withCode('OTA_FILE'));
      });
    }

    it('refuses the file of another package', async () => {
      const added = await library.add(request(content('x')));
      const file = library.find(added.id, added.url.split('/').at(-1)!)!;
      const filename = path.join(file.folder, file.name);
      const adding = library.add(request({ kind: 'file', filename }));
      await assert.rejects(adding, withCode('OTA_BAD_PACKAGE'));
      assert.equal((await served(library, added)).toString(), 'x');
    });
  });

  describe('from an address', () => {
    const serve = async (answer: http.RequestListener): Promise<string> => {
      const server = http.createServer(answer);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      later({
        stop: async () => {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        },
      });
      return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    };

    it('fetches the file and serves it itself', async () => {
      const at = await serve((_request, response) => response.end('firmware'));
      const added = await library.add(
        request({ kind: 'url', url: `${at}/a/fw.bin?token=1` }, { signMethod: 'MD5' }),
      );
      assert.equal(added.url, `${BASE}/ota/files/${added.id}/fw.bin`);
      assert.equal(added.sign, digest('md5', Buffer.from('firmware')));
      assert.equal(added.sha256, digest('sha256', Buffer.from('firmware')));
      assert.equal((await served(library, added)).toString(), 'firmware');
    });

    it('only measures it where no base address is set: it stays where it is', async () => {
      const at = await serve((_request, response) => response.end('firmware'));
      const added = await library.add(request({ kind: 'url', url: `${at}/fw.bin` }, {}, { baseUrl: '' }));
      assert.equal(added.url, `${at}/fw.bin`);
      assert.equal(added.size, 8);
      assert.equal(added.sign, digest('sha256', Buffer.from('firmware')));
      assert.equal(library.find(added.id, 'fw.bin'), null);
      assert.deepEqual(await tree(path.join(folder, 'packages', added.id)), ['.ota-package.json']);
      assert.deepEqual((await reopened()).list(BASE), [added]);
    });

    it('takes the bytes as they are: gzip is refused', async () => {
      const at = await serve((_request, response) =>
        response.writeHead(200, { 'content-encoding': 'gzip' }).end('firmware'),
      );
      const adding = library.add(request({ kind: 'url', url: `${at}/fw.bin` }));
      await assert.rejects(adding, withCode('OTA_BAD_ENCODING'));
    });

    it('ends one without an end at the limit', async () => {
      const at = await serve((_request, response) => {
        const more = (): void => {
          while (!response.destroyed && response.write(Buffer.alloc(65_536)));
        };
        response.on('drain', more);
        more();
      });
      const adding = library.add(request({ kind: 'url', url: at }, {}, { maxBytes: 1_000_000 }));
      await assert.rejects(adding, withCode('OTA_SIZE_LIMIT'));
      assert.deepEqual(await tree(path.join(folder, 'packages')), []);
    });

    for (const url of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x', 'no address']) {
      it(`refuses ${url}`, async () => {
        await assert.rejects(library.add(request({ kind: 'url', url })), withCode('OTA_BAD_URL'));
      });
    }

    it('tells the answer of a server that has no such file', async () => {
      const at = await serve((_request, response) => response.writeHead(404).end());
      const adding = library.add(request({ kind: 'url', url: `${at}/fw.bin` }));
      await assert.rejects(adding, withCode('OTA_HTTP_STATUS'));
    });

    it('refuses to keep an address that devices can not hold', async () => {
      const url = `http://127.0.0.1:9/${'x'.repeat(256)}`;
      const adding = library.add(request({ kind: 'url', url }, {}, { baseUrl: '' }));
      await assert.rejects(adding, withCode('OTA_BAD_PACKAGE'));
    });
  });

  it('lists the newest first, and the same after a restart', async () => {
    const first = await library.add(request(content('1')));
    await until(() => Date.now() > Date.parse(first.at), 'the next millisecond');
    const second = await library.add(request(content('2')));
    assert.deepEqual(library.list(BASE), [second, first]);
    assert.deepEqual((await reopened()).list(BASE), [second, first]);
  });

  it('gives a package by its id, with the address of today', async () => {
    const added = await library.add(request(content('1')));
    const got = library.get(added.id, 'https://ota.example.com/x');
    assert.deepEqual(got, { ...added, url: added.url.replace(BASE, 'https://ota.example.com/x') });
  });

  it('keeps its own copy: a flow may change what it got', async () => {
    const added = await library.add(request(content('1'), { extData: { a: 'b' } }));
    (added.extData as Record<string, string>)['a'] = 'changed';
    assert.equal(library.get(added.id, BASE).extData['a'], 'b');
  });

  it('removes a package with its file', async () => {
    const added = await library.add(request(content('1')));
    assert.deepEqual(await library.remove(added.id, BASE), added);
    assert.deepEqual(await tree(path.join(folder, 'packages')), []);
    assert.equal(library.find(added.id, added.url.split('/').at(-1)!), null);
    assert.equal((await reopened()).size, 0);
  });

  it('removes a package once, when it is told twice', async () => {
    const added = await library.add(request(content('1')));
    const ends = await Promise.allSettled([library.remove(added.id, BASE), library.remove(added.id, BASE)]);
    assert.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  for (const id of ['', 'x', '../..', '__proto__', 'constructor', '0'.repeat(32)]) {
    it(`knows no package ${JSON.stringify(id)}`, async () => {
      assert.throws(() => library.get(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
      await assert.rejects(library.remove(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
    });
  }

  describe('at its start', () => {
    it('takes away what a crash left, and nothing else', async () => {
      const added = await library.add(request(content('1')));
      const packages = path.join(folder, 'packages');
      await fs.mkdir(path.join(packages, `.adding-${'a'.repeat(32)}`));
      await fs.writeFile(path.join(packages, `.adding-${'a'.repeat(32)}`, 'fw.bin'), 'half');
      await fs.mkdir(path.join(packages, `.removing-${'b'.repeat(32)}`));
      await fs.writeFile(path.join(packages, 'notes.txt'), 'mine');
      const again = await reopened();
      assert.deepEqual(again.list(BASE), [added]);
      assert.deepEqual((await fs.readdir(packages)).sort(), [added.id, 'notes.txt'].sort());
    });

    for (const [what, damage] of [
      [
        'a description that is cut',
        (dir: string) => fs.writeFile(path.join(dir, '.ota-package.json'), '{"fo'),
      ],
      ['no description', (dir: string) => fs.rm(path.join(dir, '.ota-package.json'))],
      ['a file that is too short', (dir: string) => fs.truncate(path.join(dir, 'fw.bin'), 1)],
      ['no file', (dir: string) => fs.rm(path.join(dir, 'fw.bin'))],
    ] as const) {
      it(`leaves out a package with ${what}, says so, and leaves it alone`, async () => {
        const good = await library.add(request(content('good')));
        const bad = await library.add(request(content('bad one'), { name: 'fw.bin' }));
        const packages = path.join(folder, 'packages');
        await damage(path.join(packages, bad.id));
        const before = await tree(packages);
        const { library: again, faults } = await Library.open(packages);
        assert.deepEqual(again.list(BASE), [good]);
        assert.deepEqual(
          faults.map(({ code }) => code),
          ['OTA_FILE'],
        );
        assert.ok(faults[0]!.message.includes(bad.id.slice(0, 8)));
        assert.deepEqual(await tree(packages), before);
      });
    }

    it('tells where its folder can not be made', async () => {
      await fs.writeFile(path.join(folder, 'file'), '');
      await assert.rejects(Library.open(path.join(folder, 'file', 'packages')), withCode('OTA_FILE'));
    });
  });

  it('is one for all users of a folder, by any path to it', async () => {
    const packages = path.join(folder, 'packages');
    await fs.symlink(packages, path.join(folder, 'other'));
    const [a, b] = await Promise.all([acquireLibrary(packages), acquireLibrary(path.join(folder, 'other'))]);
    assert.equal(a.library, b.library);
    const added = await a.library.add(request(content('1')));
    a.release();
    assert.deepEqual(b.library.list(BASE), [added]);
    b.release();
    await b.library.idle();
    const c = await acquireLibrary(packages);
    assert.notEqual(c.library, a.library);
    assert.deepEqual(c.library.list(BASE), [added]);
    c.release();
  });

  it('stays the same while an add is under way, though its user has left', async () => {
    const packages = path.join(folder, 'packages');
    const first = await acquireLibrary(packages);
    const adding = first.library.add(request(content(Buffer.alloc(4_000_000))));
    first.release();
    const second = await acquireLibrary(packages);
    assert.equal(second.library, first.library);
    const added = await adding;
    assert.deepEqual(second.library.list(BASE), [added]);
    second.release();
  });
});

describe('the fields of a package', () => {
  it('have their defaults', () => {
    const { name, product, module, type, fromVersion, description, extData, signMethod } = readFields(
      { version: 'v1', name: null, product: '', type: '' },
      byDefault,
    );
    assert.deepEqual(
      { name, product, module, type, fromVersion, description, extData, signMethod },
      {
        name: '',
        product: '',
        module: 'default',
        type: 'full',
        fromVersion: null,
        description: '',
        extData: {},
        signMethod: 'SHA256',
      },
    );
  });

  for (const [what, wrong] of [
    ['no version', {}],
    ['a blank version', { version: '  ' }],
    ['a version that is a number', { version: 1.1 }],
    ['a name with control characters', { version: '1', name: 'a\nb' }],
    ['a module of 129 characters', { version: '1', module: 'x'.repeat(129) }],
    ['an unknown method', { version: '1', signMethod: 'SHA1' }],
    ['an unknown type', { version: '1', type: 'delta' }],
    ['a differential type without its start', { version: '1', type: 'differential' }],
    ['a start without the differential type', { version: '1', fromVersion: '0' }],
    ['extData that is text', { version: '1', extData: 'a=b' }],
    ['extData that no device could take', { version: '1', extData: { a: 'x'.repeat(20_000) } }],
    ['an end of the signature that is no date', { version: '1', expires: 'soon' }],
    ['an end of the signature that has been', { version: '1', expires: '2001-01-01' }],
  ] as const) {
    it(`refuse ${what}`, () => {
      assert.throws(() => readFields(wrong, byDefault), withCode('OTA_BAD_PACKAGE'));
    });
  }

  it('never let a key of extData reach a prototype', () => {
    const extData: unknown = JSON.parse('{"__proto__":{"x":"y"},"constructor":"c","a":"b"}');
    assert.deepEqual(readFields({ version: '1', extData }, byDefault).extData, { a: 'b' });
  });
});

describe('the address of a package', () => {
  it('is at most 256 characters long, whatever the names', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), fc.nat(200), (name, length) => {
        const host = `http://h/${'p'.repeat(length)}`;
        let base: string;
        try {
          base = readBaseUrl(host, '/');
        } catch (error) {
          assert.equal((error as OtaError).code, 'OTA_BAD_SETTINGS');
          return;
        }
        const url = fileUrl(base, '0'.repeat(32), safeName(name));
        assert.ok(url.length <= 256);
        assert.equal(checkUpgrade({ version: '1', url, size: 1, sign: '0'.repeat(32) }).url, url);
      }),
      { numRuns: 30 },
    );
  });

  it('ends in a name that is harmless', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
        assert.match(safeName(text), /^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$/);
      }),
    );
  });

  for (const [text, name] of [
    ['firmware v1.2 (final).bin', 'firmware_v1.2_final.bin'],
    ['../../etc/passwd', 'passwd'],
    ['C:\\Users\\me\\fw.bin', 'fw.bin'],
    ['.hidden', 'hidden'],
    ['固件.bin', 'package.bin'],
    ['固件', 'package.bin'],
    ['', 'package.bin'],
    ['..', 'package.bin'],
    ['con.bin', 'file-con.bin'],
    [`${'x'.repeat(100)}.tar.gz`, `${'x'.repeat(37)}.gz`],
  ] as const) {
    it(`makes ${JSON.stringify(name.slice(0, 24))} of ${JSON.stringify(text.slice(0, 24))}`, () => {
      assert.equal(safeName(text), name);
    });
  }

  for (const [setting, root, expected] of [
    ['', '/', ''],
    ['http://host:1880/', '/', 'http://host:1880'],
    ['http://host:1880', '/api/', 'http://host:1880/api'],
    ['http://host:1880/api/', '/api/', 'http://host:1880/api'],
    ['https://proxy/firmware', '/api/', 'https://proxy/firmware'],
    ['http://user:pass@host', '/', 'http://user:pass@host'],
  ] as const) {
    it(`begins with ${expected || 'nothing'} for ${JSON.stringify(setting)} under ${root}`, () => {
      assert.equal(readBaseUrl(setting, root), expected);
    });
  }

  for (const setting of [
    'host:1880',
    'ftp://host',
    'http:///x',
    'http://host?x',
    'http://host/a b',
    'http://h#x',
  ]) {
    it(`can not begin with ${setting}`, () => {
      assert.throws(() => readBaseUrl(setting, '/'), withCode('OTA_BAD_SETTINGS'));
    });
  }
});

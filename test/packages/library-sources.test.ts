/** Where a package's file comes from: another file, an address; and a disk without room for it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Library } from '../../nodes/lib/packages/library';
import { OtaError } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { BASE, content, digest, request, served, tree, withCode } from './library-support';

describe('a package of the library', () => {
  const later = cleanup();
  let folder: string;
  let library: Library;

  beforeEach(async () => {
    folder = later(await temporaryFolder()).path;
    ({ library } = await Library.open(path.join(folder, 'packages')));
  });

  const reopened = async (): Promise<Library> => (await Library.open(path.join(folder, 'packages'))).library;

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
      assert.equal(added.name, 'fw v1.bin');
      const file = (await library.find(added.id, 'fw_v1.bin'))!;
      assert.equal((await fs.stat(path.join(file.folder, file.name))).ino, ino);
      assert.equal(added.sha256, digest('sha256', Buffer.from('firmware')));
    });

    it('takes over its name, in any script', async () => {
      const filename = path.join(folder, '水泵固件 v1.bin');
      await fs.writeFile(filename, 'firmware');
      const added = await library.add(request({ kind: 'file', filename }));
      assert.equal(added.name, '水泵固件 v1.bin');
      assert.equal(added.url, `${BASE}/ota/files/${added.id}/v1.bin`);
    });

    it('copies what has a second name, so that nobody can change the package', async () => {
      const filename = await source('firmware');
      await fs.link(filename, `${filename}.2`);
      const added = await library.add(request({ kind: 'file', filename }));
      await fs.writeFile(`${filename}.2`, 'CHANGED!');
      assert.equal((await served(library, added)).toString(), 'firmware');
      assert.equal(await exists(filename), false);
    });

    it('refuses a symbolic link, which may lead to any file', async () => {
      const filename = await source('firmware');
      await fs.symlink(filename, `${filename}.link`);
      const adding = library.add(request({ kind: 'file', filename: `${filename}.link` }));
      await assert.rejects(adding, withCode('OTA_FILE'));
      assert.equal(await exists(`${filename}.link`), true);
      assert.equal(library.size, 0);
    });

    it('is readable by its owner only from then on', async () => {
      const filename = await source('firmware');
      await fs.chmod(filename, 0o644);
      const added = await library.add(request({ kind: 'file', filename }));
      const { folder: own, name } = (await library.find(added.id, added.url.split('/').at(-1)!))!;
      assert.equal((await fs.stat(path.join(own, name))).mode & 0o777, 0o600);
      assert.equal((await fs.stat(own)).mode & 0o777, 0o700);
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

    for (const [how, others] of [
      ['moved', 0],
      ['copied', 1],
    ] as const) {
      it(`leaves what took its place while it was ${how}`, async () => {
        const filename = await source(Buffer.alloc(5_000_000));
        if (others > 0) await fs.link(filename, `${filename}.2`);
        await fs.writeFile(`${filename}.new`, 'next build');
        const replaced: Promise<void>[] = [];
        const onBytes = (): void => {
          if (replaced.length === 0) replaced.push(fs.rename(`${filename}.new`, filename));
        };
        const added = await library.add(request({ kind: 'file', filename }, {}, { onBytes }));
        await Promise.all(replaced);
        assert.equal(added.size, 5_000_000);
        assert.equal((await served(library, added)).length, 5_000_000);
        assert.equal(await fs.readFile(filename, 'utf8'), 'next build');
      });
    }

    it('has bytes of its own where the file was moved elsewhere while it was added', async () => {
      const filename = await source(Buffer.alloc(5_000_000));
      const moved: Promise<void>[] = [];
      const onBytes = (): void => {
        if (moved.length === 0) moved.push(fs.rename(filename, `${filename}.old`));
      };
      const added = await library.add(request({ kind: 'file', filename }, {}, { onBytes }));
      await Promise.all(moved);
      await fs.writeFile(`${filename}.old`, 'CHANGED!');
      assert.equal((await served(library, added)).length, 5_000_000);
      assert.deepEqual(await tree(path.join(folder, 'packages', added.id)), [
        '.ota-package.json',
        'fw_v1.bin',
      ]);
    });

    for (const [what, versions] of [
      ['once', ['v1', 'v1']],
      ['in two versions', ['v1', 'v2']],
    ] as const) {
      it(`takes one that is added twice at the same time, ${what}`, async () => {
        const filename = await source(Buffer.alloc(5_000_000));
        const added = await Promise.all(
          versions.map((version) => library.add(request({ kind: 'file', filename }, { version }))),
        );
        for (const one of added) assert.equal((await served(library, one)).length, 5_000_000);
        assert.equal(library.size, new Set(versions).size);
        assert.equal(await exists(filename), false);
      });
    }

    for (const [what, filename] of [
      ['absent', 'nowhere.bin'],
      ['a folder', '.'],
    ] as const) {
      it(`refuses one that is ${what}`, async () => {
        const adding = library.add(request({ kind: 'file', filename: path.join(folder, filename) }));
        await assert.rejects(adding, withCode('OTA_FILE'));
        await assert.rejects(adding, /the file of msg\.filename/i);
      });
    }

    it('refuses the file of another package, in this library or another', async () => {
      const { library: other } = await Library.open(path.join(folder, 'other'));
      for (const its of [library, other]) {
        const added = await its.add(request(content('x')));
        const file = (await its.find(added.id, added.url.split('/').at(-1)!))!;
        const filename = path.join(file.folder, file.name);
        const adding = library.add(request({ kind: 'file', filename }));
        await assert.rejects(adding, withCode('OTA_BAD_PACKAGE'));
        assert.equal((await served(its, added)).toString(), 'x');
      }
    });
  });

  describe('from an address', () => {
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

    for (const name of ['download.part', 'download.part.new', 'download.part.json']) {
      it(`has the file of an address that ends in ${name}`, async () => {
        const at = await serve((_request, response) => response.end('firmware'));
        for (const baseUrl of [BASE, '']) {
          const added = await library.add(request({ kind: 'url', url: `${at}/${name}` }, {}, { baseUrl }));
          assert.equal(added.size, 8);
          if (baseUrl !== '') assert.equal((await served(library, added)).toString(), 'firmware');
        }
        assert.equal((await reopened()).size, 2);
      });
    }

    it('only measures it where no base address is set: it stays where it is', async () => {
      const at = await serve((_request, response) => response.end('firmware'));
      const added = await library.add(request({ kind: 'url', url: `${at}/fw.bin` }, {}, { baseUrl: '' }));
      assert.equal(added.url, `${at}/fw.bin`);
      assert.equal(added.size, 8);
      assert.equal(added.sign, digest('sha256', Buffer.from('firmware')));
      assert.equal(await library.find(added.id, 'fw.bin'), null);
      assert.deepEqual(await tree(path.join(folder, 'packages', added.id)), ['.ota-package.json']);
      assert.deepEqual(await (await reopened()).list(BASE), [added]);
    });

    for (const [what, hosts] of [
      ['of this machine, unless they are allowed', { allowedHosts: [], allowLocal: false }],
      ['that are not among the allowed ones', { allowedHosts: ['example.com'], allowLocal: true }],
    ] as const) {
      it(`refuses addresses ${what}`, async () => {
        const at = await serve((_request, response) => response.end('firmware'));
        const adding = library.add(request({ kind: 'url', url: `${at}/fw.bin` }, {}, { hosts }));
        await assert.rejects(adding, withCode('OTA_HOST_REFUSED'));
      });
    }

    it('follows a redirect from this machine to it', async () => {
      const at = await serve((_request, response) => response.end('firmware'));
      const location = at.replace('127.0.0.1', 'localhost');
      const first = await serve((_request, response) => response.writeHead(302, { location }).end());
      assert.equal((await library.add(request({ kind: 'url', url: first }))).size, 8);
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

    it('takes over the name that stands in the address', async () => {
      const at = await serve((_request, response) => response.end('firmware'));
      for (const [path, name] of [
        ['%E5%9B%BA%E4%BB%B6.bin', '固件.bin'],
        ['100%25.bin', '100%.bin'],
        ['100%.bin', '100%.bin'],
      ] as const) {
        const fields = { version: path };
        assert.equal((await library.add(request({ kind: 'url', url: `${at}/${path}` }, fields))).name, name);
      }
    });

    describe('refuses to keep an address', () => {
      for (const [what, url] of [
        ['that devices can not hold', `http://127.0.0.1:9/${'x'.repeat(256)}`],
        ['that only a browser understands', 'http:127.0.0.1:9/fw.bin'],
        ['with a blank in it', 'http://127.0.0.1:9/fw 1.bin'],
      ] as const) {
        it(what, async () => {
          const adding = library.add(request({ kind: 'url', url }, {}, { baseUrl: '' }));
          await assert.rejects(adding, withCode('OTA_BAD_PACKAGE'));
        });
      }
    });
  });

  describe('on a full disk', () => {
    let small: Library;
    let disk: string;

    beforeEach(async function () {
      disk = path.join(folder, 'disk');
      await fs.mkdir(disk);
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', disk], { stdio: 'pipe' });
      } catch {
        this.skip(); // a tmpfs can only be mounted by root: run this test in a container
      }
      later({ stop: () => void execFileSync('umount', [disk]) });
      ({ library: small } = await Library.open(disk));
    });

    for (const [what, source] of [
      ['a Buffer', () => Promise.resolve(content(Buffer.alloc(2_000_000)))],
      [
        'a file from another disk',
        async () => {
          const filename = path.join(folder, 'fw.bin');
          await fs.writeFile(filename, Buffer.alloc(2_000_000));
          return { kind: 'file', filename } as const;
        },
      ],
      [
        'an address whose length nobody knows',
        async () => {
          const url = await serve((_request, response) => {
            response.write(Buffer.alloc(1_500_000));
            response.end(Buffer.alloc(500_000));
          });
          return { kind: 'url', url } as const;
        },
      ],
    ] as const) {
      it(`tells that there is no room for ${what}, and keeps nothing of it`, async () => {
        const kept = await small.add(request(content('small')));
        await assert.rejects(small.add(request(await source())), withCode('OTA_DISK_FULL'));
        assert.deepEqual(await fs.readdir(disk), [kept.id]);
        assert.equal((await served(small, kept)).toString(), 'small');
      });
    }
  });
});

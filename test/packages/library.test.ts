/** The library of packages: what it takes, what it gives, and what it refuses. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { acquireLibrary, Library } from '../../nodes/lib/packages/library';
import { verifySignature } from '../../nodes/lib/packages/verify/signature';
import { checkUpgrade, OtaError } from '../../nodes/lib/protocol';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { BASE, content, digest, request, served, tree, withCode } from './library-support';

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
      // Many of one millisecond: their order is the same after a restart.
      assert.deepEqual(await (await reopened()).list(BASE), await library.list(BASE));
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

    it('one whose signature ends, where nothing signs it', () =>
      assert.rejects(
        library.add(request(content('x'), { expires: '2090-01-01' })),
        withCode('OTA_BAD_PACKAGE'),
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

  it('lists the newest first, and the same after a restart', async () => {
    const first = await library.add(request(content('1')));
    await until(() => Date.now() > Date.parse(first.at), 'the next millisecond');
    const second = await library.add(request(content('2')));
    assert.deepEqual(await library.list(BASE), [second, first]);
    assert.deepEqual(await (await reopened()).list(BASE), [second, first]);
  });

  it('gives a package by its id, with the address of today', async () => {
    const added = await library.add(request(content('1')));
    const got = await library.get(added.id, 'https://ota.example.com/x');
    assert.deepEqual(got, { ...added, url: added.url.replace(BASE, 'https://ota.example.com/x') });
  });

  it('keeps its own copy: a flow may change what it got', async () => {
    const added = await library.add(request(content('1'), { extData: { a: 'b' } }));
    (added.extData as Record<string, string>)['a'] = 'changed';
    assert.equal((await library.get(added.id, BASE)).extData['a'], 'b');
  });

  it('removes a package with its file', async () => {
    const added = await library.add(request(content('1')));
    assert.deepEqual(await library.remove(added.id, BASE), added);
    assert.deepEqual(await tree(path.join(folder, 'packages')), []);
    assert.equal(await library.find(added.id, added.url.split('/').at(-1)!), null);
    assert.equal((await reopened()).size, 0);
  });

  it('removes a package once, when it is told twice', async () => {
    const added = await library.add(request(content('1')));
    const ends = await Promise.allSettled([library.remove(added.id, BASE), library.remove(added.id, BASE)]);
    assert.deepEqual(ends.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  });

  for (const id of ['', 'x', '../..', '__proto__', 'constructor', '0'.repeat(32)]) {
    it(`knows no package ${JSON.stringify(id)}`, async () => {
      await assert.rejects(library.get(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
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
      assert.deepEqual(await again.list(BASE), [added]);
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
      it(`leaves out a package with ${what}, says so once, and sets it aside`, async () => {
        const good = await library.add(request(content('good')));
        const bad = await library.add(request(content('bad one'), { name: 'fw.bin' }));
        const packages = path.join(folder, 'packages');
        await damage(path.join(packages, bad.id));
        const { library: again, faults } = await Library.open(packages);
        assert.deepEqual(await again.list(BASE), [good]);
        assert.deepEqual(
          faults.map(({ code }) => code),
          ['OTA_FILE'],
        );
        assert.ok(faults[0]!.message.includes(bad.id.slice(0, 8)));
        const names = await tree(path.join(packages, bad.id));
        assert.equal(names.includes('.ota-package.json'), false);
        assert.equal(names.includes('.ota-package.json.bad'), what !== 'no description');
        if (what !== 'no description') assert.deepEqual((await Library.open(packages)).faults, []);
        // The same package can be added anew.
        assert.equal((await again.add(request(content('bad one'), { name: 'fw.bin' }))).sha256, bad.sha256);
      });
    }

    it('has packages of every name again, however it was cut', async () => {
      const names = [
        'firmware for the kitchen lamp model a version 2.bin',
        'fw.release-2026-11',
        `${'x'.repeat(36)}-${'y'.repeat(20)}`,
        'a.b.c_',
      ];
      for (const name of names) await library.add(request(content(name), { name }));
      const { library: again, faults } = await Library.open(path.join(folder, 'packages'));
      assert.deepEqual(faults, []);
      assert.deepEqual(await again.list(BASE), await library.list(BASE));
      assert.equal(again.size, names.length);
    });

    it('takes a package with a name as earlier releases cut it, also one that was set aside', async () => {
      const packages = path.join(folder, 'packages');
      for (const [name, text] of [
        ['firmware_for_the_kitchen_lamp_model_.bin', 'one'],
        ['fw.release-2026-', 'other'],
      ] as const) {
        const { id } = await library.add(request(content(text), { name: 'fw.bin' }));
        const description = path.join(packages, id, '.ota-package.json');
        const record = await fs.readFile(description, 'utf8');
        await fs.writeFile(description, record.replace('"file": "fw.bin"', `"file": "${name}"`));
        await fs.rename(path.join(packages, id, 'fw.bin'), path.join(packages, id, name));
        if (text === 'other') await fs.rename(description, `${description}.bad`);
      }
      const { library: again, faults } = await Library.open(packages);
      assert.deepEqual(faults, []);
      const texts = (await again.list(BASE)).map(async (one) => (await served(again, one)).toString());
      assert.deepEqual((await Promise.all(texts)).sort(), ['one', 'other']);
      // For the other instances, which look for what was added.
      assert.equal(
        (await tree(packages)).some((name) => name.endsWith('.bad')),
        false,
      );
    });

    it('leaves the description of a newer release as it is, and says so', async () => {
      const { id } = await library.add(request(content('good')));
      const packages = path.join(folder, 'packages');
      const description = path.join(packages, id, '.ota-package.json');
      await fs.writeFile(description, JSON.stringify({ format: 2, id }));
      const { faults } = await Library.open(packages);
      assert.match(faults[0]!.message, /newer release/);
      assert.deepEqual(await tree(packages), [id, `${id}/.ota-package.json`, `${id}/default-v1.bin`].sort());
    });

    it('tells where its folder can not be made', async () => {
      await fs.writeFile(path.join(folder, 'file'), '');
      for (const place of [path.join(folder, 'file'), '/proc/ota']) {
        const packages = path.join(place, 'packages');
        await assert.rejects(Library.open(packages), withCode('OTA_FILE'));
        await assert.rejects(acquireLibrary(packages), withCode('OTA_FILE'));
      }
    });

    it('has what lies in a folder that can not be written, says so, and refuses more', async function () {
      const disk = path.join(folder, 'disk');
      await fs.mkdir(disk);
      try {
        execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', disk], { stdio: 'pipe' });
      } catch {
        this.skip(); // only root may mount: run this test in a container
      }
      later({ stop: () => void execFileSync('umount', [disk]) });
      const added = await (await Library.open(disk)).library.add(request(content('1')));
      await fs.mkdir(path.join(disk, `.adding-${'a'.repeat(32)}`));
      execFileSync('mount', ['-o', 'remount,ro', disk]);
      const { library: again, faults } = await Library.open(disk);
      assert.deepEqual(await again.list(BASE), [added]);
      assert.equal((await served(again, added)).toString(), '1');
      assert.deepEqual(
        faults.map(({ code }) => code),
        ['OTA_FILE'],
      );
      await assert.rejects(again.add(request(content('2'))), withCode('OTA_FILE'));
      await assert.rejects(again.remove(added.id, BASE), withCode('OTA_FILE'));
      assert.equal(again.size, 1);
    });
  });

  it('answers an equal package with the one that is there, also of two at once', async () => {
    const packages = path.join(folder, 'packages');
    const fields = { product: 'pump', module: 'MCU', requires: { board: 'a' } };
    const [first, second] = await Promise.all([
      library.add(request(content('1'), fields)),
      library.add(request(content('1'), fields)),
    ]);
    assert.deepEqual(first, second);
    assert.deepEqual(first.requires, { board: 'a' });
    const filename = path.join(folder, 'again.bin');
    await fs.writeFile(filename, '1');
    assert.equal((await library.add(request({ kind: 'file', filename }, fields))).id, first.id);
    await assert.rejects(fs.access(filename));
    for (const other of [{ product: 'valve' }, { module: 'default' }, { version: 'v2' }]) {
      assert.notEqual((await library.add(request(content('1'), { ...fields, ...other }))).id, first.id);
    }
    assert.notEqual((await library.add(request(content('2'), fields))).id, first.id);
    assert.equal((await fs.readdir(packages)).length, 5);
  });

  for (const lost of ['file', 'folder'] as const) {
    it(`adds a package again whose ${lost} is lost, and takes its file only then`, async () => {
      const first = await library.add(request(content('same'), { name: 'fw.bin' }));
      const own = path.join(folder, 'packages', first.id);
      await fs.rm(lost === 'file' ? path.join(own, 'fw.bin') : own, { recursive: true });
      const filename = path.join(folder, 'fw.bin');
      await fs.writeFile(filename, 'same');
      const again = await library.add(request({ kind: 'file', filename }));
      assert.notEqual(again.id, first.id);
      assert.equal((await served(library, again)).toString(), 'same');
      assert.deepEqual(await library.list(BASE), [again]);
    });
  }

  it('finds packages by a part of their name, version, product or module', async () => {
    const all = [
      { name: 'Pump.bin' },
      { name: 'x', version: 'v2-pump' },
      { name: 'x', product: 'PUMP 7' },
      { name: 'x', module: 'pump' },
      { name: 'valve' },
    ];
    for (const [i, fields] of all.entries()) await library.add(request(content(`${i}`), fields));
    assert.equal((await library.list(BASE, 'pump')).length, 4);
    assert.equal((await library.list(BASE, 'none')).length, 0);
    assert.equal((await library.list(BASE)).length, 5);
  });

  it('lets go of a package whose folder somebody took away, and takes new ones', async () => {
    const packages = path.join(folder, 'packages');
    const gone = await library.add(request(content('1')));
    await fs.rm(path.join(packages, gone.id), { recursive: true });
    assert.deepEqual(await library.remove(gone.id, BASE), gone);
    const other = await library.add(request(content('2')));
    await fs.rm(packages, { recursive: true });
    assert.deepEqual(await library.remove(other.id, BASE), other);
    const added = await library.add(request(content('3')));
    assert.deepEqual(await (await reopened()).list(BASE), [added]);
  });

  it('is one for all users of a folder, by any path to it', async () => {
    const packages = path.join(folder, 'packages');
    await fs.symlink(packages, path.join(folder, 'other'));
    const [a, b] = await Promise.all([acquireLibrary(packages), acquireLibrary(path.join(folder, 'other'))]);
    assert.equal(a.library, b.library);
    const added = await a.library.add(request(content('1')));
    a.release();
    assert.deepEqual(await b.library.list(BASE), [added]);
    b.release();
    await b.library.idle();
    const c = await acquireLibrary(packages);
    assert.notEqual(c.library, a.library);
    assert.deepEqual(await c.library.list(BASE), [added]);
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
    assert.deepEqual(await second.library.list(BASE), [added]);
    second.release();
  });
});

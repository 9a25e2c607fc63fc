import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { showWork, tidy } from '../../nodes/lib/packages/library/half-done';
import { Library } from '../../nodes/lib/packages/library';
import { startChild } from '../support/child';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { until } from '../support/wait';
import { BASE, content, request, served, withCode } from './library-support';

const CHILD = path.join(__dirname, 'support', 'adding-child.ts');

describe('a folder of packages that several instances use', () => {
  const later = cleanup();
  let folder: string;
  let one: Library;
  let two: Library;

  beforeEach(async () => {
    folder = path.join(later(await temporaryFolder()).path, 'packages');
    ({ library: one } = await Library.open(folder));
    ({ library: two } = await Library.open(folder));
  });

  it('gives a package that one adds by its id, in the list and as a file, in the other', async () => {
    const { id } = await one.add(request(content('first')));
    assert.equal((await two.get(id, BASE)).version, 'v1');
    const second = await one.add(request(content('second')));
    const name = path.basename(second.url);
    assert.equal((await two.find(second.id, name))?.size, 6);
    const third = await one.add(request(content('third')));
    assert.deepEqual(
      (await two.list(BASE)).map((found) => found.id),
      [third.id, second.id, id],
    );
  });

  it('lists no package any more that the other one has removed', async () => {
    const { id } = await one.add(request(content('first')));
    assert.equal((await two.list(BASE)).length, 1);
    await two.remove(id, BASE);
    assert.deepEqual(await one.list(BASE), []);
    await assert.rejects(one.get(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
  });

  it('takes no package that another one added whose file is none of its own, as at a start', async () => {
    const { id, url } = await one.add(request(content('first')));
    const file = path.join(folder, id, path.basename(url));
    await fs.rename(file, path.join(folder, 'elsewhere'));
    await fs.symlink(path.join(folder, 'elsewhere'), file);
    assert.deepEqual(await two.list(BASE), []);
    const { library: third } = await Library.open(folder);
    assert.deepEqual(await third.list(BASE), []);
  });

  it('has both packages in both when they add at once', async () => {
    const added = await Promise.all([
      one.add(request(content('first'))),
      two.add(request(content('second'))),
    ]);
    const ids = added.map(({ id }) => id).sort();
    for (const library of [one, two]) {
      const listed = await library.list(BASE);
      assert.deepEqual(listed.map(({ id }) => id).sort(), ids);
    }
  });

  it('names no package any more that the other one has removed', async () => {
    const { id } = await one.add(request(content('first')));
    assert.equal((await two.get(id, BASE)).id, id);
    await one.remove(id, BASE);
    await assert.rejects(two.get(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
    assert.equal(two.size, 0);
  });

  it('adds a package again that the other one has removed, and takes its file only then', async () => {
    const first = await one.add(request(content('same'), { name: 'fw.bin' }));
    assert.equal((await two.list(BASE)).length, 1);
    await one.remove(first.id, BASE);
    const filename = path.join(path.dirname(folder), 'fw.bin');
    await fs.writeFile(filename, 'same');
    const again = await two.add(request({ kind: 'file', filename }));
    assert.notEqual(again.id, first.id);
    assert.equal((await served(two, again)).toString(), 'same');
    assert.deepEqual(await one.list(BASE), [again]);
  });

  it('answers an equal package with the one that the other one has added', async () => {
    const first = await one.add(request(content('same'), { name: 'fw.bin' }));
    const again = await two.add(request(content('same'), { name: 'fw.bin' }));
    assert.deepEqual(again, first);
    assert.deepEqual(await fs.readdir(folder), [first.id]);
  });

  it('leaves alone at its start what another process is adding, which then is there', async () => {
    const packages = path.join(later(await temporaryFolder()).path, 'packages');
    const { url, finish } = await slowServer();
    const child = startChild(process.execPath, ['--import', 'tsx', CHILD, packages, url]);
    later({ stop: () => child.end('SIGKILL') });
    const adding = async (): Promise<boolean> =>
      (await fs.readdir(packages).catch(() => [])).some((name) => name.startsWith('.adding-'));
    await until(adding, `the child to begin (${child.lines.join('\n')})`, 30_000);
    const { library } = await Library.open(packages);
    finish();
    const id = await until(
      () => child.lines.find((line) => line.startsWith('added '))?.slice('added '.length),
      'the child to have added it',
      30_000,
    );
    assert.equal((await library.get(id, BASE)).size, 8);
  });

  it('takes away what an instance of another machine was adding only when it stands still', async () => {
    const folder = later(await temporaryFolder()).path;
    const [living, dead] = ['a', 'b'].map((id) =>
      path.join(folder, `.adding-${id.repeat(32)}-${'0'.repeat(16)}-1`),
    ) as [string, string];
    for (const each of [living, dead]) await fs.mkdir(each);
    later({ stop: showWork(living, 20) });
    await tidy(folder, await fs.readdir(folder, { withFileTypes: true }), 500);
    assert.equal((await fs.readdir(folder)).length, 2, 'nothing goes at once');
    await until(async () => (await fs.readdir(folder)).length === 1, 'what the dead one left to go');
    assert.deepEqual(await fs.readdir(folder), [path.basename(living)]);
  });

  /** Sends half a file, and the rest on demand. */
  async function slowServer(): Promise<{ url: string; finish: () => void }> {
    let finish = (): void => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    const server = http.createServer((_request, response) => {
      response.writeHead(200, { 'Content-Length': 8 });
      response.write('half');
      void finished.then(() => response.end('half'));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    later({
      stop: () => {
        server.closeAllConnections();
        server.close();
      },
    });
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/fw.bin`, finish };
  }
});

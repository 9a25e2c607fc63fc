import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { Library } from '../../nodes/lib/packages/library';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';
import { BASE, content, request, withCode } from './library-support';

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
    assert.equal(two.get(id, BASE).version, 'v1');
    const second = await one.add(request(content('second')));
    const name = path.basename(second.url);
    assert.equal(two.find(second.id, name)?.size, 6);
    const third = await one.add(request(content('third')));
    assert.deepEqual(
      two.list(BASE).map((found) => found.id),
      [third.id, second.id, id],
    );
  });

  it('lists no package any more that the other one has removed', async () => {
    const { id } = await one.add(request(content('first')));
    assert.equal(two.list(BASE).length, 1);
    await two.remove(id, BASE);
    assert.deepEqual(one.list(BASE), []);
    assert.throws(() => one.get(id, BASE), withCode('OTA_PACKAGE_NOT_FOUND'));
  });

  it('takes no package that another one added whose file is none of its own, as at a start', async () => {
    const { id, url } = await one.add(request(content('first')));
    const file = path.join(folder, id, path.basename(url));
    await fs.rename(file, path.join(folder, 'elsewhere'));
    await fs.symlink(path.join(folder, 'elsewhere'), file);
    assert.deepEqual(two.list(BASE), []);
    const { library: third } = await Library.open(folder);
    assert.deepEqual(third.list(BASE), []);
  });

  it('has both packages in both when they add at once', async () => {
    const added = await Promise.all([
      one.add(request(content('first'))),
      two.add(request(content('second'))),
    ]);
    const ids = added.map(({ id }) => id).sort();
    for (const library of [one, two]) {
      assert.deepEqual(
        library
          .list(BASE)
          .map(({ id }) => id)
          .sort(),
        ids,
      );
    }
  });
});

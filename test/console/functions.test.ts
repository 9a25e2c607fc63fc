/** The console's function nodes by themselves: what of a list a browser gets, which uploads stay, why something failed. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { ROOT } from '../../scripts/build/paths';
import { cleanup } from '../support/cleanup';
import { temporaryFolder } from '../support/temporary-folder';

type Run = (msg: object, needs?: object) => unknown;

/** The function of a node, as its file has it. */
async function load(name: string): Promise<Run> {
  const file = path.join(ROOT, 'scripts/console/functions', `${name}.js`);
  return ((await import(file)) as { default: Run }).default;
}

const _client = { socketId: 'socket-1' };

describe('the console’s functions', () => {
  const later = cleanup();

  describe('of what a browser sends', () => {
    const client = { socketId: 'socket-1', operator: 'eve' };
    const forged = {
      command: { action: 'forget', by: 'boss' },
      packageIds: [],
      content: 'x',
      filename: '/etc/passwd',
      url: 'http://127.0.0.1/',
    };
    const kept = (out: unknown): string[] =>
      [out].flat().flatMap((msg) => (msg === null ? [] : Object.keys(msg as object)));

    for (const topic of ['packages', 'tasks', 'list', 'create', 'fleet', 'get']) {
      it(`hand on the question, not what else stands beside it: ${topic} of tasks`, async () => {
        const command = await load('tasks-command');
        const out = command({ ...forged, topic, ask: { n: 1 }, payload: {}, _client: client });
        const [, wanted] = out as [unknown, Record<string, unknown> | null];
        for (const name of ['content', 'filename', 'url']) assert.ok(!kept(out).includes(name), name);
        // A form's question for packages must not become a command.
        if (topic === 'packages') assert.equal(wanted?.['command'], undefined);
      });
    }

    for (const topic of ['list', 'remove', 'tasks', 'cancel']) {
      it(`hand on the question, not what else stands beside it: ${topic} of packages`, async () => {
        const command = await load('packages-command');
        const needs = { env: new Map(), fs, os, path, process };
        const out = command(
          { ...forged, topic, ask: { upload: 'x' }, payload: { id: '1' }, _client: client },
          needs,
        );
        const [sent] = [out].flat().filter((msg) => msg !== null) as Record<string, unknown>[];
        assert.equal(sent?.['filename'], '');
        for (const name of ['command', 'content', 'url']) assert.ok(!kept(out).includes(name), name);
      });
    }
  });

  describe('of a hundred packages', () => {
    const all = Array.from({ length: 100 }, (_, i) => ({
      id: String(i),
      name: i % 2 === 0 ? 'pump' : 'valve',
      product: '',
      module: 'default',
      version: `v1.${i}`,
      description: '',
      size: 1000 - i,
      at: new Date(i * 1000).toISOString(),
    }));

    async function page(
      query: object,
    ): Promise<{ total: number; all: number; packages: { version: string }[] }> {
      const answer = await load('packages-answer');
      const ask = { n: 1, pageSize: 10, page: 1, ...query };
      const [[toOne]] = answer({ topic: 'list', ask, payload: all, _client }) as [[{ payload: never }]];
      return toOne.payload;
    }

    it('send a browser one page', async () => {
      const { total, packages } = await page({ page: 2 });
      assert.deepEqual([total, packages.length, packages[0]?.version], [100, 10, 'v1.89']);
    });

    it('send the page of what is searched for, in the order that is wanted', async () => {
      const found = await page({ search: 'pump v1.1', sort: 'version' });
      assert.deepEqual(
        found.packages.map(({ version }) => version),
        ['v1.10', 'v1.12', 'v1.14', 'v1.16', 'v1.18'],
      );
      assert.deepEqual([found.total, found.all], [5, 100]);
    });

    it('send a form one page of names, the newest, and no more', async () => {
      const { total, packages } = await choice({});
      assert.deepEqual([total, packages.length, packages[0]?.version], [100, 20, 'v1.99']);
      const fields = ['id', 'name', 'version', 'product', 'fromVersion', 'requires'];
      assert.deepEqual(Object.keys(packages[0] ?? {}), fields);
    });

    it('send a form what is searched for, and the one that is chosen', async () => {
      const { packages } = await choice({ search: 'valve v1.9', id: '0' });
      assert.deepEqual(
        packages.map(({ id }) => id),
        ['0', '99', '97', '95', '93', '91', '9'],
      );
    });

    it('send a form the variants of a package only: of its version and module, and not itself', async () => {
      const same = (id: string, more: object): object => ({ ...all[0], version: 'v2', id, ...more });
      const payload = [...all, same('a', {}), same('b', {}), same('c', { module: 'MCU' })];
      const withPackage = await load('tasks-package');
      const [, list] = withPackage({ topic: 'packages', ask: { id: '', like: 'a' }, payload }) as object[];
      const { packages } = (list as { payload: { packages: { id: string }[] } }).payload;
      assert.deepEqual(
        packages.map(({ id }) => id),
        ['b'],
      );
      const [, of] = withPackage({ topic: 'packages', ask: { id: 'a' }, payload }) as object[];
      assert.equal((of as { payload: { alike: number } }).payload.alike, 1);
    });

    it('give a task its packages as they are stored, in the order of the form', async () => {
      const [command, withPackage] = [await load('tasks-command'), await load('tasks-package')];
      const asked = { targets: 'all', packageIds: ['7', '3'], packages: [{ id: 'evil' }] };
      const [, find] = command({ topic: 'create', ask: { n: 1 }, payload: asked, _client }) as object[];
      assert.deepEqual((find as { payload: object }).payload, { action: 'list' });
      const [made] = withPackage({ ...find, payload: all }) as { payload: Record<string, unknown> }[];
      assert.deepEqual(made?.payload, { action: 'create', targets: 'all', packages: [all[7], all[3]] });
      assert.throws(
        () => withPackage({ ...find, packageIds: ['7', 'gone'], payload: all }),
        /OTA_PACKAGE_NOT_FOUND/,
      );
    });

    it('say where only the newest tasks could be put in another order', async () => {
      const answer = await load('tasks-answer');
      const tasks = Array.from({ length: 1000 }, (_, i) => ({ name: `t${i}`, counts: { failed: i } }));
      const msg = { topic: 'list', ask: { n: 1, sort: 'failed' }, payload: { total: 1200, tasks }, _client };
      const [{ payload }] = answer(msg) as [{ payload: { total: number; most: number; of: number } }];
      assert.deepEqual([payload.total, payload.most, payload.of], [1000, 1000, 1200]);
    });

    async function choice(ask: object): Promise<{ total: number; packages: Record<string, string>[] }> {
      const withPackage = await load('tasks-package');
      const [, list] = withPackage({ topic: 'packages', ask, payload: all }) as [null, { payload: never }];
      return list.payload;
    }

    it('name the tasks that need those of a page, three of each and no other', async () => {
      const answer = await load('tasks-answer');
      const task = (n: number, ids: string[]): object => ({
        ...{ taskId: `t${n}`, name: `task ${n}`, counts: {}, policy: {} },
        ...{ package: { id: ids[0], name: 'pump', version: 'v1' }, packages: ids.map((id) => ({ id })) },
      });
      const tasks = [1, 2, 3, 4].map((n) => task(n, ['7'])).concat(task(5, ['9', '8']), task(6, ['55']));
      const msg = { topic: 'list', ask: { n: 1, ids: ['7', '8', '6'] }, payload: { tasks }, _client };
      const [{ payload }] = answer(msg) as [{ payload: Record<string, { taskId: string }[]> }];
      const named = Object.entries(payload).map(([id, of]) => [id, of.map(({ taskId }) => taskId)]);
      assert.deepEqual(Object.fromEntries(named), { '7': ['t1', 't2', 't3'], '8': ['t5'], '6': [] });
      assert.doesNotMatch(JSON.stringify(payload), /counts|policy/);
      assert.equal((payload as Record<string, { others?: number }[]>)['7']?.[2]?.others, 1, 'how many more');
    });

    it('send the versions that most devices run, whatever module they are of, and how many there are', async () => {
      const answer = await load('tasks-answer');
      const versions = Array.from({ length: 30 }, (_, i) => ({ module: 'a', version: `v${i}`, count: 1 }));
      const payload = { devices: [], versions: [...versions, { module: 'b', version: 'v1', count: 900 }] };
      const [found] = answer({ topic: 'fleet', ask: { n: 1 }, payload, _client }) as [
        { payload: { versions: { count: number }[]; versionCount: number } },
      ];
      const { versions: sent, versionCount } = found.payload;
      assert.deepEqual([sent.length, sent[0]?.count, versionCount], [20, 900, 31]);
    });
  });

  it('tell an equal package that was there from a new one by one clock', async () => {
    const answer = await load('packages-answer');
    const twice = (at: number): unknown => {
      const payload = { id: '1', at: new Date(at).toISOString() };
      const [[toOne]] = answer({ topic: 'add', ask: { n: 1, since: 5000 }, payload, _client }) as [
        [{ payload: { twice: boolean } }],
      ];
      return toOne.payload.twice;
    };
    assert.deepEqual([twice(4999), twice(5001)], [true, false]);
  });

  it('remove an upload that nobody went on with for an hour, and none before', async () => {
    const tidy = await load('uploads-tidy');
    const { path: folder } = later(await temporaryFolder('ota-tidy-'));
    const fileOf = (minutes: number): string => {
      const file = path.join(folder, `ota-upload-${process.pid}-s-${String(minutes).padStart(16, '0')}.part`);
      fs.writeFileSync(file, 'x');
      const then = new Date(Date.now() - minutes * 60_000);
      fs.utimesSync(file, then, then);
      return file;
    };
    const [going, abandoned] = [fileOf(55), fileOf(65)];
    tidy({ topic: 'minute' }, { env: { get: () => folder }, fs, os, path, process });
    assert.deepEqual([fs.existsSync(going), fs.existsSync(abandoned)], [true, false]);
  });

  it('remove one of an earlier run, though its process id is another program’s by now', async () => {
    const tidy = await load('uploads-tidy');
    const { path: folder } = later(await temporaryFolder('ota-tidy-'));
    const file = path.join(folder, `ota-upload-${process.ppid}-s-${'0'.repeat(16)}.part`);
    fs.writeFileSync(file, 'x');
    const yesterday = new Date(Date.now() - 86_400_000);
    fs.utimesSync(file, yesterday, yesterday);
    tidy({ topic: 'start' }, { env: { get: () => folder }, fs, os, path, process });
    assert.equal(fs.existsSync(file), false);
  });

  it('make the folder of uploads where it is not there', async () => {
    const [command, tidy] = [await load('packages-command'), await load('uploads-tidy')];
    const folder = path.join(later(await temporaryFolder('ota-tidy-')).path, 'a/b');
    const needs = { env: { get: () => folder }, fs, os, path, process };
    tidy({ topic: 'start' }, needs);
    const ask = { n: 1, upload: 'f'.repeat(16), offset: 0 };
    const [, slice] = command({ topic: 'slice', ask, payload: Buffer.alloc(10), _client }, needs) as object[];
    assert.equal(path.dirname((slice as { filename: string }).filename), folder);
    assert.ok(fs.existsSync(folder));
  });

  it('fail where no folder of uploads can be made, and hold up nothing', function () {
    if (process.platform !== 'linux') this.skip();
    // In a process of its own, which can be ended where it never comes back.
    const script = `
      const [fs, os, path] = [require('fs'), require('os'), require('path')];
      const ask = { n: 1, upload: 'f'.repeat(16), offset: 0 };
      const slice = { topic: 'slice', ask, payload: Buffer.alloc(10), _client: { socketId: 's' } };
      require(process.argv[1]).default(slice, { env: { get: () => '/proc/a/b' }, fs, os, path, process });`;
    const file = path.join(ROOT, 'scripts/console/functions/packages-command.js');
    const args = ['--import', 'tsx', '-e', script, file];
    const { signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 });
    assert.equal(signal, null);
    assert.match(stderr, /ENOENT/);
  });

  it('take no more uploads than there is room for', async () => {
    const command = await load('packages-command');
    const { path: folder } = later(await temporaryFolder('ota-tidy-'));
    for (let i = 0; i < 16; i += 1)
      fs.writeFileSync(path.join(folder, `ota-upload-1-s-${String(i).padStart(16, '0')}.part`), 'x');
    const ask = { n: 1, upload: 'f'.repeat(16), offset: 0 };
    const slice = { topic: 'slice', ask, payload: Buffer.alloc(10), _client };
    const needs = { env: { get: () => folder }, fs, os, path, process };
    assert.throws(() => command(slice, needs), /OTA_UPLOAD_FULL/);
  });

  it('tell which rule refused a value, for a page that speaks another language', async () => {
    const fault = await load('fault');
    const cause = { key: 'between', values: { min: 0, max: 100 } };
    const error = {
      code: 'OTA_BAD_INPUT',
      message: 'OTA_BAD_INPUT: "policy.failureThreshold" must be …',
      cause,
    };
    const [answer] = fault({ topic: 'create', ask: { n: 1 }, error, _client }) as [{ error: object }];
    assert.deepEqual(answer.error, {
      code: 'OTA_BAD_INPUT',
      message: '"policy.failureThreshold" must be …',
      reason: cause,
    });
  });

  it('take a refused command for nothing that stops the others', async () => {
    const trouble = await load('tasks-trouble');
    const said = (text: string): unknown =>
      (trouble({ status: { fill: 'red', text } }) as { payload: unknown }).payload;
    assert.equal(said('common.status.messageRefused'), '');
    assert.equal(said('common.status.unreachable'), 'unreachable');
  });
});

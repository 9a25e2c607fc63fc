import assert from 'node:assert/strict';
import { PACKAGE, WiresFleet } from './wires-support';

interface Preview {
  readonly total: number;
  readonly devices: readonly { readonly accessToken: string }[];
  readonly skipped: Readonly<Record<string, number>>;
  readonly byVersion: readonly { readonly version: string | null; readonly count: number }[];
  readonly unknownTokens: number;
  readonly badTokens: number;
}

describe('ota-task by its messages: which devices, which package', () => {
  let fleet: WiresFleet;
  beforeEach(async () => {
    fleet = await WiresFleet.start({ labelsFrom: 'board, region' });
  });
  afterEach(() => fleet.stop());

  const label = (accessTokens: string[], labels: object): Promise<object> =>
    fleet.ask({ action: 'label', accessTokens, labels });
  const labels = async (accessToken: string): Promise<object> =>
    (await fleet.ask<{ labels: object }>({ action: 'device', accessToken })).labels;
  const preview = (targets: unknown, more: object = {}): Promise<Preview> =>
    fleet.ask({ action: 'preview', package: PACKAGE, targets, ...more });
  const tokens = async (targets: unknown, more: object = {}): Promise<string[]> =>
    (await preview(targets, more)).devices.map(({ accessToken }) => accessToken).sort();

  it('takes labels by `label`, and from the fields of a report that `labelsFrom` names', async () => {
    await fleet.version('a', 'v1', { board: 'r1', region: 7, secret: 'x' });
    assert.deepEqual(await labels('a'), { board: 'r1', region: '7' });
    assert.deepEqual(await label(['a', 'nobody'], { board: 'r2', site: 'hall 3' }), {
      changed: 1,
      unknown: 1,
      left: 0,
    });
    // An operator's label beats the device's, also after its next report.
    await fleet.version('a', 'v1', { board: 'r1', region: 8 });
    assert.deepEqual(await labels('a'), { board: 'r2', region: '8', site: 'hall 3' });
    await label(['a'], { board: null, site: null });
    assert.deepEqual(await labels('a'), { board: 'r1', region: '8' });
  });

  it('bounds labels: 16 names of 64 characters, values of 128', async () => {
    await fleet.version('a', 'v1');
    const many = (n: number, from = 0): object =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`l${i + from}`, 'x'.repeat(128)]));
    assert.deepEqual(await label(['a'], many(16)), { changed: 1, unknown: 0, left: 0 });
    assert.deepEqual(await label(['a'], many(1, 16)), { changed: 0, unknown: 0, left: 1 });
    assert.equal(Object.keys(await labels('a')).length, 16);
    for (const wrong of [{ ['n'.repeat(65)]: 'x' }, { a: 'x'.repeat(129) }, { a: {} }, {}, 'x', many(17)]) {
      const refused = await fleet.refused({ action: 'label', accessTokens: ['a'], labels: wrong });
      assert.equal(refused.code, 'OTA_BAD_INPUT', JSON.stringify(wrong));
    }
    assert.equal(Object.keys(await labels('a')).length, 16);
  });

  it('finds devices by version, versions and labels', async () => {
    await fleet.version('a', 'v1', { board: 'r1' });
    await fleet.version('b', 'v1', { board: 'r2' });
    await fleet.version('c', 'v0', { board: 'r3' });
    await fleet.version('d', 'v2', { board: 'r1' });
    await label(['a', 'c'], { site: 'north' });
    assert.deepEqual(await tokens({ version: 'v1' }), ['a', 'b']);
    assert.deepEqual(await tokens({ versions: ['v0', 'v1'] }), ['a', 'b', 'c']);
    assert.deepEqual(await tokens({ labels: { site: 'north' } }), ['a', 'c']);
    assert.deepEqual(await tokens({ labels: { board: ['r2', 'r3'] } }), ['b', 'c']);
    assert.deepEqual(await tokens({ labels: { site: 'north', board: 'r1' } }), ['a']);
    assert.deepEqual(await tokens({ version: 'v1', labels: { site: ['north', 'south'] } }), ['a']);
    const { total, skipped, byVersion } = await preview('all');
    assert.deepEqual([total, skipped['current']], [3, 1]);
    assert.deepEqual(
      [...byVersion].sort((x, y) => y.count - x.count),
      [
        { version: 'v1', count: 2 },
        { version: 'v0', count: 1 },
      ],
    );
    assert.deepEqual(Object.keys(skipped).sort(), [
      'current',
      'incompatible',
      'superseded',
      'unseen',
      'version',
    ]);
    const wrong = await fleet.refused({ action: 'preview', package: PACKAGE, targets: { site: 'north' } });
    assert.equal(wrong.code, 'OTA_BAD_INPUT');
  });

  it('finds devices by what they run of another module', async () => {
    await fleet.version('a', 'v1');
    await fleet.version('a', 'm1', { module: 'modem' });
    await fleet.version('b', 'v1');
    assert.deepEqual(await tokens({ module: 'modem', version: 'm1' }), ['a']);
  });

  it('says of an empty result how many were left out, and why', async () => {
    await fleet.version('a', 'v2');
    const { code, message } = await fleet.refused({ action: 'create', package: PACKAGE, targets: 'all' });
    assert.equal(code, 'OTA_BAD_INPUT');
    assert.match(message, /1 run the version already/);
  });

  it('counts in a preview who is unknown, and who can be no device', async () => {
    await fleet.version('a', 'v1');
    const { total, unknownTokens, badTokens } = await preview(['a', 'b', 7, '', 'x'.repeat(200)]);
    assert.deepEqual([total, unknownTokens, badTokens], [3, 2, 3]);
  });

  it('gives each device the first package that fits, in preview and push: deltas before the full one', async () => {
    const packages = [
      { ...PACKAGE, url: 'http://127.0.0.1/delta', fromVersion: 'v1' },
      { ...PACKAGE, url: 'http://127.0.0.1/r1', requires: { board: 'r1' } },
      { ...PACKAGE, url: 'http://127.0.0.1/r2', requires: { board: ['r2', 'r3'] }, fromVersions: ['v0'] },
    ];
    await fleet.version('a', 'v1', { board: 'r9' });
    await fleet.version('b', 'v0', { board: 'r1' });
    await fleet.version('c', 'v0', { board: 'r3' });
    await fleet.version('d', 'v9', { board: 'r3' });
    await fleet.version('e', 'v0');
    const asked = { action: 'preview', packages, targets: 'all' };
    const { total, skipped } = await fleet.ask<Preview>(asked);
    assert.deepEqual([total, skipped['incompatible']], [3, 2]);
    const task = await fleet.ask({ ...asked, action: 'create' });
    assert.equal(task.packages.length, 3);
    assert.deepEqual(task.package, task.packages[0]);
    const urls = (await fleet.pushes(3)).map(({ accessToken, url }) => [accessToken, String(url).slice(17)]);
    assert.deepEqual(urls.sort(), [
      ['a', 'delta'],
      ['b', 'r1'],
      ['c', 'r2'],
    ]);
    const failed = await fleet.devices(task, { status: 'failed' });
    assert.deepEqual(failed.map(({ accessToken, reason }) => [accessToken, reason]).sort(), [
      ['d', 'incompatible'],
      ['e', 'incompatible'],
    ]);
    assert.deepEqual((await fleet.get(task)).reasons, { incompatible: 2 });
  });

  it('takes packages of one version and module only, and one way to name them', async () => {
    const other = { ...PACKAGE, version: 'v3' };
    for (const wrong of [
      { packages: [PACKAGE, other] },
      { packages: [PACKAGE, { ...PACKAGE, module: 'modem' }] },
      { packages: [PACKAGE], package: PACKAGE },
      { packages: [] },
    ]) {
      const { code } = await fleet.refused({ action: 'create', targets: ['a'], ...wrong });
      assert.equal(code, 'OTA_BAD_INPUT', JSON.stringify(wrong));
    }
  });

  it('looks at `requires` when the turn comes', async () => {
    const requires = { board: 'r1' };
    await fleet.version('a', 'v1', { board: 'r1' });
    await fleet.version('b', 'v1');
    const create = { action: 'create', package: { ...PACKAGE, requires }, targets: ['a', 'b'], draft: true };
    const task = await fleet.ask(create);
    await label(['a'], { board: 'r9' });
    await label(['b'], { board: 'r1' });
    await fleet.of(task, 'start');
    assert.deepEqual(await fleet.pushed(1), ['b']);
    const [a] = await fleet.devices(task, { search: 'a' });
    assert.deepEqual([a?.status, a?.reason], ['failed', 'incompatible']);
    // It isn't tried again by itself, but when a person says so.
    await label(['a'], { board: 'r1' });
    await fleet.of(task, 'retry', { accessTokens: ['a'] });
    assert.deepEqual(await fleet.pushed(1), ['a']);
  });

  it('counts `incompatible` neither for nor against a wave or a failure threshold', async () => {
    await fleet.version('b', 'v1', { board: 'r1' });
    await fleet.version('c', 'v1', { board: 'r1' });
    const policy = { waves: [50, 100], failureThreshold: 1, minExecuted: 1 };
    const create = { action: 'create', package: { ...PACKAGE, requires: { board: 'r1' } }, policy };
    const task = await fleet.ask({ ...create, targets: ['a', 'b', 'c', 'd'] });
    assert.deepEqual(await fleet.pushed(1), ['b']);
    await fleet.progress('b', 100);
    assert.deepEqual(await fleet.pushed(1), ['c']);
    assert.equal((await fleet.get(task)).status, 'running');
  });

  it('restricts nothing by a `product` alone', async () => {
    await fleet.version('a', 'v1');
    await fleet.ask({ action: 'create', package: { ...PACKAGE, product: 'lamp' }, targets: 'all' });
    assert.deepEqual(await fleet.pushed(1), ['a']);
  });
});

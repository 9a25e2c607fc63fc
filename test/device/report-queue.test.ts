import assert from 'node:assert/strict';
import {
  type DeviceReport,
  readReports,
  ReportQueue,
  writeReports,
} from '../../nodes/lib/device/report-queue';

const AT = '2026-01-01T00:00:00.000Z';
const step = (
  key: string,
  value: number,
  module: string | null = 'MCU',
  upgrades: string[] = [],
): DeviceReport => ({
  ...{ kind: 'progress', key, accessToken: 'a', node: 'n', at: AT, upgrades, module, step: value, desc: '' },
  keepMs: 1000,
});
const version = (key: string): DeviceReport => ({
  ...{
    kind: 'inform',
    key,
    accessToken: 'a',
    node: 'n',
    at: AT,
    upgrades: [],
    module: 'MCU',
    version: 'v',
    id: '1',
  },
});
const queueOf = (...reports: DeviceReport[]): ReportQueue => {
  const queue = new ReportQueue();
  for (const report of reports) {
    queue.add(report, 0);
    queue.ready(report.key);
  }
  return queue;
};

describe('the reports that wait for the broker', () => {
  it('go out one at a time, steps before versions', () => {
    const queue = queueOf(version('v'), step('s', 100));
    assert.equal(queue.next('a')?.key, 's');
    queue.sending('s', true);
    assert.equal(queue.next('a'), null);
    queue.remove('s');
    assert.equal(queue.next('a')?.key, 'v');
  });

  it('keep the newest of each module, which ends what the older would have ended', () => {
    const queue = queueOf(
      step('old', -2, 'MCU', ['k']),
      step('other', 100, null),
      step('new', 100, 'MCU', ['l']),
    );
    assert.deepEqual(
      queue.keepNewest().map(({ key }) => key),
      ['old'],
    );
    assert.deepEqual(queue.get('new')?.upgrades, ['k', 'l']);
    assert.ok(queue.get('other'));
  });

  it('are not sent before they lie on disk', () => {
    const queue = new ReportQueue();
    queue.add(step('s', 100), 0);
    assert.equal(queue.next('a'), null);
  });

  it('try a refused one at the next connection, and hold nothing back for it', () => {
    const queue = queueOf(step('s', 100, 'MCU', ['k']));
    queue.refused('s');
    assert.equal(queue.next('a'), null);
    assert.equal(queue.holdsBack('a'), false);
    assert.deepEqual(queue.get('s')?.upgrades, []);
    queue.tryAgain();
    assert.equal(queue.next('a')?.key, 's');
  });

  it('leave a step out that is too old, never a version', () => {
    const queue = queueOf(step('s', 100), version('v'));
    assert.deepEqual(queue.expired(1000), []);
    assert.deepEqual(
      queue.expired(1001).map(({ key }) => key),
      ['s'],
    );
  });

  it('are looked at for their age only when one may be too old, however many devices report', () => {
    const queue = new ReportQueue();
    let looks = 0;
    const counted = (key: string): DeviceReport =>
      Object.defineProperty({ ...step(key, 100), accessToken: key }, 'keepMs', {
        get: () => {
          looks += 1;
          return 1000;
        },
      });
    for (let i = 0; i < 1000; i += 1) {
      queue.add(counted(`r${i}`), 0);
      assert.deepEqual(queue.expired(500), []);
    }
    assert.ok(looks < 10_000, `${looks} looks at 1,000 reports`);
    assert.equal(queue.expired(1000).length, 0);
    assert.equal(queue.expired(1001).length, 1000);
  });

  it('take the place of one that waits where they are of the same kind and module, and that is not on its way', () => {
    const queue = queueOf(step('s', -2), version('v'));
    assert.ok(queue.isReplacedBy(step('new', 100)));
    assert.ok(!queue.isReplacedBy(step('other', 100, null)));
    assert.ok(!queue.isReplacedBy({ ...step('b', 100), accessToken: 'b' }));
    queue.sending('s', true);
    assert.ok(!queue.isReplacedBy(step('new', 100)));
    assert.ok(queue.isReplacedBy(version('w')));
  });

  it('of one device are compared among themselves where those of the others were before', () => {
    const queue = queueOf(step('old', -2), step('new', 100), { ...step('b', -2), accessToken: 'b' });
    queue.add({ ...step('b2', 100), accessToken: 'b' }, 0);
    const gone = (accessToken?: string): string[] => queue.keepNewest(accessToken).map(({ key }) => key);
    assert.deepEqual(gone('b'), ['b']);
    assert.deepEqual(gone(), ['old']);
  });

  it('come back from their file, without what can not be read', () => {
    const text = writeReports([step('s', 100), version('v')]) ?? '';
    assert.deepEqual(readReports(JSON.parse(text)), { state: [step('s', 100), version('v')], whole: true });
    assert.deepEqual(readReports({ reports: [{ kind: 'progress' }] }), { state: [], whole: false });
  });
});

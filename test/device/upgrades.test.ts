import assert from 'node:assert/strict';
import type { ReceivedUpgrade, UpgradePayload } from '../../nodes/lib/device';
import { OtaError } from '../../nodes/lib/protocol';
import { Upgrades, type UpgradeRules } from '../../nodes/lib/device/upgrades';

const AT = '2026-01-01T00:00:00.000Z';
const upgrade = (fields: Partial<UpgradePayload> = {}): ReceivedUpgrade => ({
  topic: 't',
  payload: {
    ...{
      accessToken: 'a',
      id: '1',
      code: 200,
      module: 'default',
      version: 'v1.1',
      size: 5,
      url: 'http://x/1',
    },
    ...{ signMethod: 'Md5', sign: 'AB', extData: {}, at: AT },
    ...fields,
  },
});
let keys = 0;
const rules = (more: Partial<UpgradeRules> = {}): UpgradeRules => ({
  ...{ hold: false, parallel: Infinity, maxAttempts: 3, workTimeoutMs: 86_400_000, run: 'r1' },
  newKey: () => `k${(keys += 1)}`,
  ...more,
});
const clock = { now: 0, wall: Date.parse(AT), uptimeMs: 0 };
const empty = { waiting: [], inWork: [], ended: [] };
const begun = (more: Partial<UpgradeRules> = {}): Upgrades => new Upgrades(rules(more), empty, clock);
const versions = (list: readonly { upgrade: ReceivedUpgrade }[]): string[] =>
  list.map((entry) => entry.upgrade.payload.version);

const isFull = (error: unknown): boolean => error instanceof OtaError && error.code === 'OTA_QUEUE_FULL';

describe('the upgrades of a device', () => {
  it('are handed out one at a time for each token', () => {
    const all = begun();
    all.receive(upgrade(), 0);
    all.receive(upgrade({ module: 'MCU', version: 'm2' }), 0);
    all.receive(upgrade({ accessToken: 'b', version: 'b2' }), 0);
    const [first, other] = all.take(0, AT);
    assert.deepEqual(versions([first!, other!]), ['v1.1', 'b2']);
    assert.deepEqual(all.take(0, AT), []);
    all.end(first!.key, 0, AT);
    assert.deepEqual(versions(all.take(0, AT)), ['m2']);
  });

  it('are told in numbers, with the first in work and the first that waits', () => {
    const all = begun();
    assert.deepEqual(begun().summary, { inWork: 0, waiting: 0, first: null, next: null });
    for (const accessToken of ['a', 'b', 'c']) all.receive(upgrade({ accessToken }), 0);
    all.receive(upgrade({ module: 'MCU', version: 'm2' }), 0);
    const [a, b, c] = all.take(0, AT);
    all.reporting(a!.key);
    all.end(b!.key, 0, AT);
    const { inWork, waiting, first, next } = all.summary;
    assert.deepEqual([inWork, waiting, first?.key, next?.payload.version], [1, 1, c!.key, 'm2']);
    const state = { ...all.state(0), ended: [] };
    assert.equal(new Upgrades(rules(), state, clock).summary.inWork, 1);
  });

  it('are no more at once than the limit for all tokens', () => {
    const all = begun({ parallel: 1 });
    for (const accessToken of ['a', 'b', 'c']) all.receive(upgrade({ accessToken }), 0);
    assert.equal(all.take(0, AT).length, 1);
    assert.equal(all.take(0, AT).length, 0);
  });

  it('that are flooded with are held up to 32 MiB, and the room comes back', () => {
    const all = begun({ hold: true });
    const extData = { blob: 'x'.repeat(1_000_000) };
    let kept = 0;
    assert.throws(() => {
      for (; kept < 100; kept += 1) all.receive(upgrade({ accessToken: `t${kept}`, extData }), 0);
    }, isFull);
    assert.ok(kept > 25 && kept < 34, String(kept));
    // A newer one of a device that is held takes the place of the older.
    assert.equal(all.receive(upgrade({ accessToken: 't0', version: 'v1.2', extData: {} }), 0), 'waits');
    all.receive(upgrade({ accessToken: 'late' }), 0);
  });

  it('that are flooded with are 10,000 at most', () => {
    const all = begun({ hold: true });
    for (let i = 0; i < 10_000; i += 1) all.receive(upgrade({ accessToken: `t${i}` }), 0);
    assert.throws(() => all.receive(upgrade({ accessToken: 'one-more' }), 0), isFull);
    assert.equal(all.receive(upgrade({ accessToken: 't5', version: 'v1.2' }), 0), 'waits');
  });

  it('wait for a release where they are held', () => {
    const all = begun({ hold: true });
    all.receive(upgrade(), 0);
    assert.deepEqual(all.take(0, AT), []);
    assert.equal(all.take(0, AT, true).length, 1);
  });

  it('give their place to the newest of the module where they wait, never where they are in work', () => {
    const all = begun();
    all.receive(upgrade({ version: 'v1.1' }), 0);
    all.take(0, AT);
    all.receive(upgrade({ version: 'v1.2', id: '1', sign: 'CD' }), 0);
    all.receive(upgrade({ version: 'v1.3', id: '1', sign: 'EF' }), 0);
    assert.deepEqual(versions(all.inUse), ['v1.1']);
    assert.deepEqual(
      all.waiting.map(({ payload }) => payload.version),
      ['v1.3'],
    );
  });

  it('are the same by their content, whatever the id and the case of the digest: the address is renewed', () => {
    const all = begun();
    all.receive(upgrade(), 0);
    all.take(0, AT);
    assert.equal(all.receive(upgrade({ id: '9', url: 'http://x/2', sign: 'ab' }), 0), 'renewed');
    assert.deepEqual(all.waiting, []);
    assert.equal(all.inUse[0]?.upgrade.payload.url, 'http://x/2');
    assert.equal(all.inUse[0].upgrade.payload.id, '9');
  });

  it('drop the same id and content for ten minutes after an end, then take it for a new try', () => {
    const all = begun();
    all.receive(upgrade(), 0);
    all.end(all.take(0, AT)[0]!.key, 0, AT);
    assert.equal(all.receive(upgrade(), 599_999), 'repeat');
    assert.equal(all.receive(upgrade({ id: '2' }), 599_999), 'waits');
    assert.equal(all.receive(upgrade(), 600_000), 'renewed');
  });

  const restarted = (attempt: number, more: Partial<UpgradeRules> = {}): Upgrades => {
    const work = {
      key: 'k',
      upgrade: upgrade(),
      attempt,
      run: 'r0',
      since: AT,
      quietMs: 0,
      reporting: false,
    };
    return new Upgrades(rules(more), { ...empty, inWork: [work] }, clock);
  };

  it('go out again a minute after the start the second time, five minutes the third', () => {
    const second = restarted(1);
    assert.deepEqual(second.resume(59_999), []);
    const [again] = second.resume(60_000);
    assert.deepEqual([again?.action, again?.entry.attempt], ['hand-out', 2]);
    const third = restarted(2);
    assert.deepEqual(third.resume(299_999), []);
    assert.equal(third.resume(300_000)[0]?.entry.attempt, 3);
  });

  it('are given up after as many starts as allowed', () => {
    const [last] = restarted(3).resume(60_000);
    assert.deepEqual([last?.action, last?.entry.attempt], ['give-up', 3]);
  });

  it('go out again at once after a deploy, which is no attempt', () => {
    const [again] = restarted(1, { run: 'r0' }).resume(0);
    assert.deepEqual([again?.action, again?.entry.attempt], ['hand-out', 1]);
  });

  it('are stuck after the time limit without a report', () => {
    const all = begun({ workTimeoutMs: 1000 });
    all.receive(upgrade(), 0);
    all.take(0, AT);
    all.heard('a', 'default', 500);
    assert.deepEqual(all.stuck(1499), []);
    assert.deepEqual(versions(all.stuck(1500)), ['v1.1']);
  });

  it('keep the next one back until the report of the end is acknowledged', () => {
    const all = begun();
    all.receive(upgrade(), 0);
    const [work] = all.take(0, AT);
    all.reporting(work!.key);
    all.receive(upgrade({ version: 'v1.2', id: '2' }), 0);
    assert.equal(all.summary.inWork, 0);
    assert.equal(all.inUse.length, 1);
    assert.deepEqual(all.take(0, AT), []);
    all.end(work!.key, 0, AT);
    assert.deepEqual(versions(all.take(0, AT)), ['v1.2']);
  });
});

/** What holds of a rollout, whatever happens to it: gates, joining devices, a cancel, the package of each device. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Policy } from '../../nodes/lib/tasks/types';
import { PACKAGE, Platform } from './support/engine-platform';
import { type RolloutEvent, type RolloutPlan, RolloutWorld } from './support/rollout-world';

const NAMED = ['a', 'b', 'c', 'd', 'e'];
const token = fc.constantFrom(...NAMED, 'f', 'g', 'h');
const tokens = fc.uniqueArray(token, { minLength: 1, maxLength: 3 });
const one = <T extends string>(...names: T[]): fc.Arbitrary<T> => fc.constantFrom(...names);

const policy: fc.Arbitrary<Partial<Policy>> = fc.record({
  waves: fc.constantFrom([50, 100], [20, 60, 100], [34, 67, 100]),
  waveAdvance: one('ended', 'threshold'),
  successThreshold: fc.constantFrom(0, 50, 100),
  soak: fc.constantFrom(0, 0, 5),
  afterWave: fc.constantFrom('next', 'next', 'pause'),
  offline: one('fail', 'wait'),
  maxWaiting: fc.constantFrom(0, 50),
  retries: fc.nat(1),
  retryDelay: fc.constant(2),
});
const plan: fc.Arbitrary<RolloutPlan> = fc.record({
  policy,
  joining: fc.option(fc.record({ max: fc.constantFrom(3, 5, 1000) })),
  named: fc.constant(NAMED),
});

const step = fc.constantFrom(100, 100, 100, 40, -1);
const happening: fc.Arbitrary<RolloutEvent> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: one('report'), tokens, version: one('v1', 'v1', 'v2', 'v0') }) },
  { weight: 12, arbitrary: fc.record({ do: one('progress'), push: fc.nat(2), step }) },
  { weight: 3, arbitrary: fc.record({ do: one('offline'), push: fc.nat(2) }) },
  { weight: 3, arbitrary: fc.record({ do: one('wait'), seconds: fc.constantFrom(1, 3, 6) }) },
  { weight: 2, arbitrary: fc.record({ do: one('advance', 'pause', 'resume', 'resume') }) },
  { weight: 1, arbitrary: fc.record({ do: one('cancel-device'), token }) },
);
const cancel: fc.Arbitrary<RolloutEvent> = fc.record({
  do: one('cancel'),
  tokens,
  turns: fc.nat(12),
});

async function play(start: RolloutPlan, history: readonly RolloutEvent[]): Promise<void> {
  const world = new RolloutWorld();
  try {
    await world.begin(start);
    for (const event of history) await world.happen(event);
  } finally {
    await world.end();
  }
}

const LIMITS = { numRuns: 60, interruptAfterTimeLimit: 6000 };

describe('any history of a rollout', () => {
  it('opens no wave before its gate, and takes no device in twice', async () => {
    const history = fc.array(happening, { minLength: 5, maxLength: 30, size: 'max' });
    await fc.assert(fc.asyncProperty(plan, history, play), LIMITS);
  });

  it('leaves nothing open in a cancelled task while devices join, and takes nobody in afterwards', async () => {
    const joining = plan.map((any): RolloutPlan => ({ ...any, joining: { max: 1000 } }));
    const some = fc.array(happening, { maxLength: 8 });
    const all = fc.tuple(some, cancel, some).map(([before, end, after]) => [...before, end, ...after]);
    await fc.assert(fc.asyncProperty(joining, all, play), LIMITS);
  });
});

describe('the packages of any task', () => {
  const version = one('v0', 'v1', 'v3');
  const board = one('r1', 'r2', 'r3');
  const device = fc.record({ version: fc.option(version), board: fc.option(board) });
  const variant = fc.record({
    fromVersions: fc.uniqueArray(version, { maxLength: 2 }),
    boards: fc.uniqueArray(board, { maxLength: 2 }),
  });
  const devices = fc.array(device, { minLength: 1, maxLength: 6 });
  const variants = fc.array(variant, { minLength: 1, maxLength: 4 });
  const fromVersions = fc.uniqueArray(version, { maxLength: 2 });

  it('are chosen by a preview as by the push: the first that fits, or none', async () => {
    const property = fc.asyncProperty(devices, variants, fromVersions, async (fleet, list, from) => {
      const platform = await (await new Platform().start()).connect();
      try {
        await sameChoice(platform, fleet, list, from);
      } finally {
        await platform.engine.stop();
        platform.store.close();
      }
    });
    await fc.assert(property, LIMITS);
  });

  async function sameChoice(
    platform: Platform,
    fleet: readonly { version: string | null; board: string | null }[],
    list: readonly { fromVersions: string[]; boards: string[] }[],
    from: readonly string[],
  ): Promise<void> {
    const tokens = fleet.map((_, i) => `d${i}`);
    for (const [i, { version: runs, board: has }] of fleet.entries()) {
      const accessToken = tokens[i] ?? '';
      // Labels stay with a device that is known; one without a version of this module may be known by another.
      const known = { kind: 'inform', accessToken, version: 'm1', id: null, wall: platform.wallNow } as const;
      platform.hear({ ...known, module: 'modem' });
      if (runs !== null) platform.inform(accessToken, runs);
      const labels = { board: has };
      if (has !== null) await platform.run({ action: 'label', accessTokens: [accessToken], labels });
    }
    const packages = list.map(({ fromVersions: versions, boards }, i) => ({
      ...PACKAGE,
      url: `http://127.0.0.1/${i}`,
      ...(versions.length > 0 && { fromVersions: versions }),
      ...(boards.length > 0 && { requires: { board: boards } }),
    }));
    const asked = { packages, policy: { fromVersions: from, perMinute: 0 } };
    const expected = fleet.map(({ version: runs, board: has }): string => {
      if (from.length > 0 && !from.includes(runs ?? '')) return 'version';
      const found = list.findIndex(
        (one) =>
          (one.fromVersions.length === 0 || one.fromVersions.includes(runs ?? '')) &&
          (one.boards.length === 0 || one.boards.includes(has ?? '')),
      );
      return found === -1 ? 'incompatible' : `http://127.0.0.1/${found}`;
    });
    const previewed: string[] = [];
    for (const accessToken of tokens) {
      const { total, skipped } = (await platform.run({
        action: 'preview',
        targets: [accessToken],
        ...asked,
      })) as { total: number; skipped: Record<string, number> };
      previewed.push(total === 1 ? 'push' : skipped['version'] === 1 ? 'version' : 'incompatible');
      assert.equal(total + (skipped['version'] ?? 0) + (skipped['incompatible'] ?? 0), 1);
    }
    assert.deepEqual(
      previewed,
      expected.map((what) => (what.startsWith('http') ? 'push' : what)),
    );
    if (expected.every((what) => what === 'version')) return;
    const task = await platform.create(tokens, asked.policy, { package: undefined, packages });
    await platform.wait(2);
    const failed = await platform.devices(task);
    const pushed = tokens.map((accessToken) => {
      const push = platform.sent.find((sent) => sent.accessToken === accessToken);
      if (push !== undefined) return push.url;
      return failed[accessToken] === undefined ? 'version' : failed[accessToken].replace('failed ', '');
    });
    assert.deepEqual(pushed, expected);
  }
});

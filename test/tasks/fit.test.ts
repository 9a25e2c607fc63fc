import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  type Candidate,
  choosePackage,
  matchesFilter,
  matchesLabels,
  orderOfJoiner,
  waveOfJoiner,
} from '../../nodes/lib/tasks/machine';
import type { PackageVariant, TaskPlan } from '../../nodes/lib/tasks/types';
import { plan } from './support';

function variant(fields: Partial<PackageVariant>): PackageVariant {
  return { upgrade: plan(1, 'v9').upgrade, package: {}, fromVersions: [], requires: null, ...fields };
}

function withPackages(packages: readonly PackageVariant[], fromVersions: readonly string[] = []): TaskPlan {
  return { ...plan(1, 'v9', { policy: { fromVersions } }), packages };
}

describe('the package of a device', () => {
  const packages = [
    variant({ fromVersions: ['v1'], requires: { board: ['a'] } }),
    variant({ fromVersions: ['v1', 'v2'] }),
    variant({ requires: { board: ['a', 'b'] } }),
  ];
  const cases: readonly [Candidate, ReturnType<typeof choosePackage>][] = [
    [{ version: 'v1', labels: { board: 'a' } }, 0],
    [{ version: 'v1', labels: {} }, 1],
    [{ version: 'v2', labels: { board: 'a' } }, 1],
    [{ version: 'v3', labels: { board: 'b' } }, 2],
    [{ version: null, labels: { board: 'b' } }, 2],
    [{ version: 'v3', labels: { board: 'c' } }, 'incompatible'],
    [{ version: null, labels: {} }, 'incompatible'],
  ];
  for (const [device, choice] of cases) {
    it(`${JSON.stringify(device)} gets ${choice}`, () =>
      assert.equal(choosePackage(withPackages(packages), device), choice));
  }

  it('is none where the task is not for its version', () => {
    assert.equal(choosePackage(withPackages(packages, ['v2']), { version: 'v1', labels: {} }), 'version');
    assert.equal(choosePackage(withPackages(packages, ['v2']), { version: null, labels: {} }), 'version');
  });

  it('is the first that fits, whatever stands behind it', () => {
    const names = fc.constantFrom('v1', 'v2', 'v3');
    const boards = fc.constantFrom('a', 'b');
    const variants = fc.array(fc.record({ fromVersions: fc.uniqueArray(names), board: fc.option(boards) }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(variants, fc.option(names), fc.option(boards), (list, version, board) => {
        const labels: Record<string, string> = board === null ? {} : { board };
        const all = list.map((one) =>
          variant({
            fromVersions: one.fromVersions,
            requires: one.board === null ? null : { board: [one.board] },
          }),
        );
        const fits = list.map(
          (one) =>
            (one.fromVersions.length === 0 || (version !== null && one.fromVersions.includes(version))) &&
            (one.board === null || one.board === board),
        );
        const first = fits.indexOf(true);
        const choice = choosePackage(withPackages(all), { version, labels });
        assert.equal(choice, first === -1 ? 'incompatible' : first);
      }),
    );
  });
});

describe('a filter', () => {
  it('asks for every label, and one of its values', () => {
    const filter = { site: ['a', 'b'], lot: ['7'] };
    assert.equal(matchesLabels(filter, { site: 'b', lot: '7', more: 'x' }), true);
    assert.equal(matchesLabels(filter, { site: 'b' }), false);
    assert.equal(matchesLabels(filter, { site: 'c', lot: '7' }), false);
    assert.equal(matchesLabels({ toString: ['x'] }, {}), false);
  });

  it('takes what it does not name', () => {
    const device = { version: 'v1', labels: { site: 'a' } };
    const none = { versions: null, labels: null, module: null };
    assert.equal(matchesFilter(none, device), true);
    assert.equal(matchesFilter({ ...none, versions: ['v2'] }, device), false);
    assert.equal(matchesFilter({ ...none, versions: ['v1'], labels: { site: ['a'] } }, device), true);
  });
});

describe('a device that joins', () => {
  it('is drawn into the same wave each time, in the share that the waves have', () => {
    const waves = [1, 10, 50, 100];
    const tokens = Array.from({ length: 20_000 }, (_, i) => `dev-${i}`);
    const drawn = tokens.map((token) => waveOfJoiner('task', token, waves));
    assert.deepEqual(
      drawn,
      tokens.map((token) => waveOfJoiner('task', token, waves)),
    );
    [1, 9, 40, 50].forEach((percent, i) => {
      const share = (drawn.filter((wave) => wave === i + 1).length * 100) / tokens.length;
      assert.ok(Math.abs(share - percent) < 1.5, `wave ${i + 1}: ${share} %`);
    });
  });

  it('is drawn anew for another task', () => {
    const tokens = Array.from({ length: 1000 }, (_, i) => `dev-${i}`);
    const same = tokens.filter(
      (token) => waveOfJoiner('a', token, [50, 100]) === waveOfJoiner('b', token, [50, 100]),
    );
    assert.ok(same.length > 400 && same.length < 600, String(same.length));
  });

  it('has a place that a queue can hold', () => {
    for (let i = 0; i < 1000; i += 1) {
      const order = orderOfJoiner('task', `dev-${i}`);
      assert.ok(Number.isInteger(order) && order >= 0 && order < 2 ** 31);
    }
  });
});

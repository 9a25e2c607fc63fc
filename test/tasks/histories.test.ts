import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Policy } from '../../nodes/lib/tasks/types';
import { atOnce, type Happening, TOKENS, World } from './support/world';

const token = fc.constantFrom(...TOKENS);
const module = fc.constantFrom('default', 'MCU');
const version = fc.constantFrom('v1', 'v2', 'v3');
const task = fc.nat(3);
const retained = fc.nat(5).map((n) => n === 0);
const step = fc.oneof(fc.integer({ min: 0, max: 99 }), fc.constant(100), fc.integer({ min: -4, max: -1 }));
const rules: fc.Arbitrary<Partial<Policy>> = fc.record({
  success: fc.constantFrom('progress', 'version'),
  offline: fc.constantFrom('fail', 'wait'),
  retries: fc.nat(2),
  repush: fc.nat(2),
  perMinute: fc.constant(0),
  skipCurrent: fc.boolean(),
  fromVersions: fc.constantFrom([], ['v1']),
});
const one = <T extends string>(...names: T[]): fc.Arbitrary<T> => fc.constantFrom(...names);

const create = fc.record({ do: one('create'), version, module, policy: rules });
/** Nothing happens to nobody. */
const beginning = fc.array(create, { minLength: 2, maxLength: 3 });

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 1, arbitrary: create },
  { weight: 5, arbitrary: fc.record({ do: one('claim'), task }) },
  { weight: 6, arbitrary: fc.record({ do: one('progress'), token, module: fc.option(module), step }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: one('inform'), token, module, version, id: one('1', '2'), retained }),
  },
  { weight: 1, arbitrary: fc.record({ do: one('alive'), token }) },
  { weight: 2, arbitrary: fc.record({ do: one('again') }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: one('answer'),
      push: fc.nat(5),
      on: one('accepted', 'offline', 'offline', 'offline-after-reconnect', 'refused', 'push-timeout'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: one('wait'), seconds: fc.constantFrom(1, 60, 150, 300, 700, 2000) }),
  },
  { weight: 2, arbitrary: fc.record({ do: one('cancel', 'retry'), task, token }) },
  { weight: 1, arbitrary: fc.record({ do: one('pause', 'resume'), task }) },
  { weight: 1, arbitrary: fc.record({ do: one('restart') }) },
);

describe('any history of tasks', () => {
  it('keeps the rules: ended states, one active upgrade, counts, older upgrades, an end for every device', () => {
    fc.assert(
      fc.property(beginning, fc.array(happening, { maxLength: 60, size: 'max' }), (start, history) => {
        const world = new World();
        try {
          for (const event of [...start, ...history]) world.happen(event);
          // A limit waits for the repeats that are due, and these for the next look at the queue.
          for (let rounds = 0; world.active() > 0 && rounds < 40; rounds += 1) world.goOn(1);
          assert.equal(world.active(), 0, 'a device stays active for ever');
          world.finish();
        } finally {
          world.close();
        }
      }),
      { numRuns: 150, interruptAfterTimeLimit: 15_000 },
    );
  });

  it('has the same end in whatever order the progress of one attempt comes', () => {
    const steps = fc.array(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 8 });
    const both = steps.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    );
    fc.assert(
      fc.property(both, ([given, shuffled]) => {
        const [one, two] = [given, shuffled].map((list) => {
          const world = new World();
          world.create({ do: 'create', version: 'v2', module: 'default', policy: {} });
          world.claim(world.ids[0] ?? 0);
          for (const value of list) world.report({ do: 'progress', token: 'a', module: null, step: value });
          const found = world.tasks.task('t0');
          assert.ok(found);
          const query = {
            task: found,
            status: null,
            search: 'a',
            page: 1,
            pageSize: 1,
          };
          const [row] = atOnce(world.tasks.devices(query)).devices;
          world.close();
          return { status: row?.status, step: row?.step };
        });
        assert.deepEqual(one, two);
      }),
      { numRuns: 40 },
    );
  });
});

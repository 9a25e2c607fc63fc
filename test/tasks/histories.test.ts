import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isActive } from '../../nodes/lib/tasks/machine';
import { type Change, type Push, SqliteStore } from '../../nodes/lib/tasks/store';
import type { SqliteTasks } from '../../nodes/lib/tasks/store/sqlite-tasks';
import { type Device, DEVICE_STATUSES, type DeviceStatus, type Policy } from '../../nodes/lib/tasks/types';
import { plan, WALL } from './support';

/** What can happen, in any order: the world outside, the clock, people. */
type Happening =
  | { do: 'create'; version: string; module: string; policy: Partial<Policy> }
  | { do: 'claim'; task: number }
  | { do: 'progress'; token: string; module: string | null; step: number }
  | { do: 'inform'; token: string; module: string; version: string; id: string }
  | { do: 'again' }
  | { do: 'answer'; push: number; on: 'offline' | 'refused' | 'lost' }
  | { do: 'wait'; seconds: number }
  | { do: 'cancel' | 'retry'; task: number; token: string }
  | { do: 'recover' };

const TOKENS = ['a', 'b'];
const token = fc.constantFrom(...TOKENS);
const module = fc.constantFrom('default', 'MCU');
const version = fc.constantFrom('v1', 'v2', 'v3');
const task = fc.nat(3);
const step = fc.oneof(fc.integer({ min: 0, max: 99 }), fc.constant(100), fc.integer({ min: -4, max: -1 }));
const rules: fc.Arbitrary<Partial<Policy>> = fc.record({
  success: fc.constantFrom('progress', 'version'),
  offline: fc.constantFrom('fail', 'wait'),
  retries: fc.nat(2),
  repush: fc.nat(2),
  skipCurrent: fc.boolean(),
  fromVersions: fc.constantFrom([], ['v1']),
});

const happening: fc.Arbitrary<Happening> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('create' as const), version, module, policy: rules }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('claim' as const), task }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('progress' as const), token, module: fc.option(module), step }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('inform' as const),
      token,
      module,
      version,
      id: fc.constantFrom('1', '2'),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('again' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('answer' as const),
      push: fc.nat(5),
      on: fc.constantFrom('offline', 'refused', 'lost'),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      seconds: fc.constantFrom(1, 60, 150, 300, 700, 2000),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'retry' as const), task, token }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('recover' as const) }) },
);

const LATE = ['offline', 'no-response', 'stalled', 'unconfirmed'];

/** Lets a history happen to a store in memory, and checks each change as it comes. */
class World {
  readonly store = new SqliteStore({ file: ':memory:' });
  readonly tasks: SqliteTasks;
  readonly ids: number[] = [];
  readonly pushes: Push[] = [];
  /** Devices' modules whose last upgrade ended without a last word, as the outside world would know it. */
  readonly open = new Set<string>();
  last: Extract<Happening, { do: 'progress' | 'inform' }> | null = null;
  now = 0;
  wall = WALL;
  #id = 0;

  constructor() {
    this.store.open();
    this.tasks = this.store.tasks('s');
  }

  happen(event: Happening): void {
    const id = 'task' in event ? this.ids[event.task] : undefined;
    const cause = this.last;
    switch (event.do) {
      case 'create':
        return this.create(event);
      case 'claim':
        if (id !== undefined) this.claim(id);
        return;
      case 'progress':
      case 'inform':
        this.last = event;
        return this.report(event);
      case 'again':
        if (cause !== null) this.report(cause);
        return;
      case 'answer':
        return this.answer(event.push, event.on);
      case 'wait':
        return this.wait(event.seconds);
      case 'recover':
        return this.tasks.recover(this.now - 40_000, this.now);
      default:
        if (id === undefined) return;
        this.check(
          this.tasks.move(id, { accessTokens: [event.token] }, { on: event.do, now: this.now }, this.wall)
            .changes,
          event.do,
        );
    }
  }

  create({ version, module, policy }: Extract<Happening, { do: 'create' }>): void {
    if (this.ids.length === 4) return;
    const { id: _, ...fields } = plan(0, version, { module, policy });
    const id = this.tasks.create({
      ...fields,
      taskId: `t${this.ids.length}`,
      status: 'running',
      total: 2,
      waves: [2],
    });
    const known = this.tasks.versions(module, TOKENS);
    this.tasks.addDevices(
      id,
      TOKENS.map((accessToken, order) => ({
        accessToken,
        source: known.get(accessToken)?.version ?? null,
        wave: 1,
        order,
      })),
    );
    this.tasks.publish(id);
    this.ids.push(id);
  }

  claim(id: number): void {
    const claimed = this.tasks.claim(id, {
      now: this.now,
      wall: this.wall,
      room: () => 2,
      pace: () => 0,
      nextId: () => `id-${++this.#id}`,
    });
    this.pushes.push(...claimed.pushes);
    this.check(claimed.changes, 'claim');
  }

  report(event: Extract<Happening, { do: 'progress' | 'inform' }>): void {
    const common = { accessToken: event.token, wall: this.wall };
    const report =
      event.do === 'progress'
        ? ({ kind: 'progress', module: event.module, step: event.step, desc: '', ...common } as const)
        : ({
            kind: 'inform',
            module: event.module,
            version: event.version,
            id: event.id,
            ...common,
          } as const);
    this.check(this.tasks.report([report], this.now).changes, event);
  }

  answer(push: number, on: 'offline' | 'refused' | 'lost'): void {
    const found = this.pushes.at(-1 - push);
    if (found === undefined) return;
    const { id, pushId, pushes } = found.device;
    this.check(
      this.tasks.answer(
        [{ device: id, event: { on, now: this.now, id: pushId ?? '', push: pushes } }],
        this.wall,
      ),
      on,
    );
  }

  wait(seconds: number): void {
    this.now += seconds * 1000;
    this.wall += seconds * 1000;
    for (let rounds = 0; ; rounds += 1) {
      assert.ok(rounds < 50, 'what is due never ends');
      const due = this.tasks.due({
        now: this.now,
        wall: this.wall,
        limit: 3,
        mayPush: () => rounds % 2 === 0,
      });
      this.pushes.push(...due.pushes);
      this.check(due.changes, 'time');
      if (!due.more) return;
    }
  }

  check(changes: readonly Change[], cause: unknown): void {
    for (const { before, after, plan: of } of changes) {
      const key = `${after.accessToken} ${of.upgrade.module}`;
      this.checkEnded(before, after, cause);
      if (before.status === 'pending' && after.status === 'pushed') {
        assert.equal(after.versionOnly, this.open.has(key), 'an older upgrade is forgotten, or made up');
      }
      const byProgress = typeof cause === 'object' && (cause as Happening).do === 'progress';
      if (after.status === 'succeeded' && byProgress)
        assert.ok(!this.open.has(key), 'a 100 of an older upgrade');
      if (
        isActive(before) &&
        (after.status === 'cancelled' || ['no-response', 'stalled'].includes(after.reason ?? ''))
      )
        this.open.add(key);
    }
    if (typeof cause === 'object' && (cause as Happening).do === 'inform') this.confirm(changes);
    this.checkAll();
  }

  /** A report of the target version is the last word of whatever went before. */
  confirm(changes: readonly Change[]): void {
    for (const { after, plan: of } of changes)
      if (after.confirmed) this.open.delete(`${after.accessToken} ${of.upgrade.module}`);
  }

  checkEnded(before: Device, after: Device, cause: unknown): void {
    const way = `${before.status} → ${after.status}`;
    if (before.status === after.status || !['succeeded', 'failed', 'cancelled'].includes(before.status))
      return;
    if (cause === 'retry') assert.ok(way === 'failed → pending' || way === 'cancelled → pending', way);
    else if (way === 'failed → succeeded')
      assert.ok(LATE.includes(before.reason ?? ''), before.reason ?? way);
    else assert.ok(way === 'succeeded → failed', way);
  }

  checkAll(): void {
    const active = new Set<string>();
    for (const id of this.ids) {
      const found = this.tasks.task(`t${this.ids.indexOf(id)}`);
      assert.ok(found);
      const { devices } = this.tasks.devices({
        task: found,
        status: null,
        search: '',
        page: 1,
        pageSize: 10,
      });
      const counts = Object.fromEntries(
        DEVICE_STATUSES.map((status: DeviceStatus) => [
          status,
          devices.filter((d) => d.status === status).length,
        ]),
      );
      assert.deepEqual(found.counts, counts);
      for (const one of devices.filter(isActive)) {
        const key = `${one.accessToken} ${found.upgrade.module}`;
        assert.ok(!active.has(key), `two active upgrades: ${key}`);
        active.add(key);
        assert.ok(one.retries <= found.policy.retries);
      }
    }
  }

  active(): number {
    return this.ids.reduce((sum, _, i) => {
      const counts = this.tasks.task(`t${i}`)?.counts;
      return sum + (counts?.pushed ?? 0) + (counts?.upgrading ?? 0);
    }, 0);
  }
}

describe('any history of tasks', () => {
  it('keeps the rules: ended states, one active upgrade, counts, older upgrades, an end for every device', () => {
    fc.assert(
      fc.property(fc.array(happening, { maxLength: 60 }), (history) => {
        const world = new World();
        try {
          for (const event of history) world.happen(event);
          world.wait(2000);
          world.wait(2000);
          assert.equal(world.active(), 0, 'a device stays active for ever');
        } finally {
          world.store.close();
        }
      }),
      { numRuns: 300, interruptAfterTimeLimit: 25_000 },
    );
  }).timeout(40_000);

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
          const [row] = world.tasks.devices({
            task: found,
            status: null,
            search: 'a',
            page: 1,
            pageSize: 1,
          }).devices;
          world.store.close();
          return { status: row?.status, step: row?.step };
        });
        assert.deepEqual(one, two);
      }),
      { numRuns: 40 },
    );
  });
});

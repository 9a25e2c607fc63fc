/**
 * What every database of tasks must do: one specification, run for each. A database is empty when a test begins.
 */
import assert from 'node:assert/strict';
import type { TaskDatabase } from '../../../nodes/lib/tasks/database';
import {
  due,
  dueNeed,
  fleetNeed,
  forget,
  intentNeed,
  label,
  move,
  moveNeed,
  seen,
  takeIntent,
  updateNeed,
  updateTask,
} from '../../../nodes/lib/tasks/transactions';
import type { Intent, Task } from '../../../nodes/lib/tasks/types';
import { plan, WALL } from '../support';
import { Calls, inform, progress, statuses } from './calls';

export interface OpenOptions {
  /** Fewer known devices than usual. */
  readonly maxDevices?: number;
}

/** One instance on the database. */
export interface Instance {
  tasks(service: string): TaskDatabase;
  close(): void | Promise<void>;
}

export interface DatabaseUnderTest {
  /** Makes an empty database. */
  begin(): void | Promise<void>;
  /** Another instance on it. */
  open(options: OpenOptions): Instance | Promise<Instance>;
  /** How many rows a table has. */
  rows(table: string): number;
  /** Takes the database away; all instances are closed. */
  end(): void | Promise<void>;
}

export function exercise(name: string, database: DatabaseUnderTest): void {
  describe(`tasks in ${name}`, () => {
    let instances: Instance[] = [];
    const open = async (service: string, options: OpenOptions = {}): Promise<Calls> => {
      const instance = await database.open(options);
      instances.push(instance);
      return new Calls(instance.tasks(service));
    };
    const closeAll = async (): Promise<void> => {
      for (const instance of instances) await instance.close();
      instances = [];
    };

    beforeEach(() => database.begin());
    afterEach(async () => {
      await closeAll();
      await database.end();
    });

    it('remembers 64 modules of a device, none with a name of more than 128 characters, and serves the others', async () => {
      const tasks = await open('s');
      const names = Array.from({ length: 1000 }, (_, i) => inform('hostile', 'v1', `m${i}`));
      const { leftOut } = await tasks.report([
        ...names.slice(0, 500),
        inform('hostile', 'v1', 'm'.repeat(129)),
        inform('honest', 'v1', 'm'.repeat(128)),
      ]);
      assert.deepEqual(leftOut, { devices: 0, modules: 436, names: 1 });
      assert.equal((await tasks.report(names.slice(500))).leftOut.modules, 500, 'remembered before');
      assert.equal((await tasks.report([inform('hostile', 'v2', 'm0')])).leftOut.modules, 0, 'known already');
      assert.equal((await tasks.report([inform('honest', 'v1', 'another')])).leftOut.modules, 0);
    });

    it('makes room only of devices that nobody misses', async () => {
      const tasks = await open('s', { maxDevices: 7 });
      const later = (accessToken: string) => ({ ...inform(accessToken, 'v1', 'late'), wall: WALL + 1000 });
      const old = ['gone', 'task', 'label', 'upgraded', 'seen', 'late'].map((token) => inform(token, 'v1'));
      await tasks.report([...old, later('late')]);
      assert.equal((await tasks.report([inform('new', 'v1')])).leftOut.devices, 1);
      await tasks.make(['task'], { module: 'another' });
      const done = await tasks.make(['upgraded']);
      await tasks.claim(done.task.id);
      await tasks.report([{ ...inform('upgraded', 'v2'), wall: WALL - 1 }]);
      await tasks.hide(done.task.id);
      while (await tasks.database.deleteSlice(10, 0));
      const at = { wall: WALL + 1000, ticks: 0 };
      await tasks.database.transact(fleetNeed(['label', 'seen'], at), (rows) =>
        label(['label'], { a: 'b' }, rows),
      );
      await tasks.database.transact(fleetNeed(['seen'], at), (rows) => seen(['seen'], rows));
      while (await tasks.database.makeRoom(WALL + 1));
      const tokens = ['gone', 'task', 'label', 'upgraded', 'seen', 'late'];
      const known = await tasks.database.versions('default', tokens);
      assert.deepEqual([...known.keys()], tokens.slice(1));
      assert.equal((await tasks.report([inform('new', 'v1')])).leftOut.devices, 0);
    });

    it('protects what a task has brought up when that task was removed, too', async () => {
      const tasks = await open('s');
      await tasks.report([inform('a', 'v1')]);
      const older = await tasks.make(['a']);
      const newer = await tasks.make(['a'], { version: 'v3' });
      await tasks.claim(newer.task.id);
      await tasks.report([inform('a', 'v3')]);
      await tasks.hide(newer.task.id);
      while (await tasks.database.deleteSlice(10, 0));
      const again = await tasks.make(['a'], { version: 'v4' });
      assert.ok(again.task.id > newer.task.id, 'the number of a removed task is not given again');
      await tasks.claim(older.task.id);
      assert.deepEqual(await statuses(older), { a: 'cancelled' });
      assert.equal((await tasks.claim(again.task.id)).pushes.length, 1);
    });

    it('gives the number of a removed task to no other one', async () => {
      const tasks = await open('s');
      const first = await tasks.make(['a']);
      await tasks.hide(first.task.id);
      while (await tasks.database.deleteSlice(10, 0));
      const second = await tasks.make(['a']);
      assert.ok(second.task.id > first.task.id);
      assert.deepEqual((await tasks.claim(first.task.id)).pushes, []);
      while (await tasks.database.deleteSlice(10, 0));
      assert.equal((await tasks.claim(second.task.id)).pushes.length, 1);
    });

    it('takes back a task whose making failed, and none that was published', async () => {
      const tasks = await open('s');
      const made = await tasks.make(['a']);
      const { id: _, ...fields } = plan(0, 'v2');
      const device = { accessToken: 'b', source: 'v1', wave: 1, order: 0, at: WALL };
      const task = { ...fields, taskId: 'failed', status: 'running', waves: 1 } as const;
      const failed = await tasks.create(task, [device]);
      await tasks.database.discard(made.task.id);
      await tasks.database.discard(failed);
      assert.ok(await tasks.database.deleteSlice(10, 0));
      while (await tasks.database.deleteSlice(10, 0));
      assert.deepEqual(await tasks.database.ends(failed), []);
      assert.equal((await tasks.claim(made.task.id)).pushes.length, 1);
    });

    it('finds everything again after it was closed', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b']);
      await tasks.claim(task.id);
      await tasks.report([progress('a', 40), inform('b', 'v2')], 2000);
      await tasks.database.saveClock(5000);
      await closeAll();
      const again = await open('s');
      assert.equal(await again.database.clock(), 5000);
      assert.deepEqual(await statuses({ task: await again.find(task.taskId), calls: again }), {
        a: 'upgrading',
        b: 'succeeded',
      });
    });

    it('writes a report once that the broker sends again, whatever the device has said since', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a']);
      await tasks.claim(task.id);
      await tasks.report([progress('a', 25)]);
      await tasks.report([progress('a', 50)]);
      await tasks.report([{ ...progress('a', 25), again: true }]);
      await tasks.report([{ ...progress('a', 40), again: true }]);
      const history = (await tasks.database.history(task.id, 'a')) ?? [];
      assert.deepEqual(
        history.flatMap(({ event, step }) => (event === 'progress' ? [step] : [])),
        [25, 50, 40],
      );
    });

    it('counts no device of a label that has never reported', async () => {
      const tasks = await open('s');
      await tasks.report([inform('a', 'v1')]);
      await tasks.make(['never']);
      await tasks.database.transact(fleetNeed(['a', 'never'], { wall: WALL, ticks: 0 }), (rows) =>
        label(['a', 'never'], { site: 'x' }, rows),
      );
      const all = { page: 1, pageSize: 10, module: null, version: null, search: '' };
      const { total, devices } = await tasks.database.fleet({ ...all, labels: { site: ['x'] } });
      assert.deepEqual([total, devices.map(({ accessToken }) => accessToken)], [1, ['a']]);
    });

    it('finds a device by a label that it got before its first report', async () => {
      const tasks = await open('s');
      await tasks.make(['new']);
      await tasks.database.transact(fleetNeed(['new'], { wall: WALL, ticks: 0 }), (rows) =>
        label(['new'], { site: 'x' }, rows),
      );
      const found = async (): Promise<number> => {
        const all = { page: 1, pageSize: 10, module: null, version: null, search: '' };
        return (await tasks.database.fleet({ ...all, labels: { site: ['x'] } })).total;
      };
      assert.equal(await found(), 0);
      await tasks.report([inform('new', 'v1')]);
      assert.equal(await found(), 1);
      await tasks.report([inform('new', 'v1', 'MCU')]);
      assert.equal(await found(), 2);
    });

    it('finds a device by no label any more that was forgotten, whatever its labels are', async () => {
      const tasks = await open('s');
      const at = { wall: WALL, ticks: 0 };
      const odd = { site: 'x', odd: 'nul \0, half a pair \ud800' };
      await tasks.report([{ ...inform('a', 'v1'), labels: odd }, inform('b', 'v1')]);
      await tasks.database.transact(fleetNeed(['b'], at), (rows) => label(['b'], { site: 'x' }, rows));
      const found = async (): Promise<unknown[]> => {
        const all = { page: 1, pageSize: 10, module: null, version: null, search: '' };
        const { total, devices } = await tasks.database.fleet({ ...all, labels: { site: ['x'] } });
        return [total, ...devices.map(({ accessToken }) => accessToken)];
      };
      assert.deepEqual(await found(), [2, 'a', 'b']);
      await tasks.database.transact(fleetNeed(['a'], at), (rows) => forget(['a'], rows));
      assert.deepEqual(await found(), [1, 'b']);
      await tasks.report([inform('a', 'v1')]);
      assert.deepEqual(await found(), [1, 'b']);
    });

    it('writes all of a batch or nothing', async () => {
      const tasks = await open('s');
      const made = await tasks.make(['a', 'b']);
      const broken = {
        kind: 'progress',
        accessToken: 'b',
        module: null,
        step: Symbol('x') as never,
        desc: '',
        wall: WALL,
      } as const;
      await tasks.claim(made.task.id);
      await assert.rejects(async () =>
        tasks.report([inform('a', 'v2'), inform('new', 'v2', 'other'), broken]),
      );
      assert.deepEqual(await statuses(made), { a: 'pushed', b: 'pushed' });
      await tasks.report([inform('new', 'v2', 'other')]);
      assert.equal((await tasks.database.versions('other', ['new'])).get('new')?.version, 'v2');
    });

    it('takes a failure that turned out a success from those that a person let pass', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b']);
      await tasks.claim(task.id);
      await tasks.report([progress('a', -1), progress('b', -1)], 2000);
      const state = (status: 'paused' | 'running', base: Task['base']) => () => ({
        status,
        reason: null,
        wave: 1,
        base,
      });
      await tasks.decide(task.id, state('paused', { succeeded: 0, failed: 0 }), WALL, 3000);
      await tasks.decide(task.id, state('running', { succeeded: 0, failed: 2 }), WALL, 4000);
      await tasks.report([inform('a', 'v2')], 5000);
      assert.deepEqual((await tasks.find(task.taskId)).base, { succeeded: 0, failed: 1 });
    });

    it('takes a failure that is tried again from those that a person let pass, and no later one', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b', 'c']);
      await tasks.claim(task.id);
      await tasks.report([progress('a', -1), progress('b', -1)], 2000);
      const base = { succeeded: 0, failed: 2 };
      await tasks.decide(task.id, () => ({ status: 'paused', reason: null, wave: 1, base }), WALL, 3000);
      await tasks.decide(task.id, () => ({ status: 'running', reason: null, wave: 1 }), WALL, 4000);
      await tasks.report([progress('c', -1)], 5000);
      await tasks.move(task.id, ['a', 'c'], 'retry', 6000);
      assert.deepEqual((await tasks.find(task.taskId)).base, { succeeded: 0, failed: 1 });
    });

    it('knows a device again whose module no database can spell', async () => {
      const tasks = await open('s');
      for (const version of ['v1', 'v2']) {
        for (const module of ['a\0', '\ud800', 'x'.repeat(100)]) {
          await tasks.report([inform('odd', version, module), inform('honest', version)]);
        }
      }
      const { modules } = await tasks.database.device('odd', { page: 1, pageSize: 10 });
      assert.deepEqual(
        modules.map(({ version }) => version),
        ['v2', 'v2', 'v2'],
      );
      assert.equal((await tasks.database.versions('default', ['honest'])).get('honest')?.version, 'v2');
    });

    it('takes no labels from a report that the broker had kept and that is no news', async () => {
      const tasks = await open('s');
      await tasks.report([{ ...inform('a', 'v2'), labels: { site: 'new' } }]);
      const kept = { ...inform('a', 'v1'), retained: true, subscribedAt: WALL - 1000 };
      await tasks.make([], { joins: 10 });
      await tasks.report([{ ...kept, labels: { site: 'old' } }]);
      assert.deepEqual((await tasks.database.labels(['a'])).get('a'), { site: 'new' });
      assert.equal((await tasks.database.device('a', { page: 1, pageSize: 10 })).total, 0);
    });

    it('wakes the only task of a device by progress of another module', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a'], { module: 'MCU', policy: { offline: 'wait' } });
      const [push] = (await tasks.claim(task.id)).pushes;
      assert.ok(push);
      const { device } = push;
      await tasks.outcome(device, { on: 'offline', now: 2000, id: device.pushId ?? '', push: 1 });
      assert.equal((await tasks.claim(task.id, { now: 3000 })).pushes.length, 0);
      await tasks.report([progress('a', 10, 'radio')], 4000);
      assert.equal((await tasks.claim(task.id, { now: 5000 })).pushes.length, 1);
    });

    it('keeps the services apart', async () => {
      const tasks = await open('one');
      const one = await tasks.make(['a']);
      const other = await open('two');
      const two = await other.make(['a']);
      await tasks.report([inform('a', 'v2')]);
      assert.deepEqual([await statuses(one), await statuses(two)], [{ a: 'succeeded' }, { a: 'pending' }]);
      assert.equal(await other.database.task(one.task.taskId), null);
    });

    it('keeps the modules apart', async () => {
      const tasks = await open('s');
      const mcu = await tasks.make(['a'], { module: 'MCU' });
      await tasks.report([inform('a', 'v2')]);
      assert.deepEqual(await statuses(mcu), { a: 'pending' });
      await tasks.report([inform('a', 'v2', 'MCU')]);
      assert.deepEqual(await statuses(mcu), { a: 'succeeded' });
    });

    describe('the queue', () => {
      it('gives the open waves only, in their order', async () => {
        const tasks = await open('s');
        const { task } = await tasks.make(['a', 'b', 'c', 'd'], { policy: { waves: [50, 100] } });
        const { pushes } = await tasks.claim(task.id);
        assert.deepEqual(
          pushes.map((push) => push.device.accessToken),
          ['a', 'b'],
        );
        assert.equal((await tasks.claim(task.id)).pushes.length, 0);
      });

      it('commits the id before the push is given out', async () => {
        const tasks = await open('s');
        const { task } = await tasks.make(['a']);
        const [push] = (await tasks.claim(task.id)).pushes;
        const other = await open('s');
        const query = { task, status: 'pushed', search: '', page: 1, pageSize: 10 } as const;
        const { devices } = await other.database.devices(query);
        assert.equal(devices[0]?.pushId, push?.device.pushId);
      });

      it('gives a device that another task upgrades only when that is over', async () => {
        const tasks = await open('s');
        const one = await tasks.make(['a']);
        const two = await tasks.make(['a'], { version: 'v3' });
        await tasks.claim(one.task.id);
        assert.equal((await tasks.claim(two.task.id)).pushes.length, 0);
        assert.equal(
          (await tasks.claim(two.task.id)).changes.length,
          0,
          'it isn’t looked at again and again',
        );
        await tasks.report([progress('a', -1)]);
        assert.equal((await tasks.claim(two.task.id)).pushes.length, 1);
      });

      for (const version of ['v2', 'v9']) {
        it(`gives it when a report of ${version} ends the other upgrade`, async () => {
          const tasks = await open('s');
          await tasks.report([inform('a', 'v1')]);
          const one = await tasks.make(['a']);
          const two = await tasks.make(['a'], { version: 'v3' });
          await tasks.claim(one.task.id);
          await tasks.claim(two.task.id);
          if (version === 'v9') await tasks.report([progress('a', 100)]);
          await tasks.report([inform('a', version)]);
          const [push] = (await tasks.claim(two.task.id)).pushes;
          assert.deepEqual([push?.device.status, push?.device.source], ['pushed', version]);
        });
      }

      it('gives devices of different modules at once', async () => {
        const tasks = await open('s');
        const one = await tasks.make(['a']);
        const two = await tasks.make(['a'], { module: 'MCU' });
        assert.equal((await tasks.claim(one.task.id)).pushes.length, 1);
        assert.equal((await tasks.claim(two.task.id)).pushes.length, 1);
      });

      it('gives no device of a task that does not run', async () => {
        const tasks = await open('s');
        const { task } = await tasks.make(['a']);
        await tasks.decide(task.id, () => ({ status: 'paused', reason: null, wave: 1 }), WALL);
        assert.equal((await tasks.claim(task.id)).pushes.length, 0);
      });

      it('takes a device that has the target version by now as succeeded', async () => {
        const tasks = await open('s');
        await tasks.report([inform('a', 'v2')]);
        const made = await tasks.make(['a']);
        assert.equal((await tasks.claim(made.task.id)).pushes.length, 0);
        assert.deepEqual(await statuses(made), { a: 'succeeded' });
      });

      it('never pushes onto a version that the package is not made for', async () => {
        const tasks = await open('s');
        const made = await tasks.make(['a'], { policy: { fromVersions: ['v1'] } });
        await tasks.report([inform('a', 'v0')]);
        assert.equal((await tasks.claim(made.task.id)).pushes.length, 0);
        assert.deepEqual(await statuses(made), { a: 'failed' });
      });

      it('gives pushes that may not have left once more', async () => {
        const tasks = await open('s');
        const { task } = await tasks.make(['a'], { policy: { repush: 0 } });
        const [first] = (await tasks.claim(task.id)).pushes;
        await tasks.repeat(task.id, 0, 2000);
        const { pushes } = await tasks.claim(task.id, { now: 2000 });
        assert.deepEqual(
          pushes.map((push) => push.device.pushId),
          [first?.device.pushId],
        );
      });
    });

    describe('a report', () => {
      it('without a module means the only active upgrade', async () => {
        const tasks = await open('s');
        const mcu = await tasks.make(['a'], { module: 'MCU' });
        await tasks.claim(mcu.task.id);
        await tasks.report([progress('a', 50)]);
        assert.deepEqual(await statuses(mcu), { a: 'upgrading' });
      });

      it('without a module means default where several are active', async () => {
        const tasks = await open('s');
        const mcu = await tasks.make(['a'], { module: 'MCU' });
        const whole = await tasks.make(['a']);
        for (const { task } of [mcu, whole]) await tasks.claim(task.id);
        await tasks.report([progress('a', 50)]);
        assert.deepEqual([await statuses(mcu), await statuses(whole)], [{ a: 'pushed' }, { a: 'upgrading' }]);
      });

      it('of an upgrade that was cancelled never makes a newer one succeed', async () => {
        const tasks = await open('s');
        const one = await tasks.make(['a']);
        await tasks.claim(one.task.id);
        await tasks.move(one.task.id, ['a'], 'cancel');
        const two = await tasks.make(['a'], { version: 'v3' });
        await tasks.claim(two.task.id);
        await tasks.report([progress('a', 100)]);
        assert.deepEqual(await statuses(two), { a: 'upgrading' });
        await tasks.report([inform('a', 'v3')]);
        assert.deepEqual(await statuses(two), { a: 'succeeded' });
      });

      it('of a removed task’s upgrade never makes a newer one succeed', async () => {
        const tasks = await open('s');
        const one = await tasks.make(['a']);
        await tasks.claim(one.task.id);
        await tasks.move(one.task.id, ['a'], 'cancel');
        await tasks.hide(one.task.id);
        while (await tasks.database.deleteSlice(10, 0));
        const two = await tasks.make(['a']);
        await tasks.claim(two.task.id);
        await tasks.report([progress('a', 100)]);
        assert.deepEqual(await statuses(two), { a: 'upgrading' });
      });

      it('of a device in no task changes nothing but what is known of it', async () => {
        const tasks = await open('s');
        assert.deepEqual(await tasks.report([progress('x', 100), inform('x', 'v1')]), {
          changes: [],
          leftOut: { devices: 0, modules: 0, names: 0 },
        });
        assert.equal((await tasks.database.versions('default', ['x'])).get('x')?.version, 'v1');
      });

      it('for a removed task changes nothing', async () => {
        const tasks = await open('s');
        const { task } = await tasks.make(['a']);
        await tasks.claim(task.id);
        await tasks.hide(task.id);
        assert.deepEqual((await tasks.report([progress('a', 50)])).changes, []);
      });

      it('for a task that is still being made changes nothing', async () => {
        const tasks = await open('s');
        const { id: _, ...fields } = plan(0, 'v2');
        await tasks.create({ ...fields, status: 'running', waves: 1 }, [
          { accessToken: 'a', source: 'v1', wave: 1, order: 0, at: WALL },
        ]);
        assert.deepEqual((await tasks.report([inform('a', 'v2')])).changes, []);
      });
    });

    it('remembers a bounded number of devices and says what it left out', async () => {
      const tasks = await open('s', { maxDevices: 2 });
      const first = await tasks.report(['a', 'b', 'c', 'd'].map((token) => inform(token, 'v1')));
      assert.equal(first.leftOut.devices, 2);
      const known = await tasks.report([inform('a', 'v2')]);
      assert.equal(known.leftOut.devices, 0, 'one that it knows is kept up to date');
      assert.equal((await tasks.database.versions('default', ['a', 'b', 'c'])).size, 2);
      await closeAll();
      const again = await open('s', { maxDevices: 2 });
      assert.equal((await again.report([inform('e', 'v1')])).leftOut.devices, 1);
    });

    it('finds the one device that asks, with all that decides on its turn', async () => {
      const tasks = await open('s');
      await tasks.report([inform('current', 'v2')]);
      const { task, calls } = await tasks.make(['a', 'b', 'current']);
      const first = await tasks.ask(task.id, 'b');
      assert.equal(first.push?.device.accessToken, 'b');
      const again = await tasks.ask(task.id, 'b');
      assert.equal(again.push?.device.pushId, first.push.device.pushId, 'the same upgrade, with its id');
      assert.equal((await tasks.ask(task.id, 'current')).push, null, 'it runs the version already');
      assert.equal((await tasks.ask(task.id, 'stranger')).push, null);
      const newer = await tasks.make(['a', 'b'], { version: 'v3' });
      assert.equal((await tasks.ask(newer.task.id, 'b')).push, null, 'the other task has it in work');
      assert.deepEqual(await statuses({ task, calls }), { a: 'pending', b: 'pushed', current: 'succeeded' });
    });

    it('answers devices that ask at the same time in one transaction, as many as the task may upgrade at once', async () => {
      const tasks = await open('s');
      await tasks.report([inform('current', 'v2')]);
      const made = await tasks.make(['a', 'b', 'c', 'current'], { policy: { concurrency: 2 } });
      const { pushes } = await tasks.askAll(made.task.id, ['c', 'current', 'a', 'stranger', 'a', 'b']);
      assert.equal(pushes.size, 2);
      assert.equal((await tasks.find(made.task.taskId)).counts.pushed, 2);
      const again = await tasks.askAll(made.task.id, [...pushes.keys()]);
      for (const [token, { device }] of pushes)
        assert.equal(again.pushes.get(token)?.device.pushId, device.pushId);
    });

    it('keeps the last 100 events of a device', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a']);
      await tasks.claim(task.id);
      await tasks.report(
        Array.from({ length: 150 }, () => progress('a', 5)),
        0,
      );
      const events = (await tasks.database.history(task.id, 'a')) ?? [];
      assert.equal(events.length, 100);
      assert.ok(events.every((event) => event.event === 'progress'));
    });

    it('keeps the last 100 events of a device over many transactions', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a']);
      await tasks.claim(task.id);
      for (let i = 1; i <= 90; i += 1) {
        await tasks.report(
          [
            { ...progress('a', 5), desc: `${i}` },
            { ...progress('a', 5), desc: `${i}.5` },
          ],
          0,
        );
      }
      const events = (await tasks.database.history(task.id, 'a')) ?? [];
      assert.deepEqual(
        [events.length, events[0]?.desc, events[1]?.desc, events.at(-1)?.desc],
        [100, '41', '41.5', '90.5'],
      );
    });

    it('keeps the history of 90 days', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a']);
      await tasks.claim(task.id);
      await tasks.report([{ ...progress('a', 5), wall: WALL + 1000 }]);
      await tasks.database.prune(WALL + 1);
      assert.deepEqual(
        ((await tasks.database.history(task.id, 'a')) ?? []).map((event) => event.event),
        ['progress'],
      );
    });

    it('prunes some thousand rows of history at a time, however many a device has', async () => {
      const tasks = await open('s');
      const tokens = Array.from({ length: 30 }, (_, i) => `d${i}`);
      const { task } = await tasks.make(tokens);
      await tasks.claim(task.id);
      for (let step = 0; step < 80; step += 1)
        await tasks.report(tokens.map((token) => progress(token, step)));
      const left = async (): Promise<number> => {
        const found = tokens.map(async (token) => (await tasks.database.history(task.id, token)) ?? []);
        return (await Promise.all(found)).flat().length;
      };
      assert.equal(await tasks.database.prune(WALL + 1), true);
      assert.ok((await left()) > 0);
      assert.equal(await tasks.database.prune(WALL + 1), false);
      assert.equal(await left(), 0);
    });

    it('keeps no doubt of an earlier upgrade that is over', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b'], { policy: { stalled: 10, confirm: 10 } });
      await tasks.claim(task.id);
      await tasks.move(task.id, ['a'], 'cancel', 1000);
      await tasks.move(task.id, ['b'], 'cancel', 50_000);
      await tasks.database.saveClock(21_001);
      await tasks.database.prune(WALL);
      assert.equal(database.rows('late_reports'), 1);
      await tasks.database.saveClock(70_001);
      await tasks.database.prune(WALL);
      assert.equal(database.rows('late_reports'), 0);
    });

    it('pages, filters and searches', async () => {
      const tasks = await open('s');
      const tokens = Array.from({ length: 25 }, (_, i) => `dev-${String(i).padStart(2, '0')}`);
      const { task } = await tasks.make([...tokens, 'other'], { policy: { waves: [50, 100] } });
      await tasks.claim(task.id, { limit: 3 });
      await tasks.report([inform('dev-01', 'v1')]);
      const query = { task: await tasks.find(task.taskId), status: null, search: '', page: 1, pageSize: 10 };
      const page3 = await tasks.database.devices({ ...query, page: 3 });
      assert.deepEqual(
        [page3.total, page3.devices.length, page3.devices.at(-1)?.accessToken],
        [26, 6, 'other'],
      );
      const pushed = await tasks.database.devices({ ...query, status: 'pushed' });
      assert.deepEqual([pushed.total, pushed.devices.map((d) => d.accessToken)], [3, tokens.slice(0, 3)]);
      const found = await tasks.database.devices({ ...query, search: 'dev-0' });
      assert.deepEqual([found.total, found.devices[1]?.currentVersion], [10, 'v1']);
      assert.equal((await tasks.database.devices({ ...query, search: 'dev-0', status: 'pending' })).total, 7);
      assert.equal((await tasks.database.devices({ ...query, search: "%' OR 1=1 --" })).total, 0);
    });

    it('finds tasks by a part of their name in any case of any alphabet', async () => {
      const tasks = await open('s');
      for (const name of ['Насосы цеха 3', 'ÜBER', 'other', 'насосы']) {
        const { id: _, ...fields } = plan(0, 'v2');
        const task = { ...fields, name, taskId: name, status: 'running', waves: 1 } as const;
        await tasks.database.publish(await tasks.create(task, []));
      }
      const found = async (search: string, page = 1): Promise<unknown[]> => {
        const { total, tasks: shown } = await tasks.database.list({ search, page, pageSize: 1 });
        return [total, ...shown.map(({ name }) => name)];
      };
      assert.deepEqual(await found('НАСОС'), [2, 'насосы']);
      assert.deepEqual(await found('НАСОС', 2), [2, 'Насосы цеха 3']);
      assert.deepEqual(await found('über'), [1, 'ÜBER']);
      assert.deepEqual(await found('OTHER'), [1, 'other']);
      assert.deepEqual(await found('ß'), [0]);
    });

    it('pages by several conditions at once', async () => {
      const tasks = await open('s');
      const tokens = Array.from({ length: 12 }, (_, i) => `dev-${String(i).padStart(2, '0')}`);
      await tasks.report(tokens.map((token, i) => inform(token, i % 2 === 0 ? 'v1' : 'v0')));
      const set = (some: string[], labels: Record<string, string>): unknown =>
        tasks.database.transact(fleetNeed(some, { wall: WALL, ticks: 0 }), (rows) =>
          label(some, labels, rows),
        );
      await set(tokens, { site: 'x' });
      await set(tokens.slice(0, 6), { lot: '7' });
      await set(tokens.slice(6), { lot: '8' });
      const all = { module: null, version: null, search: '', page: 1, pageSize: 2 };
      const fleet = async (more: object): Promise<unknown[]> => {
        const { total, devices } = await tasks.database.fleet({ ...all, labels: null, ...more });
        return [total, ...devices.map(({ accessToken }) => accessToken)];
      };
      assert.deepEqual(await fleet({ labels: { site: ['x'], lot: ['7'] }, page: 3 }), [
        6,
        'dev-04',
        'dev-05',
      ]);
      assert.deepEqual(await fleet({ labels: { lot: ['7', '8'] }, page: 6 }), [12, 'dev-10', 'dev-11']);
      const odd = { version: 'v0', labels: { site: ['x'], lot: ['8'] } };
      assert.deepEqual(await fleet({ ...odd, page: 2 }), [3, 'dev-11']);
      assert.deepEqual(await fleet({ labels: { site: ['x'], lot: ['7'] }, search: 'dev-1' }), [0]);

      const { task } = await tasks.make(tokens, { policy: { waves: [50, 100] } });
      await tasks.claim(task.id, { limit: 4 });
      await tasks.report([progress('dev-01', -2), progress('dev-02', -3)]);
      const query = { task: await tasks.find(task.taskId), status: null, search: '', page: 1, pageSize: 2 };
      const devices = async (more: object): Promise<unknown[]> => {
        const found = await tasks.database.devices({ ...query, ...more });
        return [found.total, ...found.devices.map(({ accessToken }) => accessToken)];
      };
      assert.deepEqual(await devices({ reason: 'download', wave: 1 }), [1, 'dev-01']);
      assert.deepEqual(await devices({ reason: 'download', wave: 2 }), [0]);
      assert.deepEqual(await devices({ reason: 'verification', status: 'failed' }), [1, 'dev-02']);
      assert.deepEqual(await devices({ status: 'pushed', wave: 1, page: 1 }), [2, 'dev-00', 'dev-03']);
      assert.deepEqual(await devices({ status: 'pushed', wave: 1, page: 2 }), [2]);
    });

    it('removes a task in slices, with all that belongs to it', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(Array.from({ length: 25 }, (_, i) => `d${i}`));
      await tasks.claim(task.id);
      await tasks.hide(task.id);
      assert.equal(await tasks.database.task(task.taskId), null);
      let slices = 0;
      while (await tasks.database.deleteSlice(10, WALL)) slices += 1;
      assert.equal(slices, 3);
    });

    it('counts the limits of successes that wait to be confirmed anew when they are updated', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b'], { policy: { success: 'progress', confirm: 600 } });
      const waiting = await tasks.make(['a'], { version: 'v3' });
      await tasks.claim(task.id);
      await tasks.report([progress('a', 100)]);
      await tasks.claim(waiting.task.id);
      const at = { wall: WALL, ticks: 1000 };
      await tasks.database.transact(updateNeed(task.id, at), (rows) =>
        updateTask({ policy: { confirm: 5 } }, { by: null, remark: null }, rows),
      );
      await tasks.recount(task.id, 1000);
      assert.deepEqual((await tasks.due(4000, WALL, 100)).changes, []);
      const { changes } = await tasks.due(8000, WALL, 100);
      assert.deepEqual(
        changes.map(({ plan: { taskId }, after }) => [taskId, after.accessToken, after.hold]),
        [[waiting.task.taskId, 'a', null]],
      );
    });

    it('looks at a waiting device of a paused task once, and at its limit again when the task runs on', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b'], { policy: { offline: 'wait', waitLimit: 60 } });
      for (const { device } of (await tasks.claim(task.id, { now: 0 })).pushes) {
        await tasks.outcome(device, { on: 'offline', now: 1000, id: device.pushId ?? '', push: 1 });
      }
      const state = (status: 'paused' | 'running') => () => ({ status, reason: null, wave: 1 });
      await tasks.decide(task.id, state('paused'), WALL, 11_000);
      const looked = async (ticks: number): Promise<number> =>
        tasks.database.transact(dueNeed({ wall: WALL, ticks }, 100), (rows) => {
          const { effects } = due(rows, 100);
          return { result: rows.found.length, effects };
        });
      assert.deepEqual([await looked(500_000), await looked(900_000)], [2, 0]);
      await tasks.decide(task.id, state('running'), WALL, 1_000_000);
      await tasks.recount(task.id, 1_000_000);
      assert.deepEqual((await tasks.due(1_049_999, WALL, 100)).changes, []);
      const { changes } = await tasks.due(1_050_000, WALL, 100);
      assert.deepEqual(
        changes.map(({ after }) => [after.accessToken, after.status, after.reason]).sort(),
        ['a', 'b'].map((token) => [token, 'failed', 'offline']),
      );
    });

    it('cancels nothing that nobody asked for while a retry of the task is not finished', async () => {
      const tasks = await open('s');
      const made = await tasks.make(['a', 'b']);
      await tasks.move(made.task.id, ['a', 'b'], 'cancel');
      await tasks.decide(made.task.id, () => ({ status: 'cancelled', reason: null, wave: 1 }));
      const retry = { on: 'retry', statuses: ['cancelled'], reasons: null, byName: true, id: 'x' } as const;
      const rest = { on: 'cancel', statuses: ['pending'], reasons: null, byName: false } as const;
      const at = { wall: WALL, ticks: 0 };
      const slice = (status: 'cancelled' | 'pending') =>
        ({ in: 'task', status, after: '', limit: 1 }) as const;
      await tasks.database.transact(intentNeed(made.task.id, at), (rows) => takeIntent(retry, null, rows));
      const step = async (intent: Intent, status: 'cancelled' | 'pending'): Promise<number> =>
        (
          await tasks.database.transact(moveNeed(made.task.id, slice(status), at), (rows) =>
            move(intent, slice(status), rows),
          )
        ).changes.length;
      assert.deepEqual([await step(retry, 'cancelled'), await step(rest, 'pending')], [1, 0]);
      assert.deepEqual(await statuses(made), { a: 'pending', b: 'cancelled' });
    });

    it('puts a device back that waits for a task which is removed before its success was confirmed', async () => {
      const tasks = await open('s');
      const old = await tasks.make(['a', 'b', 'c'], { policy: { success: 'progress', confirm: 600 } });
      await tasks.claim(old.task.id);
      await tasks.report(['a', 'b', 'c'].map((token) => progress(token, 100)));
      const waiting = await tasks.make(['a', 'b', 'c'], { version: 'v3' });
      const other = await tasks.make(['a'], { version: 'v4' });
      assert.deepEqual((await tasks.claim(waiting.task.id)).pushes, []);
      await tasks.hide(old.task.id);
      while (await tasks.database.deleteSlice(2, WALL));
      const { changes } = await tasks.due(1000, WALL, 100);
      assert.deepEqual(
        changes.map(({ after }) => [after.accessToken, after.status, after.hold, after.reason]).sort(),
        ['a', 'b', 'c'].map((token) => [token, 'pending', null, null]),
      );
      assert.equal((await tasks.claim(waiting.task.id)).pushes.length, 3);
      assert.deepEqual((await tasks.find(waiting.task.taskId)).counts, {
        ...waiting.task.counts,
        pending: 0,
        pushed: 3,
      });
      await tasks.claim(other.task.id);
      assert.deepEqual((await tasks.due(1000, WALL, 100)).changes, [], 'one that waits for another stays');
    });

    it('deletes a task whose making was broken off', async () => {
      const tasks = await open('s');
      const { id: _, ...fields } = plan(0, 'v2');
      await tasks.create({ ...fields, status: 'running', waves: 1 }, [
        { accessToken: 'a', source: null, wave: 1, order: 0, at: WALL },
      ]);
      assert.equal(await tasks.database.deleteSlice(10, WALL - 1000), false, 'it may still be at it');
      assert.equal(await tasks.database.deleteSlice(10, WALL + 1000), true);
      assert.deepEqual(await tasks.database.list({ page: 1, pageSize: 10 }), { total: 0, tasks: [] });
    });

    it('lets two instances claim without giving a device twice', async () => {
      const one = await open('s');
      const two = await open('s');
      const { task } = await one.make(Array.from({ length: 40 }, (_, i) => `d${i}`));
      const given: string[] = [];
      for (const tasks of [one, two, one, two]) {
        const { pushes } = await tasks.claim(task.id, { limit: 10 });
        given.push(...pushes.map((push) => push.device.accessToken));
      }
      assert.equal(new Set(given).size, 40);
      assert.equal((await two.find(task.taskId)).counts.pushed, 40);
    });

    it('takes in no more devices than a task may, also of several instances at once', async () => {
      const several = [await open('s'), await open('s'), await open('s'), await open('s')];
      const [one] = several;
      assert.ok(one);
      const { task } = await one.make([], { joins: 60 });
      const reports = several.map(async (calls, n) => {
        await calls.report(Array.from({ length: 40 }, (_, i) => inform(`joiner-${n}-${i}`, 'v1')));
      });
      await Promise.all(reports);
      const { counts, taken } = await one.find(task.taskId);
      assert.deepEqual([counts.pending, taken], [60, 60]);
    });

    it('counts devices by wave and status, and reasons', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b', 'c', 'd'], {
        policy: { waves: [50, 100], offline: 'wait' },
      });
      const { pushes } = await tasks.claim(task.id);
      const [a, b] = pushes.map((push) => push.device);
      assert.ok(a && b);
      await tasks.report([progress('a', -2)]);
      await tasks.outcome(b, { on: 'offline', now: 2000, id: b.pushId ?? '', push: 1 });
      const found = await tasks.find(task.taskId);
      assert.deepEqual(
        [found.counts, found.waiting],
        [{ pending: 3, pushed: 0, upgrading: 0, succeeded: 0, failed: 1, cancelled: 0 }, 1],
      );
      await tasks.decide(task.id, (_, wave) => {
        const { total, pending, waiting, active, failed } = wave(1);
        assert.deepEqual(
          { total, pending, waiting, active, failed },
          { total: 2, pending: 1, waiting: 1, active: 0, failed: 1 },
        );
        assert.equal(wave(2).pending, 2);
        return null;
      });
    });

    it('gives repeats before first pushes', async () => {
      const tasks = await open('s');
      const { task } = await tasks.make(['a', 'b', 'c'], { policy: { noResponse: 40, repush: 3 } });
      await tasks.claim(task.id, { limit: 1 });
      const { pushes } = await tasks.claim(task.id, { limit: 2, now: 1000 + 10_000 });
      assert.deepEqual(
        pushes.map(({ device }) => [device.accessToken, device.pushes]),
        [
          ['a', 2],
          ['b', 1],
        ],
      );
    });

    it('names devices once, and counts those that are not in the task', async () => {
      const tasks = await open('s');
      const made = await tasks.make(['a', 'b']);
      assert.equal((await tasks.move(made.task.id, ['a', 'x'], 'cancel')).skipped, 1);
      assert.deepEqual(await statuses(made), { a: 'cancelled', b: 'pending' });
      const slice = { in: 'names', limit: 10 } as const;
      const at = { wall: WALL, ticks: 0 };
      const left = await tasks.database.transact({ at, task: made.task.id, search: slice }, (rows) => ({
        result: rows.found.length,
      }));
      assert.equal(left, 0);
    });
  });
}

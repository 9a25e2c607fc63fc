/**
 * A store in memory to which a history happens: reports, limits, commands, duplicates, restarts. Checks each
 * change as it comes against the rules of the documentation, told here in other words than the table's.
 */
import assert from 'node:assert/strict';
import { isActive } from '../../../nodes/lib/tasks/machine';
import { type Awaitable, type Change, SqliteStore } from '../../../nodes/lib/tasks/database';
import { SqliteTasks } from '../../../nodes/lib/tasks/database/sqlite/database';
import { move, moveNeed, type Push, type Selection } from '../../../nodes/lib/tasks/transactions';
import { Calls, NAMED } from '../database/calls';
import {
  type Device,
  DEVICE_STATUSES,
  type DeviceStatus,
  type Policy,
  type Task,
  type TaskPlan,
} from '../../../nodes/lib/tasks/types';
import { plan, WALL } from '../support';

/** What can happen, in any order: the world outside, the clock, people. */
export type Happening =
  | { do: 'create'; version: string; module: string; policy: Partial<Policy> }
  | { do: 'claim'; task: number }
  | { do: 'progress'; token: string; module: string | null; step: number }
  | { do: 'inform'; token: string; module: string; version: string; id: string; retained: boolean }
  | { do: 'alive'; token: string }
  | { do: 'again' }
  | { do: 'answer'; push: number; on: Answered }
  | { do: 'wait'; seconds: number }
  | { do: 'cancel' | 'retry'; task: number; token: string }
  | { do: 'pause' | 'resume'; task: number }
  | { do: 'restart' };

type Answered = 'accepted' | 'offline' | 'offline-after-reconnect' | 'refused' | 'push-timeout';
type Reported = Extract<Happening, { do: 'progress' | 'inform' }>;
type Cause =
  | Reported
  | { do: 'claim' | 'time' | 'alive' | 'cancel' | 'retry' }
  | { do: 'answer'; on: Answered; id: string | null; push: number };

export const TOKENS = ['a', 'b'];
const SECOND = 1000;
const ENDED: readonly DeviceStatus[] = ['succeeded', 'failed', 'cancelled'];
const FAILURES: Readonly<Record<number, string>> = {
  [-1]: 'upgrade',
  [-2]: 'download',
  [-3]: 'verification',
  [-4]: 'flashing',
};

export class World {
  readonly store = new SqliteStore({ file: ':memory:' });
  tasks: SqliteTasks;
  #calls: Calls;
  readonly ids: number[] = [];
  readonly pushes: Push[] = [];
  now = 0;
  wall = WALL;
  /** Devices' modules whose last upgrade ended without a last word, as the outside world would know it. */
  readonly #open = new Map<string, number>();
  readonly #known = new Map<string, string>();
  readonly #paused = new Set<number>();
  readonly #used = new Set<string>();
  /** Rows that failed before another task pushed to their device. */
  readonly #overtaken = new Set<number>();
  /** Attempts in which a version was reported that is neither the old nor the new one. */
  readonly #third = new Set<string>();
  /** Devices' modules that reported live. */
  readonly #live = new Set<string>();
  #newer: string | null = null;
  #last: Reported | null = null;

  constructor() {
    this.store.open();
    this.tasks = this.store.tasks('s');
    this.#calls = new Calls(this.tasks);
  }

  happen(event: Happening): void {
    const id = 'task' in event ? this.ids[event.task] : undefined;
    switch (event.do) {
      case 'create':
        return this.create(event);
      case 'progress':
      case 'inform':
        this.#last = event;
        return this.report(event);
      case 'alive': {
        const report = { kind: 'alive', accessToken: event.token, wall: this.wall } as const;
        return this.#check(atOnce(this.#calls.report([report], this.now)).changes, { do: 'alive' });
      }
      case 'again':
        if (this.#last !== null) this.report(this.#last);
        return;
      case 'answer':
        return this.#answer(event.push, event.on);
      case 'wait':
        return this.wait(event.seconds);
      case 'restart':
        // Whatever it remembered is gone.
        this.tasks = new SqliteTasks(this.store, 's');
        this.#calls = new Calls(this.tasks);
        for (const task of this.ids) atOnce(this.#calls.repeat(task, this.now - 40 * SECOND, this.now));
        return;
      default:
        if (id !== undefined) this.#command(id, event);
    }
  }

  create({ version, module, policy }: Extract<Happening, { do: 'create' }>): void {
    if (this.ids.length === 4) return;
    const { id: _, ...fields } = plan(0, version, { module, policy });
    const id = atOnce(
      this.tasks.create(
        {
          ...fields,
          taskId: `t${this.ids.length}`,
          status: 'running',
          waves: 2,
        },
        this.#at,
      ),
    );
    const known = this.tasks.versions(module, TOKENS);
    const devices = TOKENS.map((accessToken, order) => ({
      accessToken,
      source: known.get(accessToken)?.version ?? null,
      wave: order + 1,
      order,
      at: this.wall,
    }));
    void this.tasks.add(id, devices);
    void this.tasks.publish(id);
    void this.#calls.decide(id, ({ status }) => ({ status, reason: null, wave: 2 }), this.wall, this.now);
    this.ids.push(id);
  }

  claim(id: number): void {
    const before = this.#devices();
    const claimed = atOnce(this.#calls.claim(id, { now: this.now, wall: this.wall }));
    const isFirst = ({ device }: Push): boolean =>
      device.status === 'pushed' ? device.repeats === 0 : device.pushes === 1;
    this.#takenOver(before, claimed.pushes.filter(isFirst));
    if (this.#paused.has(id)) assert.deepEqual(claimed.changes, [], 'a paused task pushes');
    for (const push of claimed.pushes) if (push.device.pushes > 1) this.#checkRepeat(push);
    this.pushes.push(...claimed.pushes);
    this.#check(claimed.changes, { do: 'claim' });
    if (this.#paused.has(id)) return;
    const left = this.#rows(this.ids.indexOf(id)).filter(
      (row) => row.status === 'pending' && row.hold === null,
    );
    assert.deepEqual(left, [], 'a turn that came to nothing');
  }

  report(event: Reported): void {
    const common = { accessToken: event.token, wall: this.wall };
    const report =
      event.do === 'progress'
        ? ({ kind: 'progress', module: event.module, step: event.step, desc: '', ...common } as const)
        : ({
            kind: 'inform',
            module: event.module,
            version: event.version,
            id: event.id,
            retained: event.retained,
            ...common,
          } as const);
    const before = this.#devices();
    if (event.do === 'inform' && !event.retained) this.#heardLive(event, before);
    if (event.do === 'inform' && event.retained) {
      const key = `${event.token} ${event.module}`;
      if (!this.#live.has(key)) this.#known.set(key, event.version);
    }
    const { changes } = atOnce(this.#calls.report([report], this.now));
    this.#check(changes, event);
    const after = this.#devices();
    this.#remembered(before, after, event);
    if (event.do === 'progress' && (event.step === 100 || event.step < 0)) {
      // It was the last word of whatever it belongs to.
      for (const [i, row] of after.entries()) {
        const was = before[i];
        if (was !== undefined && row.events > was.events && was.attempt > 0) this.#open.delete(keyOf(row));
      }
    }
  }

  #heardLive({ token, module, version }: Extract<Reported, { do: 'inform' }>, rows: readonly Row[]): void {
    const key = `${token} ${module}`;
    this.#live.add(key);
    this.#known.set(key, version);
    this.#open.delete(key);
    for (const row of rows) {
      const isThird = row.source !== null && version !== row.source && version !== row.target;
      if (keyOf(row) === key && isActive(row) && isThird) this.#third.add(attemptOf(row));
    }
  }

  wait(seconds: number): void {
    this.now += seconds * SECOND;
    this.wall += seconds * SECOND;
    for (let rounds = 0; ; rounds += 1) {
      assert.ok(rounds < 50, 'what is due never ends');
      const due = atOnce(this.#calls.due(this.now, this.wall, 3));
      this.#check(due.changes, { do: 'time' });
      if (!due.more) return;
    }
  }

  /** The same attempt with the same id. */
  #checkRepeat(push: Push): void {
    const first = this.pushes.find(({ device }) => device.pushId === push.device.pushId);
    assert.ok(first, 'a repeat with an id of its own');
    assert.equal(first.device.attempt, push.device.attempt, 'a repeat in another attempt');
    assert.ok(!this.#paused.has(push.plan.id), 'a paused task repeats');
  }

  get #at(): { wall: number; ticks: number } {
    return { wall: this.wall, ticks: this.now };
  }

  active(): number {
    return this.#devices().filter(isActive).length;
  }

  /** Time goes on, longer than any limit but that of waiting, and what may be pushed is pushed. */
  goOn(rounds: number): void {
    for (let i = 0; i < rounds; i += 1) {
      for (const id of this.ids) this.claim(id);
      this.wait(2000);
    }
  }

  /** Nobody pauses, cancels or reports any more: time and the queues alone bring every device to an end. */
  finish(): void {
    for (const id of this.ids) this.#command(id, { do: 'resume', task: 0 });
    const open = (): number => this.#devices().filter(({ status }) => !ENDED.includes(status)).length;
    for (let rounds = 0; open() > 0; rounds += 1) {
      assert.ok(rounds < 40, 'a device never comes to an end');
      for (const id of this.ids) this.claim(id);
      // Once in a while, longer than any device is waited for.
      this.wait(rounds % 10 === 9 ? 8 * 24 * 3600 : 2000);
    }
  }

  close(): void {
    this.store.close();
  }

  #command(id: number, event: Extract<Happening, { task: number }>): void {
    switch (event.do) {
      case 'claim':
        return this.claim(id);
      case 'pause':
      case 'resume': {
        const status = event.do === 'pause' ? 'paused' : 'running';
        void this.#calls.decide(id, ({ wave }) => ({ status, reason: null, wave }), this.wall, this.now);
        this.#paused[event.do === 'pause' ? 'add' : 'delete'](id);
        return;
      }
      default: {
        const names = { tokens: [event.token], anew: true };
        void this.tasks.transact({ at: this.#at, task: id }, () => ({ result: undefined, names }));
        const slice: Selection = { in: 'names', limit: 2 };
        const moved = atOnce(
          this.tasks.transact(moveNeed(id, slice, this.#at), (rows) => move(NAMED[event.do], slice, rows)),
        );
        this.#check(moved.changes, { do: event.do });
      }
    }
  }

  #answer(push: number, on: Answered): void {
    const found = this.pushes.at(-1 - push);
    if (found === undefined) return;
    const { pushId, pushes } = found.device;
    const event = { on, now: this.now, id: pushId ?? '', push: pushes };
    const { changes } = atOnce(this.#calls.outcome(found.device, event, this.wall));
    this.#check(changes, { do: 'answer', on, id: pushId, push: pushes });
  }

  #check(changes: readonly Change[], cause: Cause): void {
    for (const change of changes) {
      const { before, after } = change;
      const why = `${before.status} → ${after.status} (${after.reason ?? ''}) by ${JSON.stringify(cause)}`;
      assert.ok(this.#isLegal(change, cause), why);
      const isFirst = after.status === 'pushed' || after.attempt > before.attempt;
      if (isFirst && before.status === 'pending') this.#checkPush(change);
    }
    this.#follow(changes, cause);
    this.#checkAll();
  }

  /** Whether a rule of the documentation allows the change. */
  #isLegal({ before, after, plan: of }: Change, cause: Cause): boolean {
    if (ENDED.includes(before.status)) return this.#mayMoveEnded(before, after, of.upgrade.version, cause);
    switch (after.status) {
      case 'pending':
        return this.#mayPend(before, after, of.policy, cause);
      case 'pushed':
        return cause.do === 'claim' && before.status === 'pending';
      case 'upgrading':
        return cause.do === 'progress' && cause.step >= 0 && hasPush(before);
      case 'succeeded':
        if (cause.do === 'claim') return of.policy.skipCurrent && before.status === 'pending';
        if (cause.do === 'inform') return cause.version === of.upgrade.version;
        return (
          cause.do === 'progress' &&
          cause.step === 100 &&
          hasPush(before) &&
          this.#trusts100(before, of.policy)
        );
      case 'cancelled':
        if (cause.do === 'claim')
          return after.reason === 'superseded' && this.#broughtLater(before, of) !== null;
        return cause.do === 'cancel' && after.reason === null;
      case 'failed':
        if (cause.do === 'claim') {
          const version = this.#known.get(`${after.accessToken} ${of.upgrade.module}`) ?? '';
          return after.reason === 'version-mismatch' && !of.policy.fromVersions.includes(version);
        }
        return this.#mayFail(before, after, of.policy, cause);
    }
  }

  #trusts100(before: Device, policy: Policy): boolean {
    return (
      policy.success === 'progress' && (before.lateReportUntil === null || this.now >= before.lateReportUntil)
    );
  }

  /** The named ways. */
  #mayMoveEnded(before: Device, after: Device, target: string, cause: Cause): boolean {
    const within = this.now < before.since + 600 * SECOND;
    switch (`${before.status} → ${after.status}`) {
      case 'failed → pending':
      case 'cancelled → pending':
        return cause.do === 'retry' && after.retries === 0 && after.reason === null;
      case 'succeeded → failed':
        if (cause.do === 'progress')
          return within && !before.confirmed && after.reason === FAILURES[cause.step];
        if (cause.do !== 'inform' || cause.retained || !within) return false;
        if (after.reason === 'rolled-back') return isSource(before, cause, target);
        return (
          after.reason === 'version-mismatch' &&
          !before.confirmed &&
          cause.version !== target &&
          !isSource(before, cause, target)
        );
      case 'failed → succeeded':
        return cause.do === 'inform' && cause.version === target && !this.#overtaken.has(before.id);
      default:
        return false;
    }
  }

  #mayPend(before: Device, after: Device, policy: Policy, cause: Cause): boolean {
    if (before.status === 'pending') {
      if (after.reason === 'busy') return cause.do === 'claim';
      // The other task is through with it, it has woken, or its delay is over; or its answer was a failure.
      const isNews = after.reason !== null && after.reason !== before.reason;
      if (!isNews)
        return before.hold !== 'wait' || this.#wokeBy(cause) || isLookedForAnew(before, after, cause);
      return cause.do === 'progress' && hasPush(before) && after.reason === FAILURES[cause.step];
    }
    if (after.hold === 'wait') return this.#mayWait(before, after, policy, cause);
    if (after.retries !== before.retries + 1 || after.retries > policy.retries) return false;
    if (after.reason === 'rebooted') {
      return cause.do === 'time' && !before.reported100 && this.now >= (before.rebootAt ?? Infinity);
    }
    return isTriedAgain(after, policy) && this.#hasReason(before, after, policy, cause);
  }

  /** Signs of life that are no old news. */
  #wokeBy(cause: Cause): boolean {
    return cause.do === 'progress' || cause.do === 'alive' || (cause.do === 'inform' && !cause.retained);
  }

  #mayWait(before: Device, after: Device, policy: Policy, cause: Cause): boolean {
    if (policy.offline !== 'wait') return false;
    if (cause.do === 'answer') return after.reason === 'offline' && this.#isOffline(before, cause);
    return cause.do === 'time' && this.#isSilent(before, after, policy);
  }

  /** "No subscriber" counts: it is the answer to a push by which the device is judged, and was asked again. */
  #isOffline(before: Device, cause: Cause): boolean {
    if (cause.do !== 'answer' || cause.on !== 'offline' || !isCounted(before, cause)) return false;
    const isFresh = before.lifeAt !== null && this.now - before.lifeAt <= 10 * SECOND;
    return !isFresh || before.asked === 3;
  }

  /** Time is over, and each of its repeats went out, unless none may. */
  #isSilent(before: Device, { reason }: Device, { noResponse, repush }: Policy): boolean {
    const isOver = this.now >= before.since + noResponse * SECOND;
    const hadRepeats = before.repeats >= repush || this.#paused.has(before.task);
    return isOver && hadRepeats && reason === (before.asked > 0 ? 'offline' : 'no-response');
  }

  #mayFail(before: Device, after: Device, policy: Policy, cause: Cause): boolean {
    const { reason } = after;
    if (before.status === 'pending') {
      if (cause.do === 'progress') return hasPush(before) && reason === FAILURES[cause.step];
      return reason === before.reason && cause.do === 'time' && before.hold === 'wait';
    }
    if (cause.do === 'inform') {
      return (
        reason === 'rolled-back' &&
        !cause.retained &&
        before.reported100 &&
        (before.source === null || cause.version === before.source)
      );
    }
    if (cause.do === 'answer' && cause.on === 'refused')
      return reason === 'refused' && isCounted(before, cause);
    // Another attempt is made as long as there are any left, and the reason is one for it.
    const isLast = before.retries >= policy.retries || !isTriedAgain(after, policy);
    return isLast && this.#hasReason(before, after, policy, cause);
  }

  /** A failure of an active device that another attempt may follow. */
  #hasReason(before: Device, after: Device, policy: Policy, cause: Cause): boolean {
    const over = (seconds: number): boolean => this.now >= before.since + seconds * SECOND;
    switch (cause.do) {
      case 'progress':
        return after.reason === FAILURES[cause.step];
      case 'answer':
        return policy.offline === 'fail' && after.reason === 'offline' && this.#isOffline(before, cause);
      case 'time': {
        const third = this.#third.has(attemptOf(before));
        const isReason = (reason: string): boolean => after.reason === (third ? 'version-mismatch' : reason);
        if (before.status === 'pushed') {
          return policy.offline === 'fail' && (third ? isReason('') : this.#isSilent(before, after, policy));
        }
        if (before.reported100) return isReason('unconfirmed') && over(policy.confirm);
        return isReason('stalled') && over(policy.stalled);
      }
      default:
        return false;
    }
  }

  /** A task that was made later has brought the device up: its version, unless this task is made for that. */
  #broughtLater(device: Device, { upgrade, policy }: TaskPlan): string | null {
    if (device.named) return null;
    for (const [i, id] of this.ids.entries()) {
      const task = this.#task(i);
      if (id <= device.task || task.upgrade.module !== upgrade.module) continue;
      const row = this.#rows(i).find(({ accessToken }) => accessToken === device.accessToken);
      if (row?.status === 'succeeded') {
        const { version } = task.upgrade;
        // The newest of them decides: there are few tasks, and they stand in their order.
        this.#newer = policy.fromVersions.includes(version) ? null : version;
      }
    }
    const found = this.#newer;
    this.#newer = null;
    return found;
  }

  #checkPush({ before, after, plan: of }: Change): void {
    const key = `${after.accessToken} ${of.upgrade.module}`;
    assert.equal(this.#broughtLater(before, of), null, 'an older task undoes a newer one');
    for (const row of this.#devices()) {
      if (row.id === after.id || keyOf(row) !== key) continue;
      assert.ok(!isUnconfirmed(row), 'pushed while another task’s success is not confirmed');
      if (row.status === 'failed') this.#overtaken.add(row.id);
    }
    const version = this.#known.get(key) ?? null;
    const { fromVersions, skipCurrent } = of.policy;
    assert.ok(
      fromVersions.length === 0 || (version !== null && fromVersions.includes(version)),
      `pushed onto ${version}`,
    );
    assert.ok(!skipCurrent || version !== of.upgrade.version, 'pushed what it runs already');
    if (before.sameAttempt) {
      assert.deepEqual([after.attempt, after.pushId], [before.attempt, before.pushId]);
      return;
    }
    assert.equal(after.attempt, before.attempt + 1);
    assert.ok(after.pushId !== null && !this.#used.has(after.pushId), 'an attempt without an id of its own');
    this.#used.add(after.pushId);
    assert.equal(
      (after.lateReportUntil ?? 0) > this.now,
      (this.#open.get(key) ?? 0) > this.now,
      'an older upgrade is forgotten, or made up',
    );
  }

  /** What the outside world knows now of upgrades without a last word. */
  #follow(changes: readonly Change[], cause: Cause): void {
    for (const { before, after, plan: of } of changes) {
      if (!hasPush(before) || hasPush(after) || after.status === 'succeeded') continue;
      const isSilent =
        cause.do === 'cancel' ||
        cause.do === 'claim' ||
        (cause.do === 'time' && !before.reported100 && after.reason !== 'rebooted');
      if (isSilent) this.#open.set(`${after.accessToken} ${of.upgrade.module}`, this.now + 2400 * SECOND);
    }
  }

  /** Rows that wait in an attempt of their own when another task pushes: it ends, and may have been heard. */
  #takenOver(before: readonly Row[], pushes: readonly Push[]): void {
    for (const { device, plan: of } of pushes) {
      const key = `${device.accessToken} ${of.upgrade.module}`;
      const isWaiting = (row: Row): boolean => row.status === 'pending' && row.sameAttempt;
      if (before.some((row) => row.id !== device.id && keyOf(row) === key && isWaiting(row))) {
        this.#open.set(key, this.now + 2400 * SECOND);
      }
    }
  }

  /** A report is history of one of the device's tasks, whatever else becomes of it. */
  #remembered(before: readonly Row[], after: readonly Row[], event: Reported): void {
    const module = event.module ?? 'default';
    const mine = (rows: readonly Row[]): Row[] =>
      rows.filter(
        (row) => row.accessToken === event.token && (event.module === null || row.module === module),
      );
    const events = (rows: readonly Row[]): number => mine(rows).reduce((sum, row) => sum + row.events, 0);
    if (!mine(before).some((row) => row.module === module)) return;
    assert.ok(events(after) > events(before), 'a report that nobody remembers');
  }

  #devices(): Row[] {
    return this.ids.flatMap((_, i) =>
      this.#rows(i).map((row) => ({
        ...row,
        module: this.#task(i).upgrade.module,
        target: this.#task(i).upgrade.version,
      })),
    );
  }

  #rows(i: number): readonly Device[] {
    const query = { task: this.#task(i), status: null, search: '', page: 1, pageSize: 10 };
    return atOnce(this.tasks.devices(query)).devices;
  }

  #task(i: number): Task {
    const found = this.tasks.task(`t${i}`);
    assert.ok(found);
    return found;
  }

  #checkAll(): void {
    const active = new Set<string>();
    for (const [i, id] of this.ids.entries()) {
      const task = this.#task(i);
      const rows = this.#rows(i);
      const count = (status: DeviceStatus, of = rows): number =>
        of.filter((row) => row.status === status).length;
      assert.deepEqual(
        task.counts,
        Object.fromEntries(DEVICE_STATUSES.map((status) => [status, count(status)])),
      );
      void this.#calls.decide(
        id,
        (_, waveCounts) => {
          for (const wave of [1, 2]) {
            const of = rows.filter((row) => row.wave === wave);
            const [succeeded, failed, cancelled] = ENDED.map((status) => count(status, of));
            assert.deepEqual(waveCounts(wave), {
              total: 1,
              pending: count('pending', of),
              waiting: of.filter(({ status, hold }) => status === 'pending' && hold === 'wait').length,
              active: of.filter(isActive).length,
              succeeded,
              failed,
              incompatible: 0,
              cancelled,
            });
          }
          return null;
        },
        this.wall,
      );
      for (const one of rows.filter(isActive)) {
        const key = `${one.accessToken} ${task.upgrade.module}`;
        assert.ok(!active.has(key), `two active upgrades: ${key}`);
        active.add(key);
        assert.ok(one.retries <= task.policy.retries);
      }
    }
  }
}

/** SQLite answers in the same turn. */
export function atOnce<T>(value: Awaitable<T>): T {
  assert.ok(!(value instanceof Promise));
  return value;
}

type Row = Device & { readonly module: string; readonly target: string };

function keyOf({ accessToken, module }: Row): string {
  return `${accessToken} ${module}`;
}

/** It has a push that it may answer: it is active, or it waits in an attempt that goes on. */
function hasPush(device: Device): boolean {
  return isActive(device) || (device.status === 'pending' && device.sameAttempt);
}

/** It waits, and another task has pushed to it since: an attempt of its own begins, and it goes on waiting. */
function isLookedForAnew(before: Device, after: Device, { do: by }: Cause): boolean {
  return by === 'claim' && !before.sameAttempt && after.hold === 'wait' && after.attempt > before.attempt;
}

function isUnconfirmed(row: Row): boolean {
  return row.status === 'succeeded' && !row.confirmed && row.since !== -1;
}

function attemptOf({ id, attempt }: Device): string {
  return `${id} ${attempt}`;
}

function isTriedAgain({ reason }: Device, { retryOn }: Policy): boolean {
  return retryOn.some((tried) => tried === reason);
}

function isSource(before: Device, cause: Extract<Cause, { do: 'inform' }>, target: string): boolean {
  return cause.version !== target && (before.source === null || cause.version === before.source);
}

/** The answer is to the push by which the device is judged: a repeat's fails nothing, nor does an earlier attempt's. */
function isCounted(before: Device, { id, push }: Extract<Cause, { do: 'answer' }>): boolean {
  return before.pushId === id && push === before.countedPush;
}

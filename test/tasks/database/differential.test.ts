import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { OtaError } from '../../../nodes/lib/protocol';
import { PostgresStore, SqliteStore, type TaskDatabase } from '../../../nodes/lib/tasks/database';
import * as transactions from '../../../nodes/lib/tasks/transactions';
import { DEVICE_STATUSES, type Policy, type TaskPlan } from '../../../nodes/lib/tasks/types';
import { cleanup } from '../../support/cleanup';
import { type PostgresServer, requirePostgres, startPostgresServer } from '../../support/postgres';
import { plan, WALL } from '../support';
import { Calls, NAMED } from './calls';

/** One call on a database; tasks by their place in the history. */
type Call =
  | { do: 'create'; version: string; module: string; policy: Partial<Policy>; joining: boolean }
  | { do: 'claim'; task: number; limit: number }
  | { do: 'progress'; tokens: string[]; module: string | null; step: number }
  | { do: 'inform'; token: string; module: string; version: string; id: string; retained: boolean }
  | { do: 'alive' | 'seen' | 'forget'; token: string }
  | { do: 'label'; token: string; value: string | null }
  | { do: 'answer'; push: number; on: 'accepted' | 'offline' | 'refused' | 'push-timeout' }
  | { do: 'wait'; seconds: number }
  | { do: 'cancel' | 'retry'; task: number; tokens: string[] }
  | { do: 'pause' | 'resume' | 'hide' | 'restarted' | 'update' | 'supersede'; task: number };

const TOKENS = ['a', 'b', 'c', 'ä'];
const MODULES = ['default', 'MCU'];
/** `npm run differential` runs more. */
const RUNS = Number(process.env['OTA_HISTORIES'] ?? 12);

/** A history as one database goes through it; what each call answers, without numbers that are a database's own. */
class Replay {
  readonly #database: TaskDatabase;
  readonly #calls: Calls;
  readonly #run: string;
  readonly #ids: number[] = [];
  readonly #pushes: transactions.Push[] = [];
  #now = 1000;
  #wall = WALL;
  #id = 0;

  constructor(database: TaskDatabase, run: string) {
    this.#database = database;
    this.#calls = new Calls(database);
    this.#run = run;
  }

  async call(call: Call): Promise<unknown> {
    const task = 'task' in call ? this.#ids[call.task] : undefined;
    if ('task' in call && task === undefined) return null;
    const at = { wall: this.#wall, ticks: this.#now };
    const transact = this.#database.transact.bind(this.#database);
    switch (call.do) {
      case 'create':
        return this.#create(call);
      case 'claim': {
        const rules = { task: task ?? 0, limit: call.limit, nextId: () => `id-${(this.#id += 1)}` };
        const claimed = await transact(transactions.claimNeed(rules, at), (rows) => {
          this.#id = this.#pushes.length * 100;
          return transactions.claim(rules, rows);
        });
        this.#pushes.push(...claimed.pushes);
        return plainly(claimed);
      }
      case 'progress': {
        const { module, step } = call;
        const reports = call.tokens.map((accessToken) => {
          const kind = 'progress' as const;
          return { kind, accessToken, module, step, desc: 'x\0y', wall: this.#wall };
        });
        return plainly(await this.#calls.report(reports, this.#now));
      }
      case 'inform': {
        const { token: accessToken, module, version, id, retained } = call;
        const report = { kind: 'inform', accessToken, module, version, id, wall: this.#wall } as const;
        const kept = retained ? { ...report, retained, subscribedAt: WALL } : report;
        return plainly(await this.#calls.report([kept], this.#now));
      }
      case 'alive':
        return plainly(
          await this.#calls.report([{ kind: 'alive', accessToken: call.token, wall: this.#wall }], this.#now),
        );
      case 'seen':
        return plainly(
          await transact(transactions.fleetNeed([call.token], at), (rows) =>
            transactions.seen([call.token], rows),
          ),
        );
      case 'forget':
        return transact(transactions.fleetNeed([call.token], at), (rows) =>
          transactions.forget([call.token], rows),
        );
      case 'label':
        return transact(transactions.fleetNeed([call.token], at), (rows) =>
          transactions.label([call.token], { site: call.value }, rows),
        );
      case 'answer': {
        const push = this.#pushes[call.push];
        if (push === undefined) return null;
        const { id, accessToken, pushId, pushes } = push.device;
        const event = { on: call.on, now: this.#now, id: pushId ?? '', push: pushes, desc: '' };
        return plainly(await this.#calls.outcome({ id, accessToken }, event, this.#wall));
      }
      case 'wait': {
        this.#now += call.seconds * 1000;
        this.#wall += call.seconds * 1000;
        return plainly(await this.#calls.due(this.#now, this.#wall, 100));
      }
      case 'cancel':
      case 'retry':
        return plainly(await this.#move(call.do, task ?? 0, call.tokens));
      case 'pause':
      case 'resume': {
        const status = call.do === 'pause' ? 'paused' : 'running';
        const decided = await this.#calls.decide(
          task ?? 0,
          (now) => (now.status === 'ended' ? null : { status, reason: null, wave: 2 }),
          this.#wall,
          this.#now,
        );
        await this.#calls.recount(task ?? 0, this.#now, this.#wall);
        return plainly(decided);
      }
      case 'hide':
        // Only a task that is over is removed.
        await this.#move('cancel', task ?? 0, TOKENS);
        return [
          await this.#calls.hide(task ?? 0, this.#wall, this.#now),
          await this.#database.deleteSlice(2, this.#wall),
        ];
      case 'restarted': {
        const slice = { since: this.#now - 40_000, after: '', limit: 10 };
        const need = transactions.repeatNeed(task ?? 0, slice, at);
        return plainly(await transact(need, (rows) => transactions.repeat(10, rows)));
      }
      case 'supersede': {
        const slice = { task: task ?? 0, after: '', limit: 10 };
        const need = transactions.supersedeNeed(slice, at);
        return plainly(await transact(need, (rows) => transactions.supersede(slice, rows)));
      }
      case 'update': {
        const update = { policy: { noResponse: 33, stalled: 44 } };
        const notes = { by: 'me', remark: null };
        try {
          const need = transactions.updateNeed(task ?? 0, at);
          const updated = await transact(need, (rows) => transactions.updateTask(update, notes, rows));
          await this.#calls.recount(task ?? 0, this.#now, this.#wall);
          return plainly(updated);
        } catch (error) {
          return (error as OtaError).code;
        }
      }
    }
  }

  async #move(what: 'cancel' | 'retry', task: number, tokens: readonly string[]): Promise<unknown> {
    const at = { wall: this.#wall, ticks: this.#now };
    const names = { tokens, anew: true };
    await this.#database.transact({ at, task }, () => ({ result: undefined, names }));
    const slice = { in: 'names', limit: 10 } as const;
    const need = transactions.moveNeed(task, slice, at);
    return this.#database.transact(need, (rows) => transactions.move(NAMED[what], slice, rows));
  }

  /** All that can be read. */
  async all(): Promise<unknown> {
    const database = this.#database;
    const { tasks } = await database.list({ page: 1, pageSize: 10 });
    const found: unknown[] = [plainly(tasks), plainly(await database.live())];
    for (const task of tasks) {
      const query = { task, status: null, search: '', page: 1, pageSize: 3 };
      found.push(
        plainly(await database.devices(query)),
        plainly(await database.devices({ ...query, page: 2 })),
      );
      for (const status of DEVICE_STATUSES) found.push(plainly(await database.devices({ ...query, status })));
      for (const token of TOKENS) found.push(await database.history(task.id, token));
      const { reasons, waves } = await database.numbers(task.id);
      found.push([...reasons].filter(([, n]) => n !== 0).sort(), waves);
      found.push(await database.ends(task.id), await database.log(task.id));
    }
    for (const module of MODULES) {
      found.push([...(await database.versions(module, TOKENS))].sort());
      found.push(await database.known({ module, after: '', limit: 10, since: 0 }));
      for (const version of ['v1', 'v2', 'v3']) {
        found.push(await database.countPending({ module, version }, TOKENS));
      }
    }
    const page = { page: 1, pageSize: 3 };
    const fleet = { ...page, module: null, version: null, search: '', labels: null };
    found.push(await database.fleet(fleet), await database.fleet({ ...fleet, page: 2 }));
    found.push(await database.fleet({ ...fleet, labels: { site: ['x'] } }));
    found.push([...(await database.labels(TOKENS))].sort());
    for (const token of TOKENS) found.push(plainly(await database.device(token, page)));
    return JSON.parse(JSON.stringify(found));
  }

  async #create({ version, module, policy, joining }: Extract<Call, { do: 'create' }>): Promise<null> {
    if (this.#ids.length === 4) return null;
    const { id: _, ...fields } = plan(0, version, { module, policy });
    const filter = { versions: null, labels: null, module: null };
    const task = {
      ...fields,
      taskId: `${this.#run}-${this.#ids.length}`,
      joining: joining ? { filter, max: 3 } : null,
      status: 'running',
      waves: 2,
    } as const;
    const known = await this.#database.versions(module, TOKENS);
    const devices = TOKENS.slice(0, joining ? 1 : 4).map((accessToken, order) => ({
      accessToken,
      source: known.get(accessToken)?.version ?? null,
      wave: (order % 2) + 1,
      order,
      at: this.#wall,
    }));
    const id = await this.#calls.create(task, devices);
    await this.#database.publish(id);
    await this.#calls.decide(id, ({ status }) => ({ status, reason: null, wave: 2 }), this.#wall, this.#now);
    this.#ids.push(id);
    return null;
  }
}

/** Without the numbers of rows, which are a database's own. */
function plainly(value: unknown): unknown {
  const text = JSON.stringify(value, (key, inner: unknown) => {
    if (key === 'id' && typeof inner === 'number') return 0;
    return key === 'plan' ? (inner as TaskPlan).taskId : inner;
  });
  return JSON.parse(text.replaceAll(/"task":\d+/g, '"task":0'));
}

const task = fc.nat(3);
const token = fc.constantFrom(...TOKENS);
const tokens = fc.subarray(TOKENS, { minLength: 1 });
const module = fc.constantFrom(...MODULES);
const version = fc.constantFrom('v1', 'v2', 'v3');
const one = <T extends string>(...names: T[]): fc.Arbitrary<T> => fc.constantFrom(...names);
const create = fc.record({
  do: one('create'),
  version,
  module,
  joining: fc.nat(3).map((n) => n === 0),
  policy: fc.record({
    success: one('progress', 'version'),
    offline: one('fail', 'wait'),
    retries: fc.nat(2),
    repush: fc.nat(2),
    perMinute: fc.constantFrom(0, 3),
    concurrency: fc.constantFrom(0, 2),
    skipCurrent: fc.boolean(),
  }),
});
const call: fc.Arbitrary<Call> = fc.oneof(
  { weight: 1, arbitrary: create },
  { weight: 5, arbitrary: fc.record({ do: one('claim'), task, limit: fc.constantFrom(1, 10) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: one('progress'),
      tokens,
      module: fc.option(module),
      step: fc.constantFrom(-3, -1, 5, 60, 100),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: one('inform'),
      token,
      module,
      version,
      id: one('1', '2'),
      retained: fc.nat(4).map((n) => n === 0),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: one('alive', 'seen', 'forget'), token }) },
  { weight: 1, arbitrary: fc.record({ do: one('label'), token, value: fc.constantFrom('x', 'y', null) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: one('answer'),
      push: fc.nat(5),
      on: one('accepted', 'offline', 'refused', 'push-timeout'),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: one('wait'), seconds: fc.constantFrom(1, 20, 150, 700, 2000) }) },
  { weight: 2, arbitrary: fc.record({ do: one('cancel', 'retry'), task, tokens }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: one('pause', 'resume', 'hide', 'restarted', 'update', 'supersede'), task }),
  },
);

describe('SQLite and PostgreSQL', function () {
  this.timeout(120_000 + RUNS * 10_000);
  const later = cleanup(after);
  let server: PostgresServer;

  before(async function () {
    requirePostgres(this);
    server = later(await startPostgresServer());
  });

  it('answer the same to any history of calls', async () => {
    const store = new PostgresStore({ url: server.url(), schema: 'ota', poolSize: 2, time: 'caller' });
    await store.open();
    let run = 0;
    try {
      const histories = fc.tuple(
        fc.array(create, { minLength: 2, maxLength: 3 }),
        fc.array(call, { maxLength: 50, size: 'max' }),
      );
      await fc.assert(
        fc.asyncProperty(histories, async ([start, history]) => {
          const name = `run-${(run += 1)}`;
          const file = new SqliteStore({ file: ':memory:' });
          file.open();
          const one = new Replay(file.tasks(name), name);
          const other = new Replay(store.tasks(name), name);
          try {
            for (const each of [...start, ...history]) {
              const [a, b] = [await one.call(each), await other.call(each)];
              assert.deepEqual(b, a, JSON.stringify(each));
            }
            assert.deepEqual(await other.all(), await one.all());
          } finally {
            file.close();
          }
        }),
        { numRuns: RUNS, endOnFailure: process.env['OTA_SHRINK'] !== '1' },
      );
    } finally {
      await store.close();
    }
  });
});

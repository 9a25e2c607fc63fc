/** The platform as ota-task has it, without Node-RED: connection, store, engine. Measures itself on order. */
import { createRequire } from 'node:module';
import path from 'node:path';
import type * as Link from '../../../nodes/lib/link';
import type * as Protocol from '../../../nodes/lib/protocol';
import type * as Hosts from '../../../nodes/lib/platform';
import type * as Commands from '../../../nodes/lib/tasks/commands';
import type * as Policies from '../../../nodes/lib/tasks/policy';
import type { TaskShape } from '../../../nodes/lib/tasks/shapes';
import type * as Stores from '../../../nodes/lib/tasks/database';
import type { Task } from '../../../nodes/lib/tasks/types';
import { PACKAGE, tokens, WINDOW } from './fleet';
import { beginMeasure, type Cost, memoryInUse } from './measure';
import { obey } from './orders';

export interface PlatformOrders {
  /** Upgrades everybody; answers what it cost from the first push to the last report. */
  readonly run: { order: { run: string; count: number }; answer: Cost };
  /** Creates a task that runs at once; answers when it was made, by the wall clock. */
  readonly begin: {
    order: { run: string; count: number; policy?: object };
    answer: { taskId: string; madeAt: number };
  };
  /** Begins to measure this process, and ends it. */
  readonly measure: { order: object; answer: object };
  readonly cost: { order: object; answer: Cost };
  readonly state: { order: { taskId: string }; answer: { status: string; pushed: number } };
  /** Creates a task that waits, of so many devices. */
  readonly create: { order: { run: string; count: number }; answer: Cost & { taskId: string } };
  /** Pushes to everybody, and returns when all were pushed. */
  readonly push: { order: { run: string; count: number }; answer: object };
  readonly memory: { order: object; answer: { bytes: number } };
  /** The quickest of some goes, in milliseconds. */
  readonly ask: { order: { payload: object; times: number }; answer: { ms: number } };
  readonly ready: { order: object; answer: { ms: number } };
  readonly stop: { order: object; answer: object };
}

/** What is shipped: run from its source, each function would carry what the loader of TypeScript adds to it. */
const require = createRequire(__filename);
const shipped = (name: string): unknown => require(path.resolve(__dirname, '../../../dist/nodes/lib', name));
const { Channel } = shipped('link') as typeof Link;
const { createScheme } = shipped('protocol') as typeof Protocol;
const { TaskHost } = shipped('platform') as typeof Hosts;
const { readCommand } = shipped('tasks/commands') as typeof Commands;
const { DEFAULT_POLICY } = shipped('tasks/policy') as typeof Policies;
const { PostgresStore, SqliteStore } = shipped('tasks/database') as typeof Stores;

/** The store: a file of SQLite, or the URL of PostgreSQL, which instances of a share group have together. */
const [url = '', file = '', shareGroup = ''] = process.argv.slice(2);
const store = file.startsWith('postgresql:')
  ? new PostgresStore({ url: file, schema: 'ota', poolSize: 8 })
  : new SqliteStore({ file });
const begun = performance.now();
const watchers = new Set<(task: Task) => void>();
const fail = (error: unknown): void => void process.stderr.write(`${String(error)}\n`);

const channel = new Channel({
  url,
  // An instance of several has as many reports unacknowledged as pushes.
  mqtt: {
    protocolVersion: 5,
    ...(shareGroup === '' ? {} : { properties: { receiveMaximum: WINDOW } }),
  },
  clientId: 'platform',
  persistent: true,
  window: WINDOW,
  scheme: createScheme('thingspanel'),
  shareGroup,
  onState: () => undefined,
  onSubscription: (_filter, error) => error !== null && fail(error),
  onFault: fail,
});
const host = new TaskHost({
  store,
  service: 'service',
  channel,
  startPaused: false,
});
const face: Parameters<Hosts.TaskHost['join']>[0] = {
  onChange: () => undefined,
  onTask: (task) => watchers.forEach((watch) => watch(task)),
  onTasks: () => undefined,
  onProblem: (error) => error !== null && fail(error),
  onSubscription: (error) => (error === null ? subscribed() : fail(error)),
  onRefused: ({ error }) => fail(error),
  onFirstReport: () => undefined,
};
let subscribed: () => void;
const ready = new Promise<void>((resolve) => (subscribed = resolve))
  .then(() => ask({ action: 'list' }))
  .then(() => ({ ms: performance.now() - begun }));

function ask<T extends object>(payload: object): Promise<T> {
  return host.command(readCommand(payload, DEFAULT_POLICY)) as Promise<T>;
}

const POLICY = { perMinute: 0, noResponse: 3600, confirm: 3600 };

function create(run: string, count: number, more: object = {}): Promise<TaskShape> {
  const targets = tokens(run, count);
  return ask({ action: 'create', name: run, package: PACKAGE, targets, policy: POLICY, ...more });
}

/** Resolves when the task is told in such a state. */
async function until(taskId: string, is: (task: Task) => boolean): Promise<void> {
  let watch: (task: Task) => void = () => undefined;
  await new Promise<void>((resolve) => {
    watch = (task) => task.taskId === taskId && is(task) && resolve();
    watchers.add(watch);
  });
  watchers.delete(watch);
}

let end = beginMeasure();
host.join(face);
obey<PlatformOrders>({
  ready: () => ready,
  async run({ run, count }) {
    const { taskId } = await create(run, count);
    const end = beginMeasure();
    await until(taskId, ({ status }) => status === 'ended');
    return end();
  },
  async begin({ run, count, policy = {} }) {
    const { taskId } = await create(run, count, { policy: { ...POLICY, ...policy } });
    return { taskId, madeAt: Date.now() };
  },
  measure() {
    end = beginMeasure();
    return {};
  },
  cost: () => end(),
  async state({ taskId }) {
    const { status, counts } = await ask<TaskShape>({ action: 'get', taskId });
    return { status, pushed: counts.pushed };
  },
  async create({ run, count }) {
    const targets = tokens(run, count);
    const payload = {
      action: 'create',
      package: PACKAGE,
      targets,
      policy: POLICY,
      startAt: '2999-01-01T00:00:00Z',
    };
    const end = beginMeasure();
    const { taskId } = await ask<TaskShape>(payload);
    return { ...end(), taskId };
  },
  async push({ run, count }) {
    const { taskId } = await create(run, count);
    await until(taskId, ({ counts }) => counts.pushed === count);
    return {};
  },
  memory: () => ({ bytes: memoryInUse() }),
  async ask({ payload, times }) {
    let best = Infinity;
    for (let i = 0; i < times; i += 1) {
      const asked = performance.now();
      await ask(payload);
      best = Math.min(best, performance.now() - asked);
    }
    return { ms: best };
  },
  async stop() {
    await host.leave(face, false);
    await channel.end({ endSession: false });
    return {};
  },
});

/** The transactions of tasks on a database, as calls in few words: what specifications are written in. */
import { waveEnds } from '../../../nodes/lib/tasks/machine';
import type { Awaitable, NewDevice, NewTask, TaskDatabase } from '../../../nodes/lib/tasks/database';
import * as transactions from '../../../nodes/lib/tasks/transactions';
import type { Policy, Task, Ticks } from '../../../nodes/lib/tasks/types';
import type { Event, ProgressReport, VersionReport } from '../../../nodes/lib/tasks/machine';
import { plan, WALL } from '../support';

export interface ClaimOptions {
  readonly now?: Ticks;
  readonly wall?: number;
  readonly limit?: number;
}

export interface MakeOptions {
  readonly version?: string;
  readonly module?: string;
  readonly policy?: Partial<Policy>;
  readonly source?: string | null;
  /** How many devices more it takes in, of whatever version. */
  readonly joins?: number;
}

/** The task of some devices. */
export interface Made {
  readonly task: Task;
  readonly calls: Calls;
}

/** Named devices, as a person cancels or retries them. */
export const NAMED = {
  cancel: { on: 'cancel', statuses: null, reasons: null, byName: true },
  retry: { on: 'retry', statuses: null, reasons: null, byName: true },
} as const;

let made = 0;
let ids = 0;

export class Calls {
  constructor(readonly database: TaskDatabase) {}

  report(reports: readonly transactions.Incoming[], now: Ticks = 0): Awaitable<transactions.Reported> {
    return this.database.transact(transactions.reportNeed(reports, { wall: WALL, ticks: now }), (rows) =>
      transactions.report(reports, rows),
    );
  }

  /** What became of the push of a device. */
  outcome(
    device: { readonly id: number; readonly accessToken: string },
    event: Event,
    wall = WALL,
  ): Awaitable<transactions.Reported> {
    const { id, accessToken } = device;
    return this.report([{ kind: 'outcome', device: id, accessToken, event, wall }], event.now);
  }

  claim(
    task: number,
    { now = 1000, wall = WALL, limit = 100 }: ClaimOptions = {},
  ): Awaitable<transactions.Claimed> {
    const rules = { task, limit, nextId: () => `id-${(ids += 1)}` };
    return this.database.transact(transactions.claimNeed(rules, { wall, ticks: now }), (rows) =>
      transactions.claim(rules, rows),
    );
  }

  due(now: Ticks, wall: number, limit: number): Awaitable<transactions.Due> {
    return this.database.transact(transactions.dueNeed({ wall, ticks: now }, limit), (rows) =>
      transactions.due(rows, limit),
    );
  }

  /** Counts all limits of a task anew, and ends what an update left to do. */
  async recount(task: number, now: Ticks, wall = WALL): Promise<void> {
    const at = { wall, ticks: now };
    const limited = [
      ...(['pushed', 'upgrading', 'succeeded'] as const).map((status) => ({ in: 'task', status }) as const),
      ...(['wait', 'delay'] as const).map((hold) => ({ in: 'hold', hold }) as const),
    ];
    for (const of of limited) {
      const slice = { ...of, after: '', limit: 1000 };
      const need = transactions.recountNeed(task, slice, at);
      await this.database.transact(need, (rows) => transactions.recount(slice, rows));
    }
    await this.database.transact({ at, task }, ({ task: found }) =>
      found === null || found.intent === null
        ? { result: null }
        : { result: null, task: transactions.stateOf({ ...found, intent: null }) },
    );
  }

  /** Moves named devices. */
  async move(
    task: number,
    tokens: readonly string[],
    on: 'cancel' | 'retry',
    now: Ticks = 0,
    wall = WALL,
  ): Promise<transactions.Moved> {
    const at = { wall, ticks: now };
    await this.database.transact({ at, task }, () => ({ result: undefined, names: { tokens, anew: true } }));
    const slice = { in: 'names', limit: tokens.length + 1 } as const;
    return this.database.transact(transactions.moveNeed(task, slice, at), (rows) =>
      transactions.move(NAMED[on], slice, rows),
    );
  }

  /** A device asks one task for its upgrade. */
  async ask(
    task: number,
    accessToken: string,
    now: Ticks = 0,
  ): Promise<{ readonly push: transactions.Push | null }> {
    const { pushes } = await this.askAll(task, [accessToken], now);
    return { push: pushes.get(accessToken) ?? null };
  }

  /** Devices ask one task for their upgrades. */
  askAll(task: number, accessTokens: readonly string[], now: Ticks = 0): Awaitable<transactions.Answered> {
    const rules = { task, accessTokens, nextId: () => `id-${(ids += 1)}` };
    return this.database.transact(transactions.answerNeed(rules, { wall: WALL, ticks: now }), (rows) =>
      transactions.answer(rules, rows),
    );
  }

  decide(task: number, rule: transactions.TaskRule, wall = WALL, now: Ticks = 0): Awaitable<Task | null> {
    return this.database.transact(transactions.taskNeed(task, { wall, ticks: now }), (rows) =>
      transactions.decideTask(rule, rows),
    );
  }

  /** Cancels a task, whatever its devices do, and hides it. True where that was done. */
  async hide(task: number, wall = WALL, now: Ticks = 0): Promise<boolean> {
    const over = { status: 'cancelled', reason: null, intent: null } as const;
    await this.decide(task, ({ wave }) => ({ ...over, wave }), wall, now);
    return this.database.hide(task);
  }

  /** After a start: pushes since a time go out again. */
  repeat(task: number, since: Ticks, now: Ticks): Awaitable<transactions.Repeated> {
    const need = transactions.repeatNeed(task, { since, after: '', limit: 100 }, { wall: WALL, ticks: now });
    return this.database.transact(need, (rows) => transactions.repeat(100, rows));
  }

  /** Not published yet. */
  async create(task: NewTask, devices: readonly NewDevice[]): Promise<number> {
    const id = await this.database.create(task, { wall: WALL, ticks: 0 });
    await this.database.add(id, devices);
    return id;
  }

  /** A running task of devices; any number of pushes a minute. */
  async make(tokens: readonly string[], options: MakeOptions = {}): Promise<Made> {
    made += 1;
    const { version = 'v2', source = 'v1' } = options;
    const { id: _, ...fields } = plan(0, version, {
      ...options,
      policy: { perMinute: 0, ...options.policy },
    });
    const filter = { versions: null, labels: null, module: null };
    const joining = options.joins === undefined ? null : { filter, max: options.joins };
    const ends = waveEnds(tokens.length, fields.policy.waves);
    const taskId = `task-${made}`;
    const id = await this.create(
      { ...fields, joining, taskId, status: 'running', waves: Math.max(1, ends.length) },
      tokens.map((accessToken, i) => ({
        accessToken,
        source,
        wave: ends.findIndex((end) => i < end) + 1,
        order: i,
        at: WALL,
      })),
    );
    await this.database.publish(id);
    return { task: await this.find(taskId), calls: this };
  }

  async find(taskId: string): Promise<Task> {
    const task = await this.database.task(taskId);
    if (task === null) throw new Error(`no task ${taskId}`);
    return task;
  }
}

export async function statuses({ task, calls }: Made): Promise<Record<string, string>> {
  const query = { task, status: null, search: '', page: 1, pageSize: 1000 };
  const { devices } = await calls.database.devices(query);
  return Object.fromEntries(devices.map((device) => [device.accessToken, device.status]));
}

export const progress = (
  accessToken: string,
  step: number,
  module: string | null = null,
): ProgressReport => ({
  kind: 'progress',
  accessToken,
  module,
  step,
  desc: '',
  wall: WALL,
});

export const inform = (accessToken: string, version: string, module = 'default'): VersionReport => ({
  kind: 'inform',
  accessToken,
  module,
  version,
  id: null,
  wall: WALL,
});

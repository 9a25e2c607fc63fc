/** An engine on a store in memory, with its time and its devices in the test's hands. */
import assert from 'node:assert/strict';
import { readCommand } from '../../../nodes/lib/tasks/commands';
import { createScheme, type Outcome } from '../../../nodes/lib/protocol';
import { Engine, type Time } from '../../../nodes/lib/tasks/engine';
import type { Report } from '../../../nodes/lib/tasks/machine';
import { DEFAULT_POLICY } from '../../../nodes/lib/tasks/policy';
import {
  type ChangeShape,
  changeShape,
  type DeviceShape,
  type TaskShape,
  taskShape,
} from '../../../nodes/lib/tasks/shapes';
import { SqliteStore } from '../../../nodes/lib/tasks/database';
import { stateOf } from '../../../nodes/lib/tasks/transactions';
import type { Intent, Policy } from '../../../nodes/lib/tasks/types';
import { WALL } from '../support';

export interface Sent {
  readonly accessToken: string;
  readonly id: string;
  readonly version: string;
  readonly url: string;
  /** Seconds. */
  readonly expiry: number;
  readonly settled: (outcome: Outcome) => void;
}

export const PACKAGE = {
  version: 'v2',
  url: 'http://127.0.0.1/v2.bin',
  size: 4,
  sign: '0'.repeat(32),
  signMethod: 'Md5',
};

export class Platform {
  readonly store: SqliteStore;
  readonly changes: ChangeShape[] = [];
  readonly told: TaskShape[] = [];
  readonly problems: (string | null)[] = [];
  sent: Sent[] = [];
  /** Upgrades that were given in answer to a question. */
  readonly answered: Sent[] = [];
  wallNow = WALL;
  steadyNow = 0;
  readonly #time: Time = { wall: () => this.wallNow, steady: () => this.steadyNow };
  engine!: Engine;

  constructor(file = ':memory:', maxDevices = 500, more: { busyMs?: number } = {}) {
    this.store = new SqliteStore({ file, maxDevices, ...more });
    this.store.open();
  }

  async start(options?: { paused: boolean }): Promise<this> {
    this.engine = new Engine({
      database: this.store.tasks('s'),
      time: this.#time,
      everyMs: 0,
      link: {
        isDevice: (identity) => createScheme('thingspanel').identity.is(identity),
        prepare: (upgrade) => createScheme('thingspanel').prepare(upgrade),
        publish: (accessToken, push, settled, { expiry }) => {
          const body = push.upgrade.push(push.id);
          const { id, params } = JSON.parse(body) as { id: string; params: { version: string; url: string } };
          this.sent.push({ accessToken, id, ...params, expiry, settled });
        },
      },
    });
    this.engine.listen({
      onChange: (change) => this.changes.push(changeShape(change)),
      onTask: (task) => this.told.push(taskShape(task, this.engine.moment())),
      onProblem: (error) => this.problems.push(error?.code ?? null),
    });
    await this.engine.start(options);
    return this;
  }

  /** Connected, and through with what the broker had kept. */
  async connect(): Promise<this> {
    this.engine.setConnected(true);
    await this.wait(3);
    return this;
  }

  /** Time passes; the engine looks at it every second. */
  async wait(seconds: number): Promise<void> {
    for (let left = seconds; left > 0; left -= 1) {
      const step = Math.min(1, left) * 1000;
      this.wallNow += step;
      this.steadyNow += step;
      await this.engine.runScheduler();
    }
  }

  async run(payload: object): Promise<object> {
    return this.engine.command(readCommand(payload, DEFAULT_POLICY));
  }

  async create(targets: unknown, policy: Partial<Policy> = {}, more: object = {}): Promise<TaskShape> {
    return (await this.run({ action: 'create', package: PACKAGE, targets, policy, ...more })) as TaskShape;
  }

  hear(...reports: Report[]): void {
    const committers = new Set<{ commit(): void | Promise<void> }>();
    const batch = {
      join: (one: { commit(): void | Promise<void> }) => committers.size < committers.add(one).size,
    };
    for (const report of reports) this.engine.enqueue(report, batch);
    for (const committer of committers) void committer.commit();
  }

  /** A device asks for its upgrade: the version that it is answered, or null. */
  async ask(accessToken: string, module: string | null = null): Promise<string | null> {
    const committers = new Set<{ commit(): void | Promise<void> }>();
    const batch = {
      join: (one: { commit(): void | Promise<void> }) => committers.size < committers.add(one).size,
    };
    let answered: string | null | undefined;
    const question = { id: '123', numericId: false, module, version: null };
    this.engine.ask(
      {
        accessToken,
        module,
        reply: (upgrade, settled, { expiry = 0 }) => {
          if (upgrade === null) {
            answered = null;
            return;
          }
          const { id, params } = JSON.parse(upgrade.answer(question)) as {
            id: string;
            params: { version: string; url: string };
          };
          answered = params.version;
          this.answered.push({ accessToken, id, ...params, expiry, settled });
        },
      },
      batch,
    );
    for (const committer of committers) await committer.commit();
    assert.notEqual(answered, undefined, 'no answer');
    return answered ?? null;
  }

  progress(accessToken: string, step: number): void {
    this.hear({ kind: 'progress', accessToken, module: null, step, desc: '', wall: this.wallNow });
  }

  inform(accessToken: string, version: string): void {
    this.hear({ kind: 'inform', accessToken, module: 'default', version, id: null, wall: this.wallNow });
  }

  /** What a command leaves in the store that is killed before the first device was moved. */
  async leave({ taskId }: TaskShape, intent: Intent, tokens: readonly string[]): Promise<void> {
    const tasks = this.store.tasks('s');
    const found = tasks.task(taskId);
    assert.ok(found);
    await tasks.transact({ at: { wall: this.wallNow, ticks: 0 }, task: found.id }, () => ({
      result: undefined,
      task: { ...stateOf(found), intent },
      names: { tokens, anew: true },
    }));
  }

  async task({ taskId }: TaskShape): Promise<TaskShape> {
    return (await this.run({ action: 'get', taskId })) as TaskShape;
  }

  async devices({ taskId }: TaskShape): Promise<Record<string, string>> {
    const found = (await this.run({ action: 'devices', taskId, pageSize: 1000 })) as {
      devices: DeviceShape[];
    };
    return Object.fromEntries(
      found.devices.map((d) => [d.accessToken, d.reason === null ? d.status : `${d.status} ${d.reason}`]),
    );
  }

  tokens(): string[] {
    return this.sent.map((push) => push.accessToken).sort();
  }

  async restart(): Promise<void> {
    await this.start();
    await this.connect();
  }
}

/** Gives each test a platform of its own that is connected. */
export function useConnectedPlatform(take: (platform: Platform) => void): void {
  let platform: Platform;
  beforeEach(async () => {
    platform = await (await new Platform().start()).connect();
    take(platform);
  });
  afterEach(async () => {
    await platform.engine.stop();
    platform.store.close();
  });
}

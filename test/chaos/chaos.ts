/**
 * One run of the chaos test: two hundred devices, tasks that come and go, faults one after the other, and then quiet,
 * in which everything must come to its end. What is wrong comes back as sentences.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { Device, HABITS } from './device';
import {
  type Deed,
  type Disturbance,
  judge,
  type RowSeen,
  storyOf,
  type TaskPolicy,
  type TaskSeen,
} from './oracle';
import { type Answer, Platform } from './platform';
import { Random } from './random';

export interface ChaosOptions {
  readonly seed: number;
  /** How long faults and commands go on; the quiet after them comes on top. */
  readonly seconds: number;
  readonly protocolVersion: 4 | 5;
  readonly devices?: number;
  /** Longest time for which a device is waited for, seconds: the quiet at the end takes as long. */
  readonly waitLimit?: number;
  /** Seconds that devices have more for each thing. Default: 0. */
  readonly patience?: number;
  readonly log?: (line: string) => void;
}

const HEALTHY_MS = 60_000;
/** Devices whose story is told, where something is wrong with them. */
const MAX_STORIES = 5;
/** The quiet at the end lasts for so long at least, where not all has ended before. */
const QUIET_MS = 150_000;
/**
 * And for so long after the last device that ended: the limits of one task, all of its retries. A silent device that
 * several tasks wait for is waited for by one after the other, the newest first.
 */
const STEP_MS = 90_000;

export async function runChaos(options: ChaosOptions): Promise<string[]> {
  const run = new ChaosRun(options, await Platform.start(options.protocolVersion));
  try {
    return await run.run();
  } finally {
    await run.stop();
  }
}

class ChaosRun {
  readonly #options: ChaosOptions;
  readonly #platform: Platform;
  readonly #random: Random;
  readonly #devices: Device[];
  readonly #deeds: Deed[] = [];
  readonly #disturbances: Disturbance[] = [];
  readonly #versions = new Map<string, { version: string; policy: TaskPolicy }>();
  readonly #violations: string[] = [];
  #version = 0;
  readonly #delay = monitorEventLoopDelay();
  #faults = true;

  constructor(options: ChaosOptions, platform: Platform) {
    this.#options = options;
    this.#platform = platform;
    this.#random = new Random(options.seed);
    this.#devices = Array.from({ length: options.devices ?? 200 }, (_, i) => {
      const habit = HABITS[i % HABITS.length] ?? 'good';
      return new Device({
        url: platform.broker.url,
        token: `d${i}`,
        habit,
        protocolVersion: options.protocolVersion,
        keepsSession: this.#random.chance(0.3),
        random: new Random(options.seed * 1000 + i),
      });
    });
  }

  async run(): Promise<string[]> {
    this.#delay.enable();
    for (const device of this.#devices) device.start();
    const end = Date.now() + this.#options.seconds * 1000;
    const faults = this.#bringFaults(end);
    const watching = this.#watch();
    await this.#command(end);
    await faults;
    await this.#platform.setClock(0);
    this.#say('quiet');
    await this.#becomesHealthy();
    await Promise.all(this.#devices.map((device) => device.settle()));
    await this.#comesToEnd();
    this.#faults = false;
    await watching;
    const tasks = await this.#tasks();
    const slack = 3 * (this.#delay.max / 1e6);
    const happened = { deeds: this.#deeds, disturbances: this.#disturbances, slack };
    const found = [
      ...this.#violations,
      ...judge(tasks, this.#devices, happened),
      ...this.#platform.complaints,
    ];
    const tokens = new Set(found.flatMap((text) => text.match(/\bd\d+\b/g) ?? []));
    for (const token of [...tokens].slice(0, MAX_STORIES)) {
      this.#say(`the story of ${token}:`);
      for (const line of storyOf(token, tasks, this.#devices, happened)) this.#say(`  ${line}`);
    }
    return found;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#devices.map((device) => device.stop().catch(() => undefined)));
    await this.#platform.stop();
  }

  async #bringFaults(end: number): Promise<void> {
    const platform = this.#platform;
    const random = this.#random;
    const faults: readonly [string, () => Promise<void> | void][] = [
      ['kill', () => platform.kill()],
      ['stop and start', () => platform.restart()],
      ['deploy full', () => platform.deploy('full')],
      ['deploy nodes', () => platform.deploy('nodes')],
      ['deploy flows', () => platform.deploy('flows')],
      ['cut', () => platform.cut()],
      ['cut', () => platform.cut()],
      ['blackhole', () => platform.blackhole(random.between(1000, 7000))],
      ['broker away', () => platform.restartBroker(random.between(100, 3000))],
      ['store locked', () => platform.lockStore(random.between(500, 6000))],
      ['disk full', () => platform.fillDisk(random.between(500, 4000))],
      ['clock', () => platform.setClock(random.one([-3600, 0, 0, 3600, -40 * 86_400, 86_400]))],
    ];
    while (Date.now() < end) {
      await sleep(random.between(500, 3000));
      const [name, bring] = random.one(faults);
      this.#say(name);
      const from = Date.now();
      try {
        await bring();
      } catch (error) {
        // A deploy that meets a kill, say: whether all is well is seen afterwards.
        this.#say(`${name}: ${String(error).slice(0, 200)}`);
      }
      // A connection that is made anew takes its time, and what waited is sent then.
      this.#disturbances.push({ name, from, to: Date.now() + 5000 });
    }
  }

  async #command(end: number): Promise<void> {
    const random = this.#random;
    await this.#create();
    while (Date.now() < end) {
      await sleep(random.between(500, 2500));
      const ids = [...this.#versions.keys()];
      const taskId = ids.length === 0 ? '' : random.one(ids);
      const roll = random.next();
      if (ids.length < 3 || (roll < 0.12 && ids.length < 8)) await this.#create();
      else if (roll < 0.3) await this.#do('pause', taskId);
      else if (roll < 0.6) await this.#do('resume', taskId);
      else if (roll < 0.75) await this.#do('retry', taskId);
      else if (roll < 0.85) await this.#do('retry', taskId, random.some(this.#tokens(), 20));
      else if (roll < 0.95) await this.#do('cancel', taskId, random.some(this.#tokens(), 5));
      else await this.#do('cancel', taskId);
    }
  }

  #tokens(): string[] {
    return this.#devices.map(({ token }) => token);
  }

  async #create(): Promise<void> {
    const random = this.#random;
    const version = `v${(this.#version += 1)}`;
    const more = this.#options.patience ?? 0;
    const policy = {
      success: random.one(['progress', 'version'] as const),
      offline: random.one(['fail', 'wait'] as const),
      waitLimit: this.#options.waitLimit ?? 40,
      repush: 2,
      noResponse: random.between(6, 10) + more,
      stalled: 10 + more,
      confirm: 6 + more,
      retries: random.between(0, 2),
      retryDelay: 1,
      perMinute: random.one([0, 3000]),
      waves: random.one([[100], [10, 100]]),
      successThreshold: 0,
      maxWaiting: 100,
    };
    const answer = await this.#ask({
      action: 'create',
      name: version,
      package: { version, url: `http://127.0.0.1/${version}`, size: 4, sign: '0'.repeat(32) },
      targets: random.some(this.#tokens(), random.between(60, this.#devices.length)),
      policy,
    });
    if (answer?.ok === true) this.#versions.set(String(answer.payload['taskId']), { version, policy });
    // Nobody heard the answer: the list tells whether it was made.
    if (answer === null) this.#pending.set(version, policy);
  }

  readonly #pending = new Map<string, TaskPolicy>();

  async #do(action: string, taskId: string, accessTokens?: readonly string[]): Promise<void> {
    this.#deeds.push({ at: Date.now(), action, taskId, tokens: accessTokens ?? null });
    await this.#ask({ action, taskId, ...(accessTokens === undefined ? {} : { accessTokens }) });
    this.#deeds.push({ at: Date.now(), action, taskId, tokens: accessTokens ?? null });
  }

  async #ask(payload: Record<string, unknown>): Promise<Answer> {
    const answer = await this.#platform.ask(payload);
    if (answer?.ok === false && !EXPECTED.has(answer.code)) {
      this.#violations.push(`${String(payload['action'])} answered ${answer.code}`);
    }
    return answer;
  }

  /** Looks now and then whether a device is active twice. */
  async #watch(): Promise<void> {
    while (this.#faults) {
      await sleep(2000);
      const active = new Map<string, string>();
      for (const [taskId] of [...this.#versions]) {
        for (const status of ['pushed', 'upgrading']) {
          const answer = await this.#platform.ask(
            { action: 'devices', taskId, status, pageSize: 1000 },
            5000,
          );
          if (answer?.ok !== true) continue;
          for (const { accessToken, attempt } of answer.payload['devices'] as RowSeen[]) {
            const other = active.get(accessToken);
            // Between two questions it may have gone from one to the other: seen again the next time, it is twice.
            const pair = `${accessToken} ${attempt} is active in ${other ?? ''} and ${taskId}`;
            if (other !== undefined && other !== taskId) {
              if (this.#twice.has(pair)) this.#violations.push(pair);
              this.#twice.add(pair);
            }
            active.set(accessToken, taskId);
          }
        }
      }
    }
  }

  readonly #twice = new Set<string>();

  async #becomesHealthy(): Promise<void> {
    const limit = Date.now() + HEALTHY_MS;
    for (;;) {
      const answer = await this.#platform.ask({ action: 'list', pageSize: 100 }, 5000);
      if (answer?.ok === true) {
        for (const task of answer.payload['tasks'] as { taskId: string; name: string }[]) {
          const policy = this.#pending.get(task.name);
          if (policy !== undefined) this.#versions.set(task.taskId, { version: task.name, policy });
        }
        return;
      }
      if (Date.now() > limit) {
        this.#violations.push(`not healthy within ${HEALTHY_MS / 1000} s: ${JSON.stringify(answer)}`);
        return;
      }
      await sleep(500);
    }
  }

  /** A person goes on with what is paused, and opens what waits for one: all else ends by itself. */
  async #comesToEnd(): Promise<void> {
    let limit = Date.now() + QUIET_MS;
    let fewest = Infinity;
    while (Date.now() < limit) {
      let open = 0;
      let unfinished = 0;
      for (const taskId of this.#versions.keys()) {
        const answer = await this.#platform.ask({ action: 'get', taskId });
        const task = answer?.ok === true ? answer.payload : {};
        const counts = (task['counts'] ?? {}) as Record<string, number>;
        const left = (counts['pending'] ?? 0) + (counts['pushed'] ?? 0) + (counts['upgrading'] ?? 0);
        unfinished += left;
        if (task['status'] === 'paused') await this.#platform.ask({ action: 'resume', taskId });
        if (left > 0 || task['status'] === 'running' || task['status'] === 'paused') open += 1;
        const gate = (task['gate'] ?? null) as { waitsFor: string } | null;
        if (gate?.waitsFor === 'waiting') await this.#platform.ask({ action: 'advance', taskId });
      }
      if (open === 0) {
        // Refutations and confirmations of what just ended.
        await sleep(8000);
        return;
      }
      if (unfinished < fewest) limit = Math.max(limit, Date.now() + STEP_MS);
      fewest = Math.min(fewest, unfinished);
      await sleep(1000);
    }
  }

  async #tasks(): Promise<TaskSeen[]> {
    const tasks: TaskSeen[] = [];
    for (const [taskId, { version, policy }] of this.#versions) {
      const got = await this.#need({ action: 'get', taskId });
      const listed = await this.#need({ action: 'devices', taskId, pageSize: 1000 });
      const rows: RowSeen[] = [];
      for (const row of listed['devices'] as RowSeen[]) {
        const { events } = await this.#need({ action: 'history', taskId, accessToken: row.accessToken });
        rows.push({ ...row, history: events as RowSeen['history'] });
      }
      const counts = got['counts'] as Record<string, number>;
      tasks.push({ taskId, version, policy, status: String(got['status']), counts, rows });
    }
    return tasks.sort((a, b) => Number(a.version.slice(1)) - Number(b.version.slice(1)));
  }

  async #need(payload: Record<string, unknown>): Promise<Record<string, unknown>> {
    for (let tries = 0; tries < 20; tries += 1) {
      const answer = await this.#platform.ask(payload);
      if (answer?.ok === true) return answer.payload;
      await sleep(500);
    }
    throw new Error(`no answer to ${JSON.stringify(payload)}:\n${this.#platform.log.slice(-20).join('\n')}`);
  }

  #say(text: string): void {
    this.#options.log?.(`seed ${this.#options.seed}: ${text}`);
  }
}

/** A command may come where its task can't take it, and while the store is away. */
const EXPECTED: ReadonlySet<string> = new Set([
  'OTA_TASK_STATE',
  'OTA_NO_TASK',
  'OTA_STORE_BUSY',
  'OTA_STORE_FAILED',
  'OTA_DISK_FULL',
  'OTA_NOT_CONNECTED',
]);

/**
 * A rollout to which anything happens, seen from outside by the answers of commands, and judged after each step by
 * the rules of the documentation, told here in other words than the code's: when a wave may open, who may be pushed
 * to, that nobody is taken in twice, that what is cancelled stays so.
 */
import assert from 'node:assert/strict';
import type { DeviceShape, TaskDetails, TaskShape } from '../../../nodes/lib/tasks/shapes';
import type { Policy } from '../../../nodes/lib/tasks/types';
import { Platform } from './engine-platform';

export type RolloutEvent =
  | { do: 'report'; tokens: readonly string[]; version: string }
  /** Of the device of a push, counted from the last one. */
  | { do: 'progress'; push: number; step: number }
  | { do: 'offline'; push: number }
  | { do: 'wait'; seconds: number }
  | { do: 'advance' | 'pause' | 'resume' }
  | { do: 'cancel-device'; token: string }
  /** Devices report while the command is carried out, after so many turns of the queue of promises. */
  | { do: 'cancel'; tokens: readonly string[]; turns: number };

export interface RolloutPlan {
  readonly policy: Partial<Policy>;
  /** null: `named` are in it. */
  readonly joining: { readonly max: number } | null;
  readonly named: readonly string[];
}

/** Whether a person opened a wave in this step. */
const OPENS: ReadonlySet<string> = new Set(['advance', 'resume']);
const ENDED: ReadonlySet<string> = new Set(['succeeded', 'failed', 'cancelled']);

export class RolloutWorld {
  readonly #platform = new Platform();
  #task!: TaskShape;
  #plan!: RolloutPlan;
  #before!: TaskDetails;
  /** When the gate of a wave was seen open first, seconds. */
  readonly #reached = new Map<number, number>();
  #now = 0;
  #looked = 0;
  /** How many devices a task had that was cancelled. */
  #final: number | null = null;

  async begin(plan: RolloutPlan): Promise<void> {
    const platform = await (await this.#platform.start()).connect();
    this.#plan = plan;
    const { joining, named, policy } = plan;
    const targets = joining === null ? named : { versions: ['v1'], joining: true, ...joining };
    this.#task = await platform.create(targets, { perMinute: 0, confirm: 60, ...policy });
    this.#before = await this.#get();
    await this.#look('wait');
  }

  async happen(event: RolloutEvent): Promise<void> {
    const platform = this.#platform;
    switch (event.do) {
      case 'report':
        this.#report(event.tokens, event.version);
        break;
      case 'progress': {
        const push = platform.sent.at(-1 - event.push);
        if (push !== undefined) platform.progress(push.accessToken, event.step);
        break;
      }
      case 'offline':
        platform.sent.at(-1 - event.push)?.settled({ delivery: 'offline', error: null });
        break;
      case 'wait':
        for (let i = 1; i < event.seconds; i += 1) await this.#look('wait');
        break;
      case 'cancel':
        await this.#cancelled(event.tokens, event.turns);
        break;
      case 'cancel-device':
        await this.#command('cancel', { accessTokens: [event.token] });
        break;
      default:
        await this.#command(event.do);
    }
    await this.#look(event.do);
  }

  async end(): Promise<void> {
    await this.#platform.engine.stop();
    this.#platform.store.close();
  }

  async #cancelled(tokens: readonly string[], turns: number): Promise<void> {
    const cancelled = this.#command('cancel');
    for (let i = 0; i < turns; i += 1) await Promise.resolve();
    this.#report(tokens, 'v1');
    await cancelled;
  }

  /** In one batch, as from a broker. */
  #report(tokens: readonly string[], version: string): void {
    const own = { module: 'default', version, id: null, wall: this.#platform.wallNow };
    this.#platform.hear(...tokens.map((accessToken) => ({ kind: 'inform', accessToken, ...own }) as const));
  }

  /** What isn't possible now is refused; nothing else may go wrong. */
  async #command(action: string, more: object = {}): Promise<void> {
    try {
      await this.#platform.run({ action, taskId: this.#task.taskId, ...more });
    } catch (error) {
      assert.equal((error as { code?: string }).code, 'OTA_TASK_STATE', String(error));
    }
  }

  async #get(): Promise<TaskDetails> {
    return (await this.#platform.run({ action: 'get', taskId: this.#task.taskId })) as TaskDetails;
  }

  /** A second goes by, and everything is judged. */
  async #look(cause: string): Promise<void> {
    this.#now += 1;
    const changed = this.#platform.changes.length;
    await this.#platform.wait(1);
    const { taskId } = this.#task;
    const asked = { action: 'devices', taskId, pageSize: 1000 };
    const { devices: rows } = (await this.#platform.run(asked)) as { devices: DeviceShape[] };
    const task = await this.#get();
    this.#judgeRows(rows, task);
    this.#judgePushes(rows, task);
    this.#judgeWaves(rows, task, cause);
    for (const { from, to } of this.#platform.changes.slice(changed)) {
      assert.ok(!(ENDED.has(from) && to === 'pending'), 'a device is taken in again');
    }
    this.#before = task;
  }

  #judgeRows(rows: readonly DeviceShape[], { status, counts }: TaskDetails): void {
    const tokens = rows.map(({ accessToken }) => accessToken);
    assert.equal(new Set(tokens).size, tokens.length, 'a device stands in the task twice');
    assert.equal(counts.total, tokens.length, 'the task counts other devices than it has');
    assert.ok(tokens.length <= (this.#plan.joining?.max ?? Infinity), 'more devices than "max"');
    if (status !== 'cancelled') return;
    const open = rows.filter((row) => !ENDED.has(row.status));
    assert.deepEqual(open, [], 'a cancelled task has an open device');
    this.#final ??= tokens.length;
    assert.equal(tokens.length, this.#final, 'a cancelled task takes a device in');
  }

  #judgePushes(rows: readonly DeviceShape[], task: TaskDetails): void {
    const pushes = this.#platform.sent.slice(this.#looked);
    this.#looked += pushes.length;
    const told = this.#platform.told.splice(0).map(({ status }) => status);
    const runs = [this.#before.status, ...told].includes('running');
    for (const { accessToken } of pushes) {
      const row = rows.find((one) => one.accessToken === accessToken);
      assert.ok(row !== undefined, 'a push to a device that is in no task');
      assert.ok(row.wave <= task.wave, `a push to wave ${row.wave} while wave ${task.wave} is open`);
      assert.ok(runs, `a push while the task is ${task.status}`);
    }
  }

  #judgeWaves(rows: readonly DeviceShape[], task: TaskDetails, cause: string): void {
    const { waves, soak, afterWave } = task.policy;
    const joins = this.#plan.joining !== null;
    for (let wave = 1; wave < waves.length; wave += 1) {
      if (
        mayOpen(
          rows.filter((row) => row.wave === wave),
          task.policy,
          joins,
        ) &&
        !this.#reached.has(wave)
      ) {
        this.#reached.set(wave, this.#now);
      }
    }
    if (task.status === 'ended' || task.status === 'cancelled') return;
    const byPerson = OPENS.has(cause) ? 1 : 0;
    for (let wave = this.#before.wave + byPerson; wave < task.wave; wave += 1) {
      const own = rows.filter((row) => row.wave === wave);
      const what = `wave ${wave + 1} opened: ${JSON.stringify(own.map(({ status, hold }) => [status, hold]))}`;
      assert.ok(mayOpen(own, task.policy, joins), what);
      if (own.length === 0) continue;
      assert.equal(afterWave, 'next', `${what}, without the person it waits for`);
      // A command may have reached it up to a second before it was seen.
      const soaked = this.#now - (this.#reached.get(wave) ?? Infinity) + 1;
      assert.ok(soaked >= soak, `${what}, before the soak time`);
    }
  }
}

/** What the documentation says of a gate. */
function mayOpen(rows: readonly DeviceShape[], policy: Policy, joins: boolean): boolean {
  if (rows.length === 0) return !joins;
  const number = (fits: (row: DeviceShape) => boolean): number => rows.filter(fits).length;
  const succeeded = number(({ status }) => status === 'succeeded');
  const failed = number(({ status }) => status === 'failed');
  const cancelled = number(({ status }) => status === 'cancelled');
  if (policy.waveAdvance === 'threshold') {
    return succeeded * 100 >= policy.successThreshold * (rows.length - cancelled);
  }
  const sleepers = number(({ hold }) => hold === 'wait');
  if (succeeded + failed + cancelled + sleepers < rows.length) return false;
  if (sleepers > 0 && succeeded === 0) return false;
  if (sleepers > 0 && sleepers / rows.length > policy.maxWaiting / 100) return false;
  return succeeded * 100 >= policy.successThreshold * (succeeded + failed);
}

/**
 * Commands that move many devices of a task, in slices. What a person decided is written before the first device is
 * moved, as the task's intent; who finds it after a kill, a deploy or a restart finishes it. Owns how an intent is
 * taken, carried out and ended, and that instances do so one after the other. Must run while nobody else of this
 * instance works on the task, see `Scheduler.whileLocked`.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { OtaError } from '../../protocol';
import { checkTargets } from '../commands';
import { baseOf, openDevices, resumed } from '../machine';
import { addNames, intentNeed, takeIntent, takeOverIntent, type TaskChange } from '../transactions';
import type { DeviceStatus, Intent, Task } from '../types';
import type { Lane } from './lane';
import type { MovedDevices, TaskWrites } from './task-writes';
import { EventLoopYielder, SLICE } from './yielder';

/** How long a command waits for one that another instance carries out, … */
const WAIT_MS = 20_000;
/** …and how often it looks. */
const LOOK_MS = 100;

export class Intents {
  readonly #lane: Lane;
  readonly #writes: TaskWrites;

  constructor(lane: Lane, writes: TaskWrites) {
    this.#lane = lane;
    this.#writes = writes;
  }

  /**
   * Takes an intent and carries it out.
   * @param accessTokens the devices that it is for; null: all in its states
   * @throws OtaError OTA_BAD_INPUT for a token that is none, before anything is changed; OTA_STORE_BUSY where another
   * instance works on the task for too long; what `nothing` makes where no device could be moved
   */
  async run(
    task: Task,
    intent: Intent,
    accessTokens: readonly unknown[] | null,
    nothing: () => OtaError,
  ): Promise<MovedDevices> {
    const slices = accessTokens === null ? null : await slicesOf(accessTokens);
    if (slices === null && !(intent.statuses ?? []).some((name) => hasSome(task, name))) throw nothing();
    const own: Intent = { ...intent, id: randomUUID() };
    const [first = null, ...others] = slices ?? [];
    const isWhole = others.length === 0;
    if (!(await this.#take(task, isWhole ? own : { ...own, naming: true }, first))) throw nothing();
    await this.#name(task, own, others);
    const moved = await this.finish(task, own);
    // Where another instance has taken it over, that one has moved the rest.
    if (moved.moved === 0 && !moved.lost) throw nothing();
    return moved;
  }

  /**
   * Carries out what is left of a task's intent.
   * @returns false where another instance that lives is at it
   */
  async finishLeft(task: Task): Promise<boolean> {
    const id = randomUUID();
    const { elsewhere, intent } = await this.#lane.transact(
      (at) => intentNeed(task.id, at),
      (rows) => takeOverIntent(id, rows),
    );
    if (intent !== null) await this.finish(task, intent);
    return !elsewhere;
  }

  /** The same; waits for another instance. @throws OtaError OTA_STORE_BUSY where that takes too long */
  async clear(task: Task): Promise<void> {
    const deadline = performance.now() + WAIT_MS;
    while (!(await this.finishLeft(task))) {
      if (performance.now() >= deadline) throw busy();
      await sleep(LOOK_MS);
    }
  }

  /** False where the task isn't there any more. */
  async #take(task: Task, intent: Intent, tokens: readonly string[] | null): Promise<boolean> {
    for (;;) {
      const taken = await this.#lane.transact(
        (at) => intentNeed(task.id, at),
        (rows) => takeIntent(intent, tokens, rows),
      );
      if (taken !== 'occupied') return taken === 'taken';
      await this.clear(task);
    }
  }

  /** Names the other devices of an intent: with the last of them it is accepted. */
  async #name(task: Task, own: Intent, slices: readonly (readonly string[])[]): Promise<void> {
    const yielder = new EventLoopYielder();
    for (const [i, tokens] of slices.entries()) {
      const intent: Intent = i === slices.length - 1 ? own : { ...own, naming: true };
      const isMine = await this.#lane.transact(
        (at) => intentNeed(task.id, at),
        (rows) => addNames(intent, tokens, rows),
      );
      if (!isMine) throw busy();
      await yielder.next();
    }
  }

  /** Carries out an intent that was taken. */
  async finish(task: Task, intent: Intent): Promise<MovedDevices> {
    const moved = await this.#writes.move(task, intent);
    if (moved.lost) return moved;
    await this.#writes.decide(task.id, (now, _wave, at) =>
      now.intent?.id === intent.id ? { ...ended(now, intent, moved.moved > 0, at.wall), intent: null } : null,
    );
    return moved;
  }
}

/** All are looked at before the first is written; each is named once. */
async function slicesOf(accessTokens: readonly unknown[]): Promise<string[][]> {
  const yielder = new EventLoopYielder();
  const slices: string[][] = [];
  const named = new Set<string>();
  for (let from = 0; from < accessTokens.length; from += SLICE) {
    const tokens = checkTargets(accessTokens.slice(from, from + SLICE), 'accessTokens', from).filter(
      (token) => named.size < named.add(token).size,
    );
    if (tokens.length > 0) slices.push(tokens);
    await yielder.next();
  }
  return slices;
}

/** Another instance holds the task for too long. */
export function busy(): OtaError {
  return new OtaError(
    'OTA_STORE_BUSY',
    'Another instance still carries out a command on this task. Nothing was done: send this one again later.',
  );
}

function hasSome({ counts }: Task, status: DeviceStatus): boolean {
  return counts[status] > 0;
}

/** What becomes of the task when its devices were moved. */
function ended(task: Task, { on }: Intent, isMoved: boolean, wall: number): TaskChange {
  const { status, reason, wave, soakFrom, base } = task;
  const same = { status, reason, wave, soakFrom };
  if (on !== 'retry') return same;
  // A task that was over runs again, or waits for its time again.
  if (status === 'ended' || status === 'cancelled') {
    // Whoever moved them may be gone since; what a cancel had left was cancelled before.
    return isMoved || openDevices(task.counts) > 0 ? { ...resumed(task, wall), base: baseOf(task) } : same;
  }
  // Thresholds forget the devices that were taken back.
  return { ...same, base: { succeeded: base.succeeded, failed: Math.min(base.failed, baseOf(task).failed) } };
}

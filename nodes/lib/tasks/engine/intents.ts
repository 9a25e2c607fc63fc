/**
 * Commands that move many devices of a task, in slices. What a person decided is written before the first device is
 * moved, as the task's intent; who finds it after a kill, a deploy or a restart finishes it. Owns how an intent is
 * taken, carried out and ended. Must run while nobody else works on the task, see `Scheduler.whileLocked`.
 */
import type { OtaError } from '../../protocol';
import { checkTargets } from '../commands';
import { baseOf, resumed } from '../machine';
import { stateOf, type TaskChange } from '../transactions';
import type { DeviceStatus, Intent, Task } from '../types';
import type { Lane } from './lane';
import type { MovedDevices, TaskWrites } from './task-writes';
import { EventLoopYielder, SLICE } from './yielder';

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
   * @throws OtaError OTA_BAD_INPUT for a token that is none, before anything is changed; what `nothing` makes where no
   * device could be moved
   */
  async run(
    task: Task,
    intent: Intent,
    accessTokens: readonly unknown[] | null,
    nothing: () => OtaError,
  ): Promise<MovedDevices> {
    if (accessTokens !== null) await this.#name(task, accessTokens);
    const isForNobody = accessTokens === null && !(intent.statuses ?? []).some((name) => hasSome(task, name));
    if (isForNobody) throw nothing();
    await this.#lane.transact(
      (at) => ({ at, task: task.id }),
      (rows) => ({
        result: undefined,
        task: rows.task === null ? undefined : { ...stateOf(rows.task), intent },
      }),
    );
    const moved = await this.finish({ ...task, intent });
    if (moved.moved === 0) throw nothing();
    return moved;
  }

  /** Carries out what is left of a task's intent. */
  async finish(task: Task): Promise<MovedDevices> {
    const { intent } = task;
    if (intent === null) return { moved: 0, skipped: 0 };
    const moved = await this.#writes.move(task, intent);
    await this.#writes.decide(task.id, (now, _wave, at) =>
      now.intent === null ? null : { ...ended(now, intent, moved.moved > 0, at.wall), intent: null },
    );
    return moved;
  }

  /** All are looked at before the first is written. */
  async #name(task: Task, accessTokens: readonly unknown[]): Promise<void> {
    const yielder = new EventLoopYielder();
    const slices: string[][] = [];
    for (let from = 0; from < accessTokens.length; from += SLICE) {
      slices.push(checkTargets(accessTokens.slice(from, from + SLICE), 'accessTokens', from));
      await yielder.next();
    }
    for (const [i, tokens] of slices.entries()) {
      await this.#lane.transact(
        (at) => ({ at, task: task.id }),
        () => ({ result: undefined, names: { tokens, anew: i === 0 } }),
      );
      await yielder.next();
    }
  }
}

function hasSome({ counts }: Task, status: DeviceStatus): boolean {
  return counts[status] > 0;
}

/** What becomes of the task when its devices were moved. */
function ended(task: Task, { on }: Intent, isMoved: boolean, wall: number): TaskChange {
  const { status, reason, wave, soakFrom, base } = task;
  const same = { status, reason, wave, soakFrom };
  if (on === 'cancel') return same;
  // A task that was over runs again, or waits for its time again.
  if (status === 'ended' || status === 'cancelled') {
    return isMoved ? { ...resumed(task, wall), base: baseOf(task) } : same;
  }
  // Thresholds forget the devices that were taken back.
  return { ...same, base: { succeeded: base.succeeded, failed: Math.min(base.failed, baseOf(task).failed) } };
}

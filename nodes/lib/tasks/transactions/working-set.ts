/**
 * The devices of one transaction while a rule works on them: rows as they were loaded, with what the rule has made
 * of them so far. Owns what follows for a device's other tasks. Reads and writes nothing but its `Rows` and `Effects`.
 */
import { isOccupied, isOpen, type Member, transition } from '../machine';
import type { Rows } from '../database/database';
import { Effects } from '../database/effects';
import type { TaskPlan, Transition } from '../types';

export class WorkingSet {
  readonly effects = new Effects();
  readonly #rows: Rows;
  readonly #plans = new Map<number, TaskPlan>();

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  /** A row as it is by now. */
  current(member: Member): Member {
    this.#plans.set(member.plan.id, member.plan);
    const device = this.effects.current(member.device);
    return device === member.device ? member : { ...member, device };
  }

  /** The device's rows that a report may still move, the oldest first: databases have no order of their own. */
  open(accessToken: string): Member[] {
    const open: Member[] = [];
    for (const loaded of this.#rows.open(accessToken)) {
      const member = this.current(loaded);
      if (isOpen(member.device)) open.push(member);
    }
    return open.length < 2 ? open : open.sort((a, b) => a.device.id - b.device.id);
  }

  /** The newest row of a device and module that no report moves any more. */
  latest(accessToken: string, module: string): Member | null {
    const loaded = this.#rows.latest(accessToken, module);
    let found = loaded === null ? null : this.current(loaded);
    // Some may be over since a moment ago.
    for (const open of this.#rows.open(accessToken)) {
      const member = this.current(open);
      if (member.plan.upgrade.module !== module || isOpen(member.device)) continue;
      if (found === null || member.device.id > found.device.id) found = member;
    }
    return found;
  }

  /** Takes what became of rows that this set gave out. @param wall the time that their lines of history get */
  add(transitions: readonly (Transition | null)[], wall: number): void {
    for (const move of transitions) if (move !== null) this.#add(move, wall);
    // Last: what a report makes of the older ones is added by then.
    for (const move of transitions) {
      if (move?.after.status === 'succeeded' && move.before.status !== 'succeeded') this.#outdate(move, wall);
    }
  }

  /** What a person asked of older tasks was before this success. */
  #outdate({ after }: Transition, wall: number): void {
    const module = this.#plans.get(after.task)?.upgrade.module;
    for (const { device, plan } of this.open(after.accessToken)) {
      if (plan.id >= after.task || plan.upgrade.module !== module) continue;
      const move = transition(device, plan, { on: 'newer-success', now: device.since }, wall);
      if (move !== null) this.#add(move, wall);
    }
  }

  #add(move: Transition, wall: number): void {
    const plan = this.#plans.get(move.after.task);
    if (plan === undefined) return;
    this.effects.add(move, plan, wall);
    if (isOccupied(move.before) && !isOccupied(move.after)) this.#unblock(move, plan, wall);
  }

  /** The device is through with one task: those that waited for that are in their queues again. */
  #unblock({ after }: Transition, plan: TaskPlan, wall: number): void {
    for (const loaded of this.#rows.busy(after.accessToken, plan.upgrade.module)) {
      const { device, plan: other } = this.current(loaded);
      const move = transition(device, other, { on: 'unblocked', now: device.since }, wall);
      if (move !== null) this.#add(move, wall);
    }
  }
}

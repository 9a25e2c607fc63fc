/**
 * Writes the steps of one transaction: the device, its line of history, the counts of its task and wave, and
 * what follows for the device's other tasks. Decides nothing but which columns a step touched.
 */
import { apply, isActive, isVisible } from '../machine';
import { type Device, DEVICE_STATUSES, type Step, type TaskPlan } from '../types';
import type { Change } from './store';
import { statusCode, toDevice } from './sqlite-rows';
import type { Statements } from './sqlite-statements';

export class SqliteWriter {
  readonly changes: Change[] = [];
  readonly #sql: Statements;
  readonly #plan: (id: number) => TaskPlan | null;
  readonly #scope: (module: string) => number;
  readonly #written: (device: Device) => void;
  readonly #counts = new Map<number, { all: number[]; waves: Map<number, number[]> }>();

  constructor(
    sql: Statements,
    plan: (id: number) => TaskPlan | null,
    scope: (module: string) => number,
    written: (device: Device) => void,
  ) {
    this.#sql = sql;
    this.#plan = plan;
    this.#scope = scope;
    this.#written = written;
  }

  /** @param wall the time that its history gets */
  apply(steps: readonly Step[], wall: number): void {
    for (const step of steps) this.#write(step, wall);
  }

  /** Adds what was counted; once, before the commit. */
  flush(): void {
    for (const [task, { all, waves }] of this.#counts) {
      if (all.some((n) => n !== 0)) this.#sql.addCounts(task, all);
      for (const [wave, counts] of waves) {
        if (counts.some((n, i) => i >= FIRST_ENDED && n !== 0)) this.#sql.addWaveCounts(task, wave, counts);
      }
    }
    this.#counts.clear();
  }

  #write(step: Step, wall: number): void {
    const { before, after } = step;
    const plan = this.#plan(after.task);
    if (plan === null) return;
    this.#save(step, plan);
    this.#written(after);
    if (step.history !== null) this.#sql.addHistory(after.id, step, wall);
    if (before.status !== after.status) this.#count(step);
    if (step.unsettled !== null) {
      const change = step.unsettled === 'set' ? this.#sql.setUnsettled : this.#sql.clearUnsettled;
      change(this.#scope(plan.upgrade.module), after.accessToken);
    }
    if (isVisible(before, after)) this.changes.push({ plan, before, after });
    if (isActive(before) && !isActive(after)) this.#free(step, plan, wall);
  }

  #save({ before, after }: Step, plan: TaskPlan): void {
    const same = before.status === after.status && before.hundred === after.hundred;
    if (same && after.events === before.events + 1 && isSame(before, after)) this.#sql.saveEvents(after);
    else if (same && after.status === 'upgrading' && before.source === after.source)
      this.#sql.saveProgress(after);
    else this.#sql.saveDevice(after, plan.policy);
  }

  #count({ before, after }: Step): void {
    let counts = this.#counts.get(after.task);
    if (counts === undefined) {
      counts = { all: zeros(), waves: new Map() };
      this.#counts.set(after.task, counts);
    }
    let wave = counts.waves.get(after.wave);
    if (wave === undefined) {
      wave = zeros();
      counts.waves.set(after.wave, wave);
    }
    for (const list of [counts.all, wave]) {
      const from = statusCode(before.status);
      const to = statusCode(after.status);
      list[from] = (list[from] ?? 0) - 1;
      list[to] = (list[to] ?? 0) + 1;
    }
  }

  /** The device is through with one task: those that waited for that are in their queues again. */
  #free({ after }: Step, plan: TaskPlan, wall: number): void {
    for (const row of this.#sql.busyDevices(after.accessToken, this.#scope(plan.upgrade.module))) {
      const device = toDevice(row);
      const other = this.#plan(device.task);
      const step =
        other === null ? null : apply(device, other.policy, { on: 'free', now: device.since }, wall);
      if (step !== null) this.#write(step, wall);
    }
  }
}

const FIRST_ENDED = DEVICE_STATUSES.indexOf('succeeded');

function zeros(): number[] {
  return DEVICE_STATUSES.map(() => 0);
}

/** True where nothing but the number of events differs: the machine copies the device then. */
function isSame(a: Step['before'], b: Step['after']): boolean {
  return (
    a.step === b.step &&
    a.since === b.since &&
    a.at === b.at &&
    a.hold === b.hold &&
    a.reason === b.reason &&
    a.source === b.source &&
    a.pushes === b.pushes &&
    a.nextPush === b.nextPush &&
    a.confirmed === b.confirmed &&
    a.retries === b.retries
  );
}

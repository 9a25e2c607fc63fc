/**
 * Devices that tasks take in while they are open: what a device runs and its labels are held against the filters of
 * the joining tasks. Pure. A device is taken in once; the database leaves out one that is in its task already.
 */
import {
  choosePackage,
  effectiveLabels,
  isJoinable,
  matchesFilter,
  orderOfJoiner,
  takeOver,
  waveOfJoiner,
} from '../machine';
import type { Decision, Instant, Join, Need, Rows } from '../database/database';
import type { Labels, Task } from '../types';
import { WorkingSet } from './working-set';

/** What a device reported, or came to be known of it. */
export interface Sighting {
  readonly accessToken: string;
  readonly module: string;
  readonly version: string;
  readonly labels: Labels;
}

export interface Joins {
  readonly joins: readonly Join[];
  look(sighting: Sighting): void;
}

/** @param set takes what follows in older tasks for devices that a task with `supersede` takes in */
export function joinsOf(rows: Rows, set: WorkingSet): Joins {
  return new JoinSet(rows, set);
}

class JoinSet implements Joins {
  readonly joins: Join[] = [];
  readonly #rows: Rows;
  readonly #set: WorkingSet;
  /** Devices that this decision takes in, by task. */
  readonly #taken = new Map<number, Set<string>>();

  constructor(rows: Rows, set: WorkingSet) {
    this.#rows = rows;
    this.#set = set;
  }

  look(sighting: Sighting): void {
    for (const task of this.#rows.joining) {
      if ((task.joining?.filter.module ?? task.upgrade.module) === sighting.module)
        this.#lookAt(task, sighting);
    }
  }

  #lookAt(task: Task, { accessToken, module, version, labels }: Sighting): void {
    const { at } = this.#rows;
    const taken = this.#taken.get(task.id) ?? new Set<string>();
    const isFull = task.taken + taken.size >= (task.joining?.max ?? 0);
    if (isFull || taken.has(accessToken) || !isJoinable(task, at.wall)) return;
    if (!this.#fits(task, { accessToken, module, version, labels })) return;
    if (this.#rows.open(accessToken).some(({ device }) => device.task === task.id)) return;
    const takesOver = task.policy.supersede && task.startedAt !== null;
    if (takesOver && this.#rows.isTaken(accessToken, task)) return;
    taken.add(accessToken);
    this.#taken.set(task.id, taken);
    // Before its start nothing happens elsewhere: the start takes over all that are pending.
    if (takesOver) {
      const { ticks, wall } = at;
      this.#set.add(takeOver(task, this.#set.open(accessToken), { now: ticks, wall }), wall);
    }
    const own = this.#ownVersion(task, { accessToken, module, version, labels });
    this.joins.push({
      task,
      device: {
        accessToken,
        source: own === task.upgrade.version ? null : own,
        wave: waveOfJoiner(task.taskId, accessToken, task.policy.waves),
        order: orderOfJoiner(task.taskId, accessToken),
        at: at.wall,
      },
    });
  }

  #fits(task: Task, sighting: Sighting): boolean {
    if (task.joining === null || !matchesFilter(task.joining.filter, sighting)) return false;
    const version = this.#ownVersion(task, sighting);
    if (task.policy.skipCurrent && version === task.upgrade.version) return false;
    return choosePackage(task, { version, labels: sighting.labels }) !== 'version';
  }

  /** What the device runs of the package's module. */
  #ownVersion({ upgrade }: Task, { accessToken, module, version }: Sighting): string | null {
    return module === upgrade.module
      ? version
      : (this.#rows.known(accessToken, upgrade.module)?.version ?? null);
  }
}

export function joinNeed(tokens: readonly string[], at: Instant): Need {
  return { at, tokens };
}

/** Takes these devices into one task, as if each had reported now. */
export function join(task: number, tokens: readonly string[], rows: Rows): Decision<undefined> {
  const working = new WorkingSet(rows);
  const set = new JoinSet(rows, working);
  for (const accessToken of tokens) {
    const labels = effectiveLabels(rows.labels(accessToken));
    for (const { module, version } of rows.modules(accessToken)) {
      set.look({ accessToken, module, version, labels });
    }
  }
  const joins = set.joins.filter((joined) => joined.task.id === task);
  return { result: undefined, effects: working.effects, joins };
}

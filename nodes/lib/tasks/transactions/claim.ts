/**
 * The next pushes of a task: repeats before first pushes, all from the same rate. What it answers is committed: an
 * attempt and its id stand in the database before the push goes out.
 */
import type { IdSource } from '../../protocol';
import {
  allowance,
  isActive,
  isPush,
  type Member,
  spend,
  takeTurn,
  transition,
  type TurnFacts,
  type TurnTime,
} from '../machine';
import type { Change, Decision, Instant, Need, PushRoom, Rows } from '../database/database';
import type { Device, Task, TaskPlan, Transition } from '../types';
import { stateOf } from './decide';
import { WorkingSet } from './working-set';

/** A push that must go out now. */
export interface Push {
  readonly plan: TaskPlan;
  readonly device: Device;
}

export interface Claimed {
  readonly changes: readonly Change[];
  readonly pushes: readonly Push[];
  /** False where no device was left that may be pushed to now. */
  readonly more: boolean;
}

export interface ClaimRules {
  readonly task: number;
  /** Devices in one claim at most: as many as one transaction takes, and as the connection has room for. */
  readonly limit: number;
  readonly nextId: IdSource;
}

export function claimNeed({ task, limit }: ClaimRules, at: Instant): Need {
  return { at, task, search: { in: 'queue', room: (loaded, time) => roomFor(loaded, time, limit) } };
}

export function claim({ limit, nextId }: ClaimRules, rows: Rows): Decision<Claimed> {
  const { task, at } = rows;
  const pushes: Push[] = [];
  if (task?.status !== 'running') return { result: { changes: [], pushes, more: false } };
  const set = new WorkingSet(rows);
  for (const found of rows.found) {
    const member = set.current(found);
    const facts = found.facts === null ? null : { ...found.facts, open: set.open(member.device.accessToken) };
    const moves = pushTo(member, facts, { now: at.ticks, wall: at.wall, nextId });
    set.add(moves, at.wall);
    const [move] = moves;
    if (move !== undefined && isPush(move)) {
      pushes.push({ plan: member.plan, device: move.after });
    }
  }
  const { effects } = set;
  const { pushes: room } = roomFor(task, at, limit);
  const more = rows.found.length > 0 && rows.found.length >= room;
  const result = { changes: effects.changes, pushes, more };
  if (pushes.length === 0) return { result, effects };
  const pace = spend(task.policy.perMinute, task.pace, at.wall, pushes.length);
  return { result, effects, task: { ...stateOf(task), pace } };
}

/** What becomes of one that was found, first of all: its repeat, its turn, or a probe. */
function pushTo(member: Member, facts: TurnFacts | null, time: TurnTime): Transition[] {
  if (facts !== null) return takeTurn(member, facts, time);
  const { device, plan } = member;
  const repeat = isActive(device)
    ? transition(device, plan, { on: 'repeat', now: time.now }, time.wall)
    : null;
  return repeat === null ? [] : [repeat];
}

/** How many pushes the task may make now. @param limit at most */
export function roomFor(task: Task, at: Instant, limit: number): PushRoom {
  const { concurrency, perMinute } = task.policy;
  const pushes = Math.min(limit, allowance(perMinute, task.pace, at.wall));
  const active = task.counts.pushed + task.counts.upgrading;
  return { pushes, first: concurrency === 0 ? pushes : Math.max(0, Math.min(pushes, concurrency - active)) };
}

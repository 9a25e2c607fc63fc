/**
 * A device asks for its upgrade. What it is answered counts as a push: its attempt and id stand in the database before
 * the answer goes out, and nothing is answered that could not be pushed now.
 */
import { DEFAULT_MODULE, type IdSource } from '../../protocol';
import { FRESH_LIFE, isActive, isPush, mayPush, type Member, spend, takeTurn, transition } from '../machine';
import type { Change, Decision, Instant, Need, Rows } from '../database/database';
import { roomFor, type Push } from './claim';
import { stateOf } from './decide';
import { WorkingSet } from './working-set';

export interface Asking {
  readonly accessToken: string;
  /** null: whatever there is for the device. */
  readonly module: string | null;
}

export interface Answered {
  readonly changes: readonly Change[];
  /** null: this task has nothing for the device now. */
  readonly push: Push | null;
}

export interface AnswerRules {
  readonly task: number;
  readonly accessToken: string;
  readonly nextId: IdSource;
}

export function askedNeed({ accessToken }: Asking, at: Instant): Need {
  return { at, tokens: [accessToken] };
}

/** The tasks that may answer, by their numbers: first the one that has the device in work, then the newest. */
export function askedTasks({ accessToken, module }: Asking, rows: Rows): Decision<readonly number[]> {
  const isMeant = ({ device, plan }: Member): boolean =>
    (device.status === 'pending' || isActive(device)) &&
    (module ?? plan.upgrade.module) === plan.upgrade.module;
  const rank = ({ device, plan }: Member): number =>
    2 * Number(isActive(device)) + Number(plan.upgrade.module === DEFAULT_MODULE);
  const meant = [...rows.open(accessToken)].filter(isMeant);
  meant.sort((a, b) => rank(b) - rank(a) || b.device.task - a.device.task);
  return { result: meant.map(({ device }) => device.task) };
}

export function answerNeed({ task, accessToken }: AnswerRules, at: Instant): Need {
  return { at, task, search: { in: 'device', accessToken } };
}

/** What one task answers its device. */
export function answer({ accessToken, nextId }: AnswerRules, rows: Rows): Decision<Answered> {
  const { task, at } = rows;
  const [found] = rows.found;
  const nothing: Decision<Answered> = { result: { changes: [], push: null } };
  if (task?.status !== 'running' || found === undefined || !mayPush(task, at.wall)) return nothing;
  const set = new WorkingSet(rows);
  const member = set.current(found);
  if (isActive(member.device)) return answerAgain(set, member, at);
  const { first } = roomFor(task, at, 1);
  if (member.device.wave > task.wave || member.device.hold === 'delay' || first < 1) return nothing;
  if (found.facts === null) return nothing;
  const facts = { ...found.facts, open: set.open(accessToken) };
  const moves = takeTurn(member, facts, { now: at.ticks, wall: at.wall, nextId });
  set.add(moves, at.wall);
  const { effects } = set;
  const [move] = moves;
  if (move === undefined || !isPush(move))
    return { result: { changes: effects.changes, push: null }, effects };
  const pace = spend(task.policy.perMinute, task.pace, at.wall, 1);
  const push = { plan: member.plan, device: move.after };
  return { result: { changes: effects.changes, push }, effects, task: { ...stateOf(task), pace } };
}

/** The upgrade that it has in work, with the same id; the rate was spent when it was pushed. */
function answerAgain(set: WorkingSet, { device, plan }: Member, at: Instant): Decision<Answered> {
  // A device that asks without a pause is answered, and nothing is written for it.
  const isRecent = device.lastPush !== null && at.ticks - device.lastPush < FRESH_LIFE;
  const move = isRecent ? null : transition(device, plan, { on: 'repeat', now: at.ticks }, at.wall);
  set.add([move], at.wall);
  const { effects } = set;
  return { result: { changes: effects.changes, push: { plan, device: move?.after ?? device } }, effects };
}

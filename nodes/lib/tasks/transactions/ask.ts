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
  /** What its devices are answered, by their tokens; without an entry this task has nothing for one now. */
  readonly pushes: ReadonlyMap<string, Push>;
}

export interface AnswerRules {
  readonly task: number;
  readonly accessTokens: readonly string[];
  readonly nextId: IdSource;
}

export function askedNeed(questions: readonly Asking[], at: Instant): Need {
  return { at, tokens: new Set(questions.map(({ accessToken }) => accessToken)) };
}

/**
 * The tasks that may answer each question, by their numbers: first the one that has the device in work, then the
 * newest.
 */
export function askedTasks(
  questions: readonly Asking[],
  rows: Rows,
): Decision<readonly (readonly number[])[]> {
  return { result: questions.map((question) => tasksFor(question, rows)) };
}

function tasksFor({ accessToken, module }: Asking, rows: Rows): readonly number[] {
  const isMeant = ({ device, plan }: Member): boolean =>
    (device.status === 'pending' || isActive(device)) &&
    (module ?? plan.upgrade.module) === plan.upgrade.module;
  const rank = ({ device, plan }: Member): number =>
    2 * Number(isActive(device)) + Number(plan.upgrade.module === DEFAULT_MODULE);
  const meant = [...rows.open(accessToken)].filter(isMeant);
  meant.sort((a, b) => rank(b) - rank(a) || b.device.task - a.device.task);
  return meant.map(({ device }) => device.task);
}

export function answerNeed({ task, accessTokens }: AnswerRules, at: Instant): Need {
  return { at, task, search: { in: 'asking', accessTokens } };
}

/** What one task answers its devices. */
export function answer({ accessTokens, nextId }: AnswerRules, rows: Rows): Decision<Answered> {
  const { task, at } = rows;
  const pushes = new Map<string, Push>();
  if (task?.status !== 'running' || !mayPush(task, at.wall)) return { result: { changes: [], pushes } };
  const set = new WorkingSet(rows);
  let { first: room } = roomFor(task, at, accessTokens.length);
  let spent = 0;
  for (const found of rows.found) {
    const member = set.current(found);
    const { accessToken, wave, hold } = member.device;
    if (isActive(member.device)) {
      pushes.set(accessToken, answerAgain(set, member, at));
      continue;
    }
    if (wave > task.wave || hold === 'delay' || room < 1 || found.facts === null) continue;
    const facts = { ...found.facts, open: set.open(accessToken) };
    const moves = takeTurn(member, facts, { now: at.ticks, wall: at.wall, nextId });
    set.add(moves, at.wall);
    const [move] = moves;
    if (move === undefined || !isPush(move)) continue;
    room -= 1;
    spent += 1;
    pushes.set(accessToken, { plan: member.plan, device: move.after });
  }
  const { effects } = set;
  const result = { changes: effects.changes, pushes };
  if (spent === 0) return { result, effects };
  const pace = spend(task.policy.perMinute, task.pace, at.wall, spent);
  return { result, effects, task: { ...stateOf(task), pace } };
}

/** The upgrade that it has in work, with the same id; the rate was spent when it was pushed. */
function answerAgain(set: WorkingSet, { device, plan }: Member, at: Instant): Push {
  // A device that asks without a pause is answered, and nothing is written for it.
  const isRecent = device.lastPush !== null && at.ticks - device.lastPush < FRESH_LIFE;
  const move = isRecent ? null : transition(device, plan, { on: 'repeat', now: at.ticks }, at.wall);
  set.add([move], at.wall);
  return { plan, device: move?.after ?? device };
}

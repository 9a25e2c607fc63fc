/**
 * `create` and `preview`: who is taken in is found first, in slices; the task is made invisible, gets its devices, and
 * counts from the moment that it is published. A kill before that leaves nothing of it.
 */
import { randomBytes } from 'node:crypto';
import { OtaError } from '../../protocol';
import type { CommandOf, TaskInput } from '../commands';
import { MAX_JOINING_TASKS, waveEnds } from '../machine';
import { taskShape } from '../shapes';
import type { NewTask } from '../database';
import type { TaskEvent } from '../types';
import { join, joinNeed } from '../transactions';
import { find, momentOf, type Operating } from './operating';
import { pushOrder } from './push-order';
import { type Chosen, chooseTargets, toDevices, waveSizes } from './targets';
import { EventLoopYielder, SLICE } from './yielder';

/** Devices in one transaction: their entries in the indexes stand on pages that they share, see `push-order.ts`. */
const ADD_SLICE = 500;

/** The task, with who was left out and why. @throws OtaError OTA_BAD_INPUT, OTA_TASK_STATE */
export async function create(engine: Operating, { input, by, remark }: CommandOf<'create'>): Promise<object> {
  const { database, lane, time, link } = engine;
  const wall = time.wall();
  if (input.endAt !== null && input.endAt <= wall) {
    throw new OtaError('OTA_BAD_INPUT', '"endAt" must be after now.');
  }
  if (input.joining !== null) await checkRoomForJoining(engine);
  const chosen = await chooseTargets(database, input, { wall, link, compatibleOnly: false });
  if (chosen.tokens.length === 0 && input.joining === null) throw nobody(chosen, input);
  const total = chosen.tokens.length;
  const ends = waveEnds(total, input.policy.waves);
  const ordered = await pushOrder(chosen, ends, Array.isArray(input.targets));
  const taskId = randomBytes(9).toString('base64url');
  const made = newTask(input, taskId, wall);
  const { status } = made;
  const id = await lane.write(() => database.create(made, lane.now()));
  try {
    await addChosen(engine, id, ordered, ends, wall);
    await lane.transact(
      (at) => ({ at, task: id }),
      () => ({ result: undefined, log: firstLines(status, { at: wall, by, remark }) }),
    );
    await lane.write(() => database.publish(id));
  } catch (error) {
    await discard(engine, id);
    // It may have been published all the same, where nobody knows what became of the COMMIT.
    if (!(await isPublished(engine, taskId))) throw error;
  }
  if (input.joining !== null) {
    const work = (): Promise<void> => joinMissed(engine, id, input, wall);
    // The task runs: what can't be done now is no failure of its making.
    await work().catch(() => engine.scheduler.later(work));
  }
  const task = await find(engine, taskId);
  engine.events.emitTask(task);
  engine.scheduler.markDirty(id);
  const { skipped, unknownTokens, badTokens } = chosen;
  return { ...taskShape(task, momentOf(engine)), skipped, unknownTokens, badTokens };
}

function newTask(input: TaskInput, taskId: string, wall: number): NewTask {
  const { name, description, upgrade, packages, policy, startAt, endAt, endBehavior, joining } = input;
  const waits = startAt !== null && startAt > wall;
  return {
    taskId,
    name,
    description,
    upgrade,
    package: input.package,
    packages,
    policy,
    createdAt: wall,
    startAt,
    endAt,
    endBehavior,
    joining,
    status: input.draft ? 'draft' : waits ? 'scheduled' : 'running',
    waves: policy.waves.length,
  };
}

/** A task that doesn't wait for its time or a person starts as it is created, by itself. */
function firstLines(status: NewTask['status'], line: Pick<TaskEvent, 'at' | 'by' | 'remark'>): TaskEvent[] {
  const created = { ...line, event: 'created', reason: null, wave: null };
  if (status !== 'running') return [created];
  return [created, { ...created, event: 'started', by: null, remark: null, wave: 1 }];
}

async function addChosen(
  engine: Operating,
  id: number,
  ordered: Pick<Chosen, 'tokens' | 'sources'>,
  ends: readonly number[],
  wall: number,
): Promise<void> {
  const yielder = new EventLoopYielder();
  for (let from = 0; from < ordered.tokens.length; from += ADD_SLICE) {
    const slice = toDevices(ordered, ends, { from, to: from + ADD_SLICE }, wall);
    await engine.lane.write((database) => database.add(id, slice));
    await yielder.next();
  }
}

/** Takes away what was written of a task that can't be made; where that fails, too, the hourly clean-up does. */
async function discard({ lane, scheduler }: Operating, id: number): Promise<void> {
  try {
    await lane.write((database) => database.discard(id));
    scheduler.scheduleCleanup();
  } catch {
    // What is told is why the task was not made.
  }
}

async function isPublished({ database }: Operating, taskId: string): Promise<boolean> {
  try {
    return (await database.task(taskId)) !== null;
  } catch {
    return false;
  }
}

/** Each report is held against all joining tasks. @throws OtaError OTA_TASK_STATE */
async function checkRoomForJoining({ database }: Operating): Promise<void> {
  const open = (await database.live()).filter(({ joining }) => joining !== null).length;
  if (open < MAX_JOINING_TASKS) return;
  throw new OtaError(
    'OTA_TASK_STATE',
    `${open} tasks take in devices that join already, and more than ${MAX_JOINING_TASKS} can't be open: end one of them first.`,
  );
}

/** Devices that reported while the task was made: reports are held against published tasks only. */
async function joinMissed(
  engine: Operating,
  id: number,
  { upgrade, joining }: TaskInput,
  since: number,
): Promise<void> {
  const { database, lane } = engine;
  const yielder = new EventLoopYielder();
  const module = joining?.filter.module ?? upgrade.module;
  for (let after: string | null = ''; after !== null;) {
    const slice = await database.known({ module, after, limit: SLICE, since });
    const tokens = slice.map(({ accessToken }) => accessToken);
    await lane.transact(
      (at) => joinNeed(tokens, at),
      (rows) => join(id, tokens, rows),
    );
    after = slice.length < SLICE ? null : (tokens.at(-1) ?? null);
    await yielder.next();
  }
}

/** Who a `create` would take in. */
export async function preview(
  engine: Operating,
  { input, page, pageSize }: CommandOf<'preview'>,
): Promise<object> {
  const chosen = await chooseTargets(engine.database, input, {
    wall: engine.time.wall(),
    link: engine.link,
    compatibleOnly: true,
  });
  const { tokens, sources, skipped, byVersion, unknownTokens, badTokens } = chosen;
  const ends = waveEnds(tokens.length, input.policy.waves);
  const { module, version } = input.upgrade;
  const from = (page - 1) * pageSize;
  const devices = tokens.slice(from, from + pageSize).map((accessToken, i) => ({
    accessToken,
    module,
    currentVersion: sources[from + i] ?? null,
    targetVersion: version,
    wave: ends.findIndex((end) => from + i < end) + 1,
  }));
  const versions = [...byVersion].sort(([, a], [, b]) => b - a);
  return {
    total: tokens.length,
    page,
    pageSize,
    skipped,
    byVersion: versions.map(([name, count]) => ({ version: name, count })),
    unknownTokens,
    badTokens,
    waves: waveSizes(tokens.length, input.policy.waves),
    policy: input.policy,
    devices,
  };
}

/** An empty result says who was left out, and why. */
function nobody(chosen: Chosen, { policy }: TaskInput): OtaError {
  const reasons = reasonsOf(chosen, duration(policy.seenWithin));
  const why = reasons.length === 0 ? 'no device was found' : reasons.join(', ');
  return new OtaError('OTA_BAD_INPUT', `"targets" leaves nobody to upgrade (${why}); nothing was stored.`);
}

function reasonsOf({ skipped, badTokens, unmatched }: Chosen, seenWithin: string): string[] {
  const { current, version, unseen } = skipped;
  const texts: [number, string][] = [
    [current, 'run the version already'],
    [version, 'run one that the package is not made for'],
    [unseen, `were seen more than ${seenWithin} ago`],
    [badTokens, 'can be no access token'],
    [unmatched, 'are not meant by the filter'],
  ];
  return texts.flatMap(([n, text]) => (n === 0 ? [] : [`${n} ${text}`]));
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
];

/** In the largest unit of which it is a multiple. */
function duration(seconds: number): string {
  const [size, name] = UNITS.find(([unit]) => seconds >= unit && seconds % unit === 0) ?? [1, 'second'];
  const n = seconds / size;
  return `${n} ${n === 1 ? name : `${name}s`}`;
}

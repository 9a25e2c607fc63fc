/**
 * What people ask for: each action of ota-task, carried out. A command changes nothing where it is refused;
 * large ones work in slices, and their answer comes when all of it is done.
 */
import { randomBytes } from 'node:crypto';
import { OtaError } from '../../protocol';
import { type Command, type CommandOf, RETRIED, type TaskInput } from '../commands';
import { baseOf, type Moment, openDevices, resumed, waveEnds } from '../machine';
import { type DeviceShape, deviceShape, eventShape, type TaskShape, taskShape } from '../shapes';
import type { TaskDatabase } from '../database';
import { addDevices, addNeed, type TaskChange } from '../transactions';
import type { DeviceStatus, Intent, Task } from '../types';
import type { Time } from './clock';
import type { TaskEvents } from './events';
import type { KeyedQueue } from './keyed-queue';
import type { Intents } from './intents';
import type { Lane } from './lane';
import type { Scheduler } from './scheduler';
import { chooseTargets, shuffleWaves, toDevices, waveSizes } from './targets';
import type { TaskWrites } from './task-writes';
import { EventLoopYielder, SLICE } from './yielder';

/** What commands work with. */
export interface Operating {
  readonly database: TaskDatabase;
  readonly lane: Lane;
  readonly writes: TaskWrites;
  readonly intents: Intents;
  readonly scheduler: Scheduler;
  readonly events: TaskEvents;
  readonly time: Time;
  /** Commands, by the task that they change. */
  readonly commands: KeyedQueue<number>;
}

/** Carries a command out and answers it. @throws OtaError */
export async function operate(engine: Operating, command: Command): Promise<object> {
  switch (command.action) {
    case 'create':
      return create(engine, command.input);
    case 'preview':
      return preview(engine, command);
    case 'pause':
      return inTurn(engine, command.taskId, (task) => change(engine, task, 'pause', pausedNow));
    case 'resume':
      return inTurn(engine, command.taskId, (task) =>
        change(engine, task, 'resume', (now) => resumedNow(now, engine.time.wall())),
      );
    case 'cancel':
      return inTurn(engine, command.taskId, (task) => cancel(engine, task, command.accessTokens));
    case 'retry':
      return inTurn(engine, command.taskId, (task) => retry(engine, task, command));
    case 'remove':
      return inTurn(engine, command.taskId, (task) => remove(engine, task));
    case 'get':
      return taskShape(await find(engine, command.taskId), momentOf(engine));
    case 'list':
      return list(engine, command);
    case 'devices':
      return devices(engine, command);
    case 'history':
      return history(engine, command);
    default:
      throw new OtaError('OTA_BAD_INPUT', `"action" ${command.action} is not available yet.`);
  }
}

/** Commands that change a task wait for each other: a cancel of many devices is over before a retry begins. */
async function inTurn(
  engine: Operating,
  taskId: string,
  work: (task: Task) => Promise<object>,
): Promise<object> {
  const { id } = await find(engine, taskId);
  return engine.commands.run(id, async () => {
    const task = await find(engine, taskId);
    if (task.intent === null) return work(task);
    // An earlier command was broken off: it comes first.
    await engine.scheduler.whileLocked(id, () => engine.intents.finish(task));
    return work(await find(engine, taskId));
  });
}

async function create(engine: Operating, input: TaskInput): Promise<TaskShape> {
  const { database, lane, time } = engine;
  const wall = time.wall();
  const chosen = await chooseTargets(database, input, wall);
  const total = chosen.tokens.length;
  if (total === 0) throw nobody(chosen.skipped);
  const { name, description, upgrade, policy, startAt } = input;
  const taskId = randomBytes(9).toString('base64url');
  const waits = startAt !== null && startAt > wall;
  const id = await lane.write(() =>
    database.create(
      {
        taskId,
        name,
        description,
        upgrade,
        package: input.package,
        packages: input.packages,
        policy,
        createdAt: wall,
        startAt,
        endAt: input.endAt,
        endBehavior: input.endBehavior,
        joining: input.joining,
        status: waits ? 'scheduled' : 'running',
        waves: policy.waves.length,
      },
      lane.now(),
    ),
  );
  const yielder = new EventLoopYielder();
  const ends = waveEnds(total, policy.waves);
  await shuffleWaves(chosen, ends);
  for (let from = 0; from < total; from += SLICE) {
    const slice = toDevices(chosen, ends, { from, to: from + SLICE }, wall);
    await lane.transact(
      (at) => addNeed(id, at),
      () => addDevices(slice),
    );
    await yielder.next();
  }
  await lane.write(() => database.publish(id));
  const task = await find(engine, taskId);
  engine.events.emitTask(task);
  engine.scheduler.markDirty(id);
  return taskShape(task, momentOf(engine));
}

function nobody({ current, version }: { current: number; version: number }): OtaError {
  const left =
    current + version === 0
      ? 'no device was found'
      : `${current} run the version already, ${version} run one that the package is not made for`;
  return new OtaError('OTA_BAD_INPUT', `"targets" leaves nobody to upgrade (${left}); nothing was stored.`);
}

/** Who a `create` would take in. */
async function preview(engine: Operating, { input, page, pageSize }: CommandOf<'preview'>): Promise<object> {
  const { tokens, sources, skipped } = await chooseTargets(engine.database, input, engine.time.wall());
  const ends = waveEnds(tokens.length, input.policy.waves);
  const { module, version } = input.upgrade;
  const from = (page - 1) * pageSize;
  const shown = tokens.slice(from, from + pageSize).map((accessToken, i) => ({
    accessToken,
    module,
    currentVersion: sources[from + i] ?? null,
    targetVersion: version,
    wave: ends.findIndex((end) => from + i < end) + 1,
  }));
  return {
    total: tokens.length,
    page,
    pageSize,
    skipped,
    waves: waveSizes(tokens.length, input.policy.waves),
    devices: shown,
  };
}

function pausedNow({ status, wave }: Task): TaskChange | null {
  return status === 'paused' ? null : { status: 'paused', reason: null, wave };
}

function resumedNow(task: Task, wall: number): TaskChange | null {
  if (task.status !== 'paused') return null;
  // Whoever goes on after a threshold has seen those failures; a pause of one's own forgives none.
  return { ...resumed(task, wall), base: task.reason === null ? task.base : baseOf(task) };
}

/** Pause or resume: idempotent while the task isn't over. */
async function change(
  engine: Operating,
  task: Task,
  action: string,
  rule: (task: Task) => TaskChange | null,
): Promise<TaskShape> {
  const changed = await engine.writes.decide(task.id, (now) => {
    if (now.status === 'ended' || now.status === 'cancelled') throw wrongState(now, action);
    return rule(now);
  });
  engine.scheduler.markDirty(task.id);
  return taskShape(changed ?? task, momentOf(engine));
}

type Tokens = readonly unknown[] | null;

async function cancel(engine: Operating, task: Task, accessTokens: Tokens): Promise<TaskShape> {
  if (accessTokens !== null) {
    const intent: Intent = { on: 'cancel', statuses: null, reasons: null, byName: true };
    const nothing = (): OtaError => nothingMoved('cancel', 'pending, pushed or upgrading');
    await engine.scheduler.whileLocked(task.id, () =>
      engine.intents.run(task, intent, accessTokens, nothing),
    );
    await engine.writes.decideByCounts(task.id);
    return taskShape(await find(engine, task.taskId), momentOf(engine));
  }
  if (task.status === 'ended') throw wrongState(task, 'cancel');
  await engine.scheduler.whileLocked(task.id, async () => {
    await engine.writes.decide(task.id, ({ status, wave }) =>
      status === 'cancelled' ? null : { status: 'cancelled', reason: null, wave },
    );
    await engine.writes.cancelOpen(task);
  });
  return taskShape(await find(engine, task.taskId), momentOf(engine));
}

async function retry(engine: Operating, task: Task, command: CommandOf<'retry'>): Promise<object> {
  const { accessTokens, status, reasons, cancelled } = command;
  const statuses = status === null ? retried(task, cancelled) : [status];
  const intent: Intent = {
    on: 'retry',
    statuses: accessTokens === null ? statuses : null,
    reasons,
    byName: cancelled || status === 'cancelled',
  };
  const nothing = (): OtaError =>
    nothingMoved('retry', (accessTokens === null ? statuses : RETRIED).join(' or '));
  const { skipped } = await engine.scheduler.whileLocked(task.id, () =>
    engine.intents.run(task, intent, accessTokens, nothing),
  );
  return { ...taskShape(await find(engine, task.taskId), momentOf(engine)), skipped };
}

/** Failed devices; what was cancelled with the whole task comes back with it. */
function retried({ status }: Task, cancelled: boolean): readonly DeviceStatus[] {
  return cancelled || status === 'cancelled' ? RETRIED : ['failed'];
}

async function remove(engine: Operating, task: Task): Promise<TaskShape> {
  const over = task.status === 'ended' || task.status === 'cancelled';
  if (!over || openDevices(task.counts) > 0) throw wrongState(task, 'remove');
  await engine.lane.write((database) => database.hide(task.id));
  engine.scheduler.scheduleCleanup();
  return taskShape(task, momentOf(engine));
}

async function list(engine: Operating, { page, pageSize }: CommandOf<'list'>): Promise<object> {
  const { total, tasks } = await engine.database.list({ page, pageSize });
  return { total, page, pageSize, tasks: tasks.map((task) => taskShape(task, momentOf(engine))) };
}

async function devices(engine: Operating, command: CommandOf<'devices'>): Promise<object> {
  const { taskId, page, pageSize, status, search } = command;
  const task = await find(engine, taskId);
  const found = await engine.database.devices({ task, status, search, page, pageSize });
  const rows: DeviceShape[] = found.devices.map((device) => deviceShape(device, task));
  return { taskId, total: found.total, page, pageSize, devices: rows };
}

async function history(engine: Operating, { taskId, accessToken }: CommandOf<'history'>): Promise<object> {
  const task = await find(engine, taskId);
  const events = await engine.database.history(task.id, accessToken);
  if (events === null) {
    throw new OtaError(
      'OTA_BAD_INPUT',
      'The task has no such device: "accessToken" must be the token of one of its devices.',
    );
  }
  return { taskId, accessToken, events: events.map(eventShape) };
}

function momentOf({ lane }: Operating): Moment {
  const { wall, ticks } = lane.now();
  return { wall, now: ticks };
}

async function find(engine: Operating, taskId: string): Promise<Task> {
  const task = await engine.database.task(taskId);
  if (task !== null) return task;
  throw new OtaError(
    'OTA_UNKNOWN_TASK',
    `There is no task ${JSON.stringify(taskId.slice(0, 64))}: "list" answers those there are.`,
  );
}

function wrongState(task: Task, action: string): OtaError {
  const cure =
    action === 'remove' ? 'cancel it first' : 'it is over; "retry" takes its failed devices in again';
  return new OtaError('OTA_TASK_STATE', `A task that is ${task.status} can not do "${action}": ${cure}.`);
}

function nothingMoved(action: string, states: string): OtaError {
  return new OtaError('OTA_TASK_STATE', `There is nothing to ${action}: none of these devices is ${states}.`);
}

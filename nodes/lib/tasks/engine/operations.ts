/**
 * What people ask for: each action of ota-task, carried out. A command changes nothing where it is refused;
 * large ones work in slices, and their answer comes when all of it is done.
 */
import { randomBytes } from 'node:crypto';
import { OtaError } from '../../protocol';
import { checkTargets, type Command, RETRIED, type TaskInput } from '../commands';
import { baseOf, openDevices, resumed, waveEnds } from '../machine';
import { type DeviceShape, deviceShape, eventShape, type TaskShape, taskShape } from '../shapes';
import type { TaskChange } from '../store';
import type { Task } from '../types';
import type { Engine } from './engine';
import { chooseTargets, shuffleWaves, toDevices, waveSizes } from './targets';
import { SLICE, Turns } from './turns';

type CommandOf<A> = Command extends infer C
  ? C extends { action: infer Own }
    ? A extends Own
      ? C
      : never
    : never
  : never;

/** Carries a command out and answers it. @throws OtaError */
export async function operate(engine: Engine, command: Command): Promise<object> {
  if (engine.stopped) throw engine.problem ?? new OtaError('OTA_CLOSED', 'The node was stopped.');
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
      return taskShape(await find(engine, command.taskId));
    case 'list':
      return list(engine, command);
    case 'devices':
      return devices(engine, command);
    case 'history':
      return history(engine, command);
  }
}

/** Commands that change a task wait for each other: a cancel of many devices is over before a retry begins. */
async function inTurn(
  engine: Engine,
  taskId: string,
  work: (task: Task) => Promise<TaskShape>,
): Promise<TaskShape> {
  const { id } = await find(engine, taskId);
  return engine.commands.run(id, async () => work(await find(engine, taskId)));
}

async function create(engine: Engine, input: TaskInput): Promise<TaskShape> {
  const { store, time } = engine;
  const wall = time.wall();
  const chosen = await chooseTargets(store, input, wall);
  const total = chosen.tokens.length;
  if (total === 0) throw nobody(chosen.skipped);
  const { name, description, upgrade, policy, startAt } = input;
  const taskId = randomBytes(9).toString('base64url');
  const waits = startAt !== null && startAt > wall;
  const id = await store.create({
    taskId,
    name,
    upgrade,
    description,
    package: input.package,
    packages: input.packages,
    policy,
    createdAt: wall,
    startAt,
    endAt: input.endAt,
    endBehavior: input.endBehavior,
    joining: input.joining,
    status: waits ? 'scheduled' : 'running',
    total,
    waves: waveSizes(total, policy.waves),
  });
  const turns = new Turns();
  const ends = waveEnds(total, policy.waves);
  await shuffleWaves(chosen, ends);
  for (let from = 0; from < total; from += SLICE) {
    await store.addDevices(id, toDevices(chosen, ends, from, from + SLICE));
    await turns.next();
  }
  await store.publish(id);
  const task = await find(engine, taskId);
  engine.tellTask(task);
  engine.touch(id);
  return taskShape(task);
}

function nobody({ current, version }: { current: number; version: number }): OtaError {
  const left =
    current + version === 0
      ? 'no device was found'
      : `${current} run the version already, ${version} run one that the package is not made for`;
  return new OtaError('OTA_BAD_INPUT', `"targets" leaves nobody to upgrade (${left}); nothing was stored.`);
}

/** Who a `create` would take in. */
async function preview(engine: Engine, { input, page, pageSize }: CommandOf<'preview'>): Promise<object> {
  const { tokens, sources, skipped } = await chooseTargets(engine.store, input, engine.time.wall());
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
  engine: Engine,
  task: Task,
  action: string,
  rule: (task: Task) => TaskChange | null,
): Promise<TaskShape> {
  const changed = await engine.store.decide(
    task.id,
    (now) => {
      if (now.status === 'ended' || now.status === 'cancelled') throw wrongState(now, action);
      return rule(now);
    },
    engine.time.wall(),
  );
  if (changed !== null) engine.tellTask(changed);
  engine.touch(task.id);
  return taskShape(changed ?? task);
}

type Tokens = readonly unknown[] | null;

async function cancel(engine: Engine, task: Task, accessTokens: Tokens): Promise<TaskShape> {
  if (accessTokens !== null) {
    await engine.holding(task, () => moveSome(engine, task, accessTokens, 'cancel'));
    await engine.settle(task.id);
    return taskShape(await find(engine, task.taskId));
  }
  if (task.status === 'ended') throw wrongState(task, 'cancel');
  await engine.holding(task, async () => {
    const changed = await engine.store.decide(
      task.id,
      ({ status, wave }) => (status === 'cancelled' ? null : { status: 'cancelled', reason: null, wave }),
      engine.time.wall(),
    );
    if (changed !== null) engine.tellTask(changed);
    await engine.clear(task);
  });
  return taskShape(await find(engine, task.taskId));
}

async function retry(engine: Engine, task: Task, command: CommandOf<'retry'>): Promise<TaskShape> {
  const { accessTokens, status } = command;
  const statuses = status === null ? RETRIED : [status];
  await engine.holding(task, async () => {
    const moved =
      accessTokens === null
        ? await engine.moveAll(task, statuses, 'retry')
        : await moveSome(engine, task, accessTokens, 'retry');
    if (moved === 0) throw nothingMoved('retry', statuses.join(' or '));
    const changed = await engine.store.decide(
      task.id,
      (now) => retriedNow(now, engine.time.wall()),
      engine.time.wall(),
    );
    if (changed !== null) engine.tellTask(changed);
  });
  return taskShape(await find(engine, task.taskId));
}

/** A task that was over runs again, or waits for its time again; thresholds forget the devices taken back. */
function retriedNow(task: Task, wall: number): TaskChange {
  const { status, reason, wave, base } = task;
  if (status === 'ended' || status === 'cancelled') return { ...resumed(task, wall), base: baseOf(task) };
  return {
    status,
    reason,
    wave,
    base: { succeeded: base.succeeded, failed: Math.min(base.failed, baseOf(task).failed) },
  };
}

/** Moves named devices. @throws OtaError OTA_TASK_STATE where none of them could be moved */
async function moveSome(
  engine: Engine,
  task: Task,
  accessTokens: readonly unknown[],
  on: 'cancel' | 'retry',
): Promise<number> {
  const turns = new Turns();
  const slices: string[][] = [];
  // All are looked at before the first is moved.
  for (let from = 0; from < accessTokens.length; from += SLICE) {
    slices.push(checkTargets(accessTokens.slice(from, from + SLICE), 'accessTokens', from));
    await turns.next();
  }
  let moved = 0;
  for (const tokens of slices) {
    const slice = await engine.store.move(
      task.id,
      { accessTokens: tokens },
      { on, now: engine.clock.now() },
      engine.time.wall(),
    );
    engine.tell(slice.changes);
    moved += slice.changes.length;
    await turns.next();
  }
  if (moved === 0)
    throw nothingMoved(on, on === 'retry' ? RETRIED.join(' or ') : 'pending, pushed or upgrading');
  return moved;
}

async function remove(engine: Engine, task: Task): Promise<TaskShape> {
  const over = task.status === 'ended' || task.status === 'cancelled';
  if (!over || openDevices(task.counts) > 0) throw wrongState(task, 'remove');
  await engine.store.hide(task.id);
  engine.wipe();
  return taskShape(task);
}

async function list(engine: Engine, { page, pageSize }: CommandOf<'list'>): Promise<object> {
  const { total, tasks } = await engine.store.list({ page, pageSize });
  return { total, page, pageSize, tasks: tasks.map(taskShape) };
}

async function devices(engine: Engine, command: CommandOf<'devices'>): Promise<object> {
  const { taskId, page, pageSize, status, search } = command;
  const task = await find(engine, taskId);
  const found = await engine.store.devices({ task, status, search, page, pageSize });
  const rows: DeviceShape[] = found.devices.map((device) => deviceShape(device, task));
  return { taskId, total: found.total, page, pageSize, devices: rows };
}

async function history(engine: Engine, { taskId, accessToken }: CommandOf<'history'>): Promise<object> {
  const task = await find(engine, taskId);
  const events = await engine.store.history(task.id, accessToken);
  if (events === null) {
    throw new OtaError(
      'OTA_BAD_INPUT',
      'The task has no such device: "accessToken" must be the token of one of its devices.',
    );
  }
  return { taskId, accessToken, events: events.map(eventShape) };
}

async function find(engine: Engine, taskId: string): Promise<Task> {
  const task = await engine.store.task(taskId);
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

/**
 * What people ask for: each action of ota-task, carried out. A command changes nothing where it is refused;
 * large ones work in slices, and their answer comes when all of it is done.
 */
import { OtaError } from '../../protocol';
import { type Command, type CommandOf, RETRIED } from '../commands';
import { baseOf, isPastEnd, openDevices, resumed } from '../machine';
import { type DeviceShape, deviceShape, eventShape, type TaskShape, taskShape } from '../shapes';
import type { Notes, TaskChange } from '../transactions';
import type { DeviceStatus, FailReason, Intent, Task } from '../types';
import { create, preview } from './create-task';
import { changeFleet, device, fleet } from './fleet-commands';
import { busy } from './intents';
import { decideOn, find, inTurn, momentOf, type Operating, wrongState } from './operating';
import { advance, details, log, start, timelineOf, update } from './rollout-commands';

/** Carries a command out and answers it. @throws OtaError */
export async function operate(engine: Operating, command: Command): Promise<object> {
  switch (command.action) {
    case 'create':
      return create(engine, command);
    case 'preview':
      return preview(engine, command);
    case 'start':
      return inTurn(engine, command.taskId, (task) => start(engine, task, command));
    case 'pause':
      return inTurn(engine, command.taskId, (task) => change(engine, task, command, pausedNow));
    case 'resume':
      return inTurn(engine, command.taskId, (task) =>
        change(engine, task, command, (now) => resumedNow(now, engine.time.wall())),
      );
    case 'advance':
      return inTurn(engine, command.taskId, (task) => advance(engine, task, command));
    case 'update':
      return inTurn(engine, command.taskId, (task) => update(engine, task, command));
    case 'cancel':
      return inTurn(engine, command.taskId, (task) => cancel(engine, task, command));
    case 'retry':
      return inTurn(engine, command.taskId, (task) => retry(engine, task, command));
    case 'remove':
      return inTurn(engine, command.taskId, (task) => remove(engine, task));
    case 'get':
      return details(engine, command.taskId);
    case 'log':
      return log(engine, command.taskId);
    case 'timeline':
      return timelineOf(engine, command);
    case 'list':
      return list(engine, command);
    case 'devices':
      return devices(engine, command);
    case 'history':
      return history(engine, command);
    case 'fleet':
      return fleet(engine, command);
    case 'device':
      return device(engine, command);
    case 'label':
    case 'forget':
    case 'seen':
      return changeFleet(engine, command);
  }
}

function pausedNow({ status, wave, soakFrom }: Task): TaskChange | null {
  return status === 'paused' ? null : { status: 'paused', reason: null, wave, soakFrom };
}

function resumedNow(task: Task, wall: number): TaskChange | null {
  if (task.status !== 'paused') return null;
  // Whoever goes on after a threshold has seen those failures; a pause of one's own forgives none.
  return { ...resumed(task, wall), base: task.reason === null ? task.base : baseOf(task) };
}

/** Pause or resume: idempotent while the task isn't over. A draft has nothing to pause. */
function change(
  engine: Operating,
  task: Task,
  command: CommandOf<'pause' | 'resume'>,
  rule: (task: Task) => TaskChange | null,
): Promise<TaskShape> {
  return decideOn(engine, task, command, (now) => {
    const isOver = now.status === 'ended' || now.status === 'cancelled';
    if (isOver || now.status === 'draft') throw wrongState(now, command.action);
    return rule(now);
  });
}

async function cancel(engine: Operating, task: Task, command: CommandOf<'cancel'>): Promise<TaskShape> {
  const { accessTokens, by, remark } = command;
  if (accessTokens !== null) {
    const intent: Intent = { on: 'cancel', statuses: null, reasons: null, byName: true };
    const nothing = (): OtaError => nothingMoved('cancel', 'pending, pushed or upgrading');
    await engine.scheduler.whileLocked(task.id, () =>
      engine.intents.run(task, intent, accessTokens, nothing),
    );
    await engine.writes.note(task, 'devices-cancelled', { by, remark });
    await engine.writes.decideByCounts(task.id);
    return taskShape(await find(engine, task.taskId), momentOf(engine));
  }
  if (task.status === 'ended') throw wrongState(task, 'cancel');
  await engine.scheduler.whileLocked(task.id, async () => {
    // The status is all that is to be known of it: any instance moves the rest of the devices.
    while (!(await markCancelled(engine, task, { by, remark }))) await engine.intents.clear(task);
    await engine.writes.cancelOpen(task);
  });
  return taskShape(await find(engine, task.taskId), momentOf(engine));
}

/** False where another instance carries out a command on it: that one comes first. */
async function markCancelled(engine: Operating, task: Task, notes: Notes): Promise<boolean> {
  let isFree = true;
  const rule = (now: Task): TaskChange | null => {
    isFree = now.intent === null;
    if (now.status === 'ended' && isFree) throw wrongState(now, 'cancel');
    return !isFree || now.status === 'cancelled'
      ? null
      : { status: 'cancelled', reason: null, wave: now.wave };
  };
  await engine.writes.decide(task.id, rule, notes);
  return isFree;
}

async function retry(engine: Operating, task: Task, command: CommandOf<'retry'>): Promise<object> {
  const { accessTokens, status, reasons, cancelled } = command;
  if (isPastEnd(task, engine.time.wall())) throw pastEnd(task);
  const statuses = status === null ? retried(task, cancelled, reasons) : [status];
  const intent: Intent = {
    on: 'retry',
    statuses: accessTokens === null ? statuses : null,
    reasons,
    byName: cancelled || status === 'cancelled',
  };
  const nothing = (): OtaError =>
    nothingMoved('retry', (accessTokens === null ? statuses : RETRIED).join(' or '));
  const { skipped } = await engine.scheduler.whileLocked(task.id, async () => {
    await finishCancel(engine, task);
    return engine.intents.run(task, intent, accessTokens, nothing);
  });
  await engine.writes.note(task, 'retried', { by: command.by, remark: command.remark });
  return { ...taskShape(await find(engine, task.taskId), momentOf(engine)), skipped };
}

/** What a cancel that was broken off hasn't reached is cancelled, too, before anything of its task is taken back. */
async function finishCancel(engine: Operating, { taskId }: Task): Promise<void> {
  const isLeft = ({ status, counts }: Task): boolean => status === 'cancelled' && openDevices(counts) > 0;
  for (let now = await find(engine, taskId); isLeft(now); now = await find(engine, taskId)) {
    await engine.intents.clear(now);
    await engine.writes.cancelOpen(now);
  }
}

/** Failed devices; what was cancelled with the whole task comes back with it, but not where a failure is asked for. */
function retried(
  { status }: Task,
  cancelled: boolean,
  reasons: readonly FailReason[] | null,
): readonly DeviceStatus[] {
  return cancelled || (status === 'cancelled' && reasons === null) ? RETRIED : ['failed'];
}

async function remove(engine: Operating, task: Task): Promise<TaskShape> {
  const over = task.status === 'ended' || task.status === 'cancelled';
  if (!over || openDevices(task.counts) > 0) throw wrongState(task, 'remove');
  // Another instance may have taken its devices in again since.
  if (!(await engine.lane.write((database) => database.hide(task.id)))) {
    throw notRemoved(await find(engine, task.taskId));
  }
  engine.scheduler.scheduleCleanup();
  return taskShape(task, momentOf(engine));
}

function notRemoved(task: Task): OtaError {
  const over = task.status === 'ended' || task.status === 'cancelled';
  return over ? busy() : wrongState(task, 'remove');
}

async function list(engine: Operating, command: CommandOf<'list'>): Promise<object> {
  const { page, pageSize, status, search } = command;
  const { total, tasks } = await engine.database.list({ page, pageSize, status, search });
  return { total, page, pageSize, tasks: tasks.map((task) => taskShape(task, momentOf(engine))) };
}

async function devices(engine: Operating, command: CommandOf<'devices'>): Promise<object> {
  const { taskId, page, pageSize, status, search, reason, wave, hold } = command;
  const task = await find(engine, taskId);
  const found = await engine.database.devices({ task, status, search, reason, wave, hold, page, pageSize });
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

function pastEnd({ status }: Task): OtaError {
  const isOver = status === 'ended' || status === 'cancelled';
  const cure = isOver
    ? '"create" makes a new task for these devices'
    : 'give the task a later "endAt" by "update" first, or null for none';
  return new OtaError('OTA_TASK_STATE', `The task's "endAt" is over, nothing is retried after it: ${cure}.`);
}

function nothingMoved(action: string, states: string): OtaError {
  return new OtaError('OTA_TASK_STATE', `There is nothing to ${action}: none of these devices is ${states}.`);
}

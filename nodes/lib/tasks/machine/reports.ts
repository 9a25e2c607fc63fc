/**
 * Whose report it is: finds, among the tasks of a device, those that a report means, and those that it wakes. Pure.
 */
import { DEFAULT_MODULE } from '../../protocol';
import type { Device, HistoryEvent, KnownDevice, Labels, TaskPlan, Ticks, Transition } from '../types';
import { isActive, isOccupied, isOpen } from './limits';
import { keptText, progressEvent, transition, versionEvent } from './machine';

export interface ProgressReport {
  readonly kind: 'progress';
  readonly accessToken: string;
  /** null where the device named none. */
  readonly module: string | null;
  readonly step: number;
  readonly desc: string;
  /** The broker sends it once more: it may have been committed and not acknowledged. */
  readonly again?: boolean;
  readonly wall: number;
}

export interface VersionReport {
  readonly kind: 'inform';
  readonly accessToken: string;
  readonly id: string | null;
  readonly module: string;
  readonly version: string;
  /** The broker had kept it: it is older than anything that was heard live. */
  readonly retained?: boolean;
  /** With `retained`: since when the broker has given what comes live; wall clock. */
  readonly subscribedAt?: number;
  /** What it says of itself in fields that are taken as labels; absent where none are asked for. */
  readonly labels?: Labels;
  readonly wall: number;
}

/** A sign of life that came another way. */
export interface LifeReport {
  readonly kind: 'alive';
  readonly accessToken: string;
  readonly wall: number;
}

export type Report = ProgressReport | VersionReport | LifeReport;

/** A device in a task, with the rules of the task. */
export interface Member {
  readonly device: Device;
  readonly plan: TaskPlan;
}

type FindLatest = (module: string) => Member | null;

interface ProgressContext {
  /** The newest task of the module that is over, for the history; asked only where it is needed. */
  readonly latest: FindLatest;
  /** The history of a device's row, where the report may be in it already; else null. */
  readonly written: ((device: number) => readonly HistoryEvent[]) | null;
  readonly now: Ticks;
}

/**
 * What a progress report makes of the device's tasks.
 * @param open the device's tasks, of any module, that a report may still move
 */
export function progressTransitions(
  report: ProgressReport,
  open: readonly Member[],
  { latest, written, now }: ProgressContext,
): Transition[] {
  const module = report.module ?? DEFAULT_MODULE;
  const member = meant(report.module, open) ?? latest(module) ?? unpushed(module, open);
  const moved =
    member === null || (written !== null && isWritten(report, written(member.device.id)))
      ? null
      : transition(member.device, member.plan, progressEvent(report, now), report.wall);
  const [only] = open.length === 1 ? open : [];
  const isAlone = only !== undefined && only.plan.upgrade.module === member?.plan.upgrade.module;
  const others = isAlone ? [] : woken(open, now, report.wall, member);
  return moved === null ? others : [moved, ...others];
}

/** True for what the device has said of its newest push before. */
function isWritten({ step, desc }: ProgressReport, history: readonly HistoryEvent[]): boolean {
  const pushed = history.map(({ event }) => event).lastIndexOf('push');
  const text = keptText(desc);
  return history
    .slice(pushed + 1)
    .some((line) => line.event === 'progress' && line.step === step && line.desc === text);
}

/** The one upgrade that a progress report belongs to: there is no id in it. */
function meant(module: string | null, open: readonly Member[]): Member | null {
  if (module !== null) return newest(open.filter(({ plan }) => plan.upgrade.module === module));
  const active = open.filter(({ device }) => isActive(device));
  if (active.length === 1) return active[0] ?? null;
  const ofDefault = open.filter(({ plan }) => plan.upgrade.module === DEFAULT_MODULE);
  if (active.length > 1) return newest(ofDefault);
  const waiting = open.filter(({ device }) => isWaiting(device));
  const modules = new Set(waiting.map(({ plan }) => plan.upgrade.module));
  if (modules.size === 1) return newest(waiting);
  const own = newest(ofDefault);
  if (own !== null) return own;
  // Nothing is active and nothing is known of `default`: the only success that it could refute.
  const succeeded = open.filter(({ device }) => device.status === 'succeeded');
  return succeeded.length === 1 ? (succeeded[0] ?? null) : null;
}

/** Its attempt goes on with the device's next word. */
function isWaiting(device: Device): boolean {
  return device.status === 'pending' && device.sameAttempt;
}

/** The active one; else the newest that waits; else the newest that was pushed and is over; else one before another try. */
function newest(members: readonly Member[]): Member | null {
  let found: Member | null = null;
  for (const member of members) {
    const { device } = member;
    if (isActive(device)) return member;
    if (device.status === 'pending' && device.attempt === 0) continue;
    if (found === null || rank(device) > rank(found.device)) found = member;
  }
  return found;
}

/** More than there are devices in all tasks. */
const RANK = 2 ** 50;

function rank(device: Device): number {
  if (device.status !== 'pending') return device.id;
  return device.id + (device.sameAttempt ? RANK : -RANK);
}

/** Nobody asked it for that: history of the task that waits for its turn. */
function unpushed(module: string, open: readonly Member[]): Member | null {
  return open.find(({ plan }) => plan.upgrade.module === module) ?? null;
}

/** What a version report makes of the device's tasks: it may move several of its module, and wake others. */
export function versionTransitions(
  report: VersionReport,
  open: readonly Member[],
  latest: FindLatest,
  now: Ticks,
): Transition[] {
  const { module, version, retained } = report;
  const members = open.filter(({ plan, device }) => plan.upgrade.module === module && isOpen(device));
  const last = members.length === 0 ? latest(module) : null;
  const wakes = pushedFirst(members);
  // The one that occupies the device last: its end changes those that wait for it, once more.
  members.sort((a, b) => Number(isOccupied(a.device)) - Number(isOccupied(b.device)));
  const moved = [...members, ...(last === null ? [] : [last])].flatMap((member) => {
    const said = { version, retained, wakes: member === wakes };
    const event = versionEvent(member.device, member.plan.upgrade.version, said, now);
    return list(transition(member.device, member.plan, event, report.wall));
  });
  if (retained === true || open.length === members.length) return moved;
  const others = open.filter(({ plan }) => plan.upgrade.module !== module);
  return [...moved, ...woken(others, now, report.wall, null)];
}

/** What a sign of life that is no report makes of the device's tasks, of any module. */
export function lifeTransitions({ wall }: LifeReport, open: readonly Member[], now: Ticks): Transition[] {
  return woken(open, now, wall, null);
}

/** Every sign of life is one for all modules of a device. @param reported the member that has its report already */
function woken(open: readonly Member[], now: Ticks, wall: number, reported: Member | null): Transition[] {
  const modules = new Map<string, Member[]>();
  for (const member of open) {
    const { module } = member.plan.upgrade;
    const found = modules.get(module);
    if (found === undefined) modules.set(module, [member]);
    else found.push(member);
  }
  return [...modules.values()].flatMap((members) => {
    // A report of progress answers a push of its module: nothing else of that is pushed now.
    if (reported !== null && members.includes(reported)) return [];
    const wakes = pushedFirst(members);
    return members.flatMap((member) =>
      list(transition(member.device, member.plan, { on: 'alive', now, wakes: member === wakes }, wall)),
    );
  });
}

/**
 * The one of a device's tasks of a module that is pushed when it wakes: the newest that runs, or of those that don't,
 * the newest. None while one of them is active.
 */
function pushedFirst(members: readonly Member[]): Member | null {
  let found: Member | null = null;
  for (const member of members) {
    if (isActive(member.device)) return null;
    if (member.device.hold !== 'wait') continue;
    if (found === null || precedence(member) > precedence(found)) found = member;
  }
  return found;
}

function precedence({ device, plan }: Member): number {
  return device.task + (plan.running.since === null ? 0 : RANK);
}

/** What is known of a device and module after a version report; null where that is as it was. */
export function knownAfter(report: VersionReport, known: KnownDevice | null): KnownDevice | null {
  const { retained = false, subscribedAt = -Infinity, wall } = report;
  const isNews = known === null || known.retained || known.at < subscribedAt;
  if (retained && !isNews) return null;
  return {
    version: keptText(report.version),
    lastId: report.id === null ? null : keptText(report.id),
    // Old news says nothing of when the device was there.
    at: retained && known !== null ? known.at : wall,
    retained: retained && (known?.retained ?? true),
  };
}

function list(moved: Transition | null): Transition[] {
  return moved === null ? [] : [moved];
}

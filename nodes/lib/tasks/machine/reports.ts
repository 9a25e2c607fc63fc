/**
 * Whose report it is: finds, among the tasks of a device, those that a report means. Pure.
 */
import { DEFAULT_MODULE } from '../../protocol';
import type { Device, KnownDevice, Transition, TaskPlan, Ticks } from '../types';
import { isActive, isOpen } from './limits';
import { transition, progressEvent, versionEvent } from './machine';

export interface ProgressReport {
  readonly kind: 'progress';
  readonly accessToken: string;
  /** null where the device named none. */
  readonly module: string | null;
  readonly step: number;
  readonly desc: string;
  readonly wall: number;
}

export interface VersionReport {
  readonly kind: 'inform';
  readonly accessToken: string;
  readonly id: string | null;
  readonly module: string;
  readonly version: string;
  readonly wall: number;
}

export type Report = ProgressReport | VersionReport;

/** A device in a task, with the rules of the task. */
export interface Member {
  readonly device: Device;
  readonly plan: TaskPlan;
}

/** A report with the same id and version within this time is the broker's repeat of it. */
const DUPLICATE_MS = 60_000;

/**
 * What a progress report makes of the device's tasks.
 * @param open the device's tasks, of any module, that a report may still move
 * @param latest the newest task of the module that is over, for the history; asked only where it is needed
 */
export function progressTransitions(
  report: ProgressReport,
  open: readonly Member[],
  latest: (module: string) => Member | null,
  now: Ticks,
): Transition[] {
  const module = report.module ?? DEFAULT_MODULE;
  const member = meant(report.module, open) ?? latest(module) ?? unpushed(module, open);
  if (member === null) return [];
  return list(transition(member.device, member.plan.policy, progressEvent(report, now), report.wall));
}

/** The one upgrade that a progress report belongs to: there is no id in it. */
function meant(module: string | null, open: readonly Member[]): Member | null {
  if (module !== null) return newest(open.filter(({ plan }) => plan.upgrade.module === module));
  const active = open.filter(({ device }) => isActive(device));
  if (active.length === 1) return active[0] ?? null;
  const own = newest(open.filter(({ plan }) => plan.upgrade.module === DEFAULT_MODULE));
  if (own !== null || active.length > 1) return own;
  // Nothing is active and nothing is known of `default`: the only success that it could refute.
  const succeeded = open.filter(({ device }) => device.status === 'succeeded');
  return succeeded.length === 1 ? (succeeded[0] ?? null) : null;
}

/** The active one; else the newest that was pushed and is over; else one that waits for another try. */
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

function rank(device: Device): number {
  return device.status === 'pending' ? device.id - Number.MAX_SAFE_INTEGER : device.id;
}

/** Nobody asked it for that: history of the task that waits for its turn. */
function unpushed(module: string, open: readonly Member[]): Member | null {
  return open.find(({ plan }) => plan.upgrade.module === module) ?? null;
}

/** True for the broker's second delivery of a version report. */
export function isDuplicate(report: VersionReport, known: KnownDevice | null): boolean {
  return (
    known !== null &&
    report.id !== null &&
    report.id === known.lastId &&
    report.version === known.version &&
    Math.abs(report.wall - known.at) <= DUPLICATE_MS
  );
}

/** What a version report makes of the device's tasks for that module: it may move several of them. */
export function versionTransitions(
  report: VersionReport,
  known: KnownDevice | null,
  open: readonly Member[],
  latest: (module: string) => Member | null,
  now: Ticks,
): Transition[] {
  const duplicate = isDuplicate(report, known);
  const members = open.filter(({ plan, device }) => plan.upgrade.module === report.module && isOpen(device));
  const last = members.length === 0 ? latest(report.module) : null;
  // The active one last: its end changes those that wait for it, once more.
  members.sort((a, b) => Number(isActive(a.device)) - Number(isActive(b.device)));
  return [...members, ...(last === null ? [] : [last])].flatMap((member) => {
    const event = versionEvent(
      member.device,
      member.plan.upgrade.version,
      { version: report.version, duplicate },
      now,
    );
    return list(transition(member.device, member.plan.policy, event, report.wall));
  });
}

function list(step: Transition | null): Transition[] {
  return step === null ? [] : [step];
}

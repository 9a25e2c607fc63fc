/** What becomes of a device whose turn to be pushed to has come. Pure. */
import type { IdSource } from '../../protocol';
import type { Device, Labels, TaskPlan, Ticks, Transition } from '../types';
import { copyOf } from './copy';
import { choosePackage } from './fit';
import { isOccupied, isOpen } from './limits';
import { transition } from './machine';
import { FRESH_LIFE } from './outcome-moves';
import type { Member } from './reports';
import type { Event } from './table';

/** A newer task that has brought the device up. */
export interface NewerTask {
  readonly taskId: string;
  readonly name: string;
  readonly version: string;
}

/** What is known of a device when its turn comes, beside its row. */
export interface TurnFacts {
  /** The version that it reported last for the task's module; null where it never did. */
  readonly knownVersion: string | null;
  /** When it said so live, by the wall clock; null where it never did, or only by a retained report. */
  readonly knownAt: number | null;
  readonly labels: Labels;
  /** All open rows of the device, its own included. */
  readonly open: readonly Member[];
  /** Until when a 100 of an earlier upgrade of the device and module may still come; null where none can. */
  readonly lateReportUntil: Ticks | null;
  /** The newest task of the module, created after this one, in which the device has succeeded. */
  readonly newer: NewerTask | null;
}

export interface TurnTime {
  readonly now: Ticks;
  /** Milliseconds. */
  readonly wall: number;
  readonly nextId: IdSource;
}

/**
 * The push, or why there is none; and what the push means for the device's other tasks. Of the device itself the
 * first transition is: a push went out where it says `lastPush` anew.
 */
export function takeTurn(member: Member, facts: TurnFacts, time: TurnTime): Transition[] {
  const { device, plan } = member;
  const { now, wall } = time;
  const others = facts.open.filter((other) => isOther(other, member));
  const as = (event: Omit<Event, 'now'>, from: Device = device): Transition[] => {
    const moved = transition(from, plan, { now, ...event }, wall);
    return moved === null ? [] : [{ ...moved, before: device }];
  };
  if (supersedes(facts.newer, member)) return as({ on: 'superseded', desc: taskText(facts.newer) });
  const isProbe = device.hold === 'wait';
  const occupying = others.find((other) => isOccupied(other.device));
  if (occupying !== undefined) {
    return as(isProbe ? { on: 'put-off' } : { on: 'busy', desc: taskText(occupying.plan) });
  }
  if (isProbe && others.some((other) => waitsLater(other, member))) return as({ on: 'put-off' });
  const known = facts.knownVersion ?? device.source;
  if (known === plan.upgrade.version && plan.policy.skipCurrent) {
    return as({ on: 'target', version: known, retained: facts.knownAt === null });
  }
  const variant = choosePackage(plan, { version: known, labels: facts.labels });
  if (typeof variant === 'string') return as({ on: variant === 'version' ? 'unfit' : 'incompatible' });
  if (isProbe && device.sameAttempt) return as({ on: 'repeat' });
  const overtaken = others.flatMap((other) => overtake(other, time));
  if (device.sameAttempt) return [...as({ on: 'push', lifeAt: lifeAt(facts, time) }), ...overtaken];
  const from = copyOf(device);
  from.source = known === plan.upgrade.version ? null : known;
  from.versionBefore = known;
  from.variant = variant;
  const push = as(
    {
      on: 'push',
      id: time.nextId(device.accessToken),
      lateReportUntil: latest(facts.lateReportUntil, overtaken),
      lifeAt: lifeAt(facts, time),
    },
    from,
  );
  return [...push, ...overtaken];
}

function isOther({ device, plan }: Member, member: Member): boolean {
  return (
    device.id !== member.device.id && plan.upgrade.module === member.plan.upgrade.module && isOpen(device)
  );
}

/** Of the tasks that wait for a device the newest that runs pushes. */
function waitsLater({ device, plan }: Member, member: Member): boolean {
  const waits = device.status === 'pending' && (device.hold === 'wait' || device.sameAttempt);
  return waits && plan.running.since !== null && device.task > member.device.task;
}

/**
 * What a task with `supersede` makes of a device's rows in older tasks of its module: they are taken out where they
 * are still pending, under the same conditions under which a newer success would take them out.
 */
export function takeOver(
  plan: TaskPlan,
  others: readonly Member[],
  { now, wall }: { readonly now: Ticks; readonly wall: number },
): Transition[] {
  const newer = { taskId: plan.taskId, name: plan.name, version: plan.upgrade.version };
  return others.flatMap((other) => {
    const isOlder = other.plan.id < plan.id && other.plan.upgrade.module === plan.upgrade.module;
    // One that changed since that task was made may have been named in a retry since.
    const named = other.device.named && other.device.at >= plan.createdAt;
    const asked = { plan: other.plan, device: { named } };
    if (!isOlder || other.device.status !== 'pending' || !supersedes(newer, asked)) return [];
    const moved = transition(
      other.device,
      other.plan,
      { on: 'superseded', now, desc: taskText(newer) },
      wall,
    );
    return moved === null ? [] : [moved];
  });
}

/** An older task doesn't undo a newer one, unless that was a step on its way, or a person named the device. */
function supersedes(
  newer: NewerTask | null,
  { device, plan }: { readonly device: Pick<Device, 'named'>; readonly plan: TaskPlan },
): newer is NewerTask {
  return newer !== null && !device.named && !isSteppingStone(plan, newer.version);
}

/** True where a task is made for devices that run this version. */
export function isSteppingStone({ policy, packages }: TaskPlan, version: string): boolean {
  const lists = [policy.fromVersions, ...packages.map((variant) => variant.fromVersions)];
  return lists.some((versions) => versions.includes(version));
}

/** How a person finds the other task: consoles make a link of it. */
function taskText({ name, taskId }: Pick<NewerTask, 'name' | 'taskId'>): string {
  return name === '' ? taskId : `${name} (${taskId})`;
}

function overtake({ device, plan }: Member, { now, wall }: TurnTime): Transition[] {
  const moved = transition(device, plan, { on: 'overtaken', now }, wall);
  return moved === null ? [] : [moved];
}

/** What was known of late reports, and those of attempts that end with this push. */
function latest(known: Ticks | null, overtaken: readonly Transition[]): Ticks | null {
  return overtaken.reduce<Ticks | null>((until, { lateReport }) => {
    if (lateReport === null || lateReport === 'clear') return until;
    return Math.max(until ?? lateReport.until, lateReport.until);
  }, known);
}

/** Its last report as a sign of life, where that isn't long ago. */
function lifeAt({ knownAt }: TurnFacts, { now, wall }: TurnTime): Ticks | null {
  if (knownAt === null) return null;
  const ago = wall - knownAt;
  return ago >= 0 && ago <= FRESH_LIFE ? now - ago : null;
}

/**
 * When something is due for a device: its limit, and where it stands in its task's queue. Pure; times are ticks.
 * Nothing here decides what happens then: that is the table.
 */
import type { Device, DeviceStatus, Hold, Intent, Policy, RunningTime, TaskPlan, Ticks } from '../types';

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;
/** Devices whose connection was lost with ours are back after this time. */
export const RETURN = 10 * SECOND;

export type LimitName =
  'no-response' | 'stalled' | 'unconfirmed' | 'rebooted' | 'waited' | 'delay-over' | 'confirm-over';

export interface Limit {
  readonly name: LimitName;
  /** While its task is paused, `waited` is later: it stands still. */
  readonly at: Ticks;
}

type LimitRules = Pick<TaskPlan, 'policy' | 'running'>;

/** The limit that runs in the device's present state, or null where none does. */
export function limitOf(device: Device, { policy, running }: LimitRules): Limit | null {
  const after = (name: LimitName, seconds: number): Limit => ({ name, at: device.since + seconds * SECOND });
  switch (device.status) {
    case 'pushed':
      return after('no-response', policy.noResponse);
    case 'upgrading': {
      const limit = device.reported100
        ? after('unconfirmed', policy.confirm)
        : after('stalled', policy.stalled);
      const { rebootAt } = device;
      return rebootAt !== null && rebootAt < limit.at ? { name: 'rebooted', at: rebootAt } : limit;
    }
    case 'pending':
      if (device.hold === 'wait') return { name: 'waited', at: waitedAt(device, policy, running) };
      return device.hold === 'delay' ? after('delay-over', retryDelay(device, policy)) : null;
    case 'succeeded':
      return after('confirm-over', policy.confirm);
    default:
      return null;
  }
}

/** The tick at which the wait is over, if its task runs on from now. */
function waitedAt({ firstWait, since }: Device, policy: Policy, running: RunningTime): Ticks {
  const limit = policy.waitLimit * SECOND;
  if (firstWait === null) return since + limit;
  return (running.since ?? since) + firstWait + limit - running.before;
}

/** Seconds before another attempt; `retries` counts the one that is waited for. */
function retryDelay({ retries }: Device, { retryDelay: delay, retryBackoff }: Policy): number {
  if (retryBackoff === 'fixed') return delay;
  return Math.max(delay, Math.min(delay * 2 ** Math.max(0, retries - 1), DAY / SECOND));
}

/** The limit of a waiting device stands still with its task. */
export function isOver(device: Device, limit: Limit, { policy, running }: LimitRules, now: Ticks): boolean {
  if (limit.name !== 'waited' || device.firstWait === null) return now >= limit.at;
  return runningTime(running, now) - device.firstWait >= policy.waitLimit * SECOND;
}

/**
 * True where time has a repeat of the push left that may go out now: silence isn't counted before that.
 * @param pushes the task may push now, see `mayPush`
 */
export function isRepeatOwed(device: Device, { policy }: LimitRules, now: Ticks, pushes: boolean): boolean {
  const { status, nextPush, repeats } = device;
  return pushes && status === 'pushed' && repeats < policy.repush && nextPush !== null && nextPush <= now;
}

/** How long a task has run up to `now`, pauses left out. */
export function runningTime({ before, since }: RunningTime, now: Ticks): Ticks {
  return since === null ? before : before + Math.max(0, now - since);
}

/** The running time of a task that runs from `now` on, or doesn't. */
export function runningAfter(running: RunningTime, runs: boolean, now: Ticks): RunningTime {
  if (runs === (running.since !== null)) return running;
  return { before: runningTime(running, now), since: runs ? now : null };
}

/** `due` of a limit that stands still: later than anything that is looked for. `recount` gives it its time again. */
const STANDS_STILL: Ticks = 1e15;

/** When the limit that runs is over; null where none runs. Repeats are claimed with first pushes, see `nextPush`. */
export function dueOf(device: Device, rules: LimitRules): Ticks | null {
  const limit = isOpen(device) ? limitOf(device, rules) : null;
  if (limit === null) return null;
  const isStill = limit.name === 'waited' && device.firstWait !== null && rules.running.since === null;
  return isStill ? STANDS_STILL : limit.at;
}

type Limited = Pick<Intent, 'on' | 'reasons' | 'byName'> & {
  readonly on: 'recount';
  readonly statuses: readonly DeviceStatus[];
  readonly holds: readonly Hold[];
};

/** Which limits count by which field of a policy. */
const LIMITED_BY: readonly (readonly [keyof Policy, readonly DeviceStatus[], readonly Hold[]])[] = [
  ['noResponse', ['pushed'], []],
  ['stalled', ['upgrading'], []],
  ['confirm', ['upgrading', 'succeeded'], []],
  ['waitLimit', [], ['wait']],
  ['retryDelay', [], ['delay']],
  ['retryBackoff', [], ['delay']],
];

/** The devices whose limits another policy changes; null where it changes none. */
export function limitedAnew(before: Policy, after: Policy): Limited | null {
  const changed = LIMITED_BY.filter(([name]) => before[name] !== after[name]);
  if (changed.length === 0) return null;
  const statuses = [...new Set(changed.flatMap(([, some]) => some))];
  const holds = [...new Set(changed.flatMap(([, , some]) => some))];
  return { on: 'recount', statuses, holds, reasons: null, byName: false };
}

/** When a device whose limit was looked at in vain is looked at again: its limit is later, or stands still. */
export function lookAgain(device: Device, rules: LimitRules, now: Ticks): Ticks | null {
  const due = dueOf(device, rules);
  return due === null ? null : Math.max(due, now + SECOND);
}

/** Between two repeats of a push: `repush` of them are spread evenly over `noResponse`. */
export function repeatGap({ noResponse, repush }: Policy): Ticks {
  return (noResponse * SECOND) / (repush + 1);
}

/** The pushes of a task in the order in which they go out, all from one rate. */
export type QueueRank =
  /** of a device that is there: it is awake for a moment only, maybe. Takes up `concurrency`. */
  | 'woken'
  /** the next one of an open wave. Takes up `concurrency`. */
  | 'first';

/** Where a pending device stands in the queue; null where it isn't in it. Repeats and probes go by `nextPush`. */
export function queueRank(device: Device): QueueRank | null {
  if (device.status !== 'pending' || device.hold !== null) return null;
  return device.sameAttempt ? 'woken' : 'first';
}

/** True while a report, a limit or a push may still move the device. */
export function isOpen(device: Device): boolean {
  switch (device.status) {
    case 'cancelled':
      return false;
    case 'failed':
      return !device.overtaken;
    case 'succeeded':
      return device.since !== CONFIRM_OVER;
    default:
      return true;
  }
}

/** `since` of a success that nothing can refute any more. */
export const CONFIRM_OVER: Ticks = -1;

export function isActive(device: { readonly status: string }): boolean {
  return device.status === 'pushed' || device.status === 'upgrading';
}

/** True where no other task may push to the device: its report of this version would look like a third one there. */
export function isOccupied(device: Device): boolean {
  return isActive(device) || (device.status === 'succeeded' && !device.confirmed && isOpen(device));
}

type Ended = 'succeeded' | 'failed' | 'cancelled';

export function isEnded<T extends { readonly status: string }>(
  device: T,
): device is T & { readonly status: Ended } {
  return device.status === 'succeeded' || device.status === 'failed' || device.status === 'cancelled';
}

/** True where the confirm time of a success or of a 100 is still running. */
export function confirming(device: Device, policy: Policy, now: Ticks): boolean {
  return device.since !== CONFIRM_OVER && now < device.since + policy.confirm * SECOND;
}

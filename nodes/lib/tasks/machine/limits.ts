/**
 * When something is due for a device: its limit and its next repeat. Pure; times are ticks. Nothing here
 * decides what happens then: that is the table.
 */
import type { Device, Policy, RunningTime, Ticks } from '../types';

const SECOND = 1000;

/** Failures that a late report of the target version turns into success. */
const LATE_SUCCESS: ReadonlySet<string> = new Set(['offline', 'no-response', 'stalled', 'unconfirmed']);

export type LimitName = 'no-response' | 'stalled' | 'unconfirmed' | 'waited' | 'delay-over' | 'confirm-over';

/** The limit that runs in the device's present state, or null where none does. */
export function limitOf(device: Device, policy: Policy): { name: LimitName; at: Ticks } | null {
  const after = (name: LimitName, seconds: number): { name: LimitName; at: Ticks } => ({
    name,
    at: device.since + seconds * SECOND,
  });
  switch (device.status) {
    case 'pushed':
      return after('no-response', policy.noResponse);
    case 'upgrading':
      return device.reported100 ? after('unconfirmed', policy.confirm) : after('stalled', policy.stalled);
    case 'pending':
      if (device.hold === 'wait') return after('waited', policy.waitLimit);
      return device.hold === 'delay' ? after('delay-over', policy.retryDelay) : null;
    case 'succeeded':
      return after('confirm-over', policy.confirm);
    default:
      return null;
  }
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

/** When the limit that runs is over; null where none runs. Repeats are claimed with first pushes, see `nextPush`. */
export function dueOf(device: Device, policy: Policy): Ticks | null {
  if (!isOpen(device)) return null;
  return limitOf(device, policy)?.at ?? null;
}

/** The next repeat after `now`: `repush` of them are spread evenly over `noResponse`. */
export function nextRepeat(device: { since: Ticks }, policy: Policy, now: Ticks): Ticks | null {
  const gap = (policy.noResponse * SECOND) / (policy.repush + 1);
  const next = Math.floor((now - device.since) / gap) + 1;
  return next > policy.repush ? null : device.since + next * gap;
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

export function isEnded(device: { readonly status: string }): boolean {
  return device.status === 'succeeded' || device.status === 'failed' || device.status === 'cancelled';
}

/** True where the confirm time of a success or of a 100 is still running. */
export function confirming(device: Device, policy: Policy, now: Ticks): boolean {
  return device.since !== CONFIRM_OVER && now < device.since + policy.confirm * SECOND;
}

export function hasLateSuccess(device: Device): boolean {
  return LATE_SUCCESS.has(device.reason ?? '');
}

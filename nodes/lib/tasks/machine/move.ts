/**
 * What a row of the table of moves is made of: the events, and what several rows share. Pure; decides nothing alone.
 */
import { FAILURES } from '../../protocol';
import type { Device, DeviceStatus, FailReason, Hold, Reason, TaskPlan, Ticks } from '../types';
import { type LimitName, MINUTE, runningTime } from './limits';

/** What can happen to a device in a task. */
export type EventName =
  // its turn to be pushed to
  | 'push' // a first push of an attempt, or the first one after it waited
  | 'repeat' // the push of a pushed device goes out again, or a waiting one is probed
  | 'busy' // another task has the device and module in work
  | 'unblocked' // the other task is through with it
  | 'unfit' // it runs a version that the task isn't for
  | 'incompatible' // none of the task's packages is for it
  | 'superseded' // a newer task has brought it up, or takes it
  | 'put-off' // the probe may not go out now
  | 'reconnected' // everybody's connection was cut, and ours is back
  | 'overtaken' // another task pushes to it
  | 'newer-success' // a newer task has brought it up just now
  // what became of a push
  | 'accepted' // the broker has it, after it was asked again
  | 'offline' // the broker knows nobody who would get it
  | 'offline-after-reconnect' // the same, but everybody's connection was cut just now
  | 'refused' // it can't be sent to this token
  | 'push-timeout' // nobody knows whether it went out
  | 'restarted' // the platform was started, and nobody knows whether the push had left before
  // what the device reports
  | 'step' // progress below 100
  | 'progress-100'
  | 'failure' // -1 to -4
  | 'target' // it runs the target version
  | 'first-version' // it runs a version, and none was known
  | 'source' // it runs the version it had before
  | 'other' // it runs a third version
  | 'alive' // any other sign of life
  | LimitName
  // people, and the end of the task
  | 'cancel'
  | 'retry';

export interface Event {
  readonly on: EventName;
  readonly now: Ticks;
  /** step, failure */
  readonly step?: number;
  /** superseded: the task that did it */
  readonly desc?: string;
  /** push: the id of a new attempt; outcomes: the id of the push that they are of */
  readonly id?: string;
  /** outcomes: which push of the attempt they are of, from 1 */
  readonly push?: number;
  /** offline: the sender knows that nobody is there, and isn't asked again */
  readonly certain?: boolean;
  /** push: until when a 100 of an earlier attempt may still come */
  readonly lateReportUntil?: Ticks | null;
  /** push: when the device gave its last sign of life, where that isn't long ago */
  readonly lifeAt?: Ticks | null;
  /** versions */
  readonly version?: string;
  /** versions: a report that the broker had kept. It is old: it fills in what is unknown, and confirms the target */
  readonly retained?: boolean;
  /** versions, alive: false where the device waits in a task that has to stand back */
  readonly wakes?: boolean;
  /** cancel: why, where no person did it */
  readonly reason?: Reason;
  /** cancel, retry: a person named the device */
  readonly named?: boolean;
}

/** What the rules need of a device's task. */
export type Rules = Pick<TaskPlan, 'policy' | 'running' | 'endAt'>;

export interface Case {
  readonly device: Device;
  readonly rules: Rules;
  readonly event: Event;
  /** Wall clock, milliseconds. */
  readonly wall: number;
}

export interface Move {
  readonly on: EventName;
  readonly from: readonly DeviceStatus[];
  readonly when?: (c: Case) => boolean;
  readonly to: DeviceStatus;
  readonly change: (c: Case) => Partial<Device>;
  readonly why: string;
  /** `set`: the attempt ends without the device's last word; `clear`: no 100 of an earlier one can come any more. */
  readonly lateReport?: (c: Case) => 'set' | 'clear' | null;
}

export const ACTIVE = ['pushed', 'upgrading'] as const;
export const OPEN = ['pending', 'pushed', 'upgrading'] as const;

/** True where the device has a push that it may answer: it is active, or it waits and the attempt goes on. */
export const inAttempt = ({ device }: Case): boolean => device.status !== 'pending' || device.sameAttempt;

export const failureOf = (c: Case): FailReason => FAILURES.get(c.event.step ?? -1) ?? 'upgrade';
export const because = (reason: FailReason) => (): FailReason => reason;
export const retriesLeft = ({ device, rules, wall }: Case): boolean =>
  device.retries < rules.policy.retries && (rules.endAt === null || wall < rules.endAt);

const isRetried = (c: Case, reason: FailReason): boolean =>
  retriesLeft(c) && c.rules.policy.retryOn.includes(reason);

/** One change and more of it. What a report changes is made so often that a spread, ten times as slow, counts. */
export function and(change: Partial<Device>, more: Partial<Device>): Partial<Device> {
  return Object.assign(change, more);
}

/** The attempt ends, and the device with it. */
export const end = (c: Case, reason: Reason | null): Partial<Device> => ({
  nextPush: null,
  asked: 0,
  countedPush: 0,
  rebootAt: null,
  reason,
  hold: null,
  sameAttempt: false,
  since: c.event.now,
  desc: c.event.desc ?? '',
});
export const fail =
  (reason: (c: Case) => FailReason) =>
  (c: Case): Partial<Device> =>
    end(c, reason(c));

/** Back into the queue, now or after the delay, with one of the automatic attempts used. */
export const again = (c: Case, reason: Reason, hold: Hold | null): Partial<Device> =>
  and(end(c, reason), { hold, retries: c.device.retries + 1 });

/** The attempt goes on when the device gives a sign of life, or answers a probe. */
export const wait =
  (reason: (c: Case) => FailReason) =>
  (c: Case): Partial<Device> =>
    and(end(c, reason(c)), {
      hold: 'wait',
      sameAttempt: true,
      firstWait: c.device.firstWait ?? runningTime(c.rules.running, c.event.now),
      nextPush: c.event.now + probeDelay(c.device.probes),
    });

/** Between two probes: 1, 2, 4… minutes, an hour at most. */
export function probeDelay(probes: number): Ticks {
  return Math.min(2 ** probes, 60) * MINUTE;
}

export const set = (): 'set' => 'set';
export const setIfPushed = (c: Case): 'set' | null => (inAttempt(c) ? 'set' : null);
/** Ends the doubt of whose a 100 is, where there was one. */
export const clearDoubt = (c: Case): 'clear' | null => (c.device.lateReportUntil === null ? null : 'clear');

/** Rows for a failure of an attempt: another attempt where the policy tries this reason again, else the end. */
export function failing(
  on: EventName,
  from: readonly DeviceStatus[],
  reason: (c: Case) => FailReason,
  why: string,
  { when = () => true, lateReport }: Pick<Move, 'when' | 'lateReport'> = {},
): Move[] {
  return [
    {
      on,
      from,
      when: (c) => when(c) && isRetried(c, reason(c)),
      to: 'pending',
      change: (c) => again(c, reason(c), 'delay'),
      why: `${why}; another attempt is left`,
      lateReport,
    },
    { on, from, when, to: 'failed', change: fail(reason), why, lateReport },
  ];
}

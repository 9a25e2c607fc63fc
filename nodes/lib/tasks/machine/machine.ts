/**
 * The machine: a device, an event, a policy in; the next state and a line of history out. Pure: time comes in as an
 * argument, and the device that is given is never changed.
 */
import { STEP_SUCCEEDED } from '../../protocol';
import type { Device, Ticks, Transition } from '../types';
import { copyOf } from './copy';
import { isOver, isRepeatOwed, limitOf, SECOND } from './limits';
import { type Event, type EventName, findMove, type Move, type Rules } from './table';
import { mayPush } from './window';

/** What happens so often, or means so little, that it isn't history. */
const QUIET: ReadonlySet<EventName> = new Set([
  'put-off',
  'reconnected',
  'accepted',
  'restarted',
  'overtaken',
  'newer-success',
  'alive',
  'confirm-over',
  'unblocked',
  'delay-over',
]);
/** What happens to devices that it isn't meant for, and is then not even history. */
const OURS: ReadonlySet<EventName> = new Set([
  'push',
  'busy',
  'unfit',
  'incompatible',
  'superseded',
  'overtaken',
  'newer-success',
  'unblocked',
  'repeat',
  'put-off',
  'reconnected',
  'accepted',
  'restarted',
  'alive',
  'confirm-over',
  'cancel',
  'retry',
]);
/** Events that a person reads by the report's own name. */
const SHOWN_AS: { readonly [name: string]: string } = {
  step: 'progress',
  'progress-100': 'progress',
  failure: 'progress',
  target: 'version',
  'first-version': 'version',
  source: 'version',
  other: 'version',
  'push-timeout': 'timeout',
  'offline-after-reconnect': 'offline',
};
/** Longest text that is kept of what a device says. */
const MAX_KEPT_TEXT = 256;

/** What is kept of a device's text: databases take neither NUL nor half a character. */
export function keptText(text: string): string {
  return text.slice(0, MAX_KEPT_TEXT).replace(/[\0\p{Cs}]/gu, '\u{FFFD}');
}

/**
 * The next state of a device. Returns null where nothing happens and nothing is to be remembered.
 * @param wall milliseconds of the wall clock
 */
export function transition(device: Device, rules: Rules, event: Event, wall: number): Transition | null {
  const c = { device, rules, event, wall };
  const move = findMove(c);
  const isHeard = isLiveVersion(event);
  if (move === null) {
    if (OURS.has(event.on)) return null;
    const after = copyOf(device);
    after.events += 1;
    if (isHeard && device.lateReportUntil !== null) after.lateReportUntil = null;
    return {
      before: device,
      after,
      history: historyOf(event, device),
      lateReport: isHeard ? 'clear' : null,
    };
  }
  const quiet = QUIET.has(event.on);
  const after = Object.assign(copyOf(device), move.change(c));
  after.status = move.to;
  if (isVisible(device, after)) after.at = wall;
  if (!quiet) after.events += 1;
  if (isHeard && after.lateReportUntil !== null) after.lateReportUntil = null;
  return {
    before: device,
    after,
    history: quiet ? null : historyOf(event, after),
    lateReport: isHeard ? 'clear' : lateReportOf(move, c),
  };
}

/** The device has said what it runs: no 100 from before can be taken for a later upgrade's any more. */
function isLiveVersion(event: Event): boolean {
  return event.version !== undefined && event.retained !== true;
}

function lateReportOf(
  { lateReport }: Move,
  c: Parameters<NonNullable<Move['lateReport']>>[0],
): Transition['lateReport'] {
  const found = lateReport?.(c) ?? null;
  if (found !== 'set') return found;
  const { stalled, confirm } = c.rules.policy;
  return { until: c.event.now + (stalled + confirm) * SECOND };
}

function historyOf(event: Event, device: Device): Transition['history'] {
  const isVersion = event.version !== undefined;
  return {
    event: SHOWN_AS[event.on] ?? event.on,
    step: event.step ?? null,
    desc: isVersion ? (event.version ?? '') : (event.desc ?? ''),
    id: event.id ?? (event.on === 'repeat' || event.on === 'push' ? device.pushId : null),
  };
}

/** True where a push goes out: the first of an attempt, or one more of it. */
export function isPush({ before, after }: Transition): boolean {
  return after.attempt > before.attempt || after.pushes > before.pushes;
}

/** True where somebody outside sees a difference: outputs carry these changes. */
export function isVisible(a: Device, b: Device): boolean {
  return a.status !== b.status || a.step !== b.step || a.attempt !== b.attempt || a.reason !== b.reason;
}

/** The event that a progress report is. */
export function progressEvent(report: { step: number; desc: string }, now: Ticks): Event {
  const { step } = report;
  const desc = keptText(report.desc);
  if (step < 0) return { on: 'failure', now, step, desc };
  return { on: step >= STEP_SUCCEEDED ? 'progress-100' : 'step', now, step, desc };
}

/** The event that a version report is, for one task's device. */
export function versionEvent(
  device: Device,
  target: string,
  report: { version: string; retained?: boolean; wakes?: boolean },
  now: Ticks,
): Event {
  const version = keptText(report.version);
  const { retained, wakes } = report;
  const event = (on: EventName): Event => ({ on, now, version, retained, wakes });
  if (report.version === target) return event('target');
  if (device.source === null) return event('first-version');
  return event(version === device.source ? 'source' : 'other');
}

/** The limit that is over, or null where none is; `lookAgain` says when to look again. */
export function limitEvent(device: Device, rules: Rules, now: Ticks, wall: number): Event | null {
  const limit = limitOf(device, rules);
  if (limit === null || !isOver(device, limit, rules, now)) return null;
  return isRepeatOwed(device, rules, now, mayPush(rules, wall)) ? null : { on: limit.name, now };
}

/**
 * Applies the table to one device: an event in, the device's next state and its line of history out. Pure:
 * no I/O, no clock; the device that is given is never changed.
 */
import { STEP_SUCCEEDED } from '../../protocol';
import type { Device, Policy, Transition, Ticks } from '../types';
import { limitOf } from './limits';
import { type Event, type EventName, findMove, type Move } from './table';

/** What happens so often, or means so little, that it isn't history. */
const QUIET: ReadonlySet<EventName> = new Set([
  'postpone',
  'restarted',
  'confirm-over',
  'unblocked',
  'delay-over',
]);
/** What happens to devices that it isn't meant for, and is then not even history. */
const OURS: ReadonlySet<EventName> = new Set([
  'push',
  'busy',
  'unfit',
  'unblocked',
  'repeat',
  'postpone',
  'restarted',
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

/** The next state of a device. Returns null where nothing happens and nothing is to be remembered. */
export function transition(device: Device, policy: Policy, event: Event, wall: number): Transition | null {
  const move = findMove({ device, policy, event });
  if (move === null) {
    if (OURS.has(event.on) || event.on === 'confirm-over') return null;
    return {
      before: device,
      after: remember(device),
      history: historyOf(event, device),
      lateReport: null,
    };
  }
  const moved: Device = { ...device, ...move.change({ device, policy, event }), status: move.to };
  const quiet = QUIET.has(event.on);
  const visible = isVisible(device, moved);
  const after = { ...moved, at: visible ? wall : device.at, events: device.events + (quiet ? 0 : 1) };
  return {
    before: device,
    after,
    history: quiet ? null : historyOf(event, after),
    lateReport: lateReportOf(move, policy, event),
  };
}

function lateReportOf({ lateReport }: Move, policy: Policy, { now }: Event): Transition['lateReport'] {
  if (lateReport === undefined) return null;
  if (lateReport === 'clear') return 'clear';
  return { until: now + (policy.stalled + policy.confirm) * 1000 };
}

function remember(device: Device): Device {
  return { ...device, events: device.events + 1 };
}

function historyOf(event: Event, device: Device): Transition['history'] {
  const isVersion = event.version !== undefined;
  return {
    event: SHOWN_AS[event.on] ?? event.on,
    step: event.step ?? null,
    desc: isVersion ? (event.version ?? '') : (event.desc ?? ''),
    id: event.id ?? (event.on === 'repeat' ? device.pushId : null),
  };
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
  report: { version: string; duplicate: boolean },
  now: Ticks,
): Event {
  const version = keptText(report.version);
  const event = (on: EventName): Event => ({ on, now, version, duplicate: report.duplicate });
  if (report.version === target) return event('target');
  if (device.source === null) return event('first-version');
  return event(version === device.source ? 'source' : 'other');
}

/** The limit that is over, or null where none is. */
export function limitEvent(device: Device, policy: Policy, now: Ticks): Event | null {
  const limit = limitOf(device, policy);
  return limit !== null && now >= limit.at ? { on: limit.name, now } : null;
}

/** What time alone makes of a device: a limit, a repeat (which may go out or not), or nothing yet. */
export function timeEvent(device: Device, policy: Policy, now: Ticks, mayPush: boolean): Event | null {
  const limit = limitOf(device, policy);
  if (limit !== null && now >= limit.at) return { on: limit.name, now };
  if (device.status !== 'pushed' || device.nextPush === null || now < device.nextPush) return null;
  return { on: mayPush ? 'repeat' : 'postpone', now };
}

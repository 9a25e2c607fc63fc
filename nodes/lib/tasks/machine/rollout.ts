/**
 * What becomes of a whole task: waves, thresholds, the window, the end. Pure; counts in, a decision out.
 */
import type { Counts, Policy, Task, TaskStatus, TimeWindow } from '../types';

/** The wave that is open: how many devices it has, and how they ended. */
export interface WaveCounts {
  readonly total: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly cancelled: number;
}

export interface TaskMove {
  readonly status: TaskStatus;
  readonly reason: string | null;
  readonly wave: number;
}

/** How many devices the waves up to each one hold: sizes rounded up, the last holds all. */
export function waveEnds(total: number, waves: readonly number[]): number[] {
  return waves.map((percent) => Math.min(total, Math.ceil((total * percent) / 100 - 1e-9)));
}

export function openDevices(counts: Counts): number {
  return counts.pending + counts.pushed + counts.upgrading;
}

/**
 * What the counts make of a task, or null. Cancelled devices count as ended, but neither for nor against
 * the release: percentages are of those that succeeded or failed.
 * @param waveCounts the counts of one wave
 */
export function decide(task: Task, waveCounts: (wave: number) => WaveCounts): TaskMove | null {
  if (task.status === 'cancelled') return null;
  if (task.status === 'ended') {
    // A kill broke off the retry that took these in again.
    return openDevices(task.counts) === 0 ? null : { status: 'running', reason: null, wave: task.wave };
  }
  if (openDevices(task.counts) === 0)
    return { status: 'ended', reason: null, wave: task.policy.waves.length };
  if (task.status !== 'running') return null;
  return tooManyFailures(task) ?? nextWave(task, waveCounts);
}

function tooManyFailures(task: Task): TaskMove | null {
  const { failureThreshold, minExecuted, onFailure } = task.policy;
  if (failureThreshold <= 0) return null;
  const failed = Math.max(0, task.counts.failed - task.base.failed);
  const executed = failed + Math.max(0, task.counts.succeeded - task.base.succeeded);
  if (failed === 0 || executed < minExecuted || failed * 100 < failureThreshold * executed) return null;
  return {
    status: onFailure === 'cancel' ? 'cancelled' : 'paused',
    reason: 'failure-threshold',
    wave: task.wave,
  };
}

/** Waves that were too small to get a device are passed at once. */
function nextWave(task: Task, waveCounts: (wave: number) => WaveCounts): TaskMove | null {
  let wave = task.wave;
  while (wave < task.policy.waves.length) {
    const counts = waveCounts(wave);
    const executed = counts.succeeded + counts.failed;
    if (executed + counts.cancelled < counts.total) break;
    if (counts.succeeded * 100 < task.policy.successThreshold * executed) {
      return { status: 'paused', reason: BELOW_THRESHOLD, wave };
    }
    wave += 1;
  }
  return wave === task.wave ? null : { status: 'running', reason: null, wave };
}

export const BELOW_THRESHOLD = 'wave-below-threshold';

/** What `resume` makes of a paused task: after a wave below its threshold it opens the next. */
export function resumed(task: Task, wall: number): TaskMove {
  const waits = task.startAt !== null && task.startedAt === null && task.startAt > wall;
  const opens = task.reason === BELOW_THRESHOLD && task.wave < task.policy.waves.length;
  return {
    status: waits ? 'scheduled' : 'running',
    reason: null,
    wave: opens ? task.wave + 1 : task.wave,
  };
}

/**
 * How many pushes the rate allows now; unused time is kept for half a second's worth at most. Times are of
 * the wall clock, because the rate goes on while limits stand still; after a jump it waits a minute at most.
 * @param pace up to when the rate is used up
 */
export function allowance(perMinute: number, pace: number, wall: number): number {
  if (perMinute === 0) return Number.MAX_SAFE_INTEGER;
  const gap = gapOf(perMinute);
  return Math.max(0, Math.floor((wall - paceFrom(pace, gap, wall) + ROUNDING_MS) / gap));
}

/** The pace after `pushes` more went out. */
export function spend(perMinute: number, pace: number, wall: number, pushes: number): number {
  if (perMinute === 0) return wall;
  const gap = gapOf(perMinute);
  return paceFrom(pace, gap, wall) + pushes * gap;
}

/** A minute's pushes and the half second that is caught up are the limit together: no minute ever has more. */
function gapOf(perMinute: number): number {
  return (MINUTE_MS + BURST_MS) / perMinute;
}

function paceFrom(pace: number, gap: number, wall: number): number {
  return Math.min(Math.max(pace, wall - gap - BURST_MS), wall + Math.max(gap, MINUTE_MS));
}

const BURST_MS = 500;
/** So late in time a number's last places are lost: a gap that isn't a whole one would never quite be over. */
const ROUNDING_MS = 0.01;
const MINUTE_MS = 60_000;

const FORMATS = new Map<string, Intl.DateTimeFormat>();

function minuteOfDay(wall: number, timeZone: string): number {
  let format = FORMATS.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    FORMATS.set(timeZone, format);
  }
  return minutes(format.format(wall));
}

function minutes(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

/** True where pushes may go out at this time of day; the window's end is outside. */
export function isWindowOpen(window: TimeWindow | null, wall: number): boolean {
  if (window === null) return true;
  const now = minuteOfDay(wall, window.timeZone);
  const from = minutes(window.from);
  const to = minutes(window.to);
  return from < to ? now >= from && now < to : now >= from || now < to;
}

/** True where a package may be pushed onto a version (null: unknown). */
export function fitsVersion(policy: Policy, version: string | null): boolean {
  if (policy.fromVersions.length === 0) return true;
  return version !== null && policy.fromVersions.includes(version);
}

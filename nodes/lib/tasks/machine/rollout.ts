/**
 * What becomes of a whole task: waves and their gates, thresholds, the end. Pure; counts in, a decision out.
 */
import type { Counts, Task, TaskStatus, Ticks, WaveCounts } from '../types';

export interface TaskMove {
  readonly status: TaskStatus;
  readonly reason: string | null;
  readonly wave: number;
  readonly soakFrom: Ticks | null;
}

/** The two clocks: the platform's own, in which limits count, and the wall's, in which people do. */
export interface Moment {
  readonly now: Ticks;
  readonly wall: number;
}

export const BELOW_THRESHOLD = 'wave-below-threshold';
export const WAVE_DONE = 'wave-done';
export const FAILURE_THRESHOLD = 'failure-threshold';

/** How many devices the waves up to each one hold: sizes rounded up, the last holds all. */
export function waveEnds(total: number, waves: readonly number[]): number[] {
  return waves.map((percent) => Math.min(total, Math.ceil((total * percent) / 100 - 1e-9)));
}

export function openDevices(counts: Counts): number {
  return counts.pending + counts.pushed + counts.upgrading;
}

/** True while devices may still join. */
export function isJoinable(task: Task, wall: number): boolean {
  if (task.joining === null || task.taken >= task.joining.max) return false;
  return task.status !== 'ended' && task.status !== 'cancelled' && !isPastEnd(task, wall);
}

/** True from `endAt` on: what is pending is cancelled, nothing is retried and nobody joins any more. */
export function isPastEnd({ endAt }: Pick<Task, 'endAt'>, wall: number): boolean {
  return endAt !== null && wall >= endAt;
}

/**
 * What the counts make of a task, or null. Cancelled devices count as ended, and those that no package fits as
 * failed, but neither for nor against the release: percentages are of those that succeeded or failed.
 * @param waveCounts the counts of one wave
 */
export function decide(
  task: Task,
  waveCounts: (wave: number) => WaveCounts,
  { now, wall }: Moment,
): TaskMove | null {
  // What a person asked of its devices comes first, whichever instance carries it out: half of it decides nothing.
  if (task.status === 'cancelled' || task.intent !== null) return null;
  if (task.status === 'ended') {
    // A kill broke off the retry that took these in again.
    return openDevices(task.counts) === 0 ? null : moveTo(task, 'running', null, task.wave);
  }
  // A person who approves it finds it, also where all of its devices run the version by now.
  if (task.status === 'draft' && !isPastEnd(task, wall)) return null;
  if (openDevices(task.counts) === 0 && !isJoinable(task, wall)) {
    return moveTo(task, 'ended', null, task.policy.waves.length);
  }
  if (task.status !== 'running') return null;
  return tooManyFailures(task) ?? nextWave(task, waveCounts, now);
}

function moveTo(task: Task, status: TaskStatus, reason: string | null, wave: number): TaskMove {
  return { status, reason, wave, soakFrom: wave === task.wave ? task.soakFrom : null };
}

/** What ended so far, for thresholds that a person let pass. */
export function baseOf({ counts, incompatible }: Task): Task['base'] {
  return { succeeded: counts.succeeded, failed: counts.failed - incompatible };
}

function tooManyFailures(task: Task): TaskMove | null {
  const { failureThreshold, minExecuted, onFailure } = task.policy;
  if (failureThreshold <= 0) return null;
  const ended = baseOf(task);
  const failed = Math.max(0, ended.failed - task.base.failed);
  const executed = failed + Math.max(0, ended.succeeded - task.base.succeeded);
  if (failed === 0 || executed < minExecuted || failed * 100 < failureThreshold * executed) return null;
  return moveTo(task, onFailure === 'cancel' ? 'cancelled' : 'paused', FAILURE_THRESHOLD, task.wave);
}

/**
 * How far a wave is from the next: `running` (devices are under way), `threshold` (too few have succeeded yet),
 * `waiting` (too many sleep to tell), `below` (all ended, too few succeeded), `reached`.
 */
export type GateState = 'running' | 'threshold' | 'waiting' | 'below' | 'reached';

export function judgeWave(task: Task, counts: WaveCounts): GateState {
  // Nobody is there yet who could show anything.
  if (counts.total === 0) return task.joining === null ? 'reached' : 'running';
  const { waveAdvance } = task.policy;
  const busy = counts.total - counts.succeeded - counts.failed - counts.cancelled - counts.waiting;
  return waveAdvance === 'threshold' ? judgeThreshold(task, counts, busy) : judgeEnded(task, counts, busy);
}

/** All but sleepers have ended, and enough of those that succeeded or failed succeeded. */
function judgeEnded({ policy }: Task, counts: WaveCounts, busy: number): GateState {
  if (busy > 0) return 'running';
  const { succeeded, waiting, total } = counts;
  if (waiting > 0 && (succeeded === 0 || waiting * 100 > policy.maxWaiting * total)) return 'waiting';
  const executed = succeeded + counts.failed - counts.incompatible;
  return succeeded * 100 < policy.successThreshold * executed ? 'below' : 'reached';
}

/** Enough of all of its devices succeeded, whatever the others do. */
function judgeThreshold({ policy }: Task, counts: WaveCounts, busy: number): GateState {
  const { succeeded, waiting, total } = counts;
  const able = total - counts.cancelled - counts.incompatible;
  if (succeeded * 100 >= policy.successThreshold * able) return 'reached';
  if (busy > 0) return 'threshold';
  return waiting > 0 ? 'waiting' : 'below';
}

/** Waves that were too small to get a device are passed at once. */
function nextWave(task: Task, waveCounts: (wave: number) => WaveCounts, now: Ticks): TaskMove | null {
  const { policy } = task;
  let { wave, soakFrom } = task;
  while (wave < policy.waves.length) {
    if (soakFrom !== null && now < soakFrom + policy.soak * 1000) break;
    const counts = waveCounts(wave);
    const state = judgeWave(task, counts);
    if (state === 'below') return { status: 'paused', reason: BELOW_THRESHOLD, wave, soakFrom: null };
    if (state !== 'reached') {
      soakFrom = null;
      break;
    }
    if (counts.total > 0) {
      if (policy.soak > 0 && soakFrom === null) {
        soakFrom = now;
        break;
      }
      if (policy.afterWave === 'pause') return { status: 'paused', reason: WAVE_DONE, wave, soakFrom: null };
    }
    wave += 1;
    soakFrom = null;
  }
  const changed = wave !== task.wave || soakFrom !== task.soakFrom;
  return changed ? { status: 'running', reason: null, wave, soakFrom } : null;
}

/** When the counts must be looked at again although no device changes: the end of a soak time. */
export function soakEnd({ soakFrom, policy }: Task): Ticks | null {
  return soakFrom === null ? null : soakFrom + policy.soak * 1000;
}

/** What the next wave waits for; null where there is none. */
export interface Gate {
  readonly waitsFor: 'running' | 'threshold' | 'waiting' | 'soak' | 'person';
  /** Wall clock; of a soak time that runs. */
  readonly until: number | null;
}

export function gateOf(task: Task, { now, wall }: Moment): Gate | null {
  if (task.wave >= task.policy.waves.length) return null;
  if (task.status === 'paused') return { waitsFor: 'person', until: null };
  if (task.status !== 'running') return null;
  const end = soakEnd(task);
  if (end !== null) return { waitsFor: 'soak', until: wall + Math.max(0, end - now) };
  const state = judgeWave(task, task.open);
  // Reached or refuted a moment ago: the task moves when it is looked at next.
  return { waitsFor: state === 'below' || state === 'reached' ? 'running' : state, until: null };
}

/** What `resume` makes of a paused task: where it had stopped between two waves it opens the next. */
export function resumed(task: Task, wall: number): TaskMove {
  const waits = task.startAt !== null && task.startedAt === null && task.startAt > wall;
  const between = task.reason === BELOW_THRESHOLD || task.reason === WAVE_DONE;
  const opens = between && task.wave < task.policy.waves.length;
  return moveTo(task, waits ? 'scheduled' : 'running', null, opens ? task.wave + 1 : task.wave);
}

/** What `advance` makes of a task; null where it has no next wave to open now. */
export function advanced(task: Task): TaskMove | null {
  const runs = task.status === 'running' || task.status === 'paused';
  if (!runs || task.wave >= task.policy.waves.length) return null;
  return moveTo(task, 'running', null, task.wave + 1);
}

/** What `start` makes of a draft; null for any other task. */
export function started(task: Task, wall: number): TaskMove | null {
  if (task.status !== 'draft') return null;
  const waits = task.startAt !== null && task.startAt > wall;
  return moveTo(task, waits ? 'scheduled' : 'running', null, task.wave);
}

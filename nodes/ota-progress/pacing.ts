/**
 * When a progress report goes out. Pure: time comes in as an argument. The first, 100 and failures go at
 * once; the others are merged, and the newest goes when its interval has ended.
 */
import { STEP_SUCCEEDED } from '../lib/protocol';

export interface Step {
  readonly step: number;
  readonly desc: string;
}

export interface Intervals {
  /** Milliseconds between two reports at least. */
  readonly minInterval: number;
  /** A change of fewer percent than this waits for `maxInterval`. */
  readonly minDelta: number;
  /** Any change goes out so many milliseconds after the last report at the latest. */
  readonly maxInterval: number;
}

/** The last report of one upgrade that was sent. */
export interface LastSent extends Step {
  /** Milliseconds. */
  readonly at: number;
}

/** True where a report ends an upgrade: it is never merged. */
export function isFinal(step: Step): boolean {
  return step.step < 0 || step.step >= STEP_SUCCEEDED;
}

/**
 * When a report may go out, in milliseconds of the same clock as `last.at`; -Infinity for at once, null where
 * it tells nothing new. `last` is null for the first of an upgrade.
 */
export function dueAt(report: Step, last: LastSent | null, intervals: Intervals): number | null {
  if (isFinal(report) || last === null || isFinal(last)) return -Infinity;
  const delta = Math.abs(report.step - last.step);
  if (delta === 0 && report.desc === last.desc) return null;
  const { minInterval, minDelta, maxInterval } = intervals;
  const wait = delta >= minDelta ? minInterval : Math.max(minInterval, maxInterval);
  return last.at + wait;
}

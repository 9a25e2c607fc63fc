/**
 * The rate of a task's pushes: how many may go out now, and how far the rate is then used up. Pure. Times are
 * milliseconds of the wall clock, because the rate goes on while limits stand still.
 */

/**
 * How many pushes the rate allows now; unused time is kept for half a second's worth at most.
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

/**
 * Where the pace counts from. One that lies further ahead than any push could have put it was written before
 * the clock went back: then one push may go out, and the rate counts from there.
 */
function paceFrom(pace: number, gap: number, wall: number): number {
  if (pace > wall + Math.max(gap, MINUTE_MS)) return wall - gap;
  return Math.max(pace, wall - gap - BURST_MS);
}

const BURST_MS = 500;
/** So late in time a number's last places are lost: a gap that isn't a whole one would never quite be over. */
const ROUNDING_MS = 0.01;
const MINUTE_MS = 60_000;

/**
 * Ages that survive a restart. Pure. Within a run they are counted by a clock that never jumps; what passed while
 * the power was off is known from the wall clock only, and a gateway's may say 1970 until it is set.
 */

/** A wall clock before this was never set. */
const SET_AFTER = Date.UTC(2020, 0, 1);

/** Milliseconds between a moment in a file and now; 0 where one of the two clocks can't be believed. */
export function savedAge(at: string, wallNow: number): number {
  const then = Date.parse(at);
  if (!Number.isFinite(then) || then < SET_AFTER || wallNow < then) return 0;
  return wallNow - then;
}

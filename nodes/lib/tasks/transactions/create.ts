/** The devices of a new task, in slices: nothing of it counts before it is published. */
import type { Decision, Instant, Need, NewDevice } from '../database/database';

export function addNeed(task: number, at: Instant): Need {
  return { at, task };
}

export function addDevices(devices: readonly NewDevice[]): Decision<undefined> {
  return { result: undefined, add: devices };
}

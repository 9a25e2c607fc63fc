/** The clocks that the device side goes by, in one place so that tests can bring their own. */
import { randomUUID } from 'node:crypto';

export interface DeviceClock {
  /** Milliseconds of a clock that never jumps. */
  now(): number;
  /** Milliseconds since 1970 of a clock that may jump. */
  wall(): number;
  /** Milliseconds since Node-RED's process began. */
  uptimeMs(): number;
}

export const systemClock: DeviceClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  uptimeMs: () => process.uptime() * 1000,
};

/** This run of Node-RED: a deploy doesn't change it, a restart does. */
export const RUN_ID = randomUUID();

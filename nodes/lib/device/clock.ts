/** The clocks that the device side goes by, in one place so that tests can bring their own. */
import { randomUUID } from 'node:crypto';

export interface DeviceClock {
  /** Milliseconds of a clock that never jumps. */
  now(): number;
  /** Milliseconds since 1970 of a clock that may jump. */
  wall(): number;
  /** Milliseconds since the flows started first in this run of Node-RED; 0 before. */
  uptimeMs(): number;
  /** The flows have started. */
  started(): void;
}

let startedAt: number | null = null;

export const systemClock: DeviceClock = {
  now: () => performance.now(),
  wall: () => Date.now(),
  // Not since the process began: a small gateway needs minutes before its flows run, and can report.
  uptimeMs: () => (startedAt === null ? 0 : performance.now() - startedAt),
  started: () => {
    startedAt ??= performance.now();
  },
};

/** This run of Node-RED: a deploy doesn't change it, a restart does. */
export const RUN_ID = randomUUID();

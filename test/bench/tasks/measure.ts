/** What a piece of work costs the process that does it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';

export interface Cost {
  readonly ms: number;
  readonly cpuMs: number;
  /** How late the event loop was, in milliseconds. */
  readonly lagP99: number;
  readonly lagMax: number;
}

const RESOLUTION_MS = 5;

/** Begins to measure; what it returns ends that. */
export function beginMeasure(): () => Cost {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  delay.enable();
  const cpu = process.cpuUsage();
  const begun = performance.now();
  return () => {
    const { user, system } = process.cpuUsage(cpu);
    const ms = performance.now() - begun;
    delay.disable();
    const late = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS);
    return {
      ms,
      cpuMs: (user + system) / 1000,
      lagP99: late(delay.percentile(99)),
      lagMax: late(delay.max),
    };
  };
}

/** Memory in use after a full collection, in bytes. */
export function memoryInUse(): number {
  for (let i = 0; i < 3; i += 1) global.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Waiting for something to be so. Tests state what they wait for; they never sleep for a fixed time. */
import type { EventEmitter } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

const POLL_MS = 10;
/** Long enough for a machine that does much else: it is only waited out where something never comes. */
const LIMIT_MS = 60_000;

/**
 * Waits until `condition` gives something truthy and resolves with it. An error of the condition counts as
 * "not yet". Rejects with `what` (and the last error) when the time limit is over.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  timeoutMs = LIMIT_MS,
): Promise<NonNullable<T>> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      last = undefined;
    } catch (error) {
      last = error;
    }
    if (Date.now() >= deadline) {
      throw new Error(`Waited ${timeoutMs} ms in vain for: ${what}`, { cause: last });
    }
    await sleep(POLL_MS);
  }
}

/** The promise, or an error that names what never came. */
export async function within<T>(promise: Promise<T>, what: string, timeoutMs = LIMIT_MS): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${timeoutMs} ms in vain for: ${what}`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

export interface Collected<T> {
  /** What came, oldest first. */
  readonly items: T[];
  /** Resolves with all items as soon as there are at least `count`. */
  atLeast(count: number, timeoutMs?: number): Promise<T[]>;
  /** Stops listening. */
  stop(): void;
}

/** Collects the first argument of each `event` of an emitter. */
export function collect<T>(emitter: EventEmitter, event: string): Collected<T> {
  const items: T[] = [];
  const listener = (item: T): void => {
    items.push(item);
  };
  emitter.on(event, listener);
  return {
    items,
    atLeast: (count, timeoutMs) =>
      until(() => (items.length >= count ? items : null), `${count} × ${event}`, timeoutMs),
    stop: () => void emitter.off(event, listener),
  };
}

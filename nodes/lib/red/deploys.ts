/**
 * What happens around a deploy, told to any number of nodes by one listener of Node-RED's events for each kind: with
 * one for each node Node.js warns of a leak at the eleventh node. Owns these listeners, and leaves none behind.
 */
import type { NodeAPI } from 'node-red';

/**
 * `flows:stopping`: before nodes are closed; `flows:started`: all that were made run. `over`: the same, or the deploy
 * made none and left those running that it didn't touch, or nothing was heard of it for `LIMIT_MS`.
 */
type DeployEvent = 'flows:stopping' | 'flows:started' | 'over';

interface Told {
  readonly callbacks: Set<() => void>;
  /** Takes the listeners of Node-RED's events away. */
  readonly stop: () => void;
}

interface RuntimeEvent {
  readonly id: string;
  readonly payload?: { readonly error?: unknown };
}

/** Longer than Node-RED waits for nodes to close (15 s), though modules that it installs may take longer. */
const LIMIT_MS = 60_000;
/** Why Node-RED starts nothing after it stopped what changed: `error` of the event `runtime-state`. */
const FAILURES: readonly unknown[] = ['missing-types', 'missing-modules'];

/** By Node-RED's events and the kind. */
const told = new WeakMap<NodeAPI['events'], Map<DeployEvent, Told>>();

/** Calls back at each event of the kind. Returns what ends it. */
export function onDeploy(RED: NodeAPI, event: DeployEvent, callback: () => void): () => void {
  const { events } = RED;
  const kinds = told.get(events) ?? new Map<DeployEvent, Told>();
  told.set(events, kinds);
  const of = kinds.get(event) ?? (event === 'over' ? listenForEnd(events) : listen(events, event));
  kinds.set(event, of);
  // Of its own, so that whoever asks twice is told twice.
  const mine = (): void => callback();
  of.callbacks.add(mine);
  return () => {
    if (!of.callbacks.delete(mine) || of.callbacks.size > 0) return;
    of.stop();
    kinds.delete(event);
  };
}

/** The same for the next event alone. */
export function onceAtDeploy(RED: NodeAPI, event: DeployEvent, callback: () => void): () => void {
  const end = onDeploy(RED, event, () => {
    end();
    callback();
  });
  return end;
}

function listen(events: NodeAPI['events'], event: 'flows:stopping' | 'flows:started'): Told {
  const callbacks = new Set<() => void>();
  const listener = (): void => callAll(callbacks);
  events.on(event, listener);
  return { callbacks, stop: () => void events.off(event, listener) };
}

function listenForEnd(events: NodeAPI['events']): Told {
  const callbacks = new Set<() => void>();
  let limit: NodeJS.Timeout | undefined;
  const over = (): void => {
    clearTimeout(limit);
    callAll(callbacks);
  };
  const stopping = (): void => {
    clearTimeout(limit);
    limit = setTimeout(over, LIMIT_MS);
    limit.unref();
  };
  const state = ({ id, payload }: RuntimeEvent): void => {
    if (id === 'runtime-state' && FAILURES.includes(payload?.error)) over();
  };
  events.on('flows:stopping', stopping);
  events.on('flows:started', over);
  events.on('runtime-event', state);
  const stop = (): void => {
    clearTimeout(limit);
    events.off('flows:stopping', stopping);
    events.off('flows:started', over);
    events.off('runtime-event', state);
  };
  return { callbacks, stop };
}

function callAll(callbacks: ReadonlySet<() => void>): void {
  for (const callback of [...callbacks]) callback();
}

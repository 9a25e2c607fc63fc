/**
 * What happens around a deploy, told to any number of nodes by one listener of Node-RED's events for each kind: with
 * one for each node Node.js warns of a leak at the eleventh node. Owns these listeners, and leaves none behind.
 */
import type { NodeAPI } from 'node-red';

/** `flows:stopping`: before nodes are closed; `flows:started`: all that were made run. */
type DeployEvent = 'flows:stopping' | 'flows:started';

interface Told {
  readonly callbacks: Set<() => void>;
  readonly listener: () => void;
}

/** By Node-RED's events and the kind. */
const told = new WeakMap<NodeAPI['events'], Map<DeployEvent, Told>>();

/** Calls back at each event of the kind. Returns what ends it. */
export function onDeploy(RED: NodeAPI, event: DeployEvent, callback: () => void): () => void {
  const { events } = RED;
  const kinds = told.get(events) ?? new Map<DeployEvent, Told>();
  told.set(events, kinds);
  const of = kinds.get(event) ?? listen(events, event);
  kinds.set(event, of);
  // Of its own, so that whoever asks twice is told twice.
  const mine = (): void => callback();
  of.callbacks.add(mine);
  return () => {
    if (!of.callbacks.delete(mine) || of.callbacks.size > 0) return;
    events.off(event, of.listener);
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

function listen(events: NodeAPI['events'], event: DeployEvent): Told {
  const callbacks = new Set<() => void>();
  const listener = (): void => {
    for (const callback of [...callbacks]) callback();
  };
  events.on(event, listener);
  return { callbacks, listener };
}

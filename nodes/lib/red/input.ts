/**
 * The one door for input messages: every message ends in exactly one `done`, whatever the handler does.
 */
import type { Node, NodeMessageInFlow } from 'node-red';
import { type OtaError, toOtaError } from '../protocol';

/** A message as it passes through our nodes. */
export type Message = NodeMessageInFlow;
/** Sends to one output (a message) or several (an array). */
export type Send = (message: Partial<Message> | (Partial<Message> | null)[]) => void;

/**
 * Registers a node's input handler. What it throws or rejects with becomes `done(err)`: an OtaError as it is,
 * anything else as OTA_INTERNAL. An async listener of its own would end the runtime where it rejects.
 * @param onRefused hears of it before: a node must not look well after a message that it refused
 */
export function onInput(
  node: Node,
  handle: (msg: Message, send: Send) => void | Promise<void>,
  onRefused: (error: OtaError) => void = () => {},
): void {
  node.on('input', (msg, send, done) => {
    const fail = (error: unknown): void => {
      const reason = toOtaError(error);
      onRefused(reason);
      done(reason);
    };
    try {
      const pending = handle(msg, send as Send);
      if (pending === undefined) done();
      else pending.then(() => done(), fail);
    } catch (error) {
      fail(error);
    }
  });
}

/** Closing may take this long; Node-RED waits for 15 s, a person doesn't. */
const CLOSE_LIMIT_MS = 2000;

/**
 * Registers a node's close handler: `removed` is true where the node was deleted or disabled, false on a
 * redeploy. Ends within two seconds, whatever the handler waits for.
 */
export function onClose(node: Node, close: (removed: boolean) => void | Promise<void>): void {
  // Node-RED looks at the number of parameters: two mean (removed, done).
  node.on('close', (removed: boolean, done: () => void) => {
    let ended = false;
    const end = (): void => {
      if (!ended) {
        ended = true;
        clearTimeout(timer);
        done();
      }
    };
    const timer = setTimeout(end, CLOSE_LIMIT_MS);
    const fail = (error: unknown): void => {
      node.error(toOtaError(error));
      end();
    };
    try {
      const pending = close(removed);
      if (pending === undefined) end();
      else pending.then(end, fail);
    } catch (error) {
      fail(error);
    }
  });
}

/** A message made from an input message: a shallow copy with other fields. The input is never changed. */
export function derive(msg: Partial<Message>, fields: Partial<Message>): Partial<Message> {
  return { ...msg, ...fields };
}

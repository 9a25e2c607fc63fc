/** The start of a node: settings that can't be used are told once, and each message says so too. */
import type { Node } from 'node-red';
import { type OtaError, toOtaError } from '../protocol';
import { onClose, onInput } from './input';
import { statusOf } from './service';
import type { Status } from './status';

/**
 * Runs a node's constructor. What it throws is shown in the status, goes to the Catch nodes, and answers
 * each message: a node with a bad setting never works with another one in its place.
 */
export function setup(node: Node, status: Status, start: () => void): void {
  try {
    start();
  } catch (error) {
    refuseAll(node, status, toOtaError(error, 'OTA_BAD_SETTINGS'));
    onClose(node, () => status.close());
  }
}

/** Tells the error now and for each message. */
export function refuseAll(node: Node, status: Status, error: OtaError): void {
  status.failure(statusOf(error));
  // Catch nodes of the same flow may not be there yet.
  setImmediate(() => node.error(error, {} as never));
  onInput(node, () => {
    throw error;
  });
}

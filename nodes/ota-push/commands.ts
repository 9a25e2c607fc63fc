/** The messages that the device side of ota-push takes: what a message asks for. */
import { field, isObject, OtaError } from '../lib/protocol';

export type Action = 'release' | 'ask' | 'done' | 'drop';

export interface Command {
  readonly action: Action;
  /** For `done` and `drop`; null for the only one. */
  readonly module: string | null;
}

const ACTIONS: readonly Action[] = ['release', 'ask', 'done', 'drop'];

/**
 * Reads `payload.action` and `payload.module`. Without an action a message means `release` with `hold`, else `ask`.
 * @throws OtaError OTA_BAD_INPUT for an action that isn't known: it releases nothing
 */
export function readCommand(payload: unknown, hold: boolean): Command {
  const given = isObject(payload) && !Buffer.isBuffer(payload) ? payload : {};
  const action = field(given, 'action') ?? '';
  const module = field(given, 'module') ?? '';
  if (typeof module !== 'string') {
    throw new OtaError('OTA_BAD_INPUT', `"module" must be text, not ${typeof module}.`);
  }
  const named = module.trim() === '' ? null : module.trim();
  if (action === '') return { action: hold ? 'release' : 'ask', module: named };
  const known = ACTIONS.find((one) => one === action);
  if (known !== undefined) return { action: known, module: named };
  const shown = typeof action === 'string' ? JSON.stringify(action.slice(0, 40)) : typeof action;
  throw new OtaError('OTA_BAD_INPUT', `"action" must be one of ${ACTIONS.join(', ')}, not ${shown}.`);
}

/**
 * What devices say by wires: messages on the node's input that report, where there is no MQTT. Pure. Read as
 * tolerantly as the wire's, but wrong ones are an error of their message.
 */
import {
  field,
  isBlank,
  isObject,
  type JsonObject,
  moduleOrDefault,
  moduleOrNull,
  OtaError,
  otherParams,
  readStep,
  toOtaError,
  typeName,
} from '../../protocol';
import { isBlankToken, MAX_IDENTITY, MAX_MODULE_NAME } from '../../rules';
import { bad, optional, required } from './fields';

/** Actions of messages that report. */
export const REPORT_ACTIONS = ['version', 'progress', 'outcome'] as const;

/** What became of a push, as a flow may tell it. */
export const OUTCOMES = ['accepted', 'offline', 'refused'] as const;
export type WireOutcome = (typeof OUTCOMES)[number];

export type WireReport =
  | {
      readonly kind: 'inform';
      readonly accessToken: string;
      readonly id: string | null;
      readonly module: string;
      readonly version: string;
      /** Its other fields, of which some may be taken as labels. */
      readonly params: Readonly<Record<string, string | number | boolean>>;
    }
  | {
      readonly kind: 'progress';
      readonly accessToken: string;
      readonly module: string | null;
      readonly step: number;
      readonly desc: string;
    }
  | { readonly kind: 'outcome'; readonly id: string; readonly outcome: WireOutcome };

const MAX_VERSION = 256;

/** True for a message that reports, and isn't a command. */
export function isReport(payload: unknown): payload is JsonObject {
  return isObject(payload) && REPORT_ACTIONS.some((action) => action === field(payload, 'action'));
}

/** @throws OtaError OTA_BAD_INPUT, OTA_BAD_STEP naming the field */
export function readReport(payload: JsonObject): WireReport {
  switch (field(payload, 'action')) {
    case 'version':
      return {
        kind: 'inform',
        accessToken: identity(payload),
        id: readId(payload),
        module: moduleOrDefault(readModule(payload)),
        version: readVersion(payload),
        params: readParams(payload),
      };
    case 'progress':
      return {
        kind: 'progress',
        accessToken: identity(payload),
        module: readModule(payload),
        step: wireStep(field(payload, 'step')),
        desc: optional(payload, 'desc', Infinity),
      };
    default:
      return { kind: 'outcome', id: required(payload, 'id', MAX_IDENTITY), outcome: readOutcome(payload) };
  }
}

/** Any text names a device here: an address, a name, a serial number. */
function identity(payload: JsonObject): string {
  const token = required(payload, 'accessToken', MAX_IDENTITY);
  if (isBlankToken(token)) throw bad('accessToken', 'is missing');
  return token;
}

function readModule(payload: JsonObject): string | null {
  return moduleOrNull(optional(payload, 'module', MAX_MODULE_NAME));
}

function readId(payload: JsonObject): string | null {
  const value = field(payload, 'id');
  if (isBlank(value)) return null;
  if (typeof value === 'number') return String(value);
  return required(payload, 'id', MAX_IDENTITY);
}

function readVersion(payload: JsonObject): string {
  const version = required(payload, 'version', MAX_VERSION).trim();
  if (version === '') throw bad('version', 'is missing');
  return version;
}

/** A fraction is cut off, as on the wire. */
function wireStep(value: unknown): number {
  try {
    return readStep(typeof value === 'number' && Number.isFinite(value) ? Math.trunc(value) : value);
  } catch (error) {
    throw toOtaError(error, 'OTA_BAD_STEP');
  }
}

function readOutcome(payload: JsonObject): WireOutcome {
  const value = field(payload, 'outcome');
  const found = OUTCOMES.find((word) => word === value);
  if (found === undefined) throw bad('outcome', `must be one of ${OUTCOMES.join(', ')}`);
  return found;
}

const OWN_FIELDS: ReadonlySet<string> = new Set(['action', 'accessToken', 'module', 'version', 'id']);

/** Flat fields beside the report's own; in `params`, too, as a device would have sent them. */
function readParams(payload: JsonObject): Readonly<Record<string, string | number | boolean>> {
  const given = field(payload, 'params');
  if (!isBlank(given) && !isObject(given)) throw bad('params', `must be an object, not ${typeName(given)}`);
  return otherParams({ ...(isObject(given) ? given : {}), ...payload }, OWN_FIELDS) ?? {};
}

/** The end of a report by wires that came to the wrong node. */
export function noWires(action: string): OtaError {
  return new OtaError(
    'OTA_BAD_INPUT',
    `"action" ${action} is for a node whose setting "transport" is wires: here devices report over MQTT.`,
  );
}

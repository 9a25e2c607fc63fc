/**
 * What a message asks of the tasks, read and checked before anything is done. Pure. A table has the reader of
 * each action; the files beside this one have the larger ones.
 */
import { checkUpgrade, field, isBlank, isObject, type JsonObject, OtaError, typeName } from '../../protocol';
import { MAX_MODULE_NAME } from '../../rules';
import {
  DEVICE_STATUSES,
  type DeviceStatus,
  FAIL_REASONS,
  type FailReason,
  type Hold,
  HOLDS,
  type LabelFilter,
  type Policy,
  TASK_STATUSES,
  type TaskStatus,
} from '../types';
import { type OwnRules, readTask, type TaskInput } from './create';
import { bad, flag, note, oneOf, optional, readPage, required, someOf, storable, whole } from './fields';
import { type LabelChanges, readLabelChanges, readLabelFilter } from './labels';
import { readNamed, readSome } from './tokens';
import { readUpdate, type TaskUpdate } from './update';
import { isReport, noWires } from './wires';

export { type Targets, type TaskInput } from './create';
export { type LabelChanges } from './labels';
export { checkTargets, sortTargets } from './tokens';
export { type TaskUpdate } from './update';
export { isReport, readReport, type WireOutcome, type WireReport } from './wires';

interface Paged {
  readonly page: number;
  readonly pageSize: number;
}

/** The fields of each action, as they were read. */
interface Fields {
  readonly create: { readonly input: TaskInput } & Paged;
  readonly preview: { readonly input: TaskInput } & Paged;
  readonly start: OfTask;
  readonly pause: OfTask;
  readonly resume: OfTask;
  readonly advance: OfTask;
  readonly remove: OfTask;
  readonly get: OfTask;
  readonly log: OfTask;
  readonly cancel: OfTask & { readonly accessTokens: readonly unknown[] | null };
  readonly retry: OfTask & RetryFields;
  readonly update: OfTask & { readonly update: TaskUpdate };
  readonly list: Paged & { readonly status: TaskStatus | null; readonly search: string };
  readonly devices: OfTask & DeviceFields & Paged;
  readonly history: OfTask & { readonly accessToken: string };
  readonly timeline: OfTask & { readonly buckets: number };
  readonly fleet: FleetFields & Paged;
  readonly device: { readonly accessToken: string } & Paged;
  readonly label: { readonly accessTokens: readonly unknown[]; readonly labels: LabelChanges };
  readonly forget: { readonly accessTokens: readonly unknown[] };
  readonly seen: { readonly accessTokens: readonly unknown[] };
}

interface OfTask {
  readonly taskId: string;
}

interface RetryFields {
  /** null: the whole task. Looked at in slices, as targets are. */
  readonly accessTokens: readonly unknown[] | null;
  /** Of the whole task: only the devices in this state; null: failed ones, see `cancelled`. */
  readonly status: Retried | null;
  /** Of the whole task: only the devices that failed for one of these reasons; null for any. */
  readonly reasons: readonly FailReason[] | null;
  /**
   * Cancelled devices too, also those that were cancelled by name. Without it a task that was cancelled as a whole
   * takes back what was cancelled with it.
   */
  readonly cancelled: boolean;
}

interface DeviceFields {
  readonly status: DeviceStatus | null;
  /** A prefix of the token. */
  readonly search: string;
  readonly reason: string | null;
  readonly wave: number | null;
  readonly hold: Hold | null;
}

interface FleetFields {
  readonly module: string | null;
  readonly version: string | null;
  /** A prefix of the token. */
  readonly search: string;
  readonly labels: LabelFilter | null;
}

export type Action = keyof Fields;

/** Who asked, and what they say about it. */
interface Notes {
  readonly by: string | null;
  readonly remark: string | null;
}

export type Command = {
  readonly [A in Action]: { readonly action: A } & Fields[A] & Notes;
}[Action];

/** The command of an action. */
export type CommandOf<A extends Action> = Extract<Command, { action: A }>;

/** The states from which a retry takes devices. */
export const RETRIED = ['failed', 'cancelled'] as const;
export type Retried = (typeof RETRIED)[number];

const MAX_BUCKETS = 1000;
const MAX_WAVE = 100;

const ofTask = (payload: JsonObject): OfTask => ({ taskId: required(payload, 'taskId') });
const named = (payload: JsonObject): { accessTokens: readonly unknown[] } => ({
  accessTokens: readNamed(payload),
});
const token = (payload: JsonObject): string => storable(required(payload, 'accessToken'));

const READERS: { readonly [A in Action]: (payload: JsonObject, own: OwnRules) => Fields[A] } = {
  create: (payload, own) => ({ input: readTask(payload, own), ...readPage(payload) }),
  preview: (payload, own) => ({ input: readTask(payload, own), ...readPage(payload) }),
  start: ofTask,
  pause: ofTask,
  resume: ofTask,
  advance: ofTask,
  remove: ofTask,
  get: ofTask,
  log: ofTask,
  cancel: (payload) => ({ ...ofTask(payload), accessTokens: readSome(payload) }),
  retry: (payload) => ({ ...ofTask(payload), ...readRetry(payload) }),
  update: (payload, { defaults }) => ({ ...ofTask(payload), update: readUpdate(payload, defaults) }),
  list: (payload) => ({
    status: oneOf(payload, 'status', TASK_STATUSES),
    search: optional(payload, 'search', 256),
    ...readPage(payload),
  }),
  devices: (payload) => ({
    ...ofTask(payload),
    status: oneOf(payload, 'status', DEVICE_STATUSES),
    search: optional(payload, 'search'),
    reason: note(payload, 'reason'),
    wave: isBlank(field(payload, 'wave')) ? null : whole(payload, 'wave', 1, MAX_WAVE),
    hold: oneOf(payload, 'hold', HOLDS),
    ...readPage(payload),
  }),
  history: (payload) => ({ ...ofTask(payload), accessToken: token(payload) }),
  timeline: (payload) => ({ ...ofTask(payload), buckets: whole(payload, 'buckets', 60, MAX_BUCKETS) }),
  fleet: (payload) => ({
    module: optional(payload, 'module', MAX_MODULE_NAME) || null,
    // As long as a version that a device may have, which is no remark of a person.
    version: optional(payload, 'version') || null,
    search: optional(payload, 'search'),
    labels: isBlank(field(payload, 'labels')) ? null : readLabelFilter(field(payload, 'labels'), 'labels'),
    ...readPage(payload),
  }),
  device: (payload) => ({ accessToken: token(payload), ...readPage(payload) }),
  label: (payload) => ({ ...named(payload), labels: readLabelChanges(field(payload, 'labels')) }),
  forget: named,
  seen: named,
};

export const ACTIONS = Object.keys(READERS) as Action[];

/**
 * Reads `msg.payload`.
 * @param defaults the policy of a task that says nothing else
 * @param check what the devices of this way can take, see `Scheme.check`
 * @throws OtaError OTA_BAD_INPUT, OTA_BAD_UPGRADE naming the field
 */
export function readCommand(
  payload: unknown,
  defaults: Policy,
  check: OwnRules['check'] = (input) => checkUpgrade(input),
): Command {
  if (!isObject(payload)) {
    throw new OtaError(
      'OTA_BAD_INPUT',
      `msg.payload must be an object {action, …}, not ${typeName(payload)}.`,
    );
  }
  // A report by wires was taken before, where the node takes any.
  if (isReport(payload)) throw noWires(String(field(payload, 'action')));
  const action = ACTIONS.find((name) => name === field(payload, 'action'));
  if (action === undefined) throw bad('action', `must be one of ${ACTIONS.join(', ')}`);
  const notes: Notes = { by: note(payload, 'by'), remark: note(payload, 'remark') };
  return { action, ...READERS[action](payload, { defaults, check }), ...notes } as Command;
}

function readRetry(payload: JsonObject): RetryFields {
  const accessTokens = readSome(payload);
  const status = oneOf(payload, 'status', RETRIED);
  const reasons = someOf<FailReason>(payload, 'reason', FAIL_REASONS);
  if (accessTokens !== null && reasons !== null) {
    throw bad('reason', 'is for a whole task: devices that are named are taken for any reason');
  }
  return { accessTokens, status, reasons, cancelled: flag(payload, 'cancelled') };
}

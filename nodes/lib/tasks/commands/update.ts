/** `update`: what may change of a task that is under way. Pure. */
import { field, isObject, type JsonObject, typeName } from '../../protocol';
import { MAX_TASK_DESCRIPTION, MAX_TASK_NAME } from '../../rules';
import { readPolicyPart } from '../policy';
import type { EndBehavior, Policy } from '../types';
import { readEndBehavior } from './create';
import { bad, optional, time } from './fields';

/** Absent fields stay as they are. */
export interface TaskUpdate {
  readonly name?: string;
  readonly description?: string;
  /** null: never. */
  readonly endAt?: number | null;
  readonly endBehavior?: EndBehavior;
  readonly policy?: Partial<Policy>;
}

/** The devices and their waves were chosen by these. */
export const FIXED_POLICY_FIELDS: readonly (keyof Policy)[] = ['waves', 'skipCurrent', 'fromVersions'];

/** @param defaults what a blank field of the policy stands for */
export function readUpdate(payload: JsonObject, defaults: Policy): TaskUpdate {
  const given = (name: string): boolean => field(payload, name) !== undefined;
  const endBehavior = readEndBehavior(payload);
  const update: TaskUpdate = {
    ...(given('name') && { name: optional(payload, 'name', MAX_TASK_NAME) }),
    ...(given('description') && { description: optional(payload, 'description', MAX_TASK_DESCRIPTION) }),
    ...(given('endAt') && { endAt: time(payload, 'endAt') }),
    ...(endBehavior !== null && { endBehavior }),
    ...(given('policy') && { policy: readPolicy(field(payload, 'policy'), defaults) }),
  };
  if (Object.keys(update).length === 0) {
    throw bad('policy', 'is missing: "update" takes "policy", "name", "description", "endAt", "endBehavior"');
  }
  return update;
}

function readPolicy(value: unknown, defaults: Policy): Partial<Policy> {
  if (!isObject(value)) throw bad('policy', `must be an object, not ${typeName(value)}`);
  const fixed = FIXED_POLICY_FIELDS.find((name) => Object.hasOwn(value, name));
  if (fixed !== undefined) throw bad(`policy.${fixed}`, 'can not change: the devices were chosen by it');
  return readPolicyPart(value, defaults);
}

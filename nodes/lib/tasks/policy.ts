/**
 * The policy of a task as a message or the settings give it. What each field may be, and its default, is the
 * table of lib/rules. Pure.
 */
import { isObject, type JsonObject, OtaError, reasonText, typeName } from '../protocol';
import { POLICY, type Policy, readTyped, type Reason } from '../rules';

export const POLICY_FIELDS = Object.keys(POLICY) as (keyof Policy)[];

export const DEFAULT_POLICY = policyOf((name) => POLICY[name].byDefault);

/**
 * A whole policy: what `input` says, else `defaults`. Numbers and lists may be texts, as settings are.
 * @param prefix stands before the field's name in an error, e.g. `policy.`
 * @throws OtaError OTA_BAD_INPUT naming the field
 */
export function readPolicy(input: unknown, defaults: Policy = DEFAULT_POLICY, prefix = 'policy.'): Policy {
  if (input === undefined || input === null) return defaults;
  if (!isObject(input)) throw bad('policy', `must be an object, not ${typeName(input)}`);
  checkNames(input, prefix);
  return policyOf((name) => readField(input, name, defaults, prefix));
}

/**
 * Those fields of a policy that `input` has: a part of one. A blank field stands for its default.
 * @throws OtaError OTA_BAD_INPUT naming the field
 */
export function readPolicyPart(input: JsonObject, defaults: Policy, prefix = 'policy.'): Partial<Policy> {
  checkNames(input, prefix);
  const names = POLICY_FIELDS.filter((name) => Object.hasOwn(input, name) && input[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, readField(input, name, defaults, prefix)]));
}

function checkNames(input: JsonObject, prefix: string): void {
  for (const name of Object.keys(input)) {
    if (!Object.hasOwn(POLICY, name)) throw bad(prefix + name, 'is no field of a policy');
  }
}

function policyOf(valueOf: (name: keyof Policy) => unknown): Policy {
  return Object.fromEntries(POLICY_FIELDS.map((name) => [name, valueOf(name)])) as unknown as Policy;
}

function readField(input: JsonObject, name: keyof Policy, defaults: Policy, prefix: string): unknown {
  const given = Object.hasOwn(input, name) ? input[name] : undefined;
  const isBlank = given === undefined || (typeof given === 'string' && given.trim() === '');
  // A window of null is a value: no window, whatever the default.
  if (isBlank || (given === null && name !== 'window')) return defaults[name];
  const { value, reason } =
    typeof given === 'string' ? readTyped<unknown>(POLICY[name], given) : POLICY[name].read(given);
  if (reason === null) return value;
  throw bad(prefix + name + (reason.part === undefined ? '' : `.${reason.part}`), reasonText(reason), reason);
}

/** @param reason of the rule, as `cause`: a page that speaks another language has its own text for it */
function bad(field: string, why: string, reason?: Reason): OtaError {
  return new OtaError('OTA_BAD_INPUT', `"${field}" ${why}.`, reason === undefined ? {} : { cause: reason });
}

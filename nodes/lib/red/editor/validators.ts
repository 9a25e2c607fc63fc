/** Entries of `defaults`: a setting's default and validator, made of the rules in lib/rules. */
import {
  defaultInForm,
  EVERY_DEVICE,
  identityRule,
  isVariable,
  type NumberLimits,
  numberRule,
  type Reason,
  type Rule,
  SERVICE,
  type Setting,
  SETTINGS_VERSION,
  settingReason,
  type Side,
  textOf,
} from '../../rules';
import { current } from './dialog';
import { STORED } from './form';
import { serviceHasToken } from './service-token';
import type { Texts } from './texts';

/** Makes a validator of a check. Two parameters: so Node-RED takes a returned text for the reason. */
export function check(
  texts: Texts,
  reasonOf: (value: unknown, node: EditorNode) => Reason | null,
): EditorValidator {
  return function (value, options) {
    const reason = reasonOf(value, this);
    if (reason === null) return true;
    const text = texts(`common.reason.${reason.key}`, reason.values);
    return options.label === undefined
      ? text
      : texts('common.refusal', { label: options.label, reason: text });
  };
}

/** A validator of a rule; checked only while the node is on `side`, where one is given. */
export function ruled(texts: Texts, rule: Rule<unknown>, side?: Side): EditorValidator {
  return check(texts, (value, node) =>
    side !== undefined && sideOf(node) !== side ? null : settingReason(rule, value),
  );
}

/** A whole entry of `defaults` for a setting of a table. */
export function entry(texts: Texts, label: string, setting: Setting<unknown>, side?: Side): EditorProperty {
  return {
    value: defaultInForm(setting.byDefault),
    label: texts(label),
    validate: ruled(texts, setting, side),
  };
}

/** The version that a page writes its settings in: the newest. */
export function versionEntry(texts: Texts): EditorProperty {
  const label = texts('common.label.settingsVersion');
  return { value: String(SETTINGS_VERSION), label, validate: anyText(texts) };
}

/** A number between limits that belong to the form alone, e.g. of its ports. */
export function number(texts: Texts, limits: NumberLimits): EditorValidator {
  return ruled(texts, numberRule(limits));
}

/**
 * A config node that is needed in some cases only. Node-RED looks at a config node by itself where the entry has no
 * validator; this one says the same, in Node-RED's own words.
 */
export function configNode(isNeeded: (node: EditorNode) => boolean): EditorValidator {
  return function (value, { label: prop = '' }) {
    if (!isNeeded(this)) return true;
    const id = textOf(value);
    if (id === '' || id === '_ADD_') return RED._('validator.errors.missing-required-prop', { prop });
    const found = RED.nodes.node(id) ?? null;
    if (found === null) return RED._('validator.errors.missing-config', { prop });
    return found['valid'] === false ? RED._('validator.errors.invalid-config', { prop }) : true;
  };
}

/** Text without a rule of its own. */
export function anyText(texts: Texts): EditorValidator {
  return check(texts, (value) => (typeof value === 'object' && value !== null ? { key: 'text' } : null));
}

/** The side a node is on, as the open dialog has it. */
export function sideOf(node: EditorNode): Side {
  return current(node, 'side') === 'device' ? 'device' : 'platform';
}

/** What a token looks like with the topics of the node's service. */
function identityOf(node: EditorNode): Rule<string> {
  const service = RED.nodes.node(current(node, 'service')) ?? null;
  if (service === null) return identityRule(undefined, []);
  const { scheme, informTopic, upgradeTopic, progressTopic } = service;
  return identityRule(scheme ?? SERVICE.scheme.byDefault, [informTopic, upgradeTopic, progressTopic]);
}

/**
 * The device's token, where the dialog shows it. `required`: no message can bring one. The browser doesn't
 * know a stored token, only that there is one.
 */
export function accessToken(texts: Texts, { required }: { required: boolean }): EditorValidator {
  return check(texts, (value, node) => {
    const text = textOf(value).trim();
    if (sideOf(node) === 'platform' || text === STORED || text === EVERY_DEVICE || isVariable(text))
      return null;
    if (text === '' && (!required || serviceHasToken(node))) return null;
    return identityOf(node).read(text).reason;
  });
}

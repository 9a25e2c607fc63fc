/** Validators for `defaults`: the reasons of rules.ts as texts. */
import { current } from './dialog';
import { isVariable, type NumberRule, numberReason, type Reason, textOf, tokenReason } from './rules';
import type { Texts } from './texts';

/** Makes a validator of a rule. Two parameters: so Node-RED takes a returned text for the reason. */
export function rule(
  texts: Texts,
  check: (value: unknown, node: EditorNode) => Reason | null,
): EditorValidator {
  return function (value, options) {
    const reason = check(value, this);
    if (reason === null) return true;
    return refusal(texts, options.label, texts(`common.reason.${reason.key}`, reason.values));
  };
}

/** What a validator returns: the reason, with the setting's name in front. */
export function refusal(texts: Texts, label: string | undefined, reason: string): string {
  return label === undefined ? reason : texts('common.refusal', { label, reason });
}

/** A number as text, blank or `${ENV}`; checked only while the node is on `side`, where one is given. */
export function number(texts: Texts, limits: NumberRule, side?: Side): EditorValidator {
  return rule(texts, (value, node) =>
    side !== undefined && sideOf(node) !== side ? null : numberReason(value, limits),
  );
}

/** One of a list of words. */
export function choice(texts: Texts, words: readonly string[]): EditorValidator {
  return rule(texts, (value) => {
    const text = textOf(value);
    return text === '' || isVariable(text) || words.includes(text) ? null : { key: 'choice' };
  });
}

/** A checkbox, or the word in a flow file that was written by hand. */
export function flag(texts: Texts): EditorValidator {
  return choice(texts, ['true', 'false']);
}

/** Text without a rule of its own. */
export function anyText(texts: Texts): EditorValidator {
  return rule(texts, (value) => (typeof value === 'object' && value !== null ? { key: 'text' } : null));
}

export type Side = 'platform' | 'device';

/** The side a node is on, as the open dialog has it. */
export function sideOf(node: EditorNode): Side {
  return current(node, 'side') === 'device' ? 'device' : 'platform';
}

/**
 * The device's token, where the dialog shows it. `required`: no message can bring one. The browser doesn't
 * know a stored token, only that there is one.
 */
export function accessToken(texts: Texts, { required }: { required: boolean }): EditorValidator {
  const stored = '__PWRD__';
  return rule(texts, (value, node) => {
    const text = textOf(value).trim();
    if (sideOf(node) === 'platform' || text === stored || text === '+') return null;
    if (text === '') return required ? { key: 'missing' } : null;
    return tokenReason(text);
  });
}

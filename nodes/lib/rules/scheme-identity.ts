/**
 * What an identity looks like with the topics of a service, as far as its settings say it: for the editor, which
 * knows no schemes. Pure.
 */
import { isPair, isToken, pairRule, tokenRule } from './identity';
import { type Rule, taken } from './reason';
import { templateForm } from './template';

/** The schemes whose identities have two levels. */
export const PAIR_SCHEMES: readonly string[] = ['aliyun'];

/** Either form: for a service that isn't known. */
const anyIdentityRule: Rule<string> = {
  accepts: { kind: 'text' },
  read: (value) => (isToken(value) || isPair(value) ? taken(value) : tokenRule.read(value)),
};

/**
 * The rule for a scheme by its name. A setting that is a variable is known only where the flow runs.
 * @param templates the topics of `custom`
 */
export function identityRule(scheme: unknown, templates: readonly unknown[]): Rule<string> {
  if (typeof scheme !== 'string' || scheme.includes('$')) return anyIdentityRule;
  if (scheme !== 'custom') return PAIR_SCHEMES.includes(scheme) ? pairRule : tokenRule;
  const forms = templates.map((template) => (typeof template === 'string' ? templateForm(template) : null));
  if (forms.includes('pair')) return pairRule;
  return forms.includes('token') ? tokenRule : anyIdentityRule;
}

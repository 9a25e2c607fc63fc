/**
 * What the topics of the custom scheme may be: templates with a place for the device's identity. Pure; runs
 * in the browser too.
 */
import type { IdentityForm } from './identity';
import { type Reading, type Reason, refused, taken } from './reason';
import { isUnsendable } from './topics';

/** Stands for an identity of one level. */
export const PLACEHOLDER = '{accessToken}';

/** What stands in a template for an identity of each form; each is a whole level, once. */
export const PLACEHOLDERS: Readonly<Record<IdentityForm, readonly string[]>> = {
  token: [PLACEHOLDER],
  pair: ['{productKey}', '{deviceName}'],
  none: [],
};

/** An MQTT topic may have 65,535 bytes; nobody means one of more than this. */
const MAX_TEMPLATE_BYTES = 1024;

const FORMS: readonly IdentityForm[] = ['token', 'pair', 'none'];
const ALL = Object.values(PLACEHOLDERS).flat();

export function isPlaceholder(level: string): boolean {
  return ALL.includes(level);
}

/** How often a text stands in another. */
const occurrences = (text: string, part: string): number => text.split(part).length - 1;

/** The form of the identity that a template has a place for; null where its places aren't those of one form. */
export function templateForm(template: string): IdentityForm | null {
  const levels = template.split('/').filter(isPlaceholder);
  const written = ALL.reduce((sum, placeholder) => sum + occurrences(template, placeholder), 0);
  // One that isn't a whole level, such as `x{accessToken}`.
  if (written !== levels.length) return null;
  const fits = (form: IdentityForm): boolean =>
    PLACEHOLDERS[form].length === levels.length && PLACEHOLDERS[form].every((name) => levels.includes(name));
  return FORMS.find(fits) ?? null;
}

/**
 * Reads a template of the custom scheme.
 * @param forms the forms of identity that may stand in it; all, unless said: a template that names no device is
 *   right on the device's own side
 */
export function readTemplate(
  value: unknown,
  forms: readonly IdentityForm[] = FORMS,
): Reading<{ readonly template: string; readonly form: IdentityForm }> {
  if (value === undefined || value === null || value === '') return refused('missing');
  if (typeof value !== 'string') return refused('text');
  if (isUnsendable(value)) return refused('templateCharacters');
  if (/^\$(share|sys)\//i.test(value)) return refused('templateStart');
  const form = templateForm(value);
  if (form === null || !forms.includes(form)) return refused('templateToken');
  if (new TextEncoder().encode(value).length > MAX_TEMPLATE_BYTES) {
    return refused('templateLength', { max: MAX_TEMPLATE_BYTES });
  }
  return taken({ template: value, form });
}

/** Why two templates, each right by itself, can't be used together; null where they can. */
export function togetherReason(a: string, b: string): Reason | null {
  const forms = [templateForm(a), templateForm(b)].filter((form) => form !== 'none');
  if (new Set(forms).size > 1) return { key: 'templateMixed' };
  return overlap(a, b) ? { key: 'templateSame' } : null;
}

/** True where one topic could fit both templates. */
function overlap(a: string, b: string): boolean {
  const left = a.split('/');
  const right = b.split('/');
  if (left.length !== right.length) return false;
  return left.every(
    (level, i) => level === right[i] || isPlaceholder(level) || isPlaceholder(right[i] ?? ''),
  );
}

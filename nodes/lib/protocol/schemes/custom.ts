/** Topics of the user's own, from templates. What a template may look like is a rule of lib/rules. */
import { type IdentityForm, readTemplate, togetherReason } from '../../rules';
import { OtaError } from '../errors';
import { KINDS } from '../messages';
import { reasonText } from '../reasons';
import type { SchemeEntry, Topics } from './entry';

/** The user's templates. */
export type Templates = Readonly<Record<(typeof KINDS)[number], string>>;

export const CUSTOM: SchemeEntry = {
  topics: null,
  levels: 1,
  wrapped: false,
  deviceOnly: false,
  bodies: 'plain',
  style: {},
  success: 'progress',
};

/**
 * The topics of the user's templates, and how many levels an identity has in them.
 * @throws OtaError OTA_BAD_TEMPLATE naming the template
 */
export function customTopics(custom: Partial<Templates>): { topics: Topics; levels: 1 | 2 } {
  const forms = new Set<IdentityForm>();
  for (const kind of KINDS) {
    const { value, reason } = readTemplate(custom[kind]);
    if (reason !== null) throw new OtaError('OTA_BAD_TEMPLATE', `The ${kind} topic ${reasonText(reason)}.`);
    forms.add(value.form);
  }
  const templates = custom as Templates;
  for (const [i, a] of KINDS.entries()) {
    for (const b of KINDS.slice(i + 1)) {
      const reason = togetherReason(templates[a], templates[b]);
      if (reason !== null) {
        throw new OtaError('OTA_BAD_TEMPLATE', `The ${a} topic and the ${b} topic ${reasonText(reason)}.`);
      }
    }
  }
  const { inform, upgrade, progress } = templates;
  return {
    topics: { inform: [inform], upgrade: [upgrade], progress: [progress], ask: [], answer: [] },
    levels: forms.has('pair') ? 2 : 1,
  };
}

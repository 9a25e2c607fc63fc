/** The texts of the rules' reasons, as errors say them. The editor has its own, in its language. */
import type { Reason, ReasonKey } from '../rules';

/** What follows the name of what was refused, e.g. `The inform topic …`. */
const TEXTS: Readonly<Record<ReasonKey, string>> = {
  missing: 'is missing',
  text: 'must be text',
  token: 'must have 1 to 128 characters, none of them "/", "+", "#" or a control character',
  pair: 'must be "productKey/deviceName": two names with one "/" between them, 128 characters at most, none of them "+", "#" or a control character',
  templateCharacters: 'must not hold "+", "#" or control characters',
  templateStart: 'must not begin with $share/ or $SYS/',
  templateToken: 'must hold {accessToken} exactly once, as a whole level',
  templateLength: 'is longer than __max__ bytes',
  templateMixed: 'must name the device in the same way',
  templateSame: 'must differ: a topic could be either',
};

/** What is wrong, without the name of what is wrong in front and without a full stop. */
export function reasonText({ key, values = {} }: Reason): string {
  return TEXTS[key].replace(/__(\w+?)__/g, (place, name: string) => String(values[name] ?? place));
}

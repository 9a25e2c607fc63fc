/** The form of a device's identity, by its levels in a topic. What each may look like is a rule of lib/rules. */
import { isPair, isToken, pairRule } from '../../rules';
import { OtaError } from '../errors';
import { reasonText } from '../reasons';
import { checkToken, maskToken } from '../token';

export { EVERY_DEVICE } from '../../rules';

/** What a scheme takes for a device. In flows it is always `accessToken`. */
export interface Identity {
  readonly levels: 1 | 2;
  is(value: unknown): value is string;
  /** @throws OtaError OTA_BAD_TOKEN that says what is expected, without showing the value */
  check(value: unknown): string;
}

export const ONE_LEVEL: Identity = { levels: 1, is: isToken, check: checkToken };

/** `productKey/deviceName`. */
export const TWO_LEVELS: Identity = {
  levels: 2,
  is: isPair,
  check(value) {
    if (isPair(value)) return value;
    if (typeof value !== 'string' || value === '') return checkToken(value);
    const { reason } = pairRule.read(value);
    const why = reason === null ? '' : reasonText(reason);
    throw new OtaError('OTA_BAD_TOKEN', `The access token "${maskToken(value)}" ${why}.`);
  },
};

/** For a node whose service can't be used: that is what it will be told, not the form of the token. */
export const ANY_IDENTITY: Identity = {
  levels: 1,
  is: (value): value is string => isToken(value) || isPair(value),
  check: (value) => (isPair(value) ? value : checkToken(value)),
};

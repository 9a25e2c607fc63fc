/** What came from the wire and can't be read, told to a person: one shape for every node that listens. */
import type { Refused } from '../protocol';
import type { Message } from './input';
import type { LimitedErrors } from './limited-errors';
import type { Status } from './status';

const REFUSED = 'common.status.messageRefused';

/**
 * A Catch node gets the error with the masked topic, the token and the start of the input; the status says that a
 * message was refused, until the next one that can be read.
 */
export function reportRefused(errors: LimitedErrors, refused: Refused, status: Status): void {
  status.refused(REFUSED);
  const msg = {
    topic: refused.topic,
    payload: refused.excerpt,
    ...(refused.accessToken === null ? {} : { accessToken: refused.accessToken }),
  };
  errors.report(refused.error, msg as Partial<Message>);
}

/** One request of a download and what its answer means, before a byte of the body is taken. */
import { OtaError, type OtaCode } from '../../protocol';
import { type Have, type Plan, rangeHeaders, readAnswer } from './answers';
import { TransferFault } from './fault';
import { type HttpAnswer, httpGet, type HttpRules } from './http';

/**
 * What a captive portal answers, too: its own page, packed or not, a redirect to it, a certificate of its own.
 * While a part of the file is here the server is known to be able to do better, and is asked again.
 */
const PASSING_WHILE_HELD: ReadonlySet<OtaCode> = new Set<OtaCode>([
  'OTA_SIZE_MISMATCH',
  'OTA_SIZE_LIMIT',
  'OTA_BAD_ENCODING',
  'OTA_REDIRECT',
  'OTA_BAD_URL',
  'OTA_HOST_REFUSED',
  'OTA_TLS',
]);

/**
 * Asks for the file, or for what is missing of it.
 * @throws TransferFault where another try may help; OtaError where none will
 */
export async function ask(
  url: URL,
  have: Have,
  rules: HttpRules,
  signal: AbortSignal,
): Promise<{ answer: HttpAnswer; plan: Plan }> {
  try {
    const answer = await httpGet(url, rangeHeaders(have), rules, signal);
    try {
      return { answer, plan: readAnswer(answer, have) };
    } catch (error) {
      answer.body.destroy();
      throw error;
    }
  } catch (error) {
    const isHeld = have.bytes > 0 && have.contentKnown;
    const isPassing = isHeld && error instanceof OtaError && PASSING_WHILE_HELD.has(error.code);
    throw isPassing ? new TransferFault(error) : error;
  }
}

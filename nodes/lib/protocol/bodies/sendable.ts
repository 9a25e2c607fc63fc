import { OtaError } from '../errors';
import { MAX_BODY_BYTES } from '../json';

/** A message as a body that every reader takes. @throws OtaError OTA_BAD_INPUT where it is larger than 64 KiB */
export function sendable(message: object): string {
  const body = JSON.stringify(message);
  // A UTF-16 unit takes 3 bytes at most: what is short needs no counting.
  if (body.length > MAX_BODY_BYTES / 3 && Buffer.byteLength(body) > MAX_BODY_BYTES) {
    throw new OtaError(
      'OTA_BAD_INPUT',
      `Nothing was sent: the message is larger than ${MAX_BODY_BYTES} bytes.`,
    );
  }
  return body;
}

/** A version that can be reported: trimmed. @throws OtaError OTA_BAD_INPUT where nothing is left */
export function versionToSend(version: string): string {
  const trimmed = version.trim();
  if (trimmed === '') throw new OtaError('OTA_BAD_INPUT', 'A version report needs a version.');
  return trimmed;
}

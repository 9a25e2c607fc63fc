/**
 * What a broker's plug-in makes of a device's message: `{"token" or "device_id": …, "values": …}`, the values as
 * an object, as JSON in a text, or as base64 of it. Only here does a body say who sent it.
 */
import { OtaError } from '../errors';
import { type Body, isObject, field, optionalText, parseBody, REPLACEMENT } from '../json';

/** @throws OtaError OTA_BAD_MESSAGE, OTA_TOO_LARGE */
export function unwrap(body: Body): { readonly sender: string; readonly inner: Body } {
  const { object, text, lossy } = body;
  const sender = optionalText(object, 'token') ?? optionalText(object, 'device_id') ?? '';
  if (sender === '') {
    throw new OtaError(
      'OTA_BAD_MESSAGE',
      'The message names no device: with this topic scheme the broker\'s plug-in adds "token" and "values".',
    );
  }
  if (lossy && sender.includes(REPLACEMENT)) throw new OtaError('OTA_BAD_MESSAGE', '"token" is not UTF-8.');
  const values = field(object, 'values');
  if (isObject(values)) return { sender, inner: { object: values, text, lossy } };
  if (typeof values !== 'string') {
    throw new OtaError('OTA_BAD_MESSAGE', '"values" must be an object, or JSON as text or in base64.');
  }
  const json = values.trimStart().startsWith('{');
  const inner = parseBody(json ? Buffer.from(values) : Buffer.from(values, 'base64'));
  // What wasn't UTF-8 outside stands in the text as U+FFFD, which is UTF-8.
  return { sender, inner: { ...inner, lossy: lossy || inner.lossy } };
}

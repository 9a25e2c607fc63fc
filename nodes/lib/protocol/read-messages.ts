/**
 * Reads the messages from their bodies, tolerant of all that released devices and platforms send, in every
 * scheme. Owns where a field may stand. Readers throw OtaError only and change nothing.
 */
import { OtaError } from './errors';
import { readId } from './ids';
import {
  type Body,
  field,
  isObject,
  isSafeKey,
  type JsonObject,
  optionalText,
  REPLACEMENT,
  requiredObject,
  safeCopy,
  typeName,
} from './json';
import type { Answer, Ask, Inform, Progress, Upgrade } from './messages';
import { moduleOrDefault, moduleOrNull } from './modules';
import { readStep, stepStatus } from './steps';

/** Other fields of a version report that are kept. */
const MAX_PARAMS = 16;

/** `params` wherever that key is; the top only where there is neither `params` nor `method`. */
export function readInform(body: Body): Inform {
  const { object } = body;
  // Every envelope with a `method` has a `version` of its own at the top: that of the envelope.
  const flat = !Object.hasOwn(object, 'params') && !Object.hasOwn(object, 'method');
  const holder = flat ? object : requiredObject(object, 'params');
  return {
    id: idOf(body),
    module: moduleOrDefault(readText(body, holder, 'module')),
    version: readVersion(body, holder),
    params: flat ? null : otherParams(holder),
  };
}

/** The fields stand in whichever of `params` and the top has a step, `params` first; never in both. */
export function readProgress(body: Body): Progress {
  const { object, lossy } = body;
  const params = field(object, 'params');
  const holder = isObject(params) && Object.hasOwn(params, 'step') ? params : object;
  const value = field(holder, 'step');
  if (lossy && typeof value === 'string') readText(body, holder, 'step');
  const step = readStep(value);
  const module = readText(body, holder, 'module');
  return {
    module: moduleOrNull(module),
    step,
    ...stepStatus(step),
    desc: optionalText(holder, 'desc') ?? '',
  };
}

/** `data` where it has a version, else `params`. */
export function readUpgrade(body: Body): Upgrade {
  const { object } = body;
  const data = field(object, 'data');
  const holder = isObject(data) && hasVersion(data) ? data : requiredObject(object, 'params');
  return {
    id: idOf(body),
    code: readCode(field(object, 'code')),
    module: moduleOrDefault(readText(body, holder, 'module')),
    version: readVersion(body, holder),
    size: readSize(field(holder, 'size')),
    url: readText(body, holder, 'url'),
    ...readSign(body, holder),
    extData: readExtData(field(holder, 'extData')),
  };
}

/** A question for an upgrade; an older SDK says which version it runs. */
export function readAsk(body: Body): Ask {
  const { object } = body;
  const params = field(object, 'params');
  const holder = isObject(params) ? params : {};
  const module = readText(body, holder, 'module');
  const version = readText(body, holder, 'version')?.trim() ?? '';
  return {
    id: idOf(body),
    numericId: typeof field(object, 'id') === 'number',
    module: moduleOrNull(module),
    version: version === '' ? null : version,
  };
}

/** The answer to a question; without a version there is nothing to do. */
export function readAnswer(body: Body): Answer {
  const { object } = body;
  const holders = [field(object, 'data'), field(object, 'params')];
  const found = holders.some((holder) => isObject(holder) && hasVersion(holder));
  return { id: idOf(body), upgrade: found ? readUpgrade(body) : null };
}

/** True for an answer on a topic that carries questions and answers. */
export function isAnswer(object: JsonObject): boolean {
  return Object.hasOwn(object, 'code') || Object.hasOwn(object, 'data');
}

/** A number or a numeric string; absent, empty or 0 is unknown. @throws OtaError OTA_BAD_MESSAGE */
export function readSize(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return null;
  const size = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new OtaError('OTA_BAD_MESSAGE', '"size" must be a whole number of bytes.');
  }
  return size === 0 ? null : size;
}

/** A text that must be UTF-8: what stands for other bytes would make two devices or versions one. */
function readText(body: Body, holder: JsonObject, key: string): string | null {
  const value = optionalText(holder, key);
  if (body.lossy && value?.includes(REPLACEMENT) === true) {
    throw new OtaError('OTA_BAD_MESSAGE', `"${key}" is not UTF-8.`);
  }
  return value;
}

function idOf(body: Body): string | null {
  const id = readId(body.object, body.text);
  if (body.lossy && id?.includes(REPLACEMENT) === true) {
    throw new OtaError('OTA_BAD_MESSAGE', '"id" is not UTF-8.');
  }
  return id;
}

function hasVersion(holder: JsonObject): boolean {
  const version = field(holder, 'version');
  return version !== undefined && version !== null && version !== '';
}

function readVersion(body: Body, holder: JsonObject): string {
  // Devices take it from files: with a line feed, blanks or a byte order mark.
  const version = readText(body, holder, 'version')?.trim() ?? '';
  if (version === '') throw new OtaError('OTA_BAD_MESSAGE', '"version" is missing.');
  return version;
}

const VERSION_FIELDS: ReadonlySet<string> = new Set(['version', 'module']);

/** The flat fields of a version report beside its own, so many as are kept; null where there is none. */
export function otherParams(params: JsonObject, own: ReadonlySet<string> = VERSION_FIELDS): Inform['params'] {
  const others: Record<string, string | number | boolean> = {};
  let count = 0;
  for (const [key, value] of Object.entries(params)) {
    if (own.has(key) || !isSafeKey(key)) continue;
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    others[key] = value;
    count += 1;
    if (count === MAX_PARAMS) break;
  }
  return count === 0 ? null : others;
}

/** "200" and 200 are the same code. */
function readCode(value: unknown): number | string | null {
  if (value === undefined || value === null) return null;
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_MESSAGE', `"code" must be text or a number, not ${typeName(value)}.`);
  }
  return /^[0-9]{1,9}$/.test(value) ? Number(value) : value;
}

/** Where there is no `sign`, an older platform's `md5` is one. */
function readSign(body: Body, holder: JsonObject): Pick<Upgrade, 'signMethod' | 'sign'> {
  const sign = readText(body, holder, 'sign');
  const signMethod = readText(body, holder, 'signMethod');
  if (sign !== null && sign !== '') return { signMethod, sign };
  const md5 = readText(body, holder, 'md5');
  return md5 === null || md5 === '' ? { signMethod, sign } : { signMethod: 'Md5', sign: md5 };
}

function readExtData(value: unknown): { readonly [key: string]: unknown } {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) {
    throw new OtaError('OTA_BAD_MESSAGE', `"extData" must be an object, not ${typeName(value)}.`);
  }
  return safeCopy(value) as { readonly [key: string]: unknown };
}

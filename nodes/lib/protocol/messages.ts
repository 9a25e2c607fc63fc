/**
 * The three messages of the protocol, both ways: `write…` for what we send (strict), `read…` for what we
 * receive (tolerant). Owns every field name of the wire. Readers throw OtaError only and change nothing.
 */
import { OtaError } from './errors';
import { readId } from './ids';
import {
  field,
  isObject,
  type JsonObject,
  MAX_BODY_BYTES,
  optionalText,
  requiredObject,
  requiredText,
  safeCopy,
  typeName,
} from './json';
import { DEFAULT_MODULE, moduleOrDefault } from './modules';
import { type SignMethodCase, signMethodName, type SignMethod } from './digests';
import { type Failure, type ProgressStatus, readStep, stepStatus } from './steps';

export interface Inform {
  /** null where the device sent none. */
  readonly id: string | null;
  readonly module: string;
  readonly version: string;
}

export interface Progress {
  /** null where the device named none: then it means its only active upgrade, else `default`. */
  readonly module: string | null;
  readonly step: number;
  readonly status: ProgressStatus;
  readonly failure: Failure | null;
  readonly desc: string;
}

/** An upgrade as it came; nothing in it is believed but its types. */
export interface Upgrade {
  readonly id: string | null;
  readonly code: number | string | null;
  readonly module: string;
  readonly version: string;
  /** Bytes; null where unknown. */
  readonly size: number | null;
  readonly url: string | null;
  readonly signMethod: string | null;
  readonly sign: string | null;
  readonly extData: { readonly [key: string]: unknown };
}

/** An upgrade that may be sent: every field was checked by `checkUpgrade`. */
export interface UpgradeOut {
  readonly version: string;
  readonly url: string;
  readonly size: number | null;
  readonly signMethod: SignMethod | null;
  /** Lower-case hex; empty where unsigned. */
  readonly sign: string;
  readonly module: string;
  readonly extData: { readonly [key: string]: string } | null;
}

/** At most 128 characters of desc are sent. */
export const MAX_DESC = 128;

export function readInform(body: JsonObject): Inform {
  const params = requiredObject(body, 'params');
  return {
    id: readId(body),
    module: moduleOrDefault(optionalText(params, 'module')),
    version: requiredText(params, 'version'),
  };
}

export function writeInform(inform: { id: string; module?: string; version: string }): string {
  if (inform.version === '') throw new OtaError('OTA_BAD_INPUT', 'A version report needs a version.');
  return sendable({
    id: inform.id,
    params: { version: inform.version, module: moduleOrDefault(inform.module) },
  });
}

export function readProgress(body: JsonObject): Progress {
  const step = readStep(field(body, 'step'));
  const module = optionalText(body, 'module');
  return {
    module: module === '' ? null : module,
    step,
    ...stepStatus(step),
    desc: optionalText(body, 'desc') ?? '',
  };
}

/** What goes out: a step of 0 is sent as 1, desc is cut at 128 characters, module only where given. */
export function writeProgress(progress: { step: number; desc?: string; module?: string | null }): string {
  const step = readStep(progress.step);
  return sendable({
    step: String(step === 0 ? 1 : step),
    desc: cutDesc(progress.desc ?? ''),
    ...(progress.module ? { module: progress.module } : {}),
  });
}

/** A body that every reader takes. @throws OtaError OTA_BAD_INPUT */
function sendable(message: object): string {
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

/** At most 128 whole code points. */
export function cutDesc(desc: string): string {
  if (desc.length <= MAX_DESC) return desc;
  // 256 UTF-16 units hold 128 code points at least.
  const points = Array.from(desc.slice(0, 2 * MAX_DESC));
  return points.length <= MAX_DESC ? points.join('') : points.slice(0, MAX_DESC).join('');
}

export function readUpgrade(body: JsonObject): Upgrade {
  const params = requiredObject(body, 'params');
  return {
    id: readId(body),
    code: readCode(field(body, 'code')),
    module: moduleOrDefault(optionalText(params, 'module')),
    version: requiredText(params, 'version'),
    size: readSize(field(params, 'size')),
    url: optionalText(params, 'url'),
    signMethod: optionalText(params, 'signMethod'),
    sign: optionalText(params, 'sign'),
    extData: readExtData(field(params, 'extData')),
  };
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

/** A number or a numeric string; absent, empty or 0 is unknown. @throws OtaError OTA_BAD_MESSAGE */
export function readSize(value: unknown): number | null {
  if (value === undefined || value === null || value === '') return null;
  const size = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) {
    throw new OtaError('OTA_BAD_MESSAGE', '"size" must be a whole number of bytes.');
  }
  return size === 0 ? null : size;
}

function readExtData(value: unknown): { readonly [key: string]: unknown } {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) {
    throw new OtaError('OTA_BAD_MESSAGE', `"extData" must be an object, not ${typeName(value)}.`);
  }
  return safeCopy(value) as { readonly [key: string]: unknown };
}

/**
 * Prepares the body of one upgrade for any number of devices: all but the id is built once.
 * Returns a function that makes the body with an id.
 */
export function upgradeWriter(
  upgrade: UpgradeOut,
  signMethodCase: SignMethodCase = 'Md5',
): (id: string) => string {
  const params: Record<string, unknown> = { version: upgrade.version };
  if (upgrade.size !== null) params['size'] = upgrade.size;
  params['url'] = upgrade.url;
  if (upgrade.signMethod !== null) params['signMethod'] = signMethodName(upgrade.signMethod, signMethodCase);
  if (upgrade.sign !== '') params['sign'] = upgrade.sign;
  if (upgrade.module !== DEFAULT_MODULE) params['module'] = upgrade.module;
  if (upgrade.extData !== null) params['extData'] = upgrade.extData;
  const tail = `,"code":200,"params":${JSON.stringify(params)}}`;
  return (id) => `{"id":${JSON.stringify(id)}${tail}`;
}

/**
 * What a flow wants to push, checked before a byte is sent: a wrong push bricks machines.
 */
import { SERVICE } from '../rules';
import { methodOfSign, readSignMethod, isSign, type SignMethod } from './digests';
import { OtaError } from './errors';
import { field, isObject, type JsonObject, MAX_BODY_BYTES, typeName } from './json';
import { moduleOrDefault } from './modules';
import type { UpgradeOut } from './messages';

/** Characters of a url at most, as bytes of UTF-8, unless the service says otherwise. */
export const MAX_URL = SERVICE.maxUrlLength.byDefault;

/** What a service and its scheme ask of an upgrade. */
export interface UpgradeRules {
  /** Characters of a url at most, as bytes of UTF-8. */
  readonly maxUrlLength: number;
  /** False where the scheme's pushes have no size. */
  readonly sizeNeeded: boolean;
}

const DEFAULT_RULES: UpgradeRules = { maxUrlLength: MAX_URL, sizeNeeded: true };

/**
 * Checks `{version, url, size, sign, signMethod, module, extData}` and returns it in the form that is sent.
 * @param allowUnsigned lets a package without `size` or `sign` pass; a wrong one never passes.
 * @throws OtaError OTA_BAD_UPGRADE naming the field
 */
export function checkUpgrade(
  input: unknown,
  allowUnsigned = false,
  rules: UpgradeRules = DEFAULT_RULES,
): UpgradeOut {
  if (!isObject(input)) {
    throw bad(
      `msg.payload must be an object {version, url, size, sign, signMethod, …}, not ${typeName(input)}`,
    );
  }
  const { signMethod, sign } = checkSign(input, allowUnsigned);
  const upgrade: UpgradeOut = {
    version: checkVersion(field(input, 'version')),
    url: checkUrl(field(input, 'url'), rules.maxUrlLength),
    size: checkSize(field(input, 'size'), allowUnsigned || !rules.sizeNeeded),
    signMethod,
    sign,
    module: checkModule(field(input, 'module')),
    extData: checkExtData(field(input, 'extData')),
  };
  if (Buffer.byteLength(JSON.stringify(upgrade)) > MAX_BODY_BYTES / 2) {
    throw bad('the upgrade is larger than 32 KiB');
  }
  return upgrade;
}

function checkVersion(value: unknown): string {
  // A number is refused on purpose: 1.10 would go out as 1.1.
  if (typeof value !== 'string' || value.trim() === '') throw bad('"version" must be text');
  // A device would report it without, and never be known as upgraded.
  if (value !== value.trim()) throw bad('"version" must not begin or end with white space');
  return value;
}

function checkUrl(value: unknown, maxLength: number): string {
  if (typeof value !== 'string' || value === '') throw bad('"url" must be text');
  // Bytes of UTF-8: that is what fills a device's buffer.
  const length = Buffer.byteLength(value);
  if (length > maxLength) {
    const unit = length === value.length ? 'characters' : 'bytes';
    throw bad(
      `"url" has ${length} ${unit}, at most ${maxLength} are sent: some devices crash at longer ones. Where yours take it, raise "Longest URL" (maxUrlLength) in ota-service`,
    );
  }
  // "http:host" and "http:///host" are addresses to a browser, but not to a device.
  if (!URL.canParse(value) || !/^https?:\/\/[^/\\]/i.test(value) || /[\s\p{Cc}\p{Cs}]/u.test(value)) {
    throw bad('"url" must be an http:// or https:// address');
  }
  return value;
}

function checkSize(value: unknown, allowUnknown: boolean): number | null {
  const absent = value === undefined || value === null || value === '' || value === 0 || value === '0';
  if (absent && allowUnknown) return null;
  // Databases give 64-bit columns as text.
  const size = typeof value === 'string' && /^[0-9]+$/.test(value) ? Number(value) : value;
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= 0) {
    throw bad('"size" must be the size of the package in bytes, a whole number above 0');
  }
  return size;
}

function checkSign(
  input: JsonObject,
  allowUnsigned: boolean,
): { signMethod: SignMethod | null; sign: string } {
  const sign = field(input, 'sign');
  const method = checkSignMethod(field(input, 'signMethod'));
  if (sign === undefined || sign === null || sign === '') {
    if (allowUnsigned) return { signMethod: method, sign: '' };
    throw bad('"sign" must be the digest of the package in hex (ota-push can allow unsigned packages)');
  }
  if (typeof sign !== 'string') throw bad('"sign" must be text');
  const found = method ?? methodOfSign(sign);
  if (found === null || !isSign(sign, found)) {
    throw bad('"sign" must be hex: 32 characters for MD5, 64 for SHA256, as "signMethod" says');
  }
  return { signMethod: found, sign: sign.toLowerCase() };
}

function checkSignMethod(value: unknown): SignMethod | null {
  if (value === undefined || value === null || value === '') return null;
  const method = typeof value === 'string' ? readSignMethod(value) : null;
  if (method === null) throw bad('"signMethod" must be MD5 or SHA256');
  return method;
}

function checkModule(value: unknown): string {
  if (value !== undefined && value !== null && typeof value !== 'string') throw bad('"module" must be text');
  return moduleOrDefault(value);
}

/** Values become text: the protocol knows `"key":"value"` only. */
function checkExtData(value: unknown): { readonly [key: string]: string } | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw bad('"extData" must be an object of texts');
  const entries: [string, string][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype') continue;
    if (item === undefined || item === null) continue;
    entries.push([key, typeof item === 'string' ? item : toText(key, item)]);
  }
  return entries.length === 0 ? null : Object.fromEntries(entries);
}

function toText(key: string, item: unknown): string {
  let text: string | undefined;
  try {
    // Undefined for functions and symbols, whatever its type says; throws for cycles.
    text = typeof item === 'bigint' ? String(item) : JSON.stringify(item);
  } catch {
    text = undefined;
  }
  if (text === undefined) throw bad(`"extData" holds ${JSON.stringify(key)}, which can't be written as text`);
  return text;
}

function bad(text: string): OtaError {
  return new OtaError('OTA_BAD_UPGRADE', `Nothing was pushed: ${text}.`);
}

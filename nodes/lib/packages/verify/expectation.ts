/**
 * What a package must be, read from an upgrade before a byte is asked for, and the final comparison. Pure: no
 * I/O. The table of steps at the end says which errors are the download's and which the verification's.
 */
import { timingSafeEqual, type KeyObject } from 'node:crypto';
import {
  field,
  isObject,
  isSign,
  type JsonObject,
  methodOfSign,
  moduleOrDefault,
  type OtaCode,
  OtaError,
  readSignMethod,
  readSize,
  type SignMethod,
  STEP_DOWNLOAD_FAILED,
  STEP_VERIFICATION_FAILED,
} from '../../protocol';
import { SIGNATURE_KEY, verifySignature } from './signature';
import { type Digests, tooLarge } from '../transfer/content';
import { refuseRollback } from './rollback';

export interface CheckRules {
  readonly maxBytes: number;
  /** A blank `sign` is refused, unless a signature stands for it. */
  readonly requireSign: boolean;
  /** Ed25519; empty: signatures aren't looked at. */
  readonly publicKeys: readonly KeyObject[];
  readonly rollback: 'off' | 'refuse';
}

/** What the file must be. */
export interface Expectation {
  readonly module: string;
  readonly version: string;
  /** Bytes; null where nobody said. */
  readonly size: number | null;
  /** The digest that is reported: that of `sign`, or SHA256. */
  readonly method: SignMethod;
  /** Lower-case hex; empty where unsigned. */
  readonly sign: string;
  /** Lower-case hex of the SHA-256 that an Ed25519 signature vouches for; empty without one. */
  readonly signedSha256: string;
}

/**
 * Reads an upgrade as ota-push gives it.
 * @param currentVersion what the device runs, for the rollback guard
 * @throws OtaError with a code of the table below
 */
export function readExpectation(
  upgrade: JsonObject,
  currentVersion: unknown,
  rules: CheckRules,
): Expectation {
  const module = moduleOf(upgrade);
  const version = versionOf(upgrade);
  const announced = sizeOf(upgrade, rules.maxBytes);
  const signed = readSign(upgrade);
  const { size, signedSha256 } = checkSignature(upgrade, { module, version, size: announced }, rules);
  if (signed.sign === '' && signedSha256 === '' && rules.requireSign) {
    throw new OtaError('OTA_UNSIGNED', 'The package has no "sign", and the node requires one.');
  }
  if (rules.rollback === 'refuse') refuseRollback(version, currentVersion);
  return { module, version, size, ...signed, signedSha256 };
}

/** The module of an upgrade; `default` where it names none or something that is no text. */
export function moduleOf(upgrade: JsonObject): string {
  const module = field(upgrade, 'module');
  return moduleOrDefault(typeof module === 'string' ? module : null);
}

function versionOf(upgrade: JsonObject): string {
  const version = field(upgrade, 'version');
  return typeof version === 'string' ? version : '';
}

function sizeOf(upgrade: JsonObject, maxBytes: number): number | null {
  let size: number | null;
  try {
    size = readSize(field(upgrade, 'size'));
  } catch {
    throw new OtaError('OTA_SIZE_MISMATCH', 'The "size" of the package must be a whole number of bytes.');
  }
  if (size !== null && size > maxBytes) throw tooLarge(size, maxBytes);
  return size;
}

function readSign(upgrade: JsonObject): { method: SignMethod; sign: string } {
  const sign = field(upgrade, 'sign');
  if (sign === undefined || sign === null || sign === '') return { method: 'SHA256', sign: '' };
  if (typeof sign !== 'string') throw new OtaError('OTA_BAD_SIGN', 'The "sign" of the package must be hex.');
  const method = readMethod(field(upgrade, 'signMethod')) ?? methodOfSign(sign);
  if (method === null || !isSign(sign, method)) {
    throw new OtaError(
      'OTA_BAD_SIGN',
      `The "sign" is no ${method ?? 'MD5 or SHA256'} digest: hex of 32 characters for MD5, of 64 for SHA256.`,
    );
  }
  return { method, sign: sign.toLowerCase() };
}

/** null where none is named: then the length of `sign` tells. */
function readMethod(value: unknown): SignMethod | null {
  if (value === undefined || value === null || value === '') return null;
  const method = typeof value === 'string' ? readSignMethod(value) : null;
  if (method === null) {
    const shown = typeof value === 'string' ? JSON.stringify(value.slice(0, 30)) : typeof value;
    throw new OtaError('OTA_BAD_SIGN_METHOD', `The "signMethod" ${shown} isn't known: MD5 or SHA256.`);
  }
  return method;
}

/** What a signature vouches for; the size of the upgrade and no digest where none is asked for. */
function checkSignature(
  upgrade: JsonObject,
  fields: { module: string; version: string; size: number | null },
  rules: CheckRules,
): { size: number | null; signedSha256: string } {
  if (rules.publicKeys.length === 0) return { size: fields.size, signedSha256: '' };
  const extData = field(upgrade, 'extData');
  const signature = isObject(extData) ? field(extData, SIGNATURE_KEY) : undefined;
  const said = { product: field(upgrade, 'product'), requires: field(upgrade, 'requires'), extData };
  const { size, sha256 } = verifySignature(rules.publicKeys, signature, { ...fields, ...said });
  if (size > rules.maxBytes) throw tooLarge(size, rules.maxBytes);
  return { size, signedSha256: sha256 };
}

/** The digests that a file of this expectation needs. */
export function methodsOf(expected: Expectation): SignMethod[] {
  return [
    ...new Set<SignMethod>([expected.method, ...(expected.signedSha256 === '' ? [] : ['SHA256' as const])]),
  ];
}

/** True where the content is known beforehand: then pieces of different downloads may be put together. */
export function isContentKnown(expected: Expectation): boolean {
  return expected.sign !== '' || expected.signedSha256 !== '';
}

/** The digest that tells the content beforehand, of the method; blank where none does. */
export function knownDigest(expected: Expectation): string {
  return expected.sign === '' && expected.method === 'SHA256' ? expected.signedSha256 : expected.sign;
}

/** Compares what came with what was expected. @throws OtaError OTA_DIGEST_MISMATCH */
export function checkDigests(expected: Expectation, digests: Digests): void {
  compareDigest(expected.method, expected.sign, digests);
  compareDigest('SHA256', expected.signedSha256, digests);
}

function compareDigest(method: SignMethod, expected: string, digests: Digests): void {
  if (expected === '') return;
  const found = digests.get(method);
  // Both are hex of the method's length: two that couldn't be read are never "equal".
  if (found === undefined || !isSign(found, method) || !isSign(expected, method)) {
    throw new OtaError('OTA_INTERNAL', `The ${method} digest is missing.`);
  }
  if (!timingSafeEqual(Buffer.from(found, 'hex'), Buffer.from(expected, 'hex'))) {
    throw new OtaError(
      'OTA_DIGEST_MISMATCH',
      `The ${method} digest of the file is ${found.slice(0, 16)}…, not ${expected.slice(0, 16)}… as announced.`,
    );
  }
}

/** Everything else that goes wrong is the download's. */
const VERIFICATION: ReadonlySet<OtaCode> = new Set<OtaCode>([
  'OTA_DIGEST_MISMATCH',
  'OTA_BAD_SIGN',
  'OTA_UNSIGNED',
  'OTA_BAD_SIGN_METHOD',
  'OTA_BAD_SIGNATURE',
  'OTA_SIGNATURE_EXPIRED',
  'OTA_ROLLBACK',
]);

/** The step of a progress report that tells this failure: -2 or -3. */
export function failureStep(code: OtaCode): number {
  return VERIFICATION.has(code) ? STEP_VERIFICATION_FAILED : STEP_DOWNLOAD_FAILED;
}

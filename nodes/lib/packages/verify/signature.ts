/**
 * Authenticity of a package: an Ed25519 signature over everything that a device acts on, carried as the text
 * `extData._signature`. Owns its form and the bytes that are signed; must never read a file or a setting.
 *
 * Format 2 is `2.<size>.<sha256>.<signed>.<expires>.<about>.<signature>`: size in decimal, times in seconds since
 * 1970 (expires may be empty), the digest and the signature in base64url without padding. `about` is empty or
 * base64url of the JSON `{"product":…,"requires":…}`: what the device isn't told in another way. What is signed
 * are netstrings (`<bytes>:<text>,`) of the UTF-8 of: `ota-signature-2`, module, version, size, SHA-256 in
 * lower-case hex, signed, expires, about, and the keys and values of extData but `_signature`, by key.
 *
 * Format 1 is `1.<size>.<sha256>.<expires>.<signature>` over `ota-signature-1`, module, version, size, SHA-256,
 * expires. It is read, and no longer made.
 */
import { type KeyObject, sign, verify } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { isBlank, isObject, OtaError } from '../../protocol';
import { badKey, ed25519, parsePrivateKey } from './keys';

export { parsePrivateKey, parsePublicKeys } from './keys';

/** What every format signs. `expires` is ISO 8601, kept to the second; `sha256` lower-case hex; `size` bytes. */
export interface SignedFields {
  module: string;
  version: string;
  size: number;
  sha256: string;
  expires?: string;
}

/** What format 2 signs besides. */
export interface SignedPackage extends SignedFields {
  /** ISO 8601. */
  signed: string;
  product: string;
  /** Labels that a device must have; null for none. */
  requires: unknown;
  /** Without its signature. */
  extData: { readonly [key: string]: string };
}

/** An upgrade or a package that carries a signature. */
export interface SignatureInput {
  readonly module: string;
  readonly version: string;
  /** null where the upgrade names none. */
  readonly size: number | null;
  /** Looked at where the upgrade has them. */
  readonly product?: unknown;
  readonly requires?: unknown;
  readonly extData?: unknown;
}

/** The key of extData that carries the signature. */
export const SIGNATURE_KEY = '_signature';

const CONTEXT_1 = 'ota-signature-1';
const CONTEXT_2 = 'ota-signature-2';
const TEXT_1 = /^1\.([0-9]{1,16})\.([\w-]{43})\.([0-9]{0,12})\.([\w-]{86})$/;
const TEXT_2 = /^2\.([0-9]{1,16})\.([\w-]{43})\.([0-9]{1,12})\.([0-9]{0,12})\.([\w-]{0,8192})\.([\w-]{86})$/;

/**
 * The value of `extData._signature` in format 2.
 * @throws OtaError OTA_BAD_SETTINGS for the key, OTA_BAD_PACKAGE for a field
 */
export function signPackage(privateKey: string | KeyObject, fields: SignedPackage): string {
  const key = checkSignable(privateKey, fields);
  const texts = [fields.product, ...Object.entries(fields.extData).flat()];
  if (!texts.every(isWellFormed)) throw badField('product and extData must be well-formed text');
  const parts = {
    module: fields.module,
    version: fields.version,
    size: String(fields.size),
    sha256: fields.sha256,
    signed: seconds(fields.signed),
    expires: fields.expires === undefined ? '' : seconds(fields.expires),
    about: aboutOf(fields.product, fields.requires),
    extData: fields.extData,
  };
  const signature = sign(null, signedBytes2(parts), key).toString('base64url');
  const digest = Buffer.from(fields.sha256, 'hex').toString('base64url');
  return ['2', parts.size, digest, parts.signed, parts.expires, parts.about, signature].join('.');
}

function aboutOf(product: string, requires: unknown): string {
  const about = {
    ...(product === '' ? {} : { product }),
    ...(requires === null || requires === undefined ? {} : { requires }),
  };
  const text = Object.keys(about).length === 0 ? '' : JSON.stringify(about);
  return Buffer.from(text).toString('base64url');
}

/**
 * The value of `extData._signature` in format 1, for tests of what older releases signed.
 * @throws OtaError OTA_BAD_SETTINGS for the key, OTA_BAD_PACKAGE for a field
 */
export function signFields(privateKey: string | KeyObject, fields: SignedFields): string {
  const key = checkSignable(privateKey, fields);
  const { size, sha256 } = fields;
  const expires = fields.expires === undefined ? '' : seconds(fields.expires);
  const signature = sign(null, signedBytes1({ ...fields, expires }), key);
  const digest = Buffer.from(sha256, 'hex');
  return ['1', size, digest.toString('base64url'), expires, signature.toString('base64url')].join('.');
}

function checkSignable(privateKey: string | KeyObject, fields: SignedFields): KeyObject {
  const key = typeof privateKey === 'string' ? parsePrivateKey(privateKey) : ed25519(privateKey);
  if (key.type !== 'private') throw badKey('a public key stands where a private key should');
  const { size, sha256 } = fields;
  if (!Number.isSafeInteger(size) || size <= 0) throw badField('the size must be a whole number above 0');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw badField('the SHA-256 must be 64 characters of lower-case hex');
  for (const text of [fields.module, fields.version]) {
    if (!isWellFormed(text)) throw badField('module and version must be well-formed text');
  }
  return key;
}

/**
 * Checks a signature against what the upgrade says.
 * @param signature the value of `extData._signature`, whatever came
 * @param now what the clock says; one that is before the time of signing is wrong, and isn't believed
 * @returns what was signed: the size and the SHA-256 that the file must have
 * @throws OtaError OTA_BAD_SIGNATURE, OTA_SIGNATURE_EXPIRED
 */
export function verifySignature(
  keys: readonly KeyObject[],
  signature: unknown,
  fields: SignatureInput,
  now: Date = new Date(),
): SignedFields {
  if (signature === undefined || signature === null || signature === '') {
    throw badSignature('The package is not signed: extData has no "_signature".');
  }
  const read = typeof signature === 'string' ? readSignature(signature) : null;
  if (read === null) throw badSignature('extData._signature is not a signature of a known form.');
  const { size, sha256, signed, expires, about } = read;
  const { module, version } = fields;
  if (fields.size !== null && String(fields.size) !== size) {
    throw badSignature(`The signature is for a package of ${size} bytes, not ${fields.size}.`);
  }
  const bytes =
    read.format === 1
      ? signedBytes1({ module, version, size, sha256, expires })
      : bytesOfUpgrade(read, fields);
  if (
    bytes === null ||
    !isWellFormed(module) ||
    !isWellFormed(version) ||
    !keys.some((key) => verify(null, bytes, key, read.signature))
  ) {
    throw badSignature(
      'The signature fits none of the public keys, or not what the package says: it is not from who holds them.',
    );
  }
  if (read.format === 2) checkAbout(about, fields);
  const result: SignedFields = { module, version, size: Number(size), sha256 };
  if (expires === '') return result;
  const end = new Date(Number(expires) * 1000);
  const believed = Math.max(now.getTime(), signed === '' ? 0 : Number(signed) * 1000);
  if (believed >= end.getTime()) {
    throw new OtaError('OTA_SIGNATURE_EXPIRED', `The signature expired at ${end.toISOString()}.`);
  }
  return { ...result, expires: end.toISOString() };
}

interface ReadSignature {
  readonly format: 1 | 2;
  readonly size: string;
  readonly sha256: string;
  /** Blank in format 1. */
  readonly signed: string;
  readonly expires: string;
  readonly about: string;
  readonly signature: Buffer;
}

function readSignature(text: string): ReadSignature | null {
  const one = TEXT_1.exec(text);
  if (one !== null) {
    const [, size = '', digest = '', expires = '', value = ''] = one;
    return {
      format: 1,
      size,
      sha256: hexOf(digest),
      signed: '',
      expires,
      about: '',
      signature: bytesOf(value),
    };
  }
  const two = TEXT_2.exec(text);
  if (two === null) return null;
  const [, size = '', digest = '', signed = '', expires = '', about = '', value = ''] = two;
  return { format: 2, size, sha256: hexOf(digest), signed, expires, about, signature: bytesOf(value) };
}

function bytesOf(base64url: string): Buffer {
  return Buffer.from(base64url, 'base64url');
}

function hexOf(base64url: string): string {
  return bytesOf(base64url).toString('hex');
}

/** What must have been signed if the upgrade is as it was; null where it can't be. */
function bytesOfUpgrade(read: ReadSignature, { module, version, extData }: SignatureInput): Buffer | null {
  const entries = Object.entries(isObject(extData) ? extData : {}).filter(([key]) => key !== SIGNATURE_KEY);
  const texts: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, value] of entries) {
    if (typeof value !== 'string' || !isWellFormed(key) || !isWellFormed(value)) return null;
    texts[key] = value;
  }
  return signedBytes2({ ...read, module, version, extData: texts });
}

/** What an upgrade says of product and labels besides must be what was signed. */
function checkAbout(about: string, { product, requires }: SignatureInput): void {
  let signed: unknown = {};
  try {
    if (about !== '') signed = JSON.parse(bytesOf(about).toString());
  } catch {
    // Signed by who holds the key, and still no JSON: nothing fits it.
    signed = null;
  }
  const known = isObject(signed) ? signed : null;
  const isProduct = isBlank(product) || (known !== null && product === known['product']);
  const isRequires =
    isBlank(requires) || (known !== null && isDeepStrictEqual(plain(requires), plain(known['requires'])));
  if (isProduct && isRequires) return;
  throw badSignature('The signature is for another product or for other labels than the package names.');
}

/** Without prototypes: a value from a function node is of another world. */
function plain(value: unknown): unknown {
  try {
    return JSON.parse(JSON.stringify(value)) as unknown;
  } catch {
    // Absent, a ring, or too deep: equal to nothing that was signed.
    return Symbol('none');
  }
}

/** Each field with its length in front: no two sets of fields give the same bytes. */
function signedBytes1(fields: {
  module: string;
  version: string;
  size: number | string;
  sha256: string;
  expires: string;
}): Buffer {
  const { module, version, size, sha256, expires } = fields;
  return netstrings([CONTEXT_1, module, version, String(size), sha256, expires]);
}

function signedBytes2(fields: {
  module: string;
  version: string;
  size: string;
  sha256: string;
  signed: string;
  expires: string;
  about: string;
  extData: { readonly [key: string]: string };
}): Buffer {
  const { module, version, size, sha256, signed, expires, about, extData } = fields;
  const entries = Object.entries(extData).filter(([key]) => key !== SIGNATURE_KEY);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1)).flat();
  return netstrings([CONTEXT_2, module, version, size, sha256, signed, expires, about, ...sorted]);
}

function netstrings(parts: readonly string[]): Buffer {
  return Buffer.from(parts.map((part) => `${Buffer.byteLength(part)}:${part},`).join(''));
}

/** Lone surrogates all become the same bytes in UTF-8. */
function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text);
}

function seconds(iso: string): string {
  const time = Date.parse(iso);
  // The last year of four digits: more would not come back as ISO 8601 of the usual form.
  if (!Number.isFinite(time) || time < 0 || time > 253402300799999) {
    throw badField('the end of the signature must be a date after 1970, in ISO 8601');
  }
  return String(Math.floor(time / 1000));
}

function badField(text: string): OtaError {
  return new OtaError('OTA_BAD_PACKAGE', `The package can not be signed: ${text}.`);
}

function badSignature(text: string): OtaError {
  return new OtaError('OTA_BAD_SIGNATURE', text);
}

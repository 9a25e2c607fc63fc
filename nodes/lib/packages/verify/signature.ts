/**
 * Authenticity of a package: an Ed25519 signature over everything that a device acts on, carried as the text
 * `extData._signature`. Owns its form and the bytes that are signed; must never read a file or a setting.
 *
 * The text is `1.<size>.<sha256>.<expires>.<signature>`: size in decimal, expires in seconds since 1970 or
 * empty, the digest and the signature in base64url without padding. What is signed are netstrings
 * (`<bytes>:<text>,`) of the UTF-8 of: `ota-signature-1`, module, version, size, SHA-256 in lower-case hex,
 * expires. About 170 characters, ASCII, without quotes: it stands in JSON as it is.
 */
import { createPrivateKey, createPublicKey, KeyObject, sign, verify } from 'node:crypto';
import { OtaError, reasonText } from '../../protocol';
import { PEM_BLOCK, publicKeysRule, SPKI_HEAD, unescapeLines } from '../../rules';

/** What is signed. `expires` is ISO 8601, kept to the second; `sha256` lower-case hex; `size` bytes. */
export interface SignedFields {
  module: string;
  version: string;
  size: number;
  sha256: string;
  expires?: string;
}

/** The key of extData that carries the signature. */
export const SIGNATURE_KEY = '_signature';

const FORMAT = '1';
const CONTEXT = 'ota-signature-1';
const TEXT = /^1\.([0-9]{1,16})\.([\w-]{43})\.([0-9]{0,12})\.([\w-]{86})$/;

/**
 * The public keys in a setting, in each form that the rule of lib/rules takes.
 * @returns none for a blank text
 * @throws OtaError OTA_BAD_SETTINGS
 */
export function parsePublicKeys(text: string): KeyObject[] {
  const { value, reason } = publicKeysRule.read(text);
  if (reason !== null) {
    throw new OtaError('OTA_BAD_SETTINGS', `The setting "publicKeys" ${reasonText(reason)}.`);
  }
  return value.map((hex) =>
    createPublicKey({ key: Buffer.from(SPKI_HEAD + hex, 'hex'), format: 'der', type: 'spki' }),
  );
}

/**
 * A private Ed25519 key: PEM (PKCS #8), also on one line, or its base64.
 * @throws OtaError OTA_BAD_SETTINGS, without any part of the key
 */
export function parsePrivateKey(text: string): KeyObject {
  const lines = unescapeLines(text).trim();
  const block = [...lines.matchAll(PEM_BLOCK)][0];
  if (block !== undefined && block[1] !== 'PRIVATE KEY') {
    const what = block[1] === 'ENCRYPTED PRIVATE KEY' ? 'it is encrypted' : 'it is of another kind';
    throw badKey(`the private key must be an unencrypted PEM block "PRIVATE KEY"; ${what}`);
  }
  let key: KeyObject;
  try {
    key = createPrivateKey({ key: decode(block?.[2] ?? lines), format: 'der', type: 'pkcs8' });
  } catch {
    // The cause could hold parts of the key.
    throw badKey('the private key can not be read');
  }
  return ed25519(key);
}

/**
 * The value of `extData._signature`.
 * @throws OtaError OTA_BAD_SETTINGS for the key, OTA_BAD_PACKAGE for a field
 */
export function signFields(privateKey: string | KeyObject, fields: SignedFields): string {
  const key = typeof privateKey === 'string' ? parsePrivateKey(privateKey) : ed25519(privateKey);
  if (key.type !== 'private') throw badKey('a public key stands where a private key should');
  const { size, sha256 } = fields;
  if (!Number.isSafeInteger(size) || size <= 0) throw badField('the size must be a whole number above 0');
  if (!/^[0-9a-f]{64}$/.test(sha256)) throw badField('the SHA-256 must be 64 characters of lower-case hex');
  for (const text of [fields.module, fields.version]) {
    if (!isWellFormed(text)) throw badField('module and version must be well-formed text');
  }
  const expires = fields.expires === undefined ? '' : seconds(fields.expires);
  const signature = sign(null, signedBytes({ ...fields, expires }), key);
  const digest = Buffer.from(sha256, 'hex');
  return [FORMAT, size, digest.toString('base64url'), expires, signature.toString('base64url')].join('.');
}

/**
 * Checks a signature against what the upgrade says; `size` null where the upgrade names none.
 * @param signature the value of `extData._signature`, whatever came
 * @returns what was signed: the size and the SHA-256 that the file must have
 * @throws OtaError OTA_BAD_SIGNATURE, OTA_SIGNATURE_EXPIRED
 */
export function verifySignature(
  keys: readonly KeyObject[],
  signature: unknown,
  fields: { module: string; version: string; size: number | null },
  now: Date = new Date(),
): SignedFields {
  if (signature === undefined || signature === null || signature === '') {
    throw badSignature('The package is not signed: extData has no "_signature".');
  }
  const parts = typeof signature === 'string' ? TEXT.exec(signature) : null;
  if (parts === null) throw badSignature('extData._signature is not a signature of a known form.');
  const [, size = '', digest = '', expires = '', value = ''] = parts;
  const { module, version } = fields;
  if (fields.size !== null && String(fields.size) !== size) {
    throw badSignature(`The signature is for a package of ${size} bytes, not ${fields.size}.`);
  }
  const sha256 = Buffer.from(digest, 'base64url').toString('hex');
  const bytes = signedBytes({ module, version, size, sha256, expires });
  const bare = Buffer.from(value, 'base64url');
  if (
    !isWellFormed(module) ||
    !isWellFormed(version) ||
    !keys.some((key) => verify(null, bytes, key, bare))
  ) {
    throw badSignature('The signature fits none of the public keys: the package is not from who holds them.');
  }
  const signed: SignedFields = { module, version, size: Number(size), sha256 };
  if (expires === '') return signed;
  const end = new Date(Number(expires) * 1000);
  if (now.getTime() >= end.getTime()) {
    throw new OtaError('OTA_SIGNATURE_EXPIRED', `The signature expired at ${end.toISOString()}.`);
  }
  return { ...signed, expires: end.toISOString() };
}

/** Each field with its length in front: no two sets of fields give the same bytes. */
function signedBytes(fields: {
  module: string;
  version: string;
  size: number | string;
  sha256: string;
  expires: string;
}): Buffer {
  const { module, version, size, sha256, expires } = fields;
  const parts = [CONTEXT, module, version, String(size), sha256, expires];
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

/** Base64 or base64url, with blanks between. @throws OtaError OTA_BAD_SETTINGS */
function decode(text: string): Buffer {
  const bare = text.replace(/\s+/g, '');
  if (!/^[0-9A-Za-z+/_-]+={0,2}$/.test(bare)) throw badKey('a key is neither a PEM block nor base64');
  return Buffer.from(bare, 'base64');
}

function ed25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') {
    throw badKey(`a key is of the kind ${key.asymmetricKeyType ?? 'secret'}; Ed25519 is needed`);
  }
  return key;
}

function badKey(text: string, cause?: unknown): OtaError {
  return new OtaError('OTA_BAD_SETTINGS', `The key can not be used: ${text}.`, { cause });
}

function badField(text: string): OtaError {
  return new OtaError('OTA_BAD_PACKAGE', `The package can not be signed: ${text}.`);
}

function badSignature(text: string): OtaError {
  return new OtaError('OTA_BAD_SIGNATURE', text);
}

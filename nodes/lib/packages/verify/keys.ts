/** Ed25519 keys as people give them: PEM, on one line or many, or base64. Must never show any part of a private key. */
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { OtaError, reasonText } from '../../protocol';
import { PEM_BLOCK, publicKeysRule, readTyped, SPKI_HEAD, unescapeLines } from '../../rules';

/**
 * The public keys in a setting, in each form that the rule of lib/rules takes.
 * @returns none for a blank text
 * @throws OtaError OTA_BAD_SETTINGS
 */
export function parsePublicKeys(text: string): KeyObject[] {
  const { value, reason } = readTyped(publicKeysRule, text);
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

/** Base64 or base64url, with blanks between. @throws OtaError OTA_BAD_SETTINGS */
function decode(text: string): Buffer {
  const bare = text.replace(/\s+/g, '');
  if (!/^[0-9A-Za-z+/_-]+={0,2}$/.test(bare)) throw badKey('a key is neither a PEM block nor base64');
  return Buffer.from(bare, 'base64');
}

export function ed25519(key: KeyObject): KeyObject {
  if (key.asymmetricKeyType !== 'ed25519') {
    throw badKey(`a key is of the kind ${key.asymmetricKeyType ?? 'secret'}; Ed25519 is needed`);
  }
  return key;
}

export function badKey(text: string, cause?: unknown): OtaError {
  return new OtaError('OTA_BAD_SETTINGS', `The key can not be used: ${text}.`, { cause });
}

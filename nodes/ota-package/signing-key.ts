/**
 * Where ota-package has its signing key from: a credential, or a file of its own, which a back-up of flows and
 * credentials doesn't take along. Nothing of a key may come into a text of an error.
 */
import fs from 'node:fs';
import type { KeyObject } from 'node:crypto';
import { parsePrivateKey } from '../lib/packages/verify/signature';
import { OtaError } from '../lib/protocol';

/** Far more than a key needs: whatever is larger is another file. */
const MAX_BYTES = 16 * 1024;
const OTHERS = 0o077;

/**
 * @param text the credential, PEM; blank: none
 * @param file absolute path of a PEM file; null: none
 * @returns null where packages are not to be signed
 * @throws OtaError OTA_BAD_SETTINGS, OTA_FILE
 */
export function signingKey(text: string, file: string | null): KeyObject | null {
  if (text !== '' && file !== null) {
    throw new OtaError(
      'OTA_BAD_SETTINGS',
      'Both "privateKey" and "privateKeyFile" are set: clear one of them.',
    );
  }
  if (file !== null) return parsePrivateKey(readPrivate(file));
  return text === '' ? null : parsePrivateKey(text);
}

/** The text of a file that only its owner can read. */
function readPrivate(file: string): string {
  let descriptor: number;
  try {
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
  } catch (error) {
    const { code = 'unknown' } = error as NodeJS.ErrnoException;
    throw new OtaError('OTA_FILE', `The private key's file "${file}" can't be read (${code}).`);
  }
  try {
    const { mode, size } = fs.fstatSync(descriptor);
    if ((mode & fs.constants.S_IFMT) !== fs.constants.S_IFREG || size > MAX_BYTES) {
      throw new OtaError('OTA_BAD_SETTINGS', `"${file}" is no file of a private key.`);
    }
    // Windows has no such modes.
    if (process.platform !== 'win32' && (mode & OTHERS) !== 0) {
      throw new OtaError(
        'OTA_BAD_SETTINGS',
        `Others can read the private key in "${file}": take that right away with "chmod 600".`,
      );
    }
    return fs.readFileSync(descriptor, 'utf8');
  } finally {
    fs.closeSync(descriptor);
  }
}

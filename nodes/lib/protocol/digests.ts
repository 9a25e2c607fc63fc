/** The digests that a package can be signed with: names on the wire, their lengths, and the form of `sign`. */

export type SignMethod = 'Md5' | 'SHA256';
/** How MD5 is spelt in what we send: the Alibaba C SDK refuses `MD5`. */
export type SignMethodCase = 'Md5' | 'MD5';

/** Characters of hex for each method. */
export const SIGN_LENGTH: Readonly<Record<SignMethod, number>> = { Md5: 32, SHA256: 64 };
/** The same methods in node:crypto's words. */
export const HASH_NAME: Readonly<Record<SignMethod, string>> = { Md5: 'md5', SHA256: 'sha256' };

/** The method of any spelling (`MD5`, `md5`, `Sha256`, `sha-256`…), or null for an unknown one. */
export function readSignMethod(value: string): SignMethod | null {
  switch (value.toLowerCase()) {
    case 'md5':
      return 'Md5';
    case 'sha256':
    case 'sha-256':
      return 'SHA256';
    default:
      return null;
  }
}

export function signMethodName(method: SignMethod, md5: SignMethodCase): string {
  return method === 'Md5' ? md5 : method;
}

/** True where `sign` is hex of the method's length, in either case. */
export function isSign(sign: string, method: SignMethod): boolean {
  return sign.length === SIGN_LENGTH[method] && /^[0-9a-fA-F]+$/.test(sign);
}

/** The method whose length `sign` has, or null. */
export function methodOfSign(sign: string): SignMethod | null {
  if (isSign(sign, 'Md5')) return 'Md5';
  return isSign(sign, 'SHA256') ? 'SHA256' : null;
}

/**
 * The form of Ed25519 public keys in a setting. Pure; runs in the browser too. Whether a signature fits is
 * lib/packages' affair.
 */
import { type Reading, refused, type Rule, taken } from './reason';

/** A PEM block: its label and its body. */
export const PEM_BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;

/** What stands before the 32 bytes of an Ed25519 public key in its usual form (SPKI), in hex. */
export const SPKI_HEAD = '302a300506032b6570032100';
const KEY_BYTES = 32;
const SPKI_BYTES = SPKI_HEAD.length / 2 + KEY_BYTES;

/**
 * Public keys: PEM blocks, or base64 (also base64url) of the 32 bytes or of SPKI, parted by blanks, lines or
 * commas. A PEM block may stand on one line, as an input field or a variable makes it. Each is given back as
 * its 32 bytes in hex.
 */
export const publicKeysRule: Rule<readonly string[]> = {
  accepts: { kind: 'list' },
  read(value): Reading<readonly string[]> {
    if (typeof value !== 'string') return refused('text');
    const labels: string[] = [];
    const bodies: string[] = [];
    const rest = unescapeLines(value).replace(PEM_BLOCK, (_block, label: string, body: string) => {
      labels.push(label);
      bodies.push(body.replace(/\s+/g, ''));
      return ' ';
    });
    if (labels.some((label) => label.includes('PRIVATE'))) return refused('privateKey');
    if (labels.some((label) => label !== 'PUBLIC KEY')) return refused('keyKind');
    if (rest.includes('-----')) return refused('keyCut');
    const keys: string[] = [];
    for (const text of [...bodies, ...rest.split(/[\s,;]+/).filter((part) => part !== '')]) {
      const bytes = decode(text);
      if (bytes === null) return refused('keyForm');
      const key = keyIn(bytes);
      if (key === null) return refused('keyKind');
      keys.push(key);
    }
    return taken(keys);
  },
};

/** Variables often carry the ends of lines as a backslash and an n, from Windows with an r. */
export function unescapeLines(text: string): string {
  return text.replace(/(\\r)?\\n/g, '\n');
}

/** Base64 or base64url as hex; null for what is neither. */
function decode(base64: string): string | null {
  if (!/^[0-9A-Za-z+/_-]+={0,2}$/.test(base64)) return null;
  const plain = base64.replace(/=/g, '').replace(/-/g, '+').replace(/_/g, '/');
  // A last character alone carries no byte.
  const bytes = atob(plain.length % 4 === 1 ? plain.slice(0, -1) : plain);
  return Array.from(bytes, (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('');
}

function keyIn(hex: string): string | null {
  if (hex.length === 2 * KEY_BYTES) return hex;
  const usual = hex.length === 2 * SPKI_BYTES && hex.startsWith(SPKI_HEAD);
  return usual ? hex.slice(SPKI_HEAD.length) : null;
}

/** What the hosts and the keys of ota-verify may be, as rules.ts does it for the simpler settings. Pure. */
import { isVariable, type Reason, textOf } from './rules';

/** Names, IPv4 addresses and IPv6 addresses in brackets, as a URL writes them. */
const HOST = /^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$|^\[[0-9a-f:.]+\]$/;
const IPV4 = /^[0-9]+(\.[0-9]+){3}$/;

/** Host names, separated by blanks, commas or semicolons; not addresses of pages. */
export function hostsReason(value: unknown): Reason | null {
  const text = textOf(value);
  if (isVariable(text)) return null;
  const names = text.split(/[\s,;]+/).filter((name) => name !== '');
  return names.every(isHost) ? null : { key: 'hosts' };
}

function isHost(name: string): boolean {
  const wildcard = name.startsWith('*.');
  const bare = wildcard ? name.slice(2) : name;
  if (/[/\\@?#]|:[0-9]*$/.test(bare) && !/^\[[^\]]*\]$/.test(bare)) return false;
  let host: string;
  try {
    host = new URL(`http://${bare}/`).host.replace(/\.$/, '');
  } catch {
    return false;
  }
  return HOST.test(host) && !(wildcard && IPV4.test(host));
}

const PEM = /-----BEGIN ([A-Z0-9 ]+)-----([\s\S]*?)-----END \1-----/g;
/** What stands before the 32 bytes of an Ed25519 public key in its usual form (SPKI). */
const SPKI_HEAD = '302a300506032b6570032100';
const KEY_BYTES = 32;

/** Ed25519 public keys: PEM blocks, or base64 of the bare or the usual form. */
export function publicKeysReason(value: unknown): Reason | null {
  const text = textOf(value);
  if (isVariable(text)) return null;
  const keys: string[] = [];
  const labels: string[] = [];
  const rest = text.replace(/\\n/g, '\n').replace(PEM, (_block, label: string, body: string) => {
    labels.push(label);
    keys.push(body.replace(/\s+/g, ''));
    return ' ';
  });
  if (labels.some((label) => label.includes('PRIVATE'))) return { key: 'privateKey' };
  const bare = rest.split(/[\s,;]+/).filter((part) => part !== '');
  const known = labels.every((label) => label === 'PUBLIC KEY') && [...keys, ...bare].every(isPublicKey);
  return known ? null : { key: 'publicKeys' };
}

function isPublicKey(base64: string): boolean {
  if (!/^[0-9A-Za-z+/_-]+={0,2}$/.test(base64)) return false;
  const plain = base64.replace(/=/g, '').replace(/-/g, '+').replace(/_/g, '/');
  // A last character alone carries no byte.
  const bytes = atob(plain.length % 4 === 1 ? plain.slice(0, -1) : plain);
  const hex = Array.from(bytes, (byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('');
  return bytes.length === KEY_BYTES || (bytes.length === KEY_BYTES + 12 && hex.startsWith(SPKI_HEAD));
}

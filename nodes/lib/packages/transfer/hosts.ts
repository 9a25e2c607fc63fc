/**
 * Which addresses may be asked for a package. Owns the rules for schemes, host names and IP addresses; must
 * never show a URL as it came: it may hold a password.
 */
import dns from 'node:dns';
import net from 'node:net';
import { OtaError } from '../../protocol';

export interface HostRules {
  /** Host names as `hostsRule` gives them, exact or `*.example.com`; empty: any. */
  readonly allowedHosts: readonly string[];
  /** Loopback and link-local addresses may be asked. */
  readonly allowLocal: boolean;
}

/**
 * The URL of a package, checked but for the addresses that its name resolves to (see guardedLookup).
 * @throws OtaError OTA_BAD_URL, OTA_HOST_REFUSED
 */
export function checkUrl(text: string, rules: HostRules, base?: URL): URL {
  if (!URL.canParse(text, base?.href)) throw new OtaError('OTA_BAD_URL', 'The "url" can\'t be read.');
  const url = new URL(text, base?.href);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    const scheme = url.protocol.slice(0, 20);
    throw new OtaError('OTA_BAD_URL', `The "url" must begin with http:// or https://, not ${scheme}`);
  }
  checkHost(url, rules);
  url.hash = '';
  return url;
}

function checkHost(url: URL, rules: HostRules): void {
  const host = hostOf(url);
  if (rules.allowedHosts.length > 0 && !rules.allowedHosts.some((pattern) => matches(pattern, host))) {
    throw new OtaError('OTA_HOST_REFUSED', `The host ${shown(host)} isn't in the node's "allowedHosts".`);
  }
  if (!rules.allowLocal && isLocalHost(url)) throw localRefused(host);
}

/** What needs no resolver to tell: an address, and the names that mean this machine wherever they are known. */
export function isLocalHost(url: URL): boolean {
  const host = hostOf(url);
  const literal = bareHost(url);
  if (net.isIP(literal) !== 0) return isLocalAddress(literal);
  return host === 'localhost' || host.endsWith('.localhost');
}

function matches(pattern: string, host: string): boolean {
  return pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) : host === pattern;
}

function hostOf(url: URL): string {
  return withoutDot(url.hostname.toLowerCase());
}

/** An IPv6 address without its brackets. */
function bareHost(url: URL): string {
  return hostOf(url).replace(/^\[|\]$/g, '');
}

/** `example.com.` is the same host as `example.com`. */
function withoutDot(host: string): string {
  return host.endsWith('.') ? host.slice(0, -1) : host;
}

function localRefused(host: string): OtaError {
  return new OtaError(
    'OTA_HOST_REFUSED',
    `The host ${shown(host)} is this machine or link-local, so no other machine reaches it: whoever sends the package must give an address that this device reaches (with ota-package: its "baseUrl").`,
  );
}

function shown(host: string): string {
  return host.length > 40 ? `${host.slice(0, 39)}…` : host;
}

/** Loopback, link-local and "this host" in IPv4, in IPv6, and in IPv6 forms that carry such an IPv4 address. */
const LOCAL = localAddresses();

function localAddresses(): net.BlockList {
  const list = new net.BlockList();
  // IPv4-mapped IPv6 addresses (::ffff:127.0.0.1) are checked against these too.
  for (const [address, prefix] of [
    ['0.0.0.0', 8],
    ['127.0.0.0', 8],
    ['169.254.0.0', 16],
  ] as const) {
    list.addSubnet(address, prefix, 'ipv4');
    const [a, b] = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    list.addSubnet(`64:ff9b::${a}${b}:0`, 96 + prefix, 'ipv6'); // NAT64
    list.addSubnet(`64:ff9b:1::${a}${b}:0`, 96 + prefix, 'ipv6'); // NAT64 of one's own network
    list.addSubnet(`::ffff:0:${a}${b}:0`, 96 + prefix, 'ipv6'); // IPv4-translated
    list.addSubnet(`2002:${a}${b}::`, 16 + prefix, 'ipv6'); // 6to4
  }
  list.addSubnet('::', 96, 'ipv6'); // unspecified, ::1, and the old IPv4-compatible form
  list.addSubnet('fe80::', 10, 'ipv6');
  return list;
}

/** True for a loopback, link-local or unspecified address in any spelling that node:net takes. */
export function isLocalAddress(address: string): boolean {
  const bare = address.split('%', 1)[0] ?? '';
  return LOCAL.check(bare, net.isIPv6(bare) ? 'ipv6' : 'ipv4');
}

type Resolve = (
  hostname: string,
  options: dns.LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: dns.LookupAddress[]) => void,
) => void;

/**
 * A lookup for an agent: the addresses that are checked are the ones that are connected to. One local address
 * among several refuses the name: which of them is taken is the sender's choice.
 * @param resolve for tests; the system's resolver by default
 */
export function guardedLookup(rules: HostRules, resolve: Resolve = dns.lookup): net.LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, '');
      if (!rules.allowLocal && addresses.some(({ address }) => isLocalAddress(address))) {
        return callback(localRefused(hostname), '');
      }
      if (options.all) return callback(null, addresses);
      const first = addresses[0];
      if (first === undefined) return callback(new Error(`no address for ${hostname}`), '');
      callback(null, first.address, first.family);
    });
  };
}

/**
 * Refuses a name that resolves to a local address, where nobody here connects to it: a proxy does, or the file
 * is here already. One that can't be looked up is no local one as far as anybody here can tell.
 * @throws OtaError OTA_HOST_REFUSED
 */
export function refuseLocalName(url: URL, rules: HostRules, resolve: Resolve = dns.lookup): Promise<void> {
  if (rules.allowLocal || net.isIP(bareHost(url)) !== 0) return Promise.resolve();
  return new Promise((pass, refuse) => {
    resolve(hostOf(url), { all: true }, (error, addresses) => {
      const isLocal = error === null && addresses.some(({ address }) => isLocalAddress(address));
      if (isLocal) refuse(localRefused(hostOf(url)));
      else pass();
    });
  });
}

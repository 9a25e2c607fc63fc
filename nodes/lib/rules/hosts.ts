/**
 * Host names that packages may come from. Pure; runs in the browser too.
 */
import { type Reading, refused, type Rule, taken } from './reason';

/** Names, IPv4 addresses and IPv6 addresses in brackets, as a URL writes them. */
const NAME = /^([a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/;
const IPV4 = /^[0-9]+(\.[0-9]+){3}$/;
const IPV6 = /^\[[0-9a-f:.]+\]$/;

/** How much of a wrong name is shown. */
const SHOWN = 80;

/**
 * Host names parted by blanks, lines, commas or semicolons, exact or `*.example.com`; without scheme, port and
 * path. They are given back as they stand in a URL that was read: lower case, punycode, IPv4 in four numbers.
 */
export const hostsRule: Rule<readonly string[]> = {
  accepts: { kind: 'list' },
  read(value): Reading<readonly string[]> {
    if (typeof value !== 'string') return refused('text');
    const hosts: string[] = [];
    for (const name of value.split(/[\s,;]+/)) {
      if (name === '') continue;
      const host = readHost(name);
      if (host === null) return refused('hosts', { name: name.slice(0, SHOWN) });
      hosts.push(host);
    }
    return taken(hosts);
  },
};

function readHost(name: string): string | null {
  const wildcard = name.startsWith('*.');
  const bare = wildcard ? name.slice(2) : name;
  // A URL would take what isn't a host for its port, path or login.
  if (/[/\\@?#]|:[0-9]*$/.test(bare) && !/^\[[^\]]*\]$/.test(bare)) return null;
  let host: string;
  try {
    host = new URL(`http://${bare}/`).host.replace(/\.$/, '');
  } catch {
    return null;
  }
  if (wildcard) return NAME.test(host) && !IPV4.test(host) ? `*.${host}` : null;
  return NAME.test(host) || IPV6.test(host) ? host : null;
}

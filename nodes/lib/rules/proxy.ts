/** The address of an HTTP proxy. Pure; runs in the browser too. */
import { refused, type Rule, taken } from './reason';

/** `http://user:password@host:3128`, or `host:3128`; given back with its scheme. */
export const proxyRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value) {
    if (typeof value !== 'string') return refused('text');
    const text = value.trim();
    const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
    if (!/^https?:\/\/[^/\\]/i.test(full) || /[\s\p{Cc}]/u.test(text)) return refused('proxy');
    try {
      return taken(new URL(full).href);
    } catch {
      return refused('proxy');
    }
  },
};

/** The address at which devices reach the packages. Pure; runs in the browser too. */
import { type Reading, refused, type Rule, taken } from './reason';

/** An http:// or https:// address without `?` and `#`; its text without blanks around it. */
export const baseUrlRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value): Reading<string> {
    if (typeof value !== 'string') return refused('text');
    const text = value.trim();
    if (!/^https?:\/\/[^/\\]/i.test(text) || /[\s\p{Cc}\p{Cs}]/u.test(text) || !isUrl(text)) {
      return refused('baseUrl');
    }
    return /[?#]/.test(text) ? refused('baseUrlQuery') : taken(text);
  },
};

function isUrl(text: string): boolean {
  try {
    return new URL(text).host !== '';
  } catch {
    return false;
  }
}

/** Where a fleet lies in PostgreSQL. Pure; runs in the browser too. */
import { refused, type Rule, taken } from './reason';

/** `postgresql://user:password@host:5432/database?sslmode=…`. */
export const postgresUrlRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value) {
    if (typeof value !== 'string') return refused('text');
    const text = value.trim();
    if (text === '') return refused('missing');
    if (!/^postgres(ql)?:\/\/[^/?#\s]+\/[^/?#\s]+(\?[^#\s]*)?$/i.test(text)) return refused('postgresUrl');
    return URL.canParse(text) ? taken(text) : refused('postgresUrl');
  },
};

/** A name that stands in statements as it is. */
export const schemaRule: Rule<string> = {
  accepts: { kind: 'text' },
  read(value) {
    if (typeof value !== 'string') return refused('text');
    const text = value.trim();
    const isOurs =
      /^[a-z_][a-z0-9_]{0,62}$/.test(text) && !text.startsWith('pg_') && text !== 'information_schema';
    return isOurs ? taken(text) : refused('schema');
  },
};

/**
 * Pages of devices in a SQLite file: which index serves a filter, how many rows it has, and from which end a page is
 * read. An index is chosen by the kept counts, because nobody runs ANALYZE on the file. Reads only.
 */
import { HOLDS } from '../../types';
import type { DeviceQuery, Page } from '../database';
import { LAST_CHARACTER } from '../limits';
import type { SqlDatabase, SqlRow, SqlStatement, SqlValue } from './driver';
import { statusCode } from '../rows';
import { type Scan, within } from './scan';

/** So many matches of a search are counted; more are told as this many, and pages end there. */
export const MAX_COUNTED = 100_000;

/** Which rows of an order a page has; `DESC`: counted from the end, and to be turned round. */
export interface Span {
  readonly order: 'ASC' | 'DESC';
  readonly limit: number;
  readonly offset: number;
}

/**
 * The rows of a page; null for a page behind the last one.
 * @param counted `all`: the total is what there is, and the page is read from the nearer end; `some`: there may be more
 */
export function spanOf({ page, pageSize }: Page, total: number, counted: 'all' | 'some'): Span | null {
  const offset = (page - 1) * pageSize;
  const limit = Math.min(pageSize, total - offset);
  if (limit <= 0) return null;
  if (counted === 'some' || offset <= total / 2) return { order: 'ASC', limit, offset };
  return { order: 'DESC', limit, offset: total - offset - limit };
}

/** Prepares each text once. There are as many as kinds of filters; more than `max` begin anew. */
export function statementCache(db: SqlDatabase, max = 200): (text: string) => SqlStatement {
  const prepared = new Map<string, SqlStatement>();
  return (text) => {
    const found = prepared.get(text);
    if (found !== undefined) return found;
    if (prepared.size >= max) prepared.clear();
    const statement = db.prepare(text);
    prepared.set(text, statement);
    return statement;
  };
}

/** About how many rows of a task have what the filter asks for. */
export interface Sizes {
  readonly status: number;
  readonly wave: number;
  readonly reason: number;
  readonly hold: number;
}

/** Statements on the devices of a task, by filters. */
export interface DevicePages {
  pageOfDevices(query: DeviceQuery, sizes: Sizes, span: Span): SqlRow[];
  countDevices(query: DeviceQuery, sizes: Sizes): number;
  /** The rows' numbers, of a filter with several conditions. */
  scanDevices(query: DeviceQuery, sizes: Sizes): Scan<SqlRow>;
  deviceWithVersion(id: number): SqlRow | undefined;
}

export function prepareDevicePages(db: SqlDatabase): DevicePages {
  const cached = statementCache(db);
  return {
    pageOfDevices: (query, sizes, { order, limit, offset }) => {
      const { from, values } = devicesFrom(query, sizes);
      const rows = cached(`SELECT d.*, v.version AS current_version FROM
          (SELECT id FROM ${from} ORDER BY token ${order} LIMIT ? OFFSET ?) AS p
          JOIN task_devices AS d ON d.id = p.id
          LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
        ORDER BY d.token`);
      return rows.all(...values, limit, offset);
    },
    countDevices: (query, sizes) => {
      const { from, values } = devicesFrom(query, sizes);
      const text = `SELECT count(*) AS n FROM (SELECT 1 FROM ${from} LIMIT ${MAX_COUNTED})`;
      return Number(cached(text).get(...values)?.['n'] ?? 0);
    },
    scanDevices: (query, sizes) => {
      const { from, values, index } = devicesFrom(query, sizes);
      const only = { status: null, reason: null, wave: null, hold: null };
      const looked = devicesFrom(
        { ...query, ...only, ...(index === 'token' ? {} : { [index]: query[index] }) },
        sizes,
      );
      return {
        endOf: (after, size) => {
          const text = `SELECT token FROM ${looked.from} AND token > ? ORDER BY token LIMIT 1 OFFSET ?`;
          const row = cached(text).get(...looked.values, after, size - 1);
          return (row?.['token'] as string | undefined) ?? null;
        },
        count: (slice) => {
          const part = within('token', slice);
          const row = cached(`SELECT count(*) AS n FROM ${from} AND ${part.text}`).get(
            ...values,
            ...part.values,
          );
          return Number(row?.['n'] ?? 0);
        },
        rows: (slice, { limit, offset }) => {
          const part = within('token', slice);
          const text = `SELECT id FROM ${from} AND ${part.text} ORDER BY token LIMIT ? OFFSET ?`;
          return cached(text).all(...values, ...part.values, limit, offset);
        },
      };
    },
    deviceWithVersion: (id) =>
      cached(`SELECT d.*, v.version AS current_version FROM task_devices AS d
        LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token WHERE d.id = ?`).get(id),
  };
}

/** Each of these indexes is of the task, its column and the token. */
function devicesFrom(
  { task, status, search, reason = null, wave = null, hold = null }: DeviceQuery,
  sizes: Sizes,
): { readonly from: string; readonly values: SqlValue[]; readonly index: 'token' | keyof Sizes } {
  const conditions = ['task = ?'];
  const values: SqlValue[] = [task.id];
  const add = (condition: string, ...more: SqlValue[]): void => {
    conditions.push(condition);
    values.push(...more);
  };
  const given = (['status', 'reason', 'wave', 'hold'] as const).filter(
    (name) => ({ status, reason, wave, hold })[name] !== null,
  );
  if (status !== null) add('status = ?', statusCode(status));
  if (search !== '') add('token >= ? AND token < ?', search, search + LAST_CHARACTER);
  if (reason !== null) add('reason = ?', reason);
  if (wave !== null) add('wave = ?', wave);
  if (hold !== null) add('hold = ?', HOLDS.indexOf(hold));
  const [smallest] = given.sort((a, b) => sizes[a] - sizes[b]);
  const index = smallest ?? 'token';
  const from = `task_devices INDEXED BY task_devices_${index} WHERE ${conditions.join(' AND ')}`;
  return { from, values, index };
}

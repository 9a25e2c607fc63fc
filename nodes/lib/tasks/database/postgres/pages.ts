/**
 * Pages of devices: of a task, and of a fleet. A page far behind begins at a token that is kept for its place, or is
 * read from the end, so that no page reads all those before it. Reads only.
 */
import { effectiveLabels, NO_LABELS } from '../../machine';
import type { FleetRow } from '../../shapes';
import { HOLDS } from '../../types';
import type { DeviceQuery, DeviceRow, FleetQuery, Page, VersionCount } from '../database';
import { type SqlRow, statusCode, toDeviceRow } from '../rows';
import { MAX_VERSIONS, NO_MODULE, LAST_CHARACTER } from '../limits';
import type { PgValue, PostgresPool } from './driver';
import type { KeyCache } from './keys';
import { toOwnLabels } from './load';

/** So many matches of one condition are counted; more are told as this many. */
const MAX_COUNTED = 200_000;
/** The same of a search, and of several conditions. A page further behind counts as far as its own end. */
const MAX_SEARCHED = 20_000;
/** The same of labels where each match is looked up among the devices. */
const MAX_LABELLED = 1000;
/** Between two tokens of a task that are kept for their place. */
export const PLACE_STEP = 1000;

/** Conditions with their values, in order. */
class Where {
  readonly values: PgValue[] = [];
  readonly #conditions: string[] = [];

  /** @param condition with `?` for each value */
  add(condition: string, ...values: readonly PgValue[]): void {
    this.#conditions.push(this.bind(condition, ...values));
  }

  /** The condition with the numbers of its values, for another place of the statement. */
  bind(condition: string, ...values: readonly PgValue[]): string {
    let text = condition;
    for (const value of values) {
      this.values.push(value);
      text = text.replace('?', `$${this.values.length}`);
    }
    return text;
  }

  get text(): string {
    return this.#conditions.length === 0 ? 'true' : this.#conditions.join(' AND ');
  }
}

export async function devicePage(
  pool: PostgresPool,
  query: DeviceQuery,
): Promise<{ total: number; devices: readonly DeviceRow[] }> {
  const { task, status, search, reason = null, wave = null, hold = null, page, pageSize } = query;
  const where = new Where();
  where.add('task = ?', task.id);
  if (status !== null) where.add('status = ?', statusCode(status));
  if (search !== '') where.add('token >= ? AND token < ?', search, search + LAST_CHARACTER);
  if (reason !== null) where.add('reason = ?', reason);
  if (wave !== null) where.add('wave = ?', wave);
  if (hold !== null) where.add('hold = ?', HOLDS.indexOf(hold));
  const isPlain = search === '' && reason === null && wave === null && hold === null;
  const all = Object.values(task.counts).reduce((sum, n) => sum + n, 0);
  const given = [status, reason, wave, hold].filter((one) => one !== null).length;
  const most = given > 1 || search !== '' ? mostFor(query, MAX_SEARCHED) : MAX_COUNTED;
  const total = !isPlain ? await count(pool, where, most) : status === null ? all : task.counts[status];
  const offset = (page - 1) * pageSize;
  const isWhole = isPlain && status === null && task.joining === null;
  const rows = await slice(pool, where, {
    offset,
    limit: pageSize,
    total,
    isExact: isPlain || total < most,
    task: isWhole ? task.id : null,
  });
  return { total, devices: rows.map(toDeviceRow) };
}

/** One more than the end of the page tells that another one follows. */
function mostFor({ page, pageSize }: Page, least: number): number {
  return Math.max(least, page * pageSize + 1);
}

async function count(pool: PostgresPool, where: Where, most: number): Promise<number> {
  const text = `SELECT count(*)::int AS n FROM (SELECT 1 FROM task_devices WHERE ${where.text}
    LIMIT $${where.values.length + 1}) AS c`;
  return Number((await pool.read({ text }, [...where.values, most]))[0]?.['n'] ?? 0);
}

interface Slice {
  readonly offset: number;
  readonly limit: number;
  readonly total: number;
  /** Whether the total is all there is; otherwise there may be more. */
  readonly isExact: boolean;
  /** The task where all its devices are meant: their places are kept. */
  readonly task: number | null;
}

async function slice(
  pool: PostgresPool,
  where: Where,
  { offset, limit, total, isExact, task }: Slice,
): Promise<readonly SqlRow[]> {
  const isBehind = isExact && offset > total / 2 && task === null;
  if (isBehind) {
    // From the end: as many rows lie behind the page as before it otherwise.
    const size = Math.max(0, Math.min(limit, total - offset));
    const rows = await read(pool, where, {
      order: 'DESC',
      offset: Math.max(0, total - offset - size),
      limit: size,
    });
    return [...rows].reverse();
  }
  const place = task === null ? 0 : Math.floor(offset / PLACE_STEP) * PLACE_STEP;
  if (place > 0) {
    const text = 'SELECT token FROM task_places WHERE task = $1 AND place = $2';
    const [from] = await pool.read({ text }, [task, place]);
    if (from !== undefined) {
      where.add('token >= ?', from['token'] as string);
      return read(pool, where, { order: 'ASC', offset: offset - place, limit });
    }
  }
  return read(pool, where, { order: 'ASC', offset, limit });
}

/** @param where its first value is the task. The rows before the page are read from an index alone. */
function read(
  pool: PostgresPool,
  where: Where,
  { order, offset, limit }: { order: 'ASC' | 'DESC'; offset: number; limit: number },
): Promise<SqlRow[]> {
  const n = where.values.length;
  const text = `SELECT d.*, v.version AS current_version FROM
      (SELECT token FROM task_devices WHERE ${where.text} ORDER BY token ${order} LIMIT $${n + 1} OFFSET $${n + 2}) AS p
      JOIN task_devices AS d ON d.task = $1 AND d.token = p.token
      LEFT JOIN devices AS v ON v.scope = d.scope AND v.token = d.token
    ORDER BY d.token ${order}`;
  return pool.read({ text }, [...where.values, limit, offset]);
}

/** Keeps the tokens at every so many places of a task that is about to be published. */
export const KEEP_PLACES = {
  text: `INSERT INTO task_places (task, place, token)
    SELECT $1, r.place, r.token FROM (
      SELECT token, row_number() OVER (ORDER BY token) - 1 AS place FROM task_devices WHERE task = $1) AS r
    WHERE r.place > 0 AND r.place % ${PLACE_STEP} = 0 ON CONFLICT DO NOTHING`,
};

export async function fleetPage(
  pool: PostgresPool,
  keys: KeyCache,
  query: FleetQuery,
): Promise<{ total: number; versions: readonly VersionCount[]; devices: readonly FleetRow[] }> {
  const service = await keys.service();
  const module = query.module === null ? null : ((await keys.findModule(query.module)) ?? NO_MODULE);
  const scopes = await scopesOf(pool, service, module);
  const { from, token, scope, where, isByLabelAlone } = fleetSource(query, scopes, service);
  const isByLabel = Object.keys(query.labels ?? {}).length > 0;
  const isCounted = query.search === '' && !isByLabel;
  const versions = await pool.read(VERSIONS, [service, module, MAX_VERSIONS]);
  const most = mostFor(query, isByLabel && !isByLabelAlone ? MAX_LABELLED : MAX_SEARCHED);
  // In the order of an index, so that PostgreSQL stops at the limit instead of gathering all matches first.
  const found = `SELECT 1 FROM ${from} WHERE ${where.text} ORDER BY ${token} LIMIT $${where.values.length + 1}`;
  const counted = isCounted
    ? await pool.read(COUNT_KNOWN_OF, [service, module, query.version])
    : await pool.read({ text: `SELECT count(*)::int AS n FROM (${found}) AS c` }, [...where.values, most]);
  const total = Number(counted[0]?.['n'] ?? 0);
  const { order, offset, limit } = span(query, total, isCounted || total < most);
  const n = where.values.length;
  const text = `SELECT p.token, c.module, v.version, v.at, k.operator, k.device, k.seen_at, t.key, t.name, t.status
    FROM (SELECT ${token} AS token, ${scope} AS scope FROM ${from} WHERE ${where.text}
        ORDER BY ${token} ${order}, 2 ${order} LIMIT $${n + 1} OFFSET $${n + 2}) AS p
      JOIN devices AS v ON v.scope = p.scope AND v.token = p.token JOIN scopes AS c ON c.id = p.scope
      LEFT JOIN tokens AS k ON k.service = $${n + 3} AND k.token = p.token
      LEFT JOIN LATERAL (SELECT t.key, t.name, t.status FROM task_devices AS d JOIN tasks AS t ON t.id = d.task
        WHERE d.token = p.token AND d.scope = p.scope AND t.visible = 1 ORDER BY d.id DESC LIMIT 1) AS t ON true
    ORDER BY p.token, p.scope`;
  const rows = await pool.read({ text }, [...where.values, limit, offset, service]);
  return {
    total,
    versions: versions.map((row) => ({
      module: row['module'] as string,
      version: row['version'] as string,
      count: row['n'] as number,
    })),
    devices: rows.map(fleetRow),
  };
}

/** The part of a list that a page is; read from the end where that is nearer, and where the end is known. */
function span(
  { page, pageSize }: Page,
  total: number,
  isExact: boolean,
): { order: 'ASC' | 'DESC'; offset: number; limit: number } {
  const offset = (page - 1) * pageSize;
  if (!isExact || offset <= total / 2) return { order: 'ASC', offset, limit: pageSize };
  const limit = Math.max(0, Math.min(pageSize, total - offset));
  return { order: 'DESC', offset: Math.max(0, total - offset - limit), limit };
}

const OF_MODULE = 'c.service = $1 AND ($2::int IS NULL OR c.id = $2)';
const VERSIONS = {
  text: `SELECT c.module, v.version, sum(v.n)::int AS n FROM scopes AS c JOIN version_counts AS v ON v.scope = c.id
    WHERE ${OF_MODULE} GROUP BY c.module, v.version HAVING sum(v.n) > 0 ORDER BY c.module, n DESC, v.version LIMIT $3`,
};
const COUNT_KNOWN_OF = {
  text: `SELECT coalesce(sum(v.n), 0)::int AS n FROM scopes AS c JOIN version_counts AS v ON v.scope = c.id
    WHERE ${OF_MODULE} AND ($3::text IS NULL OR v.version = $3)`,
};

interface Scopes {
  /** The numbers of the modules that are meant. */
  readonly ids: readonly number[];
  /** Whether the fleet has no other module. */
  readonly isWhole: boolean;
}

async function scopesOf(pool: PostgresPool, service: number, module: number | null): Promise<Scopes> {
  const rows = await pool.read(SCOPES, [service]);
  const all = rows.map((row) => row['id'] as number);
  const ids = all.filter((id) => module === null || id === module);
  return { ids, isWhole: ids.length === all.length };
}

const SCOPES = { name: 'ota_scopes', text: 'SELECT id FROM scopes WHERE service = $1' };

interface FleetSource {
  /** Tables with their joins. */
  readonly from: string;
  /** The columns of a device's token and module. */
  readonly token: string;
  readonly scope: string;
  readonly where: Where;
  /** Whether the rows of labels say all: each is of a device that has reported. */
  readonly isByLabelAlone: boolean;
}

const TOKENS_OF_LABEL = 'SELECT token FROM label_values WHERE service = ? AND name = ? AND value = ?';
const NO_TOKENS = 'SELECT token FROM label_values WHERE false';

/** A device has a label once: the rows of its values are merged, each of which lies in the order of tokens. */
function inOrder(parts: readonly string[]): string {
  if (parts.length <= 1) return parts[0] ?? NO_TOKENS;
  return parts.map((part) => `(${part} ORDER BY token)`).join(' UNION ALL ');
}

/** Most fleets have one module: its devices are found in the order of tokens, and by their labels alone. */
function fleetSource(query: FleetQuery, { ids, isWhole }: Scopes, service: number): FleetSource {
  const { version, search, labels } = query;
  const [only] = ids;
  const isOne = only !== undefined && ids.length === 1;
  const all = Object.entries(labels ?? {});
  const isByLabelAlone = isOne && isWhole && version === null && all.length > 0;
  const token = isByLabelAlone ? 'l0.token' : 'd.token';
  const where = new Where();
  if (!isByLabelAlone) {
    if (isOne) where.add('d.scope = ?', only);
    else where.add('d.scope = ANY (?::int[])', ids);
  }
  if (version !== null) where.add('d.version = ?', version);
  if (search !== '') where.add(`${token} >= ? AND ${token} < ?`, search, search + LAST_CHARACTER);
  const tables = isByLabelAlone ? [] : ['devices AS d'];
  for (const [i, [name, values]] of all.entries()) {
    const parts = values.map((value) => where.bind(TOKENS_OF_LABEL, service, name, value));
    const table = `(${inOrder(parts)}) AS l${i}`;
    tables.push(tables.length === 0 ? table : `${table} ON l${i}.token = ${token}`);
  }
  const scope = isByLabelAlone ? String(only) : 'd.scope';
  return { from: tables.join(' JOIN '), token, scope, where, isByLabelAlone };
}

function fleetRow(row: SqlRow): FleetRow {
  const own = row['operator'] === null ? null : toOwnLabels(row);
  return {
    accessToken: row['token'] as string,
    module: row['module'] as string,
    version: row['version'] as string,
    labels: effectiveLabels(own ?? NO_LABELS),
    seenAt: Math.max(row['at'] as number, own?.seenAt ?? 0),
    task:
      row['key'] === null
        ? null
        : { taskId: row['key'] as string, name: row['name'] as string, status: row['status'] as string },
  };
}

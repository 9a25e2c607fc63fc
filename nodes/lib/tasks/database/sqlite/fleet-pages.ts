/**
 * Pages of a fleet in a SQLite file: which index serves a filter of versions, tokens and labels. Few devices with a
 * label are found by it; many are read along with the devices, both in the order of tokens. Reads only.
 */
import type { LabelFilter } from '../../types';
import { LAST_CHARACTER } from '../limits';
import type { SqlDatabase, SqlRow, SqlValue } from './driver';
import { MAX_COUNTED, type Span, statementCache } from './pages';
import { type Scan, within } from './scan';

/** Which devices of a service a page shows; modules are numbers of the database. */
export interface FleetFilter {
  /** One of the service's; null: all. */
  readonly module: number | null;
  readonly version: string | null;
  readonly search: string;
  readonly labels: LabelFilter | null;
  readonly service: number;
}

/** Devices of a label that are taken for few. */
const FEW = 1000;
/** Rows of a label that are counted in one turn, where nothing else is looked at. */
const LABEL_SLICE = 10_000;

type Label = readonly [name: string, values: readonly string[]];

export interface FleetPages {
  /** Tokens and modules of a page, in the order of tokens. Of a filter without labels. */
  fleetPage(filter: FleetFilter, span: Span): SqlRow[];
  /** Rows of a filter without labels, as far as they are counted. */
  countFleet(filter: FleetFilter): number;
  /** Tokens and modules of a filter with labels. */
  scanFleet(filter: FleetFilter): Scan<SqlRow>;
}

export function prepareFleetPages(db: SqlDatabase): FleetPages {
  const cached = statementCache(db);
  const countUpTo = (max: number, { from, values }: Found): number =>
    Number(
      cached(`SELECT count(*) AS n FROM (SELECT 1 FROM ${from} LIMIT ${max})`).get(...values)?.['n'] ?? 0,
    );
  const onlyModule = (service: number): number | null => {
    const modules = cached('SELECT id FROM scopes WHERE service = ? LIMIT 2').all(service);
    return modules.length === 1 ? Number(modules[0]?.['id']) : null;
  };
  /** Most fleets have one module: its devices are found by their key. */
  const ofOneModule = (filter: FleetFilter): FleetFilter =>
    filter.module === null ? { ...filter, module: onlyModule(filter.service) } : filter;

  return {
    fleetPage: (asked, { order, limit, offset }) => {
      const { from, values, token } = byDevices(ofOneModule(asked), []);
      const rows = cached(
        `SELECT d.token, d.scope FROM ${from} ORDER BY ${token} ${order}, d.scope ${order} LIMIT ? OFFSET ?`,
      ).all(...values, limit, offset);
      return order === 'ASC' ? rows : rows.reverse();
    },
    countFleet: (asked) => countUpTo(MAX_COUNTED, byDevices(ofOneModule(asked), [])),
    scanFleet: (asked) => {
      const filter = ofOneModule(asked);
      const labels: Label[] = Object.entries(filter.labels ?? {});
      const few = labels.find((label) => countUpTo(FEW, labelRows(filter, label)) < FEW);
      const one = filter.version === null ? labels.find(([, values]) => values.length === 1) : undefined;
      const byOne = few ?? one;
      const isWhole = filter.module !== null && filter.module === onlyModule(filter.service);
      const isByLabelAlone = isWhole && filter.version === null;
      const source =
        byOne === undefined
          ? byDevices(filter, labels)
          : (isByLabelAlone ? byLabelAlone : byLabel)(filter, labels, byOne);
      const looked = byOne === undefined ? deviceRows(filter) : labelRows(filter, byOne);
      return {
        ...(byOne !== undefined && isByLabelAlone && labels.length === 1 ? { size: LABEL_SLICE } : {}),
        // The rows of several values don't come in the order of tokens; few of them are one slice.
        endOf: few === undefined ? (after, size) => endOfSlice(looked, after, size) : () => null,
        count: (slice) => {
          const { text, values } = within(source.token, slice);
          const row = cached(`SELECT count(*) AS n FROM ${source.from} AND ${text}`).get(
            ...source.values,
            ...values,
          );
          return Number(row?.['n'] ?? 0);
        },
        rows: (slice, { limit, offset }) => {
          const { text, values } = within(source.token, slice);
          return cached(`SELECT ${source.token} AS token, ${source.scope} AS scope FROM ${source.from} AND ${text}
            ORDER BY ${source.token}, 2 LIMIT ? OFFSET ?`).all(...source.values, ...values, limit, offset);
        },
      };
    },
  };

  function endOfSlice({ from, values, token }: Found, after: string, size: number): string | null {
    const text = `SELECT ${token} AS token FROM ${from} AND ${token} > ? ORDER BY ${token} LIMIT 1 OFFSET ?`;
    return (cached(text).get(...values, after, size - 1)?.['token'] as string | undefined) ?? null;
  }
}

interface Found {
  readonly from: string;
  readonly values: SqlValue[];
  /** The column in whose order rows come without sorting. */
  readonly token: string;
}

interface Source extends Found {
  /** The column of the module, or its number. */
  readonly scope: string;
}

class Conditions {
  readonly values: SqlValue[] = [];
  readonly #texts: string[] = [];

  add(text: string, ...values: readonly SqlValue[]): void {
    this.#texts.push(text);
    this.values.push(...values);
  }

  get text(): string {
    return this.#texts.join(' AND ');
  }
}

const places = (values: readonly unknown[]): string => values.map(() => '?').join(', ');

/** The rows of one label, in the order of tokens where it has one value. */
function labelRows({ service, search }: FleetFilter, [name, wanted]: Label): Found {
  const where = new Conditions();
  where.add(`m.service = ? AND m.name = ? AND m.value IN (${places(wanted)})`, service, name, ...wanted);
  if (search !== '') where.add('m.token >= ? AND m.token < ?', search, search + LAST_CHARACTER);
  return { from: `label_values AS m WHERE ${where.text}`, values: where.values, token: 'm.token' };
}

/** The rows of the index of devices through which a filter is looked for, in the order of tokens. */
function deviceRows({ module, version, search }: FleetFilter): Source {
  const where = new Conditions();
  if (module === null) where.add('true');
  else where.add('d.scope = ?', module);
  if (module !== null && version !== null) where.add('d.version = ?', version);
  if (search !== '') where.add('d.token >= ? AND d.token < ?', search, search + LAST_CHARACTER);
  return {
    from: `devices AS d${indexOf(module, version)} WHERE ${where.text}`,
    values: where.values,
    token: 'd.token',
    scope: 'd.scope',
  };
}

function indexOf(module: number | null, version: string | null): string {
  if (module === null) return ' INDEXED BY devices_token';
  return version === null ? '' : ' INDEXED BY devices_version';
}

function byDevices(filter: FleetFilter, labels: readonly Label[]): Source {
  const { module, version, search, service } = filter;
  const where = new Conditions();
  if (search !== '') where.add('d.token >= ? AND d.token < ?', search, search + LAST_CHARACTER);
  addDevice(where, filter);
  addLabels(where, service, labels, { done: undefined, token: 'd.token' });
  return {
    from: `devices AS d${indexOf(module, version)} WHERE ${where.text}`,
    values: where.values,
    token: 'd.token',
    scope: 'd.scope',
  };
}

/** Along the rows of a label, which come in the order of tokens. */
function byLabel(filter: FleetFilter, labels: readonly Label[], one: Label): Source {
  const rows = labelRows(filter, one);
  const where = new Conditions();
  addLabels(where, filter.service, labels, { done: one, token: 'm.token' });
  addDevice(where, filter);
  const [table = '', condition = ''] = rows.from.split(' WHERE ');
  return {
    // A cross join keeps the order of its tables.
    from: `${table} CROSS JOIN devices AS d${filter.module === null ? ' INDEXED BY devices_token' : ''} ON d.token = m.token
      WHERE ${condition} AND ${where.text}`,
    values: [...rows.values, ...where.values],
    token: 'm.token',
    scope: 'd.scope',
  };
}

/** In a fleet of one module, whatever version: each row of a label is of a device that has reported. */
function byLabelAlone(filter: FleetFilter, labels: readonly Label[], one: Label): Source {
  const rows = labelRows(filter, one);
  const where = new Conditions();
  addLabels(where, filter.service, labels, { done: one, token: 'm.token' });
  return {
    from: where.text === '' ? rows.from : `${rows.from} AND ${where.text}`,
    values: [...rows.values, ...where.values],
    token: 'm.token',
    scope: String(filter.module),
  };
}

function addDevice(where: Conditions, { module, version, service }: FleetFilter): void {
  if (module === null) where.add('d.scope IN (SELECT id FROM scopes WHERE service = ?)', service);
  else where.add('d.scope = ?', module);
  if (version !== null) where.add('d.version = ?', version);
}

function addLabels(
  where: Conditions,
  service: number,
  labels: readonly Label[],
  { done, token }: { readonly done: Label | undefined; readonly token: string },
): void {
  for (const label of labels) {
    if (label === done) continue;
    const [name, wanted] = label;
    where.add(
      `EXISTS (SELECT 1 FROM label_values AS l WHERE l.service = ? AND l.name = ?
        AND l.value IN (${places(wanted)}) AND l.token = ${token})`,
      service,
      name,
      ...wanted,
    );
  }
}

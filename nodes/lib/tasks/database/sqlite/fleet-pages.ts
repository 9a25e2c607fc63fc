/**
 * Pages of a fleet in a SQLite file: which index serves a filter of versions, tokens and labels. Few devices with a
 * label are found by it; many are read along with the devices, both in the order of tokens. Reads only.
 */
import type { LabelFilter } from '../../types';
import type { SqlDatabase, SqlRow, SqlValue } from './driver';
import { LAST_CHARACTER, MAX_COUNTED, type Span, statementCache } from './pages';

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
/** Devices that fit several conditions are looked up one by one: fewer of them are counted. */
const MAX_LOOKED_UP = 20_000;

type Label = readonly [name: string, values: readonly string[]];

export interface FleetPages {
  /** Tokens and modules of a page, in the order of tokens. */
  fleetPage(filter: FleetFilter, span: Span): SqlRow[];
  /** Rows of a filter, as far as they are counted. */
  countFleet(filter: FleetFilter): number;
}

export function prepareFleetPages(db: SqlDatabase): FleetPages {
  const cached = statementCache(db);
  const n = (text: string, values: readonly SqlValue[]): number =>
    Number(cached(text).get(...values)?.['n'] ?? 0);
  const countUpTo = (max: number, { from, values }: Source): number =>
    n(`SELECT count(*) AS n FROM (SELECT 1 FROM ${from} LIMIT ${max})`, values);
  const onlyModule = (service: number): number | null => {
    const modules = cached('SELECT id FROM scopes WHERE service = ? LIMIT 2').all(service);
    return modules.length === 1 ? Number(modules[0]?.['id']) : null;
  };
  /** Most fleets have one module: its devices are found by their key. */
  const ofOneModule = (filter: FleetFilter): FleetFilter =>
    filter.module === null ? { ...filter, module: onlyModule(filter.service) } : filter;

  /** The way through the filter's labels that reads the least. */
  const sourceOf = (filter: FleetFilter): Source => {
    const labels: Label[] = Object.entries(filter.labels ?? {});
    if (labels.length === 0) return byDevices(filter, []);
    const few = labels.find((label) => countUpTo(FEW, labelRows(filter, label)) < FEW);
    if (few !== undefined) return byDevices(filter, labels, few);
    const one = labels.find(([, values]) => values.length === 1);
    return one === undefined || filter.version !== null
      ? byDevices(filter, labels)
      : byLabel(filter, labels, one);
  };

  return {
    fleetPage: (filter, { order, limit, offset }) => {
      const { from, values, token } = sourceOf(ofOneModule(filter));
      const rows = cached(
        `SELECT d.token, d.scope FROM ${from} ORDER BY ${token} ${order}, d.scope ${order} LIMIT ? OFFSET ?`,
      ).all(...values, limit, offset);
      return order === 'ASC' ? rows : rows.reverse();
    },
    countFleet: (filter) => {
      const isByLabel = Object.keys(filter.labels ?? {}).length > 0;
      // A device may have labels before it has ever reported: only a look at each tells.
      return isByLabel
        ? countUpTo(MAX_LOOKED_UP, sourceOf(ofOneModule(filter)))
        : countUpTo(MAX_COUNTED, byDevices(ofOneModule(filter), []));
    },
  };
}

interface Source {
  readonly from: string;
  readonly values: SqlValue[];
  /** The column in whose order rows come without sorting. */
  readonly token: string;
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
function labelRows({ service, search }: FleetFilter, [name, wanted]: Label): Source {
  const where = new Conditions();
  where.add(`m.service = ? AND m.name = ? AND m.value IN (${places(wanted)})`, service, name, ...wanted);
  if (search !== '') where.add('m.token >= ? AND m.token < ?', search, search + LAST_CHARACTER);
  return { from: `label_values AS m WHERE ${where.text}`, values: where.values, token: 'm.token' };
}

/** By the devices; with `few` only the tokens of that label are looked at. */
function byDevices(filter: FleetFilter, labels: readonly Label[], few?: Label): Source {
  const { module, version, search, service } = filter;
  const where = new Conditions();
  if (few !== undefined) {
    const { from, values } = labelRows(filter, few);
    where.add(`d.token IN (SELECT m.token FROM ${from})`, ...values);
  } else if (search !== '') {
    where.add('d.token >= ? AND d.token < ?', search, search + LAST_CHARACTER);
  }
  addDevice(where, filter);
  addLabels(where, service, labels, { done: few, token: 'd.token' });
  const byVersion = version !== null && few === undefined;
  const index = byVersion
    ? ' INDEXED BY devices_version'
    : module === null
      ? ' INDEXED BY devices_token'
      : '';
  return { from: `devices AS d${index} WHERE ${where.text}`, values: where.values, token: 'd.token' };
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

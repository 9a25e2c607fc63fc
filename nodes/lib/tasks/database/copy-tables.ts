/**
 * What is copied from one database to the other: each table with its key and the columns that both have, and where
 * the two differ in form, how it is read. Data only.
 */
import { deviceColumns } from './rows';

export interface CopiedTable {
  readonly name: string;
  /** By which it is read, slice by slice. */
  readonly key: readonly string[];
  readonly columns: readonly string[];
  /** A query in place of the table, where counts are kept in parts. */
  readonly fromPostgres?: string;
  /** In PostgreSQL these rows are one part of what instances count. */
  readonly hasPart?: boolean;
}

const TASK_COLUMNS =
  `id key service scope visible live status reason wave base_succeeded base_failed pace created_at
  start_at started_at ended_at name policy upgrade package description packages end_at end_behavior joining soak_from
  intent running_before running_since`.split(/\s+/);
/** Kept with the task in SQLite; in PostgreSQL with its waves. */
export const TASK_COUNTS =
  'pending waiting pushed upgrading succeeded failed incompatible cancelled taken'.split(' ');
const WAVE_COLUMNS = 'total succeeded failed cancelled waiting active incompatible'.split(' ');

const sums = (names: readonly string[]): string =>
  names.map((name) => `coalesce(sum(c.${name}), 0)::int AS ${name}`).join(', ');

export const COPIED_TABLES: readonly CopiedTable[] = [
  { name: 'services', key: ['id'], columns: ['id', 'key', 'clock'] },
  { name: 'scopes', key: ['id'], columns: ['id', 'service', 'module'] },
  {
    name: 'devices',
    key: ['scope', 'token'],
    columns: ['scope', 'token', 'version', 'last_id', 'at', 'retained'],
  },
  {
    name: 'tokens',
    key: ['service', 'token'],
    columns: ['service', 'token', 'operator', 'device', 'seen_at'],
  },
  {
    name: 'label_values',
    key: ['service', 'name', 'value', 'token'],
    columns: ['service', 'name', 'value', 'token'],
  },
  {
    name: 'version_counts',
    key: ['scope', 'version'],
    columns: ['scope', 'version', 'n'],
    hasPart: true,
    fromPostgres: 'SELECT scope, version, sum(n) AS n FROM version_counts GROUP BY 1, 2 HAVING sum(n) > 0',
  },
  {
    name: 'tasks',
    key: ['id'],
    columns: [...TASK_COLUMNS, ...TASK_COUNTS],
    fromPostgres: `SELECT t.*, n.* FROM tasks AS t
      CROSS JOIN LATERAL (SELECT ${sums(TASK_COUNTS)} FROM task_counts AS c WHERE c.task = t.id) AS n`,
  },
  {
    name: 'task_waves',
    key: ['task', 'wave'],
    columns: ['task', 'wave', ...WAVE_COLUMNS],
    fromPostgres: `SELECT c.task, c.wave, ${sums(WAVE_COLUMNS.filter((name) => name !== 'active'))},
      coalesce(sum(c.pushed + c.upgrading), 0)::int AS active FROM task_counts AS c GROUP BY 1, 2`,
  },
  {
    name: 'task_reasons',
    key: ['task', 'reason'],
    columns: ['task', 'reason', 'n'],
    hasPart: true,
    fromPostgres: 'SELECT task, reason, sum(n)::int AS n FROM task_reasons GROUP BY 1, 2 HAVING sum(n) <> 0',
  },
  {
    name: 'task_ends',
    key: ['task', 'at'],
    columns: ['task', 'at', 'succeeded', 'failed', 'cancelled'],
    hasPart: true,
    fromPostgres: `SELECT task, at, sum(succeeded)::int AS succeeded, sum(failed)::int AS failed,
      sum(cancelled)::int AS cancelled FROM task_ends GROUP BY 1, 2`,
  },
  {
    name: 'task_log',
    key: ['task', 'number'],
    columns: ['task', 'number', 'at', 'event', 'by', 'remark', 'reason', 'wave'],
  },
  { name: 'task_names', key: ['task', 'n'], columns: ['task', 'n', 'token'] },
  {
    name: 'task_devices',
    key: ['id'],
    columns: [
      ...['id', 'task', 'service', 'scope', 'token', 'wave', 'ord'],
      ...deviceColumns().map(([name]) => name),
    ],
  },
  { name: 'late_reports', key: ['scope', 'token'], columns: ['scope', 'token', 'until'] },
  {
    name: 'upgraded',
    key: ['scope', 'token'],
    columns: ['scope', 'token', 'task', 'key', 'name', 'version'],
  },
  { name: 'history', key: ['device', 'upto'], columns: ['device', 'upto', 'at', 'lines'] },
];

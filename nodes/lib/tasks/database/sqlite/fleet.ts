/** Pages of a fleet in a SQLite file: devices by their tokens, and how many run which version. Reads only. */
import { effectiveLabels, NO_LABELS } from '../../machine';
import type { FleetRow } from '../../shapes';
import type { FleetQuery, VersionCount } from '../database';
import { spanOf } from './pages';
import type { Statements } from './statements';

export function fleetPage(
  sql: Statements,
  service: number,
  query: FleetQuery,
): { total: number; versions: readonly VersionCount[]; devices: readonly FleetRow[] } {
  const module = query.module === null ? null : (sql.findModule(service, query.module) ?? NO_MODULE);
  const filter = { ...query, module, service };
  const isCounted = query.search === '' && query.labels === null;
  // Kept counts, where nothing else narrows the page down.
  const total = isCounted ? sql.countKnownOf(service, module, query.version) : sql.countFleet(filter);
  const span = spanOf(query, total, isCounted ? 'all' : 'some');
  const rows = span === null ? [] : sql.fleetPage(filter, span);
  return {
    total,
    versions: sql.versions(service, module, MAX_VERSIONS),
    devices: rows.map((row) => fleetRow(sql, service, row['token'] as string, row['scope'] as number)),
  };
}

/** Versions in an answer at most: hostile devices can name any number. */
const MAX_VERSIONS = 1000;
/** No module has this number. */
const NO_MODULE = 0;

function fleetRow(sql: Statements, service: number, accessToken: string, moduleId: number): FleetRow {
  const known = sql.knownRow(moduleId, accessToken);
  const own = sql.findToken(service, accessToken);
  const task = sql.newestTask(accessToken, moduleId);
  return {
    accessToken,
    module: sql.moduleName(moduleId),
    version: known?.['version'] as string,
    labels: effectiveLabels(own ?? NO_LABELS),
    seenAt: Math.max((known?.['at'] as number | undefined) ?? 0, own?.seenAt ?? 0),
    task:
      task === undefined
        ? null
        : { taskId: task['key'] as string, name: task['name'] as string, status: task['status'] as string },
  };
}

/** Pages of a fleet in a SQLite file: devices by their tokens, and how many run which version. Reads only. */
import { effectiveLabels, NO_LABELS } from '../../machine';
import type { FleetRow } from '../../shapes';
import type { FleetQuery, VersionCount } from '../database';
import type { Statements } from './statements';

export function fleetPage(
  sql: Statements,
  service: number,
  query: FleetQuery,
): { total: number; versions: readonly VersionCount[]; devices: readonly FleetRow[] } {
  const modules = sql
    .modulesOf(service)
    .filter(({ module }) => query.module === null || module === query.module);
  const versions = modules.flatMap(({ id, module }) =>
    sql.versions(id).map(({ version, count }) => ({ module, version, count })),
  );
  if (modules.length === 0) return { total: 0, versions, devices: [] };
  const filter = { ...query, modules: modules.map(({ id }) => id), service };
  const isCounted = query.search === '' && query.labels === null;
  const counted = versions.filter(({ version }) => query.version === null || version === query.version);
  const names = new Map(modules.map(({ id, module }) => [id, module]));
  return {
    // Kept counts, where nothing else narrows the page down.
    total: isCounted ? counted.reduce((sum, { count }) => sum + count, 0) : sql.countFleet(filter),
    versions,
    devices: sql
      .fleetPage(filter, query.pageSize, (query.page - 1) * query.pageSize)
      .map((row) => fleetRow(sql, service, row['token'] as string, row['scope'] as number, names)),
  };
}

function fleetRow(
  sql: Statements,
  service: number,
  accessToken: string,
  moduleId: number,
  names: ReadonlyMap<number, string>,
): FleetRow {
  const known = sql.knownRow(moduleId, accessToken);
  const own = sql.findToken(service, accessToken);
  const task = sql.newestTask(accessToken, moduleId);
  return {
    accessToken,
    module: names.get(moduleId) ?? '',
    version: known?.['version'] as string,
    labels: effectiveLabels(own ?? NO_LABELS),
    seenAt: Math.max((known?.['at'] as number | undefined) ?? 0, own?.seenAt ?? 0),
    task:
      task === undefined
        ? null
        : { taskId: task['key'] as string, name: task['name'] as string, status: task['status'] as string },
  };
}

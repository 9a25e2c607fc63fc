/** Pages of a fleet in a SQLite file: devices by their tokens, and how many run which version. Reads only. */
import { effectiveLabels, NO_LABELS } from '../../machine';
import type { FleetRow } from '../../shapes';
import type { Awaitable, FleetQuery, VersionCount } from '../database';
import { MAX_VERSIONS, NO_MODULE } from '../limits';
import type { SqlRow } from './driver';
import { spanOf } from './pages';
import { scanPage } from './scan';
import type { Statements } from './statements';

interface Found {
  readonly total: number;
  readonly versions: readonly VersionCount[];
  readonly devices: readonly FleetRow[];
}

export function fleetPage(sql: Statements, service: number, query: FleetQuery): Awaitable<Found> {
  const module = query.module === null ? null : (sql.findModule(service, query.module) ?? NO_MODULE);
  const filter = { ...query, module, service };
  const answer = (total: number, rows: readonly SqlRow[]): Found => ({
    total,
    versions: sql.versions(service, module, MAX_VERSIONS),
    devices: rows.map((row) => fleetRow(sql, service, row['token'] as string, row['scope'] as number)),
  });
  if (Object.keys(query.labels ?? {}).length > 0) {
    return scanPage(sql.scanFleet(filter), query).then(({ total, rows }) => answer(total, rows));
  }
  const isCounted = query.search === '';
  // Kept counts, where nothing else narrows the page down.
  const total = isCounted ? sql.countKnownOf(service, module, query.version) : sql.countFleet(filter);
  const span = spanOf(query, total, isCounted ? 'all' : 'some');
  return answer(total, span === null ? [] : sql.fleetPage(filter, span));
}

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

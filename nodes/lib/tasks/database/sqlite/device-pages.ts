/**
 * Pages of a task's devices in a SQLite file, with how many there are: by the kept counts where one says it, because
 * counting a million rows takes longer than a page may. Reads only.
 */
import { DEVICE_STATUSES, type DeviceStatus, type WaveCounts } from '../../types';
import type { Awaitable, DeviceQuery, DeviceRow } from '../database';
import { type Sizes, spanOf } from './pages';
import { scanPage } from './scan';
import { toDeviceRow, toWaveCounts } from '../rows';
import type { Statements } from './statements';

interface Found {
  readonly total: number;
  readonly devices: readonly DeviceRow[];
}

export function devicePage(sql: Statements, asked: DeviceQuery): Awaitable<Found> {
  const { status, hold = null } = asked;
  // Only what is pending waits for something.
  if (hold !== null && status !== null && status !== 'pending') return { total: 0, devices: [] };
  const query = hold === null ? asked : { ...asked, status: null };
  const kept = keptOf(sql, query);
  const sizes = sizesOf(sql, query, kept);
  const count = keptCount(query, kept);
  const { reason = null, wave = null } = query;
  const conditions = [query.status, reason, wave, hold].filter((one) => one !== null);
  if (count === null && conditions.length > 1) return scanned(sql, query, sizes);
  const total = count ?? sql.countDevices(query, sizes);
  const span = spanOf(query, total, count === null ? 'some' : 'all');
  return { total, devices: span === null ? [] : sql.pageOfDevices(query, sizes, span).map(toDeviceRow) };
}

/** Several conditions: the rows of one index, held against the others. */
async function scanned(sql: Statements, query: DeviceQuery, sizes: Sizes): Promise<Found> {
  const { total, rows } = await scanPage(sql.scanDevices(query, sizes), query);
  const found = rows.map((row) => sql.deviceWithVersion(row['id'] as number));
  return { total, devices: found.filter((row) => row !== undefined).map(toDeviceRow) };
}

/** The counts as they are now: the task that was given may be older. */
interface Kept {
  readonly statuses: Readonly<Record<DeviceStatus, number>>;
  readonly total: number;
  readonly waiting: number;
  /** Of the wave that is asked for. */
  readonly wave: WaveCounts | null;
}

function keptOf(sql: Statements, { task, wave = null }: DeviceQuery): Kept {
  const row = sql.findTask(task.id);
  const counts = DEVICE_STATUSES.map((name) => [name, Number(row?.[name] ?? 0)] as const);
  return {
    statuses: Object.fromEntries(counts) as Record<DeviceStatus, number>,
    total: counts.reduce((sum, [, n]) => sum + n, 0),
    waiting: Number(row?.['waiting'] ?? 0),
    wave: wave === null ? null : toWaveCounts(sql.findWave(task.id, wave)),
  };
}

function sizesOf(sql: Statements, { task, status, reason = null }: DeviceQuery, kept: Kept): Sizes {
  return {
    status: status === null ? Infinity : kept.statuses[status],
    wave: kept.wave?.total ?? Infinity,
    // Devices that wait have a reason, too.
    reason: reason === null ? Infinity : (sql.reasonsOf(task.id).get(reason) ?? 0) + kept.waiting,
    hold: kept.statuses.pending,
  };
}

/** What a kept count says; null where none does. */
function keptCount(query: DeviceQuery, { statuses, total, waiting, wave }: Kept): number | null {
  const { status, search, reason = null, hold = null } = query;
  if (search !== '' || reason !== null) return null;
  if (hold !== null) return hold === 'wait' ? (wave?.waiting ?? waiting) : null;
  if (wave === null) return status === null ? total : statuses[status];
  if (status === 'pushed' || status === 'upgrading') return null;
  return status === null ? wave.total : wave[status];
}

/**
 * Judges a run by what went over the wire and what the node answered, and by nothing else: neither the database nor
 * any code of the product is asked. Each violation is one sentence.
 */
import type { Device, Habit, Report } from './device';

/** A task as the node's answers show it at the end, with all of its devices. */
export interface TaskSeen {
  readonly taskId: string;
  readonly version: string;
  readonly status: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly policy: TaskPolicy;
  readonly rows: readonly RowSeen[];
}

export interface TaskPolicy {
  readonly success: 'progress' | 'version';
  readonly offline: 'fail' | 'wait';
  readonly retries: number;
  readonly noResponse: number;
}

export interface RowSeen {
  readonly accessToken: string;
  readonly status: string;
  readonly reason: string | null;
  readonly attempt: number;
  readonly history: readonly {
    readonly event: string;
    readonly step: number | null;
    readonly desc: string;
  }[];
}

/** What was done with named devices, or whole tasks. */
export interface Deed {
  readonly at: number;
  readonly action: string;
  readonly taskId: string;
  readonly tokens: readonly string[] | null;
}

/** When nobody can say how long an attempt has run: what was sent is late, or time stands still. */
export interface Disturbance {
  readonly from: number;
  readonly to: number;
}

/** What a run did beside its devices. */
export interface Happened {
  readonly deeds: readonly Deed[];
  readonly disturbances: readonly Disturbance[];
}

const ENDED = ['succeeded', 'failed', 'cancelled'];
const FAILURES: Readonly<Record<string, number>> = {
  upgrade: -1,
  download: -2,
  verification: -3,
  flashing: -4,
};
/** Habits that answer each push which reaches them, and go on to the end. */
const ANSWERS: readonly Habit[] = ['good', 'version-only', 'reporter', 'two-stage', 'retains'];

export function judge(tasks: readonly TaskSeen[], devices: readonly Device[], happened: Happened): string[] {
  const found: string[] = [];
  for (const task of tasks) found.push(...judgeTask(task));
  for (const device of devices) {
    found.push(
      ...judgeRows(device, tasks),
      ...judgeReports(device, tasks),
      ...judgePushes(device, tasks, happened),
    );
  }
  return found;
}

function judgeTask({ taskId, status, counts, rows }: TaskSeen): string[] {
  const found: string[] = [];
  if (status !== 'ended' && status !== 'cancelled') found.push(`task ${taskId} never ended: ${status}`);
  const counted: Record<string, number> = { total: rows.length };
  for (const row of rows) counted[row.status] = (counted[row.status] ?? 0) + 1;
  for (const name of ['total', 'pending', 'pushed', 'upgrading', ...ENDED]) {
    const told = counts[name] ?? 0;
    if (told !== (counted[name] ?? 0))
      found.push(`task ${taskId} counts ${told} ${name}, its rows are ${counted[name] ?? 0}`);
  }
  for (const row of rows) {
    if (!ENDED.includes(row.status))
      found.push(
        `${row.accessToken} stays ${row.status} ${row.reason ?? ''} in ${taskId}: ${JSON.stringify(row.history.slice(-3))}`,
      );
  }
  return found;
}

/** Whether the end of each row can be, by what the device has reported. */
function judgeRows(device: Device, tasks: readonly TaskSeen[]): string[] {
  const { token, acknowledged: reports } = device;
  const found: string[] = [];
  const rows = tasks.flatMap((task) =>
    task.rows.filter(({ accessToken }) => accessToken === token).map((row) => ({ task, row })),
  );
  const last = lastVersion(reports);
  for (const { task, row } of rows) {
    const { status, reason } = row;
    const where = `${token} (${device.habit}) is ${status} ${reason ?? ''} in ${task.taskId} (${task.version}, attempt ${row.attempt})`;
    const saidTarget = reports.some(({ version }) => version === task.version);
    const said100 = reports.some(({ step }) => step === 100);
    if (status === 'succeeded' && !saidTarget && !(said100 && task.policy.success === 'progress')) {
      found.push(`${where}, and never said so`);
    }
    if (status !== 'failed' || reason === null) continue;
    const step = FAILURES[reason];
    if (step !== undefined && !reports.some((report) => report.step === step)) {
      found.push(`${where}, and never reported ${step}`);
    }
    // A later task that pushed has the last word on what the device runs.
    const pushedLater = device.pushes.some(({ version }) => isLater(version, task.version));
    if (last === task.version && !pushedLater) found.push(`${where}, and runs the target version`);
    const isSilence = ['no-response', 'stalled', 'unconfirmed', 'rolled-back', 'version-mismatch'].includes(
      reason,
    );
    const wasPushed = device.pushes.some(({ version }) => version === task.version);
    if (isSilence && wasPushed && !pushedLater && ANSWERS.includes(device.habit)) {
      found.push(`${where}, though it does as it is told; last version ${last ?? 'none'}`);
    }
  }
  return found;
}

function lastVersion(reports: readonly Report[]): string | null {
  return reports.findLast(({ version }) => version !== undefined)?.version ?? null;
}

function isLater(version: string, than: string): boolean {
  return Number(version.slice(1)) > Number(than.slice(1));
}

/** What the broker acknowledged stands in a history. */
function judgeReports({ token, habit, acknowledged, pushes }: Device, tasks: readonly TaskSeen[]): string[] {
  const rows = tasks.flatMap(({ rows: all }) => all.filter(({ accessToken }) => accessToken === token));
  // Of a device a task keeps its last events only: an old one may have gone.
  if (rows.some(({ history }) => history.length >= 100)) return [];
  const kept = new Set(rows.flatMap(({ history }) => history.map(({ desc }) => desc)));
  const versions = [...new Set(pushes.map(({ version }) => version))].join(', ');
  return acknowledged
    .filter(({ desc }) => desc !== undefined && !kept.has(desc))
    .map(
      ({ desc, step }) =>
        `an acknowledged report of ${token} (${habit}) is in no history: step ${step ?? ''}, ${desc ?? ''}; it was pushed ${versions}, is in ${rows.map(({ status, reason }) => `${status} ${reason ?? ''}`).join(', ')}`,
    );
}

/** A new id only after the one before has come to an end, and never an older version than the newest that succeeded. */
function judgePushes(
  device: Device,
  tasks: readonly TaskSeen[],
  { deeds, disturbances }: Happened,
): string[] {
  const { token, pushes, acknowledged } = device;
  const found: string[] = [];
  const seen = new Set<string>();
  let before: (typeof pushes)[number] | null = null;
  for (const push of pushes) {
    if (push.retain) found.push(`${token} got a retained push`);
    const task = tasks.find(({ version }) => version === push.version);
    if (!seen.has(push.id) && before !== null) {
      const last = before;
      const since = first(pushes, last.id);
      const policy = tasks.find(({ version }) => version === last.version)?.policy;
      const limit = policy?.noResponse ?? 0;
      const isOver =
        acknowledged.some(
          ({ at, step, version }) =>
            at >= since && at <= push.at && (version !== undefined || step === 100 || (step ?? 0) < 0),
        ) ||
        // What waits isn't under way, though it is looked for by the same push.
        policy?.offline === 'wait' ||
        push.at - since >= limit * 1000 * 0.9 ||
        disturbances.some(({ from, to }) => from <= push.at && to >= since - 2000) ||
        deeds.some(
          ({ at, tokens }) =>
            at >= since - 5000 && at <= push.at && (tokens === null || tokens.includes(token)),
        );
      // What a kept session holds comes late, and all at once.
      if (!isOver && !device.keepsSession) {
        found.push(
          `${token} got ${push.id} (${push.version}) while ${last.id} (${last.version}) was under way`,
        );
      }
    }
    if (task !== undefined && !device.keepsSession && !seen.has(push.id)) {
      const newer = acknowledged.find(
        ({ at, version }) =>
          version !== undefined && at < push.at - 5000 && isNewer(version, push.version, tasks, token),
      );
      const isNamed = deeds.some(
        ({ action, taskId, tokens }) =>
          action === 'retry' && taskId === task.taskId && tokens?.includes(token),
      );
      if (newer !== undefined && !isNamed) {
        found.push(`${token} got ${push.version} though a newer task had brought ${newer.version ?? ''}`);
      }
    }
    seen.add(push.id);
    before = push;
  }
  return found;
}

function first(pushes: readonly { readonly at: number; readonly id: string }[], id: string): number {
  return pushes.find((push) => push.id === id)?.at ?? 0;
}

/** A newer task has brought this version, and says so. */
function isNewer(version: string, than: string, tasks: readonly TaskSeen[], token: string): boolean {
  if (!/^v\d+$/.test(version) || !isLater(version, than)) return false;
  const rows = tasks.find((task) => task.version === version)?.rows ?? [];
  return rows.some(({ accessToken, status }) => accessToken === token && status === 'succeeded');
}

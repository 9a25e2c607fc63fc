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
    /** ISO 8601, by the platform's clock. */
    readonly at: string;
    readonly event: string;
    readonly from: string;
    readonly to: string;
    readonly step: number | null;
    readonly desc: string;
    readonly id: string | null;
  }[];
}

/** What was done with named devices, or whole tasks. */
export interface Deed {
  readonly at: number;
  readonly action: string;
  readonly taskId: string;
  readonly tokens: readonly string[] | null;
}

/** A fault: what was sent is late, time stands still, or the platform's wall clock is another one. */
export interface Disturbance {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** What a run did beside its devices. */
export interface Happened {
  readonly deeds: readonly Deed[];
  readonly disturbances: readonly Disturbance[];
  /** Milliseconds for which the machine had no time for us at most: so much later is still at once. */
  readonly slack: number;
}

/** Limits of devices are a few seconds. */
const MUCH_SLACK_MS = 1000;
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
      ...judgeRows(device, tasks, happened),
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
function judgeRows(device: Device, tasks: readonly TaskSeen[], happened: Happened): string[] {
  const oneClock = isOneClock(happened);
  // A machine without time for us has none for devices, either: their answers may have come after their limits.
  const inTime = happened.slack <= MUCH_SLACK_MS;
  const { token, acknowledged: reports } = device;
  const found: string[] = [];
  const rows = tasks.flatMap((task) =>
    task.rows.filter(({ accessToken }) => accessToken === token).map((row) => ({ task, row })),
  );
  const last = lastVersion(reports);
  const attempts = attemptsOf(token, tasks);
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
    // Another task that pushed since has the last word on what the device runs.
    const begun = attempts.findLast(({ version }) => version === task.version)?.start ?? 0;
    const pushedLater = attempts.some(
      ({ version, start }) => version !== task.version && (start >= begun || !oneClock),
    );
    if (last === task.version && !pushedLater) found.push(`${where}, and runs the target version`);
    const isSilence = ['no-response', 'stalled', 'unconfirmed', 'rolled-back', 'version-mismatch'].includes(
      reason,
    );
    const wasPushed = device.pushes.some(({ version }) => version === task.version);
    if (isSilence && inTime && wasPushed && !pushedLater && ANSWERS.includes(device.habit)) {
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

/** Each push was an attempt of a task, one after the other; none older than the newest task that succeeded. */
function judgePushes(device: Device, tasks: readonly TaskSeen[], happened: Happened): string[] {
  const { token, pushes, acknowledged } = device;
  const { deeds, slack } = happened;
  const found: string[] = [];
  const attempts = attemptsOf(token, tasks);
  const isWhole = tasks.every(({ rows }) =>
    rows.every(({ accessToken, history }) => accessToken !== token || history.length < 100),
  );
  const oneClock = isOneClock(happened);
  for (const [i, attempt] of attempts.entries()) {
    const next = attempts[i + 1];
    if (next !== undefined && oneClock && (attempt.end === null || attempt.end > next.start)) {
      found.push(`${token} was pushed ${next.id} (${next.version}) while ${attempt.id} was under way`);
    }
  }
  const seen = new Set<string>();
  for (const push of pushes) {
    if (push.retain) found.push(`${token} got a retained push`);
    if (seen.has(push.id)) continue;
    seen.add(push.id);
    if (isWhole && !attempts.some(({ id }) => id === push.id)) {
      found.push(`${token} got ${push.id} (${push.version}), which no task pushed`);
    }
    const task = tasks.find(({ version }) => version === push.version);
    if (task === undefined || !oneClock) continue;
    // What counts is when the push left: on the wire it may be late.
    const sent = attempts.find(({ id }) => id === push.id)?.start ?? -Infinity;
    const newer = acknowledged.find(
      ({ at, version }) =>
        version !== undefined && at < sent - 5000 - slack && isNewer(version, push.version, tasks, token),
    );
    const isNamed = deeds.some(
      ({ action, taskId, tokens }) => action === 'retry' && taskId === task.taskId && tokens?.includes(token),
    );
    if (newer !== undefined && !isNamed) {
      found.push(`${token} got ${push.version} though a newer task had brought ${newer.version ?? ''}`);
    }
  }
  return found;
}

/** Times of two clocks can't be compared. */
function isOneClock({ disturbances }: Happened): boolean {
  return !disturbances.some(({ name }) => name === 'clock');
}

interface Attempt {
  readonly id: string;
  readonly version: string;
  /** By the platform's clock. */
  readonly start: number;
  end: number | null;
}

/** The attempts of a device in all tasks, by its histories, the earliest first. What waits isn't under way. */
function attemptsOf(token: string, tasks: readonly TaskSeen[]): Attempt[] {
  const attempts: Attempt[] = [];
  for (const { version, rows } of tasks) {
    for (const { history } of rows.filter(({ accessToken }) => accessToken === token)) {
      let open: Attempt | null = null;
      for (const { at, from, to, id } of history) {
        const wasActive = ACTIVE.includes(from);
        if (open !== null && wasActive && !ACTIVE.includes(to)) {
          open.end = Date.parse(at);
          open = null;
        } else if (!wasActive && ACTIVE.includes(to)) {
          open = { id: id ?? '', version, start: Date.parse(at), end: null };
          attempts.push(open);
        }
      }
    }
  }
  return attempts.sort((a, b) => a.start - b.start);
}

const ACTIVE = ['pushed', 'upgrading'];

/** All that is known of a device, in the order of time: what a violation is followed by. */
export function storyOf(
  token: string,
  tasks: readonly TaskSeen[],
  devices: readonly Device[],
  { deeds, disturbances }: Happened,
): string[] {
  const lines: { at: number; text: string }[] = [];
  const device = devices.find((one) => one.token === token);
  for (const { at, id, version } of device?.pushes ?? []) lines.push({ at, text: `got ${id} ${version}` });
  for (const { at, step, desc, version } of device?.acknowledged ?? []) {
    lines.push({ at, text: `reported ${step ?? version ?? ''} ${desc ?? ''}` });
  }
  for (const { version, rows } of tasks) {
    for (const { history } of rows.filter(({ accessToken }) => accessToken === token)) {
      for (const { at, event, step, desc } of history) {
        lines.push({ at: Date.parse(at), text: `  ${version} platform: ${event} ${step ?? ''} ${desc}` });
      }
    }
  }
  for (const { at, action, taskId, tokens } of deeds) {
    const version = tasks.find((task) => task.taskId === taskId)?.version ?? taskId;
    if (tokens === null || tokens.includes(token)) lines.push({ at, text: `    ${action} ${version}` });
  }
  for (const { name, from, to } of disturbances) {
    lines.push({ at: from, text: `    ${name} until ${clock(to)}` });
  }
  return lines.sort((a, b) => a.at - b.at).map(({ at, text }) => `${clock(at)} ${text}`);
}

function clock(at: number): string {
  return new Date(at).toISOString().slice(11, 23);
}

/** A newer task has brought this version, and says so. */
function isNewer(version: string, than: string, tasks: readonly TaskSeen[], token: string): boolean {
  if (!/^v\d+$/.test(version) || !isLater(version, than)) return false;
  const rows = tasks.find((task) => task.version === version)?.rows ?? [];
  return rows.some(({ accessToken, status }) => accessToken === token && status === 'succeeded');
}

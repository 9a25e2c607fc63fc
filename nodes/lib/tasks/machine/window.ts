/** When a task may push: while it runs, before its end, at the times of day and on the days of its window. Pure. */
import { type Day, DAYS, type TaskPlan, type TimeWindow } from '../types';
import { isPastEnd } from './rollout';

const FORMATS = new Map<string, Intl.DateTimeFormat>();

/** True where a task's pushes may go out now: only then does silence wait for a repeat that is owed. */
export function mayPush(
  { running, policy, endAt }: Pick<TaskPlan, 'running' | 'policy' | 'endAt'>,
  wall: number,
): boolean {
  return running.since !== null && !isPastEnd({ endAt }, wall) && isWindowOpen(policy.window, wall);
}

/** True where the window is open; its end is outside. The day on which it began counts. */
export function isWindowOpen(window: TimeWindow | null, wall: number): boolean {
  if (window === null) return true;
  const { day, minute } = localTime(wall, window.timeZone);
  const from = minutes(window.from);
  const to = minutes(window.to);
  const began = minute >= from ? day : dayBefore(day);
  if (window.days !== undefined && !window.days.includes(began)) return false;
  return from < to ? minute >= from && minute < to : minute >= from || minute < to;
}

function localTime(wall: number, timeZone: string): { readonly day: Day; readonly minute: number } {
  let format = FORMATS.get(timeZone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-GB', {
      timeZone,
      weekday: 'short',
      hour: '2-digit',
      minute: '2-digit',
      hourCycle: 'h23',
    });
    FORMATS.set(timeZone, format);
  }
  const parts = new Map(format.formatToParts(wall).map(({ type, value }) => [type, value]));
  const name = (parts.get('weekday') ?? '').slice(0, 3).toLowerCase();
  return {
    day: DAYS.find((day) => day === name) ?? 'mon',
    minute: Number(parts.get('hour')) * 60 + Number(parts.get('minute')),
  };
}

function dayBefore(day: Day): Day {
  return DAYS[(DAYS.indexOf(day) + DAYS.length - 1) % DAYS.length] ?? day;
}

function minutes(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

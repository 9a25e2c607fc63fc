/** What the device side of ota-push shows: what is in work, what waits, and since when. */
import type { NodeAPI } from 'node-red';
import type { UpgradeWork } from '../lib/device';
import { shownText } from '../lib/red/status';

/** The status while nothing happens: a locale key, or a text in the runtime's language. */
export function workStatus(RED: NodeAPI, work: UpgradeWork, hold: boolean): string {
  const { inWork, waiting } = work;
  const [first] = inWork;
  if (first !== undefined) {
    if (inWork.length + waiting.length > 1) {
      return RED._('ota-push.status.several', { inWork: inWork.length, waiting: waiting.length });
    }
    const version = shownText(first.upgrade.payload.version).slice(0, 7);
    return RED._('ota-push.status.inWork', { version, since: clockTime(first.since) });
  }
  const [next] = waiting;
  if (next === undefined) return 'common.status.connected';
  if (!hold) return 'ota-push.status.waits';
  return RED._('ota-push.status.held', { count: waiting.length, since: clockTime(next.payload.at) });
}

/** `14:05` today, `11-27` before. Local time, as a person at the gateway reads it. */
function clockTime(at: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return '–';
  const two = (part: number): string => String(part).padStart(2, '0');
  const today = new Date();
  if (date.toDateString() === today.toDateString())
    return `${two(date.getHours())}:${two(date.getMinutes())}`;
  return `${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

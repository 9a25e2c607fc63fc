/** What the device side of ota-push shows: what is in work, what waits, and since when. */
import type { NodeAPI } from 'node-red';
import type { UpgradeWork } from '../lib/device';
import { shownText } from '../lib/red/status';

/** The status while nothing happens: a locale key, or a text in the runtime's language. */
export function workStatus(RED: NodeAPI, work: UpgradeWork, hold: boolean): string {
  const { inWork, waiting, first, next } = work.summary;
  if (first !== null) {
    if (inWork + waiting > 1) return RED._('ota-push.status.several', { inWork, waiting });
    const version = shownText(first.upgrade.payload.version).slice(0, 7);
    return RED._('ota-push.status.inWork', { version, since: clockTime(first.since) });
  }
  if (next === null) return 'common.status.connected';
  if (!hold) return 'ota-push.status.waits';
  return RED._('ota-push.status.held', { count: waiting, since: clockTime(next.payload.at) });
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

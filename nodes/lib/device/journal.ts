/**
 * The form of the files that keep a node's upgrades across restarts. Owns how they are written and read, of this
 * and of the last release; must never touch the disk.
 *
 *   ota/held/<node>.json   {"version": 2, "upgrades": [waiting…], "inWork": [{…, "upgrade": {…}}…]}
 *   ota/ended/<node>.json  {"version": 1, "ended": […]}: for ten minutes after an end
 */
import { isObject } from '../protocol';
import type { EndedUpgrade, ReceivedUpgrade, UpgradeInWork, UpgradeState } from './types';

const texts = new WeakMap<ReceivedUpgrade, string>();

/** An upgrade as it stands in the file. Made once: the file is written at each change. */
export function textOf(upgrade: ReceivedUpgrade): string {
  const known = texts.get(upgrade);
  if (known !== undefined) return known;
  const text = JSON.stringify(upgrade);
  texts.set(upgrade, text);
  return text;
}

/** The text of the file; null where there is nothing to keep. */
export function writeJournal({ waiting, inWork }: Omit<UpgradeState, 'ended'>): string | null {
  if (waiting.length + inWork.length === 0) return null;
  const work = inWork.map(({ upgrade, ...rest }) => {
    return `${JSON.stringify(rest).slice(0, -1)},"upgrade":${textOf(upgrade)}}`;
  });
  return `{"version":2,"upgrades":[${waiting.map(textOf).join()}],"inWork":[${work.join()}]}`;
}

/** The text of the file of ends; null where there is nothing to keep. */
export function writeEnded(ended: readonly EndedUpgrade[]): string | null {
  return ended.length === 0 ? null : JSON.stringify({ version: 1, ended });
}

/** What a file holds, and whether all of it could be read. */
export interface ReadFile<T> {
  readonly state: T;
  readonly whole: boolean;
}

/** Reads what can be read; the rest is left out, and `whole` is false. */
export function readJournal(value: unknown): ReadFile<Omit<UpgradeState, 'ended'>> {
  const waiting = readList(value, 'upgrades', readUpgrade);
  const inWork = readList(value, 'inWork', readInWork);
  return {
    state: { waiting: waiting.state, inWork: inWork.state },
    whole: isObject(value) && waiting.whole && inWork.whole,
  };
}

/** The same of the file of ends. */
export function readEndedFile(value: unknown): ReadFile<EndedUpgrade[]> {
  return readList(value, 'ended', readEnded);
}

function readList<T>(value: unknown, name: string, read: (entry: unknown) => T | null): ReadFile<T[]> {
  const entries = (isObject(value) ? value[name] : undefined) ?? [];
  if (!Array.isArray(entries)) return { state: [], whole: false };
  const state = entries.map(read).filter((entry) => entry !== null) as T[];
  return { state, whole: state.length === entries.length };
}

function readUpgrade(entry: unknown): ReceivedUpgrade | null {
  if (!isObject(entry) || !isObject(entry['payload']) || typeof entry['topic'] !== 'string') return null;
  const { payload, topic } = entry;
  const { accessToken, module, version } = payload;
  if (typeof accessToken !== 'string' || typeof module !== 'string' || typeof version !== 'string') {
    return null;
  }
  return {
    topic,
    payload: {
      accessToken,
      id: textOrNull(payload['id']),
      code: typeof payload['code'] === 'number' ? payload['code'] : textOrNull(payload['code']),
      module,
      version,
      size: typeof payload['size'] === 'number' ? payload['size'] : null,
      url: textOrNull(payload['url']),
      signMethod: textOrNull(payload['signMethod']),
      sign: textOrNull(payload['sign']),
      extData: isObject(payload['extData']) ? payload['extData'] : {},
      at: textOrNull(payload['at']) ?? '',
    },
  };
}

function readInWork(entry: unknown): UpgradeInWork | null {
  if (!isObject(entry)) return null;
  const upgrade = readUpgrade(entry['upgrade']);
  const { key, attempt, run, since, quietMs } = entry;
  if (upgrade === null || typeof key !== 'string' || !Number.isSafeInteger(attempt)) return null;
  return {
    key,
    upgrade,
    attempt: attempt as number,
    run: textOrNull(run) ?? '',
    since: textOrNull(since) ?? '',
    quietMs: typeof quietMs === 'number' && quietMs >= 0 ? quietMs : 0,
    reporting: entry['reporting'] === true,
  };
}

function readEnded(entry: unknown): EndedUpgrade | null {
  if (!isObject(entry)) return null;
  const { accessToken, id, content, at } = entry;
  const ok = [accessToken, id, content, at].every((field) => typeof field === 'string');
  return ok ? (entry as unknown as EndedUpgrade) : null;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/**
 * Upgrades that ended a moment ago: a broker or a platform that repeats one is not a new try yet. Pure; times are
 * milliseconds of the caller's clock, which never jumps.
 */
import { savedAge } from './age';
import { contentOf } from './content';
import type { EndedUpgrade, UpgradePayload } from './types';

/** A repeat of an upgrade that ended is dropped for so long. */
export const REPEAT_MS = 10 * 60_000;

export class EndedUpgrades {
  readonly #limit: number;
  readonly #ended = new Map<string, { readonly entry: EndedUpgrade; readonly until: number }>();

  constructor(limit: number) {
    this.#limit = limit;
  }

  get entries(): EndedUpgrade[] {
    return [...this.#ended.values()].map(({ entry }) => entry);
  }

  /** Takes over what a file had. @param wall the wall clock */
  restore(entries: readonly EndedUpgrade[], now: number, wall: number): void {
    for (const entry of entries) {
      const key = JSON.stringify([entry.accessToken, entry.id, entry.content]);
      this.#ended.set(key, { entry, until: now + REPEAT_MS - savedAge(entry.at, wall) });
    }
  }

  /** An upgrade without an id can't be told from a new try: it isn't remembered. @param at ISO 8601 */
  add(upgrade: UpgradePayload, now: number, at: string): void {
    const { accessToken, id } = upgrade;
    if (id === null) return;
    const content = contentOf(upgrade);
    const key = JSON.stringify([accessToken, id, content]);
    this.#ended.delete(key);
    this.#ended.set(key, { entry: { accessToken, id, content, at }, until: now + REPEAT_MS });
    if (this.#ended.size <= this.#limit) return;
    for (const oldest of this.#ended.keys()) {
      this.#ended.delete(oldest);
      return;
    }
  }

  /** True for the same id and content of a device that ended less than ten minutes ago. */
  has(upgrade: UpgradePayload, now: number): boolean {
    const { accessToken, id } = upgrade;
    if (id === null) return false;
    const found = this.#ended.get(JSON.stringify([accessToken, id, contentOf(upgrade)]));
    return found !== undefined && found.until > now;
  }

  /** Forgets what is old enough. True where there was any. */
  forget(now: number): boolean {
    const before = this.#ended.size;
    for (const [key, { until }] of this.#ended) {
      if (until > now) break;
      this.#ended.delete(key);
    }
    return this.#ended.size < before;
  }
}

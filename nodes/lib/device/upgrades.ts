/**
 * The upgrades of one ota-push node: what waits, what is in work, what ended a moment ago. Owns the rules: one at a
 * time for each token, what is the same upgrade, when an upgrade is handed out again and when it is given up. Pure:
 * time comes in as an argument (milliseconds of a clock that never jumps), nothing is read or written here.
 */
import { OtaError } from '../protocol';
import { contentOf, moduleKey } from './content';
import { EndedUpgrades } from './ended';
import { textOf } from './journal';
import type { EndedUpgrade, ReceivedUpgrade, UpgradeInWork, UpgradeState } from './types';

export interface UpgradeRules {
  /** Waits for `release` before it is handed out. */
  readonly hold: boolean;
  /** Tokens in work at once; Infinity for no limit. */
  readonly parallel: number;
  /** Runs of Node-RED in which one upgrade is handed out at most. */
  readonly maxAttempts: number;
  /** Milliseconds of running time without a report or a message. */
  readonly workTimeoutMs: number;
  /** This run of Node-RED. */
  readonly run: string;
  /** Makes the key of an upgrade that is handed out. */
  readonly newKey: () => string;
}

/** What a person sees of a node's upgrades at a glance. */
export interface UpgradeSummary {
  readonly inWork: number;
  readonly waiting: number;
  /** The one that has been in work for longest. */
  readonly first: UpgradeInWork | null;
  /** The one that has waited for longest. */
  readonly next: ReceivedUpgrade | null;
}

/** What is to be done with an upgrade of an earlier run, or of this one before a deploy. */
export interface Resumption {
  readonly entry: UpgradeInWork;
  readonly action: 'hand-out' | 'give-up';
}

/** More than a gateway's devices have; beyond it the next new one is refused. */
const LIMIT = 10_000;
const WORK_LIMIT = 100_000;
/** Characters of all that waits and is in work; extData may be large. */
const LIMIT_CHARACTERS = 32 * 1024 * 1024;
/** The second hand-out comes so many milliseconds after the flows started in this run, each later one after the last. */
export const RESUME_MS: readonly [number, number] = [60_000, 300_000];
/** Before an upgrade is given up: a device that reports its version at its start has the time to do so. */
export const GIVE_UP_MS = 10_000;

/** Times are milliseconds of the caller's clock. */
interface Work {
  entry: UpgradeInWork;
  quietSince: number;
  /** When it is handed out again or given up; Infinity where it was handed out in this run. */
  resumeAt: number;
}

export class Upgrades {
  readonly #rules: UpgradeRules;
  readonly #waiting = new Map<string, ReceivedUpgrade>();
  readonly #work = new Map<string, Work>();
  /** Those whose end isn't reported, oldest first. */
  readonly #open = new Map<string, Work>();
  /** The key of the upgrade of each token that is in work. */
  readonly #tokens = new Map<string, string>();
  readonly #ended = new EndedUpgrades(LIMIT);
  #characters = 0;

  /** @param clock `now` of the caller's clock, the wall clock, and how long Node-RED has been running */
  constructor(
    rules: UpgradeRules,
    state: UpgradeState,
    clock: { now: number; wall: number; uptimeMs: number },
  ) {
    this.#rules = rules;
    const started = clock.now - clock.uptimeMs;
    for (const upgrade of state.waiting) this.#wait(upgrade);
    for (const entry of state.inWork) {
      const ofThisRun = entry.run === rules.run;
      const resumeAt = entry.reporting
        ? Infinity
        : ofThisRun
          ? clock.now
          : this.#resumeAt(entry, started, clock.now);
      this.#add({ entry, quietSince: clock.now - entry.quietMs, resumeAt });
    }
    this.#ended.restore(state.ended, clock.now, clock.wall);
  }

  get waiting(): readonly ReceivedUpgrade[] {
    return [...this.#waiting.values()];
  }

  /** How many are in work and wait, and the first of each: asked for at each change, whatever their number. */
  get summary(): UpgradeSummary {
    const [work] = this.#open.values();
    const [next] = this.#waiting.values();
    return {
      inWork: this.#open.size,
      waiting: this.#waiting.size,
      first: work?.entry ?? null,
      next: next ?? null,
    };
  }

  /** What was handed out and hasn't ended, and what ended by a report that isn't acknowledged yet; oldest first. */
  get inUse(): readonly UpgradeInWork[] {
    return [...this.#work.values()].map(({ entry }) => entry);
  }

  /** What `inUse` has with this key. */
  get(key: string): UpgradeInWork | null {
    return this.#work.get(key)?.entry ?? null;
  }

  /**
   * An upgrade came in: it waits, or it is one that we have (`renewed`: its id, url and extData are taken over), or
   * a repeat of one that ended a moment ago. @throws OtaError OTA_QUEUE_FULL
   */
  receive(upgrade: ReceivedUpgrade, now: number): 'waits' | 'renewed' | 'repeat' {
    const { accessToken, module } = upgrade.payload;
    const content = contentOf(upgrade.payload);
    const key = moduleKey(accessToken, module);
    const waiting = this.#waiting.get(key);
    if (waiting !== undefined && contentOf(waiting.payload) === content) {
      this.#wait(renewed(waiting, upgrade));
      return 'renewed';
    }
    const work = this.#workOf(accessToken);
    if (work !== null && !work.entry.reporting && contentOf(work.entry.upgrade.payload) === content) {
      this.#replace(work, { ...work.entry, upgrade: renewed(work.entry.upgrade, upgrade) });
      return 'renewed';
    }
    if (this.#isRepeat(upgrade, content, now)) return 'repeat';
    this.#checkRoom(upgrade, waiting);
    this.#wait(upgrade);
    return 'waits';
  }

  /** What may be handed out now for the first time: it is in work from now on. @param released with `hold` */
  take(now: number, wall: string, released = false): UpgradeInWork[] {
    if (this.#rules.hold && !released) return [];
    const taken: UpgradeInWork[] = [];
    for (const [key, upgrade] of this.#waiting) {
      if (this.#tokens.size >= Math.min(this.#rules.parallel, WORK_LIMIT)) break;
      if (this.#tokens.has(upgrade.payload.accessToken)) continue;
      this.#drop(key);
      const entry: UpgradeInWork = {
        key: this.#rules.newKey(),
        upgrade,
        attempt: 1,
        run: this.#rules.run,
        since: wall,
        quietMs: 0,
        reporting: false,
      };
      this.#add({ entry, quietSince: now, resumeAt: Infinity });
      taken.push(entry);
    }
    return taken;
  }

  /** What is to be handed out again, or given up, now. What is given up has ended. */
  resume(now: number): Resumption[] {
    const all: Resumption[] = [];
    for (const work of this.#work.values()) {
      if (work.resumeAt > now) continue;
      const { run, attempt } = work.entry;
      if (run !== this.#rules.run && attempt >= this.#rules.maxAttempts) {
        work.resumeAt = Infinity;
        all.push({ entry: work.entry, action: 'give-up' });
        continue;
      }
      work.resumeAt = Infinity;
      work.quietSince = now;
      const next = run === this.#rules.run ? attempt : attempt + 1;
      this.#replace(work, { ...work.entry, run: this.#rules.run, attempt: next });
      all.push({ entry: work.entry, action: 'hand-out' });
    }
    return all;
  }

  /** Work was broken off by a deploy: it is due at the next `resume`. True where it is in work. */
  interrupted(accessToken: string, module: string, now: number): boolean {
    const work = this.#workOf(accessToken);
    if (work === null || work.entry.reporting || work.entry.upgrade.payload.module !== module) return false;
    work.resumeAt = Math.min(work.resumeAt, now);
    return true;
  }

  /** A report or a message about an upgrade: it isn't stuck. `module` null where none was named. */
  heard(accessToken: string, module: string | null, now: number): void {
    const work = this.#workOf(accessToken);
    if (work !== null && isModule(work, module)) work.quietSince = now;
  }

  /** The upgrade in work of a token; `module` null for whichever it is, `version` null for any. */
  find(accessToken: string, module: string | null, version: string | null): UpgradeInWork | null {
    const work = this.#workOf(accessToken);
    if (work === null || work.entry.reporting || !isModule(work, module)) return null;
    return version === null || work.entry.upgrade.payload.version === version ? work.entry : null;
  }

  /** The report of its end lies on disk: it won't be handed out again; the next one waits for `end`. */
  reporting(key: string): void {
    const work = this.#work.get(key);
    if (work === undefined) return;
    work.resumeAt = Infinity;
    this.#open.delete(key);
    this.#replace(work, { ...work.entry, reporting: true });
  }

  /** It is over. A repeat with the same id is dropped for ten minutes. */
  end(key: string, now: number, wall: string): void {
    const work = this.#work.get(key);
    if (work === undefined) return;
    const { payload } = work.entry.upgrade;
    this.#work.delete(key);
    this.#open.delete(key);
    this.#tokens.delete(payload.accessToken);
    this.#characters -= textOf(work.entry.upgrade).length;
    this.#ended.add(payload, now, wall);
  }

  /** Takes an upgrade out that waits. */
  dropWaiting(accessToken: string, module: string): void {
    this.#drop(moduleKey(accessToken, module));
  }

  /** Takes out everything that waits. */
  takeWaiting(): ReceivedUpgrade[] {
    const all = [...this.#waiting.values()];
    for (const key of [...this.#waiting.keys()]) this.#drop(key);
    return all;
  }

  /** What has been in work for the time limit without a sign of life. The caller ends it. */
  stuck(now: number): UpgradeInWork[] {
    return [...this.#work.values()].filter((work) => this.#stuckAt(work) <= now).map(({ entry }) => entry);
  }

  /** Forgets the ends that are old enough. True where there were any. */
  forget(now: number): boolean {
    return this.#ended.forget(now);
  }

  get ended(): readonly EndedUpgrade[] {
    return this.#ended.entries;
  }

  /** What must survive a restart, besides `ended`. */
  state(now: number): Omit<UpgradeState, 'ended'> {
    return {
      waiting: this.waiting,
      inWork: [...this.#work.values()].map(({ entry, quietSince }) => ({
        ...entry,
        quietMs: Math.round(Math.max(0, now - quietSince)),
      })),
    };
  }

  #resumeAt({ attempt }: UpgradeInWork, started: number, now: number): number {
    if (attempt >= this.#rules.maxAttempts) return now + GIVE_UP_MS;
    return Math.max(now, started + (attempt <= 1 ? RESUME_MS[0] : RESUME_MS[1]));
  }

  /** Time doesn't count before it was handed out in this run. */
  #stuckAt(work: Work): number {
    const counts = !work.entry.reporting && work.resumeAt === Infinity;
    return counts ? work.quietSince + this.#rules.workTimeoutMs : Infinity;
  }

  #isRepeat({ payload }: ReceivedUpgrade, content: string, now: number): boolean {
    const ending = this.#workOf(payload.accessToken)?.entry;
    if (ending?.reporting === true && payload.id !== null) {
      const { id } = ending.upgrade.payload;
      if (id === payload.id && contentOf(ending.upgrade.payload) === content) return true;
    }
    return this.#ended.has(payload, now);
  }

  #checkRoom(upgrade: ReceivedUpgrade, replaced: ReceivedUpgrade | undefined): void {
    const more = textOf(upgrade).length - (replaced === undefined ? 0 : textOf(replaced).length);
    const full = replaced === undefined && this.#waiting.size >= LIMIT;
    if (!full && this.#characters + more <= LIMIT_CHARACTERS) return;
    throw new OtaError(
      'OTA_QUEUE_FULL',
      `${this.#waiting.size} upgrades wait and ${this.#work.size} are in work already; this one is not taken. Release them, or report their end.`,
    );
  }

  /** The newest of a module takes the place of the one that waited. */
  #wait(upgrade: ReceivedUpgrade): void {
    const key = moduleKey(upgrade.payload.accessToken, upgrade.payload.module);
    const before = this.#waiting.get(key);
    if (before !== undefined) this.#characters -= textOf(before).length;
    this.#characters += textOf(upgrade).length;
    this.#waiting.set(key, upgrade);
  }

  #drop(key: string): void {
    const upgrade = this.#waiting.get(key);
    if (upgrade === undefined) return;
    this.#characters -= textOf(upgrade).length;
    this.#waiting.delete(key);
  }

  #add(work: Work): void {
    const { key, upgrade, reporting } = work.entry;
    this.#work.set(key, work);
    if (!reporting) this.#open.set(key, work);
    this.#tokens.set(upgrade.payload.accessToken, key);
    this.#characters += textOf(upgrade).length;
  }

  #replace(work: Work, entry: UpgradeInWork): void {
    this.#characters += textOf(entry.upgrade).length - textOf(work.entry.upgrade).length;
    work.entry = entry;
  }

  #workOf(accessToken: string): Work | null {
    return this.#work.get(this.#tokens.get(accessToken) ?? '') ?? null;
  }
}

function isModule({ entry }: Work, module: string | null): boolean {
  return module === null || entry.upgrade.payload.module === module;
}

/** The same upgrade with the newer id, url and extData. */
function renewed(old: ReceivedUpgrade, { topic, payload }: ReceivedUpgrade): ReceivedUpgrade {
  const { id, code, url, extData } = payload;
  return { topic, payload: { ...old.payload, id, code, url, extData } };
}

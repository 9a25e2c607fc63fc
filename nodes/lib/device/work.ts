/**
 * What an ota-push node does with the upgrades of its devices: keeps them on disk, hands them out, hands them out
 * again after a restart, and ends them. Owns the order (on disk before anything else) and the timer; the rules are
 * those of upgrades.ts. Knows neither Node-RED nor MQTT: both come in as functions.
 */
import { randomUUID } from 'node:crypto';
import { OtaError } from '../protocol';
import { type DeviceClock, RUN_ID, systemClock } from './clock';
import { EndedUpgrades } from './ended';
import type { UpgradeOwner } from './in-use';
import { writeEnded, writeJournal } from './journal';
import type { ReceivedUpgrade, UpgradeInWork, UpgradeState } from './types';
import { Upgrades, type UpgradeRules, type UpgradeSummary } from './upgrades';

export interface WorkSettings extends Pick<
  UpgradeRules,
  'hold' | 'parallel' | 'maxAttempts' | 'workTimeoutMs'
> {
  /** Off: each upgrade goes out as it comes (with `hold`: at the release), and nothing is resumed. */
  readonly keepInWork: boolean;
}

/** The file of the state: see lib/red/state-file.ts. */
export interface KeptFile {
  /** Resolves when the state as it is now lies on disk, with false where it can't. Never rejects. */
  save(): Promise<boolean>;
  settled(): Promise<boolean>;
}

export interface WorkEvents {
  /** @param attempt null for the first time, else the number of runs in which it was handed out */
  readonly handOut: (upgrade: ReceivedUpgrade, attempt: number | null, origin: unknown) => void;
  /** Handed out as often as allowed, and never reported: `end` must follow once the failure is reported. */
  readonly gaveUp: (entry: UpgradeInWork) => void;
  /** In work for the time limit without a sign of life; it has ended. */
  readonly stuck: (entry: UpgradeInWork) => void;
  /** Something waits, or is in work, that wasn't; or no longer. */
  readonly changed: () => void;
}

/** Repeats that are remembered while nothing is kept. */
const SEEN_LIMIT = 100_000;
const SWEEP_MS = 500;
/** The running time of what is in work is saved so often. */
const SAVE_MS = 10 * 60_000;

export class UpgradeWork implements UpgradeOwner {
  readonly #settings: WorkSettings;
  readonly #file: KeptFile;
  readonly #events: WorkEvents;
  readonly #clock: DeviceClock;
  readonly #upgrades: Upgrades;
  readonly #seen = new EndedUpgrades(SEEN_LIMIT);
  #timer: NodeJS.Timeout | null = null;
  #savedAt: number;
  #started = false;
  /** A deploy is going on: what is sent to a node that it restarts reaches nobody. */
  #paused = false;
  /** What a deploy kept from being handed out, by key: it goes out behind it, as it would have. */
  readonly #keptBack = new Map<string, { attempt: number | null; origin: unknown }>();
  /** What waits for the flows to run. */
  #whenRunning: (() => void)[] = [];
  #closed = false;

  /** @param pending the keys of upgrades whose final report lies on disk and isn't acknowledged */
  constructor(
    settings: WorkSettings,
    state: UpgradeState,
    pending: ReadonlySet<string>,
    file: KeptFile,
    events: WorkEvents,
    clock = systemClock,
  ) {
    this.#settings = settings;
    this.#file = file;
    this.#events = events;
    this.#clock = clock;
    this.#savedAt = clock.now();
    const rules = { ...settings, run: RUN_ID, newKey: randomUUID };
    const kept = settings.keepInWork ? state : { ...state, inWork: [] };
    this.#upgrades = new Upgrades(rules, kept, {
      now: clock.now(),
      wall: clock.wall(),
      uptimeMs: clock.uptimeMs(),
    });
    for (const { key, reporting } of this.#upgrades.inUse) {
      if (pending.has(key)) this.#upgrades.reporting(key);
      else if (reporting) this.#upgrades.end(key, clock.now(), this.#wallText());
    }
  }

  get waiting(): readonly ReceivedUpgrade[] {
    return this.#upgrades.waiting;
  }

  get summary(): UpgradeSummary {
    return this.#upgrades.summary;
  }

  inUse(): UpgradeInWork['upgrade']['payload'][] {
    return this.#upgrades.inUse.map(({ upgrade }) => upgrade.payload);
  }

  /** The text of the file; null where there is nothing to keep. */
  contents(): string | null {
    this.#savedAt = this.#clock.now();
    return writeJournal(this.#upgrades.state(this.#savedAt));
  }

  /** The text of the file of ends; null where there is nothing to keep. */
  endedContents(): string | null {
    return writeEnded(this.#upgrades.ended);
  }

  /** The flows run, for the first time or after a deploy: from now on upgrades go out. */
  start(): void {
    if (this.#closed) return;
    this.#paused = false;
    if (!this.#started) {
      this.#started = true;
      this.#clock.started();
      this.#timer = setInterval(() => this.#sweep(), SWEEP_MS);
      this.#timer.unref();
      void this.#save();
    }
    this.#handOutKeptBack();
    this.#sweep();
    if (!this.#settings.keepInWork && !this.#settings.hold) this.#releaseAll(undefined);
    else void this.#proceed();
    this.#wake();
  }

  /** A deploy begins, of whichever nodes: nothing goes out until `start` or `goOn`. */
  pause(): void {
    this.#paused = true;
  }

  /** The deploy is over, also one that failed: this node, which it left alone, goes on. */
  goOn(): void {
    if (this.#started && this.#paused) this.start();
  }

  close(): void {
    this.#closed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#wake();
  }

  get closed(): boolean {
    return this.#closed;
  }

  get #running(): boolean {
    return this.#started && !this.#paused && !this.#closed;
  }

  #wake(): void {
    for (const goOn of this.#whenRunning.splice(0)) goOn();
  }

  /** An upgrade came in. True where the acknowledgement must wait for the file. @throws OtaError OTA_QUEUE_FULL */
  receive(upgrade: ReceivedUpgrade): boolean {
    const now = this.#clock.now();
    if (!this.#settings.keepInWork) {
      if (this.#seen.has(upgrade.payload, now)) return false;
      const held = this.#settings.hold || !this.#running;
      if (held) this.#upgrades.receive(upgrade, now);
      else this.#events.handOut(upgrade, null, undefined);
      this.#seen.add(upgrade.payload, now, this.#wallText());
      if (!held) return false;
      this.#changed();
      void this.#save();
      return true;
    }
    if (this.#upgrades.receive(upgrade, now) === 'repeat') return true;
    this.#changed();
    void this.#save();
    void this.#proceed();
    return true;
  }

  /**
   * With `hold`: hands out what may go now. Resolves when it went out. @param origin goes along to `handOut`
   * @throws OtaError OTA_CLOSED where it was closed before the flows ran
   */
  async release(origin: unknown): Promise<void> {
    if (!this.#running && !this.#closed) await new Promise<void>((goOn) => this.#whenRunning.push(goOn));
    if (this.#closed)
      throw new OtaError('OTA_CLOSED', 'The node was closed; release the upgrades once more.');
    if (this.#settings.keepInWork) await this.#proceed(true, origin);
    else this.#releaseAll(origin);
  }

  /** Ends an upgrade by a message. `module` null: the only one. @throws OtaError OTA_BAD_INPUT where it can't be told */
  async finish(action: 'done' | 'drop', accessToken: string, module: string | null): Promise<void> {
    const entry = this.#upgrades.find(accessToken, module, null);
    if (entry !== null) {
      this.#upgrades.end(entry.key, this.#clock.now(), this.#wallText());
    } else {
      const waits = this.waiting
        .map(({ payload }) => payload)
        .filter((one) => one.accessToken === accessToken && (module === null || one.module === module));
      const [only] = waits;
      if (only === undefined || action === 'done') throw nothingToEnd(action, module);
      if (waits.length > 1) throw severalToEnd();
      this.#upgrades.dropWaiting(accessToken, only.module);
    }
    this.#changed();
    await this.#save();
    void this.#proceed();
  }

  heard(accessToken: string, module: string | null): void {
    this.#upgrades.heard(accessToken, module, this.#clock.now());
  }

  find(accessToken: string, module: string | null, version: string | null): UpgradeInWork | null {
    return this.#upgrades.find(accessToken, module, version);
  }

  has(key: string): boolean {
    return this.#upgrades.get(key) !== null;
  }

  /** The report of its end lies on disk. Resolves when it is noted here too. */
  async reporting(key: string): Promise<void> {
    this.#upgrades.reporting(key);
    this.#changed();
    await this.#save();
  }

  /** It is over, and the platform knows. */
  end(key: string): void {
    this.#upgrades.end(key, this.#clock.now(), this.#wallText());
    this.#changed();
    void this.#save();
    void this.#proceed();
  }

  /** A deploy broke the work on an upgrade off. It goes out again as soon as the flows run. */
  interrupted(accessToken: string, module: string): void {
    const entry = this.#upgrades.find(accessToken, module, null);
    // Of one that wasn't handed out yet nothing was broken off.
    if (entry !== null && this.#keptBack.has(entry.key)) return;
    this.#upgrades.interrupted(accessToken, module, this.#clock.now());
  }

  /** What may go out goes into work, on disk first. */
  async #proceed(released = false, origin?: unknown): Promise<void> {
    if (!this.#running) return;
    const taken = this.#upgrades.take(this.#clock.now(), this.#wallText(), released);
    if (taken.length === 0) return;
    this.#changed();
    await this.#save();
    for (const { key } of taken) this.#handOut(key, null, origin);
  }

  #releaseAll(origin: unknown): void {
    const upgrades = this.#upgrades.takeWaiting();
    if (upgrades.length === 0) return;
    for (const upgrade of upgrades) this.#events.handOut(upgrade, null, origin);
    this.#changed();
    void this.#save();
  }

  #sweep(): void {
    if (!this.#running) return;
    const now = this.#clock.now();
    const due = this.#upgrades.resume(now);
    const stuck = this.#upgrades.stuck(now);
    for (const { key } of stuck) this.#upgrades.end(key, now, this.#wallText());
    const again = due.filter(({ action }) => action === 'hand-out');
    if (due.length + stuck.length > 0) this.#changed();
    const tired = this.#upgrades.summary.inWork > 0 && now - this.#savedAt > SAVE_MS;
    if (this.#upgrades.forget(now) || due.length + stuck.length > 0 || tired) {
      void this.#save().then(() => {
        for (const { entry } of again) this.#handOut(entry.key, entry.attempt, undefined);
      });
    }
    for (const { entry, action } of due) if (action === 'give-up') this.#events.gaveUp(entry);
    for (const entry of stuck) this.#events.stuck(entry);
    if (stuck.length > 0) void this.#proceed();
  }

  /**
   * After a close nothing goes out: the node that takes this one's place hands it out. In a deploy it waits. What
   * has ended meanwhile doesn't go out either.
   */
  #handOut(key: string, attempt: number | null, origin: unknown): void {
    const entry = this.#upgrades.get(key);
    if (this.#closed || entry === null || entry.reporting) return;
    if (this.#paused) this.#keptBack.set(key, { attempt, origin });
    else this.#events.handOut(entry.upgrade, attempt, origin);
  }

  #handOutKeptBack(): void {
    const keptBack = [...this.#keptBack];
    this.#keptBack.clear();
    for (const [key, { attempt, origin }] of keptBack) {
      const upgrade = this.#upgrades.get(key)?.upgrade.payload;
      // Its time in work begins now.
      if (upgrade !== undefined) this.heard(upgrade.accessToken, upgrade.module);
      this.#handOut(key, attempt, origin);
    }
  }

  #changed(): void {
    if (!this.#closed) this.#events.changed();
  }

  /** After a close the file belongs to the node that takes this one's place. */
  #save(): Promise<boolean> {
    return this.#closed ? Promise.resolve(true) : this.#file.save();
  }

  #wallText(): string {
    return new Date(this.#clock.wall()).toISOString();
  }
}

function nothingToEnd(action: string, module: string | null): OtaError {
  const what = module === null ? 'No upgrade' : `No upgrade of the module "${module.slice(0, 40)}"`;
  const where = action === 'done' ? 'is in work' : 'is in work or waits';
  return new OtaError('OTA_BAD_INPUT', `${what} of this device ${where}: there is nothing to end.`);
}

function severalToEnd(): OtaError {
  return new OtaError(
    'OTA_BAD_INPUT',
    'Several upgrades of this device wait: name the one to drop in payload.module.',
  );
}

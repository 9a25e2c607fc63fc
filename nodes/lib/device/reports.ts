/**
 * The durable reports of one service's devices: each lies on disk before it is sent, and stays there until the
 * broker has acknowledged it. Owns the order of disk, upgrade and wire; ends the upgrade that a report is about.
 * One for each service, shared by its ota-push, ota-progress and ota-inform nodes; it outlives a deploy.
 */
import { OtaError, type Outcome } from '../protocol';
import { type DeviceClock, systemClock } from './clock';
import { type DeviceReport, ReportQueue, type StepReport, type VersionReport } from './report-queue';
import type { KeptFile, UpgradeWork } from './work';

/** `replaced`: a newer report took its place; `kept`: the node was closed, and it lies on disk. */
export type ReportOutcome = Outcome | 'replaced' | 'kept';

/** A node that can send reports. */
export interface ReportSender {
  readonly nodeId: string;
  connected(): boolean;
  /** True where the broker is known to be away. */
  away(): boolean;
  send(report: DeviceReport, settled: (outcome: Outcome) => void): void;
  /** Of a report whose message has ended already: of an earlier run, or one that was refused before. */
  settled(report: DeviceReport, outcome: Outcome): void;
}

type Without<T, K extends string> = T extends unknown ? Omit<T, K> : never;
/** A report as a node hands it in. */
export type NewReport = Without<DeviceReport, 'key' | 'at' | 'upgrades'> & {
  /** The upgrades that it ends; absent: those in work that it fits. */
  readonly upgrades?: readonly string[];
};

/** An ota-push node's part in the reports. */
export interface JoinedWork {
  /** Takes its upgrades out: it is gone, or its successor has taken its place. */
  readonly leave: () => void;
  /** The deploy that closed it has started nothing: reports don't wait for its successor any more. */
  readonly abandon: () => void;
}

const RETRY_MS = 1000;

export class DeviceReports {
  readonly #queue = new ReportQueue();
  readonly #file: KeptFile;
  readonly #clock: DeviceClock;
  readonly #newKey: () => string;
  readonly #senders = new Map<string, ReportSender>();
  readonly #works = new Map<string, UpgradeWork>();
  readonly #waiting = new Map<string, (outcome: ReportOutcome) => void>();
  readonly #whenFree = new Map<string, (() => void)[]>();
  /** What waits for the successor of an ota-push node. */
  readonly #whenSucceeded: (() => void)[] = [];
  /** Closed by a deploy that failed. */
  readonly #abandoned = new WeakSet<UpgradeWork>();
  /** By the id of such a node, the keys of upgrades whose end it doesn't have on disk: its successor is told. */
  readonly #untoldEnds = new Map<string, string[]>();
  #retry: NodeJS.Timeout | null = null;
  #wasConnected = false;
  /** The broker is away, and the newest report of each is all that waits. */
  #isPruned = false;

  constructor(
    reports: readonly DeviceReport[],
    file: KeptFile,
    newKey: () => string,
    clock: DeviceClock = systemClock,
  ) {
    this.#file = file;
    this.#clock = clock;
    this.#newKey = newKey;
    this.#queue.restore(reports, clock.now(), clock.wall());
  }

  /** The reports that haven't reached the broker: the contents of the file. */
  get reports(): DeviceReport[] {
    return this.#queue.reports;
  }

  /** The upgrades that these end. */
  get ending(): ReadonlySet<string> {
    return new Set(this.reports.flatMap(({ upgrades }) => upgrades));
  }

  /**
   * An ota-push node's upgrades: reports of this service end them. In a deploy they stay until the node's successor
   * has taken their place: what is reported meanwhile is about them.
   */
  addWork(nodeId: string, work: UpgradeWork): JoinedWork {
    this.#works.set(nodeId, work);
    const { ending } = this;
    for (const key of this.#untoldEnds.get(nodeId) ?? []) {
      if (work.has(key) && !ending.has(key)) work.end(key);
    }
    this.#untoldEnds.delete(nodeId);
    this.#wakeSuccessors();
    return {
      leave: () => {
        if (this.#works.get(nodeId) === work) {
          this.#works.delete(nodeId);
          this.#untoldEnds.delete(nodeId);
        }
        this.#wakeSuccessors();
      },
      abandon: () => {
        this.#abandoned.add(work);
        this.#wakeSuccessors();
      },
    };
  }

  /** A node that can send joins; returns what takes it out: its messages end, its reports stay. */
  addSender(sender: ReportSender): () => void {
    this.#senders.set(sender.nodeId, sender);
    this.#flush();
    return () => {
      if (this.#senders.get(sender.nodeId) === sender) this.#senders.delete(sender.nodeId);
      for (const { key, node } of this.reports) if (node === sender.nodeId) this.#settle(key, 'kept');
    };
  }

  /** Resolves when what was handed in lies on disk. */
  async settled(): Promise<void> {
    await this.#file.settled();
  }

  /** The connection came or went. */
  connection(): void {
    this.#prune();
    const connected = this.#connected();
    if (connected && !this.#wasConnected) this.#queue.tryAgain();
    this.#wasConnected = connected;
    if (connected) this.#flush();
  }

  /** A step on the way to the end: whatever is in work isn't stuck. */
  heard(accessToken: string, module: string | null): void {
    for (const work of this.#works.values()) work.heard(accessToken, module);
  }

  /** A new upgrade of the module goes out: what was refused of an earlier one is no longer true. */
  handedOut(accessToken: string, module: string): void {
    const gone = this.#queue.outdated(accessToken, module);
    if (gone.length === 0) return;
    for (const { key } of gone) this.#remove(key, 'replaced');
    void this.#file.save();
    this.#goOn(accessToken);
  }

  /**
   * Resolves when no final step of the device is on its way any more: what comes behind it must not overtake it.
   * null where none is.
   */
  whenFree(accessToken: string): Promise<void> | null {
    if (!this.#queue.holdsBack(accessToken)) return null;
    const waiters = this.#whenFree.get(accessToken) ?? [];
    this.#whenFree.set(accessToken, waiters);
    return new Promise((resolve) => void waiters.push(resolve));
  }

  /**
   * Takes a report: on disk, then on its way as soon as there is a connection. Resolves with what the broker said,
   * or with why its message ends before. @throws OtaError OTA_QUEUE_FULL
   */
  async submit(given: NewReport): Promise<ReportOutcome> {
    // Where only the newest waits, one of a device that has one there takes no more room.
    if (this.#queue.full && !(this.#isAway() && this.#queue.isReplacedBy(given))) throw queueFull();
    const key = this.#newKey();
    const at = new Date(this.#clock.wall()).toISOString();
    const upgrades = given.upgrades ?? this.#upgradesEnded(given);
    const report = { ...given, key, at, upgrades } as DeviceReport;
    this.#queue.add(report, this.#clock.now());
    this.#prune(given.accessToken);
    const outcome = new Promise<ReportOutcome>((resolve) => this.#waiting.set(key, resolve));
    if (await this.#file.save()) await this.#noteEnd(upgrades);
    this.#queue.ready(key);
    this.#advance(report.accessToken);
    return outcome;
  }

  /** The upgrades in work that such a report ends: of a final step's module, or of the version. */
  #upgradesEnded(given: NewReport): string[] {
    const version = given.kind === 'inform' ? (given as VersionReport).version : null;
    return [...this.#works.values()].flatMap((work) => {
      const entry = work.find(given.accessToken, given.module, version);
      return entry === null ? [] : [entry.key];
    });
  }

  /**
   * Resolves when each of their nodes has on disk that they end; one that is deployed, when its successor has, or
   * at once where that deploy failed: the successor, whenever it comes, is told.
   */
  async #noteEnd(upgrades: readonly string[]): Promise<void> {
    const all = upgrades.flatMap((key) => [...this.#works].map(([nodeId, work]) => ({ key, nodeId, work })));
    await Promise.all(
      all.map(async ({ key, nodeId, work }) => {
        await work.reporting(key);
        if (!work.closed || !work.has(key)) return;
        while (this.#works.get(nodeId) === work && !this.#abandoned.has(work)) {
          await new Promise<void>((resolve) => this.#whenSucceeded.push(resolve));
        }
        const successor = this.#works.get(nodeId);
        if (successor === work) {
          this.#untoldEnds.set(nodeId, [...(this.#untoldEnds.get(nodeId) ?? []), key]);
        } else {
          await successor?.reporting(key);
        }
      }),
    );
  }

  #wakeSuccessors(): void {
    for (const goOn of this.#whenSucceeded.splice(0)) goOn();
  }

  #end(upgrades: readonly string[]): void {
    for (const key of upgrades) for (const work of this.#works.values()) work.end(key);
  }

  #connected(): boolean {
    return [...this.#senders.values()].some((sender) => sender.connected());
  }

  #isAway(): boolean {
    return !this.#connected() && [...this.#senders.values()].some((sender) => sender.away());
  }

  /** While the broker is away the newest of each waits; while there is a connection each goes out. */
  #prune(accessToken?: string): void {
    if (!this.#isAway()) {
      this.#isPruned = false;
      return;
    }
    // Of the other devices nothing has come since: a gateway may stand before thousands.
    const gone = this.#queue.keepNewest(this.#isPruned ? accessToken : undefined);
    this.#isPruned = true;
    for (const { key } of gone) this.#settle(key, 'replaced');
    if (gone.length > 0) void this.#file.save();
  }

  #flush(): void {
    for (const accessToken of this.#queue.tokens) this.#advance(accessToken);
  }

  /** Sends the next report of a device, if there is one and a connection for it. */
  #advance(accessToken: string): void {
    if (this.#senders.size > 0) this.#dropExpired();
    const report = this.#queue.next(accessToken);
    const sender = report === null ? null : this.#senderFor(report.node);
    if (report === null || sender === null) return;
    this.#queue.sending(report.key, true);
    sender.send(report, (outcome) => {
      this.#queue.sending(report.key, false);
      void this.#answered(report, outcome);
    });
  }

  #senderFor(nodeId: string): ReportSender | null {
    const own = this.#senders.get(nodeId);
    if (own?.connected() === true) return own;
    return [...this.#senders.values()].find((sender) => sender.connected()) ?? null;
  }

  async #answered({ key, accessToken }: DeviceReport, outcome: Outcome): Promise<void> {
    const report = this.#queue.get(key);
    // It was taken away while it was on its way: what waits behind it goes on all the same.
    if (report === null) return this.#goOn(accessToken);
    const { upgrades } = report;
    const { delivery, error } = outcome;
    if (delivery === 'timeout') {
      // Closed, or the way out is full: it stays, and goes out with the next connection.
      if (error?.code !== 'OTA_CLOSED') this.#retrySoon();
      return;
    }
    if (error?.code === 'OTA_PUBLISH_REFUSED') {
      this.#queue.refused(key);
    } else {
      // Acknowledged, or a message that no broker takes.
      this.#queue.remove(key);
    }
    // On disk first: a report that came again after the next upgrade was handed out would be taken for its own.
    await this.#file.save();
    this.#end(upgrades);
    this.#tell(report, outcome);
    this.#goOn(accessToken);
  }

  #dropExpired(): void {
    const expired: StepReport[] = this.#queue.expired(this.#clock.now());
    if (expired.length === 0) return;
    for (const report of expired) {
      this.#queue.remove(report.key);
      this.#end(report.upgrades);
      this.#tell(report, { delivery: 'timeout', error: tooOld(report) });
      this.#free(report.accessToken);
    }
    void this.#file.save();
  }

  /** The message that waits for it ends; where there is none any more, its node tells. */
  #tell(report: DeviceReport, outcome: Outcome): void {
    if (this.#settle(report.key, outcome)) return;
    const node = this.#senders.get(report.node) ?? [...this.#senders.values()][0];
    node?.settled(report, outcome);
  }

  #settle(key: string, outcome: ReportOutcome): boolean {
    const resolve = this.#waiting.get(key);
    this.#waiting.delete(key);
    resolve?.(outcome);
    return resolve !== undefined;
  }

  #remove(key: string, outcome: ReportOutcome): void {
    this.#queue.remove(key);
    this.#settle(key, outcome);
  }

  /** Something of the device left the queue: what waited for it goes on. */
  #goOn(accessToken: string): void {
    this.#free(accessToken);
    this.#advance(accessToken);
  }

  #free(accessToken: string): void {
    if (this.#queue.holdsBack(accessToken)) return;
    const free = this.#whenFree.get(accessToken) ?? [];
    this.#whenFree.delete(accessToken);
    for (const resolve of free) resolve();
  }

  #retrySoon(): void {
    this.#retry ??= setTimeout(() => {
      this.#retry = null;
      this.#flush();
    }, RETRY_MS);
    this.#retry.unref();
  }
}

function tooOld({ step, module, at }: StepReport): OtaError {
  const of = module === null ? '' : ` of the module "${module.slice(0, 40)}"`;
  return new OtaError(
    'OTA_REPORT_EXPIRED',
    `The step ${step}${of} of ${at} was not sent: it waited for the broker for too long, and nothing in it says which upgrade it is about. The device's version report tells the platform.`,
  );
}

function queueFull(): OtaError {
  return new OtaError(
    'OTA_QUEUE_FULL',
    'Too many reports wait for the broker already; this one is not taken. Check the connection of the service.',
  );
}

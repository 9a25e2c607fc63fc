/**
 * The reports that must reach the platform: final steps (100 and failures) and versions. Owns which of them stay,
 * in which order a device's go out, and the form of their file. Pure: reads and writes nothing.
 */
import { isObject } from '../protocol';
import { savedAge } from './age';

interface Common {
  /** Its own, across restarts. */
  readonly key: string;
  readonly accessToken: string;
  /** The node that reported. */
  readonly node: string;
  /** When, ISO 8601. */
  readonly at: string;
  /** The keys of the upgrades that it ends: of each ota-push node that has it in work. */
  readonly upgrades: readonly string[];
}

/** A final step. */
export interface StepReport extends Common {
  readonly kind: 'progress';
  /** null where the device names none. */
  readonly module: string | null;
  readonly step: number;
  readonly desc: string;
  /** Milliseconds: older than this it isn't sent. There is no id in it, and it could meet another upgrade. */
  readonly keepMs: number;
}

export interface VersionReport extends Common {
  readonly kind: 'inform';
  readonly module: string;
  readonly version: string;
  readonly id: string;
}

export type DeviceReport = StepReport | VersionReport;

interface Queued {
  report: DeviceReport;
  /** Milliseconds of the caller's clock. */
  readonly bornAt: number;
  /** Lies on disk, or can't: it may be sent. */
  ready: boolean;
  sending: boolean;
  /** Refused by the broker: not again on this connection. */
  refused: boolean;
}

/** Reports that are kept at most. */
const LIMIT = 10_000;

export class ReportQueue {
  readonly #queued = new Map<string, Queued>();
  readonly #byToken = new Map<string, Set<Queued>>();
  /** No step that isn't on its way is too old before this. */
  #nextExpiry = Infinity;

  get full(): boolean {
    return this.#queued.size >= LIMIT;
  }

  get reports(): DeviceReport[] {
    return [...this.#queued.values()].map(({ report }) => report);
  }

  get tokens(): string[] {
    return [...this.#byToken.keys()];
  }

  get(key: string): DeviceReport | null {
    return this.#queued.get(key)?.report ?? null;
  }

  /** Takes over what a file had. */
  restore(reports: readonly DeviceReport[], now: number, wall: number): void {
    for (const report of reports) this.#put(report, now - savedAge(report.at, wall), true);
    this.keepNewest();
  }

  add(report: DeviceReport, now: number): void {
    this.#put(report, now, false);
  }

  /**
   * While there is no connection the newest report of each token, module and kind stays. Returns those that went;
   * what they would have ended is ended by the one that took their place.
   * @param accessToken looks at those of one device only: where the others were looked at before
   */
  keepNewest(accessToken?: string): DeviceReport[] {
    const gone: DeviceReport[] = [];
    const newest = new Map<string, Queued>();
    const all = accessToken === undefined ? this.#queued.values() : (this.#byToken.get(accessToken) ?? []);
    for (const queued of [...all]) {
      const { kind, accessToken: device, module } = queued.report;
      const slot = JSON.stringify([kind, device, module]);
      const older = newest.get(slot);
      newest.set(slot, queued);
      if (older === undefined || older.sending) continue;
      const upgrades = new Set([...older.report.upgrades, ...queued.report.upgrades]);
      queued.report = { ...queued.report, upgrades: [...upgrades] };
      this.remove(older.report.key);
      gone.push(older.report);
    }
    return gone;
  }

  /** True where `keepNewest` gives the place of one that waits to such a report. */
  isReplacedBy({
    kind,
    accessToken,
    module,
  }: Pick<DeviceReport, 'kind' | 'accessToken' | 'module'>): boolean {
    return [...(this.#byToken.get(accessToken) ?? [])].some(
      ({ report, sending }) => !sending && report.kind === kind && report.module === module,
    );
  }

  /** It may be sent from now on. */
  ready(key: string): void {
    const queued = this.#queued.get(key);
    if (queued !== undefined) queued.ready = true;
  }

  /** The report of a device that goes out next: one at a time, steps before versions, each in its order. */
  next(accessToken: string): DeviceReport | null {
    const all = [...(this.#byToken.get(accessToken) ?? [])];
    if (all.some(({ sending }) => sending)) return null;
    const open = all.filter(({ refused }) => !refused);
    const first = open.find(({ report }) => report.kind === 'progress') ?? open[0];
    return first?.ready === true ? first.report : null;
  }

  sending(key: string, sending: boolean): void {
    const queued = this.#queued.get(key);
    if (queued === undefined) return;
    queued.sending = sending;
    this.#expectExpiry(queued);
  }

  /** The broker refused it: it stays for the next connection, and ends no upgrade any more. */
  refused(key: string): void {
    const queued = this.#queued.get(key);
    if (queued === undefined) return;
    queued.refused = true;
    queued.report = { ...queued.report, upgrades: [] };
  }

  /** A new connection: what was refused is tried again. */
  tryAgain(): void {
    for (const queued of this.#queued.values()) queued.refused = false;
  }

  /** Steps that are too old to be sent. Asked for at each report: it looks at them all only when one may be. */
  expired(now: number): StepReport[] {
    if (now <= this.#nextExpiry) return [];
    this.#nextExpiry = Infinity;
    const expired: StepReport[] = [];
    for (const queued of this.#queued.values()) {
      this.#expectExpiry(queued);
      if (now > expiryOf(queued) && queued.report.kind === 'progress') expired.push(queued.report);
    }
    return expired;
  }

  /** Refused steps of a module that a new upgrade begins for: sent again, they would be taken for its own. */
  outdated(accessToken: string, module: string): DeviceReport[] {
    return [...(this.#byToken.get(accessToken) ?? [])]
      .filter(({ refused }) => refused)
      .map(({ report }) => report)
      .filter((report) => report.kind === 'progress' && (report.module ?? module) === module);
  }

  /** True where a final step of the device hasn't reached the broker, and wasn't refused. */
  holdsBack(accessToken: string): boolean {
    const all = [...(this.#byToken.get(accessToken) ?? [])];
    return all.some(({ report, refused }) => report.kind === 'progress' && !refused);
  }

  remove(key: string): void {
    const queued = this.#queued.get(key);
    if (queued === undefined) return;
    this.#queued.delete(key);
    const { accessToken } = queued.report;
    const ofToken = this.#byToken.get(accessToken);
    ofToken?.delete(queued);
    if (ofToken?.size === 0) this.#byToken.delete(accessToken);
  }

  #expectExpiry(queued: Queued): void {
    this.#nextExpiry = Math.min(this.#nextExpiry, expiryOf(queued));
  }

  #put(report: DeviceReport, bornAt: number, ready: boolean): void {
    const queued: Queued = { report, bornAt, ready, sending: false, refused: false };
    this.#queued.set(report.key, queued);
    this.#expectExpiry(queued);
    const ofToken = this.#byToken.get(report.accessToken) ?? new Set();
    this.#byToken.set(report.accessToken, ofToken.add(queued));
  }
}

/** After this a report isn't sent any more; one that is on its way, and a version, never expires. */
function expiryOf({ report, bornAt, sending }: Queued): number {
  return report.kind === 'progress' && !sending ? bornAt + report.keepMs : Infinity;
}

/** The text of the file; null where there is nothing to keep. */
export function writeReports(reports: readonly DeviceReport[]): string | null {
  return reports.length === 0 ? null : JSON.stringify({ version: 1, reports });
}

/** Reads what can be read; the rest is left out, and `whole` is false. */
export function readReports(value: unknown): { state: DeviceReport[]; whole: boolean } {
  const entries = isObject(value) ? value['reports'] : undefined;
  if (!Array.isArray(entries)) return { state: [], whole: false };
  const state = entries.filter(isReport);
  return { state, whole: state.length === entries.length };
}

function isReport(entry: unknown): entry is DeviceReport {
  if (!isObject(entry)) return false;
  const { kind, key, accessToken, node, at, upgrades, module, step, desc, keepMs, version, id } = entry;
  const texts = [key, accessToken, node, at].every((field) => typeof field === 'string');
  if (!texts || !Array.isArray(upgrades) || !upgrades.every((one) => typeof one === 'string')) return false;
  if (kind === 'inform') return [module, version, id].every((field) => typeof field === 'string');
  const named = module === null || typeof module === 'string';
  return (
    kind === 'progress' &&
    named &&
    typeof desc === 'string' &&
    Number.isInteger(step) &&
    typeof keepMs === 'number'
  );
}

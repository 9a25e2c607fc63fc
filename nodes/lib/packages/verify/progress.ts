/**
 * Bytes as the steps of progress reports: never back, scaled to a share, the first and the last always, at
 * most four a second between. Pure but for the clock.
 */
const MIN_INTERVAL_MS = 250;

export interface ProgressReport {
  /** 1…share. */
  readonly step: number;
  /** Of the download, 0…100; null where the whole isn't known. */
  readonly percent: number | null;
  /** All of it is here and verified. */
  readonly ended: boolean;
}

export class Progress {
  readonly #share: number;
  readonly #report: (report: ProgressReport) => void;
  readonly #now: () => number;
  #step = 0;
  #at = 0;

  /** @param share the step at the end, 1…100 */
  constructor(share: number, report: (report: ProgressReport) => void, now = () => performance.now()) {
    this.#share = share;
    this.#report = report;
    this.#now = now;
  }

  bytes(bytes: number, total: number | null): void {
    const first = this.#step === 0;
    if (!first && (total === null || this.#now() - this.#at < MIN_INTERVAL_MS)) return;
    const fraction = total === null || total === 0 ? 0 : Math.min(1, bytes / total);
    // The share itself is kept for the end: everything came, and it is what was announced.
    const step = Math.max(1, Math.min(this.#share - 1, Math.floor(fraction * this.#share)));
    if (step > this.#step) this.#emit(step, total === null ? null : Math.floor(fraction * 100));
  }

  end(): void {
    if (this.#step === 0) this.#emit(1, null);
    this.#emit(this.#share, 100, true);
  }

  #emit(step: number, percent: number | null, ended = false): void {
    this.#step = Math.max(step, this.#step);
    this.#at = this.#now();
    this.#report({ step: this.#step, percent, ended });
  }
}

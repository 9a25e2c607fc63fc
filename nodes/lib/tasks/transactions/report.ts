/**
 * What devices report, and what became of pushes, in the order in which it came: a device may report right after its
 * push found nobody, or be pushed to right after it reported.
 */
import {
  effectiveLabels,
  type Event,
  keptText,
  knownAfter,
  lifeTransitions,
  type Member,
  type OwnLabels,
  progressTransitions,
  type Report,
  reported,
  sameLabels,
  transition,
  versionTransitions,
  type VersionReport,
} from '../machine';
import { MAX_MODULE_NAME } from '../../rules';
import type { Change, Decision, Instant, KnownChange, Need, Rows } from '../database/database';
import type { Labels } from '../types';
import { joinsOf } from './join';
import { WorkingSet } from './working-set';

/** What became of a push to a device. */
export interface PushOutcome {
  readonly kind: 'outcome';
  readonly accessToken: string;
  /** The number of the device in its task. */
  readonly device: number;
  readonly event: Event;
  /** Wall clock, milliseconds. */
  readonly wall: number;
}

export type Incoming = Report | PushOutcome;

export interface Reported {
  readonly changes: readonly Change[];
  /** Reports whose version was not remembered. */
  readonly leftOut: LeftOut;
}

/** Versions that are not remembered, by why. */
export interface LeftOut {
  /** The store has as many devices as it may have, and nobody makes room. */
  readonly devices: number;
  /** The device has named as many modules as it may have. */
  readonly modules: number;
  /** The name of the module is too long. */
  readonly names: number;
}

/** Modules that are remembered of one device: a hostile one could name a new one each time. */
export const MAX_MODULES = 64;

/** All that the devices of these reports are in. */
export function reportNeed(incoming: readonly Incoming[], at: Instant): Need {
  return {
    at,
    tokens: {
      *[Symbol.iterator]() {
        for (const { accessToken } of incoming) yield accessToken;
      },
    },
    histories: incoming.flatMap((item) => (isSentAgain(item) ? [item.accessToken] : [])),
    devices: incoming.flatMap((item) => (item.kind === 'outcome' ? [item.device] : [])),
  };
}

/** An instance that froze or died before its PUBACK may have committed it. */
const isSentAgain = (item: Incoming): boolean => item.kind === 'progress' && item.again === true;

/** Applies reports and outcomes, in their order. */
export function report(incoming: readonly Incoming[], rows: Rows): Decision<Reported> {
  const set = new WorkingSet(rows);
  const known = new KnownVersions(rows);
  const labels = new ReportedLabels(rows);
  const joins = joinsOf(rows, set);
  const now = rows.at.ticks;
  for (const given of incoming) {
    const item = storable(given);
    if (item.kind === 'outcome') {
      const loaded = rows.device(item.device);
      if (loaded === null) continue;
      const { device, plan } = set.current(loaded);
      set.add([transition(device, plan, item.event, item.wall)], item.wall);
      continue;
    }
    const open = set.open(item.accessToken);
    const latest = (module: string): Member | null => set.latest(item.accessToken, module);
    switch (item.kind) {
      case 'progress': {
        const written = isSentAgain(item) ? (id: number) => rows.history(id) : null;
        set.add(progressTransitions(item, open, { latest, written, now }), item.wall);
        break;
      }
      case 'alive':
        set.add(lifeTransitions(item, open, now), item.wall);
        break;
      case 'inform': {
        set.add(versionTransitions(item, open, latest, now), item.wall);
        const remembered = known.remember(item);
        // Nothing follows from what was said before something that is known.
        if (remembered === 'old') break;
        const own = labels.take(item, remembered === 'kept');
        joins.look({
          accessToken: item.accessToken,
          module: item.module,
          version: item.version,
          labels: own,
        });
      }
    }
  }
  const { effects } = set;
  return {
    labels: labels.changes,
    joins: joins.joins,
    result: { changes: effects.changes, leftOut: known.leftOut },
    effects,
    known: known.changes,
  };
}

/** A module by the name that a database keeps: it is found again by that. */
function storable(item: Incoming): Incoming {
  if (item.kind === 'alive' || item.kind === 'outcome' || item.module === null) return item;
  const module = keptText(item.module);
  return module === item.module ? item : { ...item, module };
}

/** Labels that devices report themselves, see `labelsFrom`. */
class ReportedLabels {
  readonly #rows: Rows;
  readonly #changes = new Map<string, OwnLabels>();

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  get changes(): { accessToken: string; labels: OwnLabels }[] {
    return [...this.#changes].map(([accessToken, labels]) => ({ accessToken, labels }));
  }

  /** The labels that filters see, after this report. Nothing is read where no filter asks. */
  take({ accessToken, labels }: VersionReport, isKnown: boolean): Labels {
    if (labels === undefined && this.#rows.joining.length === 0) return {};
    const before = this.#changes.get(accessToken) ?? this.#rows.labels(accessToken);
    // Tokens that nobody has room for must not fill the table of labels either.
    if (labels === undefined || !isKnown) return effectiveLabels(before);
    const after = reported(before, labels);
    if (!sameLabels(before.device, after.device)) this.#changes.set(accessToken, after);
    return effectiveLabels(after);
  }
}

/** What devices run, as they report it. */
class KnownVersions {
  readonly leftOut = { devices: 0, modules: 0, names: 0 };
  readonly #rows: Rows;
  readonly #changes = new Map<string, KnownChange>();
  /** Modules that this decision remembers for the first time, by device. */
  readonly #added = new Map<string, number>();
  #taken = 0;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  get changes(): KnownChange[] {
    return [...this.#changes.values()];
  }

  /** `old`: a report that the broker had kept, and no news; `no-room`: there is none for it. */
  remember(item: VersionReport): 'kept' | 'old' | 'no-room' {
    const { accessToken, module } = item;
    const changed = this.#changes.get(keyOf(accessToken, module));
    const stored = this.#rows.known(accessToken, module);
    const before = changed?.known ?? stored;
    const known = knownAfter(item, before);
    if (known === null) return 'old';
    if (before === null && !this.#mayAdd(accessToken, module)) return 'no-room';
    const change = { accessToken, module, known, before: stored?.version ?? null };
    this.#changes.set(keyOf(accessToken, module), change);
    return 'kept';
  }

  #mayAdd(accessToken: string, module: string): boolean {
    const added = this.#added.get(accessToken) ?? 0;
    if (module.length > MAX_MODULE_NAME) this.leftOut.names += 1;
    else if (this.#rows.modules(accessToken).length + added >= MAX_MODULES) this.leftOut.modules += 1;
    else if (!this.#rows.hasRoom(accessToken, module, this.#taken)) this.leftOut.devices += 1;
    else {
      this.#added.set(accessToken, added + 1);
      this.#taken += 1;
      return true;
    }
    return false;
  }
}

/** No token has a NUL in it. */
function keyOf(accessToken: string, module: string): string {
  return `${accessToken}\0${module}`;
}

/**
 * What devices report, and what became of pushes, in the order in which it came: a device may report right after its
 * push found nobody, or be pushed to right after it reported.
 */
import {
  type Event,
  knownAfter,
  lifeTransitions,
  type Member,
  progressTransitions,
  type Report,
  transition,
  versionTransitions,
  type VersionReport,
} from '../machine';
import type { Change, Decision, Instant, KnownChange, Need, Rows } from '../database/database';
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
  /** Reports whose version was not remembered: there is no room. */
  readonly leftOut: number;
}

/** All that the devices of these reports are in. */
export function reportNeed(incoming: readonly Incoming[], at: Instant): Need {
  return {
    at,
    tokens: {
      *[Symbol.iterator]() {
        for (const { accessToken } of incoming) yield accessToken;
      },
    },
    devices: incoming.flatMap((item) => (item.kind === 'outcome' ? [item.device] : [])),
  };
}

/** Applies reports and outcomes, in their order. */
export function report(incoming: readonly Incoming[], rows: Rows): Decision<Reported> {
  const set = new WorkingSet(rows);
  const known = new KnownVersions(rows);
  const now = rows.at.ticks;
  for (const item of incoming) {
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
      case 'progress':
        set.add(progressTransitions(item, open, latest, now), item.wall);
        break;
      case 'alive':
        set.add(lifeTransitions(item, open, now), item.wall);
        break;
      case 'inform':
        set.add(versionTransitions(item, open, latest, now), item.wall);
        known.remember(item);
    }
  }
  const { effects } = set;
  return {
    result: { changes: effects.changes, leftOut: known.leftOut },
    effects,
    known: known.changes,
  };
}

/** What devices run, as they report it. */
class KnownVersions {
  leftOut = 0;
  readonly #rows: Rows;
  readonly #changes = new Map<string, KnownChange>();
  #added = 0;

  constructor(rows: Rows) {
    this.#rows = rows;
  }

  get changes(): KnownChange[] {
    return [...this.#changes.values()];
  }

  remember(item: VersionReport): void {
    const { accessToken, module } = item;
    const changed = this.#changes.get(keyOf(accessToken, module));
    const before = changed?.known ?? this.#rows.known(accessToken, module);
    const known = knownAfter(item, before);
    if (known === null) return;
    const isNew = changed?.isNew ?? before === null;
    if (before === null) {
      if (!this.#rows.hasRoom(accessToken, module, this.#added)) {
        this.leftOut += 1;
        return;
      }
      this.#added += 1;
    }
    this.#changes.set(keyOf(accessToken, module), { accessToken, module, known, isNew });
  }
}

/** No token has a NUL in it. */
function keyOf(accessToken: string, module: string): string {
  return `${accessToken}\0${module}`;
}

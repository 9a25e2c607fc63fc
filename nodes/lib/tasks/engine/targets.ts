/**
 * Who is taken into a task. Looks at devices in slices, so that a million of them never hold the event loop
 * up; writes nothing.
 */
import { checkTargets, type TaskInput } from '../commands';
import { fitsVersion, waveEnds } from '../machine';
import type { NewDevice, TaskDatabase } from '../database';
import { EventLoopYielder } from './yielder';

/** Devices in the order of their waves. */
export interface Chosen {
  readonly tokens: string[];
  /** What each runs, as far as it is known. */
  readonly sources: (string | null)[];
  readonly skipped: { readonly current: number; readonly version: number };
}

const SLICE = 1000;

export async function chooseTargets(database: TaskDatabase, input: TaskInput, wall: number): Promise<Chosen> {
  const choice = new Choice(input);
  const yielder = new EventLoopYielder();
  for await (const slice of Array.isArray(input.targets)
    ? named(database, input, input.targets as readonly unknown[])
    : reported(database, input, wall)) {
    for (const { accessToken, version } of slice) choice.add(accessToken, version);
    await yielder.next();
  }
  return choice;
}

interface Candidate {
  readonly accessToken: string;
  readonly version: string | null;
}

async function* named(
  database: TaskDatabase,
  { upgrade }: TaskInput,
  targets: readonly unknown[],
): AsyncGenerator<readonly Candidate[]> {
  for (let i = 0; i < targets.length; i += SLICE) {
    const tokens = checkTargets(targets.slice(i, i + SLICE), 'targets', i);
    const known = await database.versions(upgrade.module, tokens);
    yield tokens.map((accessToken) => ({ accessToken, version: known.get(accessToken)?.version ?? null }));
  }
}

/** Devices that reported a version of the package's module lately. */
async function* reported(
  database: TaskDatabase,
  { upgrade, policy, targets }: TaskInput,
  wall: number,
): AsyncGenerator<readonly Candidate[]> {
  const versions = typeof targets === 'object' && 'versions' in targets ? targets.versions : null;
  const wanted = versions === null ? null : new Set(versions);
  const since = wall - policy.seenWithin * 1000;
  for (let after = ''; ;) {
    const slice = await database.known({ module: upgrade.module, after, limit: SLICE, since });
    yield wanted === null ? slice : slice.filter(({ version }) => wanted.has(version));
    if (slice.length < SLICE) return;
    after = slice.at(-1)?.accessToken ?? '';
  }
}

class Choice implements Chosen {
  readonly tokens: string[] = [];
  readonly sources: (string | null)[] = [];
  readonly skipped = { current: 0, version: 0 };
  readonly #seen = new Set<string>();
  readonly #versions = new Map<string, string>();
  readonly #input: TaskInput;

  constructor(input: TaskInput) {
    this.#input = input;
  }

  add(token: string, version: string | null): void {
    const { policy, upgrade } = this.#input;
    if (this.#seen.has(token)) return;
    this.#seen.add(token);
    if (policy.skipCurrent && version === upgrade.version) {
      this.skipped.current += 1;
    } else if (!fitsVersion(policy, version)) {
      this.skipped.version += 1;
    } else {
      this.tokens.push(token);
      this.sources.push(version === null || version === upgrade.version ? null : this.#intern(version));
    }
  }

  /** A million devices run a few versions: one text each. */
  #intern(version: string): string {
    const found = this.#versions.get(version);
    if (found !== undefined) return found;
    this.#versions.set(version, version);
    return version;
  }
}

/** How many devices each wave gets. */
export function waveSizes(total: number, waves: readonly number[]): number[] {
  const ends = waveEnds(total, waves);
  return ends.map((end, i) => end - (ends[i - 1] ?? 0));
}

/**
 * Shuffles the devices of each wave: neighbours in a list often share an uplink. The rows are then made in
 * the order of their pushes, so that devices which report at the same time stand side by side on the disk.
 */
export async function shuffleWaves(chosen: Chosen, ends: readonly number[]): Promise<void> {
  const { tokens, sources } = chosen;
  const yielder = new EventLoopYielder();
  for (const [i, end] of ends.entries()) {
    const start = ends[i - 1] ?? 0;
    for (let last = end - 1; last > start; last -= 1) {
      const other = start + Math.floor(Math.random() * (last - start + 1));
      swap(tokens, last, other);
      swap(sources, last, other);
      if (last % SLICE === 0) await yielder.next();
    }
  }
}

function swap(list: unknown[], a: number, b: number): void {
  const kept = list[a];
  list[a] = list[b];
  list[b] = kept;
}

/** The rows of a slice, in the order of their pushes. */
export function toDevices(
  chosen: Chosen,
  ends: readonly number[],
  { from, to }: { readonly from: number; readonly to: number },
  wall: number,
): NewDevice[] {
  const devices: NewDevice[] = [];
  for (let i = from; i < Math.min(to, chosen.tokens.length); i += 1) {
    devices.push({
      accessToken: chosen.tokens[i] ?? '',
      source: chosen.sources[i] ?? null,
      wave: ends.findIndex((end) => i < end) + 1,
      order: i,
      at: wall,
    });
  }
  return devices;
}

/**
 * Who is taken into a task. Looks at devices in slices, so that a million of them never hold the event loop
 * up; writes nothing.
 */
import { sortTargets, type TaskInput } from '../commands';
import { choosePackage, matchesFilter, waveEnds } from '../machine';
import type { NewDevice, TaskDatabase } from '../database';
import type { DeviceFilter, Labels } from '../types';
import type { EngineLink } from './pushes';
import { EventLoopYielder } from './yielder';

/** Why devices that were asked for aren't in a task, or will not be upgraded by it. */
export interface Skipped {
  /** They run the version already. */
  readonly current: number;
  /** The task isn't for the version that they run. */
  readonly version: number;
  /** None of the packages is for them: a `preview` leaves them out, in a task they fail when their turn comes. */
  readonly incompatible: number;
  /** They are pending in older tasks, out of which this one takes them. */
  readonly superseded: number;
  /** They gave no sign of life for longer than `seenWithin`. */
  readonly unseen: number;
}

/** Devices in the order of their waves. */
export interface Chosen {
  readonly tokens: string[];
  /** What each runs, as far as it is known. */
  readonly sources: (string | null)[];
  readonly skipped: Skipped;
  /** The versions that the chosen ones run; null where nobody knows. */
  readonly byVersion: ReadonlyMap<string | null, number>;
  /** Tokens that were named and never reported a version of the module. */
  readonly unknownTokens: number;
  /** What was named and can't be a token. */
  readonly badTokens: number;
  /** Devices that the filter doesn't mean. */
  readonly unmatched: number;
}

const SLICE = 1000;

export interface ChooseOptions {
  readonly wall: number;
  /** Leaves out those that no package fits. */
  readonly compatibleOnly: boolean;
  readonly link: Pick<EngineLink, 'isDevice'>;
}

export async function chooseTargets(
  database: TaskDatabase,
  input: TaskInput,
  { wall, compatibleOnly, link }: ChooseOptions,
): Promise<Chosen> {
  const choice = new Choice(input, compatibleOnly);
  const yielder = new EventLoopYielder();
  const slices = Array.isArray(input.targets)
    ? named(database, input, choice, link)
    : reported(database, input, choice, wall);
  for await (const slice of slices) {
    for (const candidate of slice) choice.add(candidate);
    await yielder.next();
  }
  if (input.policy.supersede) await countSuperseded(database, input, choice, yielder);
  return choice;
}

interface Candidate {
  readonly accessToken: string;
  /** Of the package's module. */
  readonly version: string | null;
  readonly labels: Labels;
}

async function* named(
  database: TaskDatabase,
  { upgrade, targets }: TaskInput,
  choice: Choice,
  { isDevice }: ChooseOptions['link'],
): AsyncGenerator<readonly Candidate[]> {
  const all = targets as readonly unknown[];
  for (let i = 0; i < all.length; i += SLICE) {
    const { tokens, bad } = sortTargets(all.slice(i, i + SLICE), isDevice);
    choice.badTokens += bad;
    const known = await database.versions(upgrade.module, tokens);
    const labels = choice.needsLabels ? await database.labels(tokens) : NONE;
    yield tokens.map((accessToken) => ({
      accessToken,
      version: known.get(accessToken)?.version ?? null,
      labels: labels.get(accessToken) ?? {},
    }));
  }
}

const NONE: ReadonlyMap<string, Labels> = new Map();
const EVERYBODY: DeviceFilter = { versions: null, labels: null, module: null };

/** Devices that gave a sign of life lately, and that the filter takes in. */
async function* reported(
  database: TaskDatabase,
  { upgrade, policy, targets }: TaskInput,
  choice: Choice,
  wall: number,
): AsyncGenerator<readonly Candidate[]> {
  const filter = targets === 'all' ? EVERYBODY : (targets as DeviceFilter);
  const module = filter.module ?? upgrade.module;
  const since = wall - policy.seenWithin * 1000;
  for (let after = ''; ;) {
    const slice = await database.known({ module, after, limit: SLICE, since: Number.MIN_SAFE_INTEGER });
    const matching = slice.filter((device) => matchesFilter(filter, device));
    const seen = matching.filter(({ seenAt }) => seenAt >= since);
    choice.unmatched += slice.length - matching.length;
    choice.skipped.unseen += matching.length - seen.length;
    if (module === upgrade.module) yield seen;
    else yield await ofModule(database, upgrade.module, seen);
    if (slice.length < SLICE) return;
    after = slice.at(-1)?.accessToken ?? '';
  }
}

/** The same devices with what they run of another module. */
async function ofModule(
  database: TaskDatabase,
  module: string,
  devices: readonly Candidate[],
): Promise<readonly Candidate[]> {
  const known = await database.versions(
    module,
    devices.map(({ accessToken }) => accessToken),
  );
  return devices.map((device) => ({ ...device, version: known.get(device.accessToken)?.version ?? null }));
}

async function countSuperseded(
  database: TaskDatabase,
  { upgrade }: TaskInput,
  choice: Choice,
  yielder: EventLoopYielder,
): Promise<void> {
  for (let i = 0; i < choice.tokens.length; i += SLICE) {
    choice.skipped.superseded += await database.countPending(upgrade, choice.tokens.slice(i, i + SLICE));
    await yielder.next();
  }
}

class Choice implements Chosen {
  readonly tokens: string[] = [];
  readonly sources: (string | null)[] = [];
  readonly skipped = { current: 0, version: 0, incompatible: 0, superseded: 0, unseen: 0 };
  readonly byVersion = new Map<string | null, number>();
  readonly needsLabels: boolean;
  unknownTokens = 0;
  badTokens = 0;
  unmatched = 0;
  readonly #seen = new Set<string>();
  readonly #versions = new Map<string, string>();
  readonly #input: TaskInput;
  readonly #compatibleOnly: boolean;

  constructor(input: TaskInput, compatibleOnly: boolean) {
    this.#input = input;
    this.#compatibleOnly = compatibleOnly;
    this.needsLabels = input.packages.some(({ requires }) => requires !== null);
  }

  add({ accessToken, version, labels }: Candidate): void {
    const { policy, upgrade } = this.#input;
    if (this.#seen.has(accessToken)) return;
    this.#seen.add(accessToken);
    if (version === null && Array.isArray(this.#input.targets)) this.unknownTokens += 1;
    if (policy.skipCurrent && version === upgrade.version) {
      this.skipped.current += 1;
      return;
    }
    const choice = choosePackage(this.#input, { version, labels });
    if (choice === 'version') {
      this.skipped.version += 1;
      return;
    }
    if (choice === 'incompatible') {
      this.skipped.incompatible += 1;
      if (this.#compatibleOnly) return;
    }
    const known = version === null ? null : this.#intern(version);
    this.tokens.push(accessToken);
    this.sources.push(known === upgrade.version ? null : known);
    this.byVersion.set(known, (this.byVersion.get(known) ?? 0) + 1);
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

/** The rows of a slice, in the order of their pushes. */
export function toDevices(
  chosen: Pick<Chosen, 'tokens' | 'sources'>,
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

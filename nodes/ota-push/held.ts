/**
 * Upgrades that wait until the device is idle: the newest of each device and module, in a file that survives
 * a restart. Written before the broker gets its acknowledgement, so that none is lost in between.
 */
import { type Committer, isObject, OtaError } from '../lib/protocol';
import { readFileIfAny, removeFile, writeFileAtomic } from '../lib/red/atomic-file';

/** An upgrade as the node sends it, with the topic it came on. */
export interface HeldUpgrade {
  readonly topic: string;
  readonly payload: { readonly accessToken: string; readonly module: string; readonly version: string };
}

/** More than a gateway's devices have; beyond it the next new one is refused. */
const LIMIT = 10_000;

export class Held implements Committer {
  readonly #file: string;
  #upgrades = new Map<string, HeldUpgrade>();
  #dirty = false;

  /** @throws OtaError OTA_FILE where the file is there but can't be read */
  constructor(file: string) {
    this.#file = file;
    const text = readFileIfAny(file);
    if (text !== null) this.#upgrades = parse(text, file);
  }

  get size(): number {
    return this.#upgrades.size;
  }

  /** True where something isn't in the file yet: nothing may be acknowledged before `commit`. */
  get dirty(): boolean {
    return this.#dirty;
  }

  /** Keeps an upgrade in memory; `commit` writes it. @throws OtaError OTA_QUEUE_FULL */
  keep(upgrade: HeldUpgrade): void {
    const key = JSON.stringify([upgrade.payload.accessToken, upgrade.payload.module]);
    if (!this.#upgrades.has(key) && this.#upgrades.size >= LIMIT) {
      throw new OtaError(
        'OTA_QUEUE_FULL',
        `${LIMIT} upgrades are held already; this one is not. Release them first.`,
      );
    }
    this.#upgrades.set(key, upgrade);
    this.#dirty = true;
  }

  commit(): void {
    this.#write();
  }

  /** Everything that is held, oldest first. `released` tells that it went out: the file is emptied then. */
  all(): HeldUpgrade[] {
    return [...this.#upgrades.values()];
  }

  released(): void {
    this.#upgrades.clear();
    this.#write();
  }

  #write(): void {
    if (this.#upgrades.size === 0) removeFile(this.#file);
    else writeFileAtomic(this.#file, JSON.stringify({ version: 1, upgrades: this.all() }));
    this.#dirty = false;
  }
}

function parse(text: string, file: string): Map<string, HeldUpgrade> {
  const held = new Map<string, HeldUpgrade>();
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const why = `The held upgrades in ${file} can not be read; remove the file to begin without them.`;
    throw new OtaError('OTA_FILE', why, { cause: error });
  }
  const upgrades = isObject(value) && Array.isArray(value['upgrades']) ? value['upgrades'] : [];
  for (const upgrade of upgrades as HeldUpgrade[]) {
    if (!isObject(upgrade) || !isObject(upgrade.payload)) continue;
    held.set(JSON.stringify([upgrade.payload.accessToken, upgrade.payload.module]), upgrade);
  }
  return held;
}

/**
 * The engines of one ota-store, one for each service. Owns that no file ever has two for one service: they
 * would write every history twice, and tell every change twice. Opens nothing itself.
 */
import fs from 'node:fs';
import path from 'node:path';
import { OtaError } from '../protocol';
import type { TaskStore } from '../tasks/database';
import type { PackageVariant } from '../tasks/types';
import { type HostOptions, TaskHost } from './host';

/** By wires a fleet is ota-task's own, and no service's of the same name. */
const WIRES = 'wires:';

/** Under which name the tasks of a fleet by wires lie in a store. */
export function serviceByWires(fleet: string): string {
  return `${WIRES}${fleet}`;
}

/** Tasks that nobody works on. */
export interface UnusedFleet {
  /** Its name: the setting of the service, or by wires of ota-task, or the node's id. */
  readonly fleet: string;
  readonly isByWires: boolean;
  readonly tasks: number;
}

/** The ota-store that engines belong to. */
export interface StoreOwner {
  readonly id: string;
  readonly name?: string;
}

/** Where a store's tasks lie: a file, or a name that two stores on the same database have in common. */
export type StorePlace = { readonly file: string } | { readonly database: string };

interface Owned {
  readonly owner: StoreOwner;
  readonly host: TaskHost;
}

/** The engines of this runtime, by place and service. */
const OWNED = new Map<string, Owned>();

/** Those that were started since this process runs: a deploy pauses nothing again. */
const STARTED = new Set<string>();

export class TaskHosts {
  readonly #owner: StoreOwner;
  readonly #store: TaskStore;
  readonly #place: string;
  readonly #file: string | null;
  readonly #hosts = new Map<string, TaskHost>();

  constructor(owner: StoreOwner, store: TaskStore, place: StorePlace) {
    this.#owner = owner;
    this.#store = store;
    this.#file = 'file' in place ? realPath(place.file) : null;
    this.#place = 'file' in place ? realPath(place.file) : place.database;
  }

  /**
   * The engine of a service; a new one where the last was stopped.
   * @throws OtaError OTA_BAD_SETTINGS where another store has one at work on the same place
   */
  host(options: Omit<HostOptions, 'store' | 'onStarted'>): TaskHost {
    const key = JSON.stringify([this.#place, options.service]);
    const found = OWNED.get(key);
    if (found !== undefined && !found.host.closed) {
      if (found.owner !== this.#owner) throw sharedError(found.owner, this.#place);
      if (found.host.serves(options.channel)) return found.host;
    }
    const startPaused = options.startPaused && !STARTED.has(key);
    const onStarted = (): void => void STARTED.add(key);
    const host = new TaskHost({ ...options, startPaused, onStarted, store: this.#store }, found?.host);
    OWNED.set(key, { owner: this.#owner, host });
    this.#hosts.set(key, host);
    return host;
  }

  /**
   * Fleets that have tasks in the store, but no engine: of a service that was made anew, or taken out.
   * @throws OtaError where the store can't be read
   */
  async unused(): Promise<readonly UnusedFleet[]> {
    if (this.#file !== null && !fs.existsSync(this.#file)) return [];
    await this.#store.open();
    const fleets = await this.#store.fleets();
    return fleets
      .filter(({ fleet }) => !OWNED.has(JSON.stringify([this.#place, fleet])))
      .map(({ fleet, tasks }) => {
        const isByWires = fleet.startsWith(WIRES);
        return { fleet: isByWires ? fleet.slice(WIRES.length) : fleet, isByWires, tasks };
      });
  }

  async stop(removed: boolean): Promise<void> {
    await Promise.all([...this.#hosts.values()].map((host) => host.stop(removed)));
    for (const [key, host] of this.#hosts) if (OWNED.get(key)?.host === host) OWNED.delete(key);
  }
}

/**
 * The names of the tasks of this runtime that aren't over and have a package, by its id or by its address; of a task
 * without a name its `taskId`.
 * @param url blank for a package that nothing serves
 * @throws OtaError where the tasks of a store were not read yet
 */
export async function tasksThatNeed({ id, url }: { id: string; url: string }): Promise<string[]> {
  const hosts = [...OWNED.values()].filter(({ host }) => !host.closed);
  const tasks = (await Promise.all(hosts.map(({ host }) => host.openTasks()))).flat();
  const isNeeded = ({ upgrade, package: given }: PackageVariant): boolean =>
    given['id'] === id || (url !== '' && upgrade.url === url);
  return tasks
    .filter(({ packages }) => packages.some(isNeeded))
    .map(({ name, taskId }) => (name === '' ? taskId : name));
}

function sharedError(other: StoreOwner, place: string): OtaError {
  const name = other.name === undefined || other.name === '' ? other.id : other.name;
  return new OtaError(
    'OTA_BAD_SETTINGS',
    `Another ota-store, "${name}", has the same place for the same service (${place}): use one ota-store for both.`,
  );
}

/** With every link followed, also where the file, or its folder, is still to be made. */
function realPath(file: string): string {
  try {
    return fs.realpathSync.native(file);
  } catch {
    const folder = path.dirname(file);
    return folder === file ? file : path.join(realPath(folder), path.basename(file));
  }
}

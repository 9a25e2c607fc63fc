/**
 * The engines of one ota-store, one for each service. Owns that no file ever has two for one service: they
 * would write every history twice, and tell every change twice. Opens nothing itself.
 */
import fs from 'node:fs';
import path from 'node:path';
import { OtaError } from '../protocol';
import type { SqliteStore } from '../tasks/database';
import { type HostOptions, TaskHost } from './host';

/** The ota-store that engines belong to. */
export interface StoreOwner {
  readonly id: string;
  readonly name?: string;
}

interface Owned {
  readonly owner: StoreOwner;
  readonly host: TaskHost;
}

/** The engines of this runtime, by file and service. */
const OWNED = new Map<string, Owned>();

export class TaskHosts {
  readonly #owner: StoreOwner;
  readonly #store: SqliteStore;
  readonly #file: string;
  readonly #hosts = new Map<string, TaskHost>();

  constructor(owner: StoreOwner, store: SqliteStore, file: string) {
    this.#owner = owner;
    this.#store = store;
    this.#file = realPath(file);
  }

  /**
   * The engine of a service; a new one where the last was stopped.
   * @throws OtaError OTA_BAD_SETTINGS where another store has one at work on the same file
   */
  host(options: Omit<HostOptions, 'store'>): TaskHost {
    const key = JSON.stringify([this.#file, options.service]);
    const found = OWNED.get(key);
    if (found !== undefined && !found.host.closed) {
      if (found.owner !== this.#owner) throw sharedError(found.owner, this.#file);
      if (found.host.serves(options.channel)) return found.host;
    }
    const host = new TaskHost({ ...options, store: this.#store }, found?.host);
    OWNED.set(key, { owner: this.#owner, host });
    this.#hosts.set(key, host);
    return host;
  }

  async stop(removed: boolean): Promise<void> {
    await Promise.all([...this.#hosts.values()].map((host) => host.stop(removed)));
    for (const [key, host] of this.#hosts) if (OWNED.get(key)?.host === host) OWNED.delete(key);
  }
}

function sharedError(other: StoreOwner, file: string): OtaError {
  const name = other.name === undefined || other.name === '' ? other.id : other.name;
  return new OtaError(
    'OTA_BAD_SETTINGS',
    `Another ota-store, "${name}", has the same file for the same service (${file}): use one ota-store for both.`,
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

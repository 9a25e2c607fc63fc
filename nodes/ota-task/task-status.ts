/** What the status of ota-task says: a problem first, then what runs, then that nothing does. */
import type { OtaError } from '../lib/protocol';
import type { ServiceUse } from '../lib/red/service';
import type { Status } from '../lib/red/status';
import type { Task } from '../lib/tasks/types';

const STORE_STATUS: { readonly [code: string]: string } = {
  OTA_NO_SQLITE: 'ota-task.status.noSqlite',
  OTA_STORE_NEWER: 'ota-task.status.storeNewer',
  OTA_DISK_FULL: 'ota-task.status.diskFull',
  OTA_NO_PG: 'ota-task.status.noPg',
  OTA_STORE_AUTH: 'ota-task.status.storeAuth',
  OTA_STORE_UNREACHABLE: 'ota-task.status.storeAway',
  OTA_STORE_TLS: 'ota-task.status.storeTls',
};

export class TaskStatus {
  readonly #status: Status;
  readonly #service: ServiceUse | null;
  #tasks: readonly Task[] = [];
  #problem: OtaError | null = null;
  #hasDeaf = false;
  #refused = false;
  #heard = false;

  /** @param service null where devices come by wires */
  constructor(status: Status, service: ServiceUse | null) {
    this.#status = status;
    this.#service = service;
  }

  tasks(tasks: readonly Task[]): void {
    this.#tasks = tasks;
    this.#show();
  }

  /** A command was carried out: one that was refused before is over. */
  answered(): void {
    this.#show();
  }

  problem(error: OtaError | null): void {
    this.#problem = error;
    this.#show();
  }

  /** An instance of the fleet hears nothing: it stays there until it does. */
  deaf(error: OtaError | null): void {
    this.#hasDeaf = error !== null;
    this.#show();
  }

  subscription(error: OtaError | null): void {
    this.#refused = error !== null;
    this.#show();
  }

  /** Until then nobody knows whether the broker serves what it granted. */
  firstReport(): void {
    this.#heard = true;
    this.#show();
  }

  #show(): void {
    if (this.#problem !== null) {
      this.#status.failure(STORE_STATUS[this.#problem.code] ?? 'ota-task.status.storeFailed');
      return;
    }
    if (this.#refused) {
      this.#status.failure('common.status.subscribeRefused');
      return;
    }
    if (this.#hasDeaf) {
      this.#status.failure('ota-task.status.instanceDeaf');
      return;
    }
    if (this.#service !== null && this.#service.channel().state.phase !== 'connected') return;
    if (this.#tasks.some((task) => task.status === 'paused' && task.reason !== null)) {
      this.#status.failure('ota-task.status.paused');
      return;
    }
    this.#status.recovered();
    const running = this.#tasks.filter((task) => task.status === 'running');
    const idle = this.#heard ? 'common.status.ready' : 'common.status.noReport';
    if (running.length === 0) {
      if (this.#service === null) this.#status.idle(idle);
      else this.#service.setIdle(idle);
    } else this.#status.going(progressOf(running));
  }
}

/** `312/1000`, or `3: 312/1000` for three tasks. */
function progressOf(tasks: readonly Task[]): string {
  let ended = 0;
  let total = 0;
  for (const { counts } of tasks) {
    const over = counts.succeeded + counts.failed + counts.cancelled;
    ended += over;
    total += over + counts.pending + counts.pushed + counts.upgrading;
  }
  return tasks.length === 1 ? `${ended}/${total}` : `${tasks.length}: ${ended}/${total}`;
}

/**
 * Writes the devices of a task that nobody sees yet. They are gathered to large writes, and one of these is under way
 * while the next is gathered, so that PostgreSQL is never waited for twice. None waits for the disk either: nothing of
 * the task counts before it is published, and that commit waits for all that lie before it.
 */
import type { NewDevice } from '../database';
import type { PostgresPool, Transaction } from './driver';
import { addDevices } from './save';

/** Devices of one write. */
const BATCH = 2000;

/** The task that is being made, and who makes it. */
export interface Making {
  readonly task: number;
  /** Milliseconds of the wall clock. */
  readonly createdAt: number;
  readonly service: number;
  readonly part: number;
  /** Throws where this instance was adopted: nothing is written then. */
  readonly fence: (transaction: Transaction) => Promise<void>;
}

export class AddedDevices {
  readonly #pool: PostgresPool;
  readonly #making: Making;
  #gathered: NewDevice[] = [];
  #underWay: Promise<void> = Promise.resolve();

  constructor(pool: PostgresPool, making: Making) {
    this.#pool = pool;
    this.#making = making;
  }

  get createdAt(): number {
    return this.#making.createdAt;
  }

  /** @throws OtaError also of devices that were added before */
  async add(devices: readonly NewDevice[]): Promise<void> {
    this.#gathered.push(...devices);
    if (this.#gathered.length >= BATCH) await this.#send();
  }

  /** Resolves when all are written. @throws OtaError */
  async end(): Promise<void> {
    if (this.#gathered.length > 0) await this.#send();
    await this.#underWay;
  }

  async #send(): Promise<void> {
    await this.#underWay;
    const devices = this.#gathered;
    this.#gathered = [];
    this.#underWay = this.#write(devices);
    // Whoever comes next is told.
    this.#underWay.catch(() => undefined);
  }

  async #write(devices: readonly NewDevice[]): Promise<void> {
    await this.#pool.transaction(async (transaction) => {
      transaction.write({ text: 'SET LOCAL synchronous_commit TO OFF' });
      await this.#making.fence(transaction);
      addDevices(transaction, this.#making, { task: this.#making.task, devices });
      await transaction.commit();
    });
  }
}

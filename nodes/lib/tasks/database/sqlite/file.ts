/** What the tasks of all services in one file share: its statements and its transactions. Types only. */
import type { Awaitable } from '../database';
import type { Statements } from './statements';

export interface SqliteFile {
  readonly statements: Statements;
  readonly maxDevices: number;
  devices: number;
  /**
   * One transaction, in this turn; where another process has the file locked, again and again in later ones, for some
   * seconds. Answers when the disk has it; at once in memory.
   * @throws OtaError where it can't be written; nothing is changed then, but where the disk failed after the commit
   */
  write<T>(transaction: Transaction<T>): Awaitable<T>;
  /** Runs `work` without one. @throws OtaError */
  read<T>(work: () => T): T;
}

export interface Transaction<T> {
  readonly work: () => T;
  /** Called in the turn of the commit: what is kept of rows goes with what others will read. */
  readonly committed?: (result: T) => void;
  /** Called where the transaction is taken back. */
  readonly undone: () => void;
}

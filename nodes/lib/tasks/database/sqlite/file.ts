/** What the tasks of all services in one file share: its statements and its transactions. Types only. */
import type { Awaitable } from '../database';
import type { Statements } from './statements';

export interface SqliteFile {
  readonly statements: Statements;
  readonly maxDevices: number;
  devices: number;
  /**
   * Runs `work` in one transaction, in this turn; where another process has the file locked, again and again in later
   * ones, for some seconds.
   * @param undone called where the transaction is taken back
   * @throws OtaError where it can't be written; nothing is changed then
   */
  write<T>(work: () => T, undone: () => void): Awaitable<T>;
  /** Runs `work` without one. @throws OtaError */
  read<T>(work: () => T): T;
}

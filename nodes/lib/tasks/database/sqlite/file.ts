/** What the tasks of all services in one file share: its statements and its transactions. Types only. */
import type { Statements } from './statements';

export interface SqliteFile {
  readonly statements: Statements;
  readonly maxDevices: number;
  devices: number;
  /** Runs `work` in one transaction. @throws OtaError where it can't be written; nothing is changed then */
  write<T>(work: () => T): T;
  /** Runs `work` without one. @throws OtaError */
  read<T>(work: () => T): T;
}

/** The ota-store config node as ota-task sees it. */
import type { Node } from 'node-red';
import type { OtaError } from '../protocol';
import type { HostOptions, TaskHost } from '../platform';

export interface OtaStoreNode extends Node {
  /** What is wrong with its settings, or null. */
  readonly problem: OtaError | null;
  /** The engine of a service on this store. @throws OtaError */
  readonly host: (options: Omit<HostOptions, 'store'>) => TaskHost;
  readonly users: Record<string, Node>;
}

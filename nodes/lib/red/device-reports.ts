/**
 * The reports of a service's devices, as its nodes share them: one state and one file for each service, which
 * outlives a deploy. Joins the nodes' connection to lib/device; the rules are there.
 */
import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { Node, NodeAPI } from 'node-red';
import {
  type DeviceReport,
  DeviceReports,
  readReports,
  type StepReport,
  type VersionReport,
  writeReports,
} from '../device';
import { cutDesc, isoNow, type OtaError, type Outcome, type Scheme } from '../protocol';
import { fileNameOf } from './file-names';
import type { Message } from './input';
import type { ServiceUse } from './service';
import { StateFile } from './state-file';
import { userFolder } from './user-directory';

/** A node's part in them. */
export interface JoinedReports {
  readonly reports: DeviceReports;
  /** To be called when the node closes. Its messages end; what they reported stays on disk. */
  readonly leave: () => void;
}

/** The reports of one service. */
class SharedReports {
  readonly reports: DeviceReports;
  /** The nodes that can tell a person; what nobody could be told yet waits. */
  readonly #nodes = new Set<Node>();
  #untold: OtaError[] = [];

  constructor(file: string) {
    const state = new StateFile(
      file,
      () => writeReports(this.reports.reports),
      (error) => this.#fault(error),
    );
    const restored = state.load<DeviceReport[]>(readReports, []);
    this.reports = new DeviceReports(restored, state, randomUUID);
  }

  join(node: Node): void {
    this.#nodes.add(node);
    // Catch nodes of the same flow may not be there yet.
    if (this.#untold.length > 0) setImmediate(() => this.#tell());
  }

  leave(node: Node): void {
    this.#nodes.delete(node);
  }

  #fault(error: OtaError): void {
    this.#untold.push(error);
    this.#tell();
  }

  #tell(): void {
    const [node] = this.#nodes;
    if (node === undefined) return;
    const untold = this.#untold;
    this.#untold = [];
    for (const error of untold) node.error(error, {} as never);
  }
}

/** A report waits for its acknowledgement for as long as the connection lasts. */
const NO_LIMIT = { timeoutMs: 0 };

/** By file: two services have two. */
const shared = new Map<string, SharedReports>();

/**
 * Joins the reports of a node's service. To be called before `service.start`.
 * @param settled a report of this node whose message has ended already: what the broker said to it
 */
export function joinReports(
  RED: NodeAPI,
  node: Node,
  service: ServiceUse,
  serviceId: unknown,
  settled: (report: DeviceReport, outcome: Outcome) => void,
): JoinedReports {
  const of = sharedOf(path.join(userFolder(RED, '', 'ota/reports'), `${fileNameOf(String(serviceId))}.json`));
  of.join(node);
  const leave = of.reports.addSender({
    nodeId: node.id,
    connected: () => service.connected,
    away: () => service.away,
    send(report, done) {
      if (report.kind === 'progress') service.send('progress', report.accessToken, report, done, NO_LIMIT);
      else service.send('inform', report.accessToken, report, done, NO_LIMIT);
    },
    settled,
  });
  service.onConnection(() => of.reports.connection());
  return {
    reports: of.reports,
    leave: () => {
      of.leave(node);
      leave();
    },
  };
}

/** The message that a node's output gives for a report that the broker acknowledged. */
export function acknowledged(
  service: ServiceUse,
  report: DeviceReport,
  { delivery }: Outcome,
): Partial<Message> {
  const { accessToken } = report;
  const topic = service.channel().scheme.topic(report.kind, accessToken);
  const at = isoNow();
  const payload =
    report.kind === 'progress'
      ? { accessToken, module: report.module, step: report.step, desc: cutDesc(report.desc), delivery, at }
      : { accessToken, id: report.id, module: report.module, version: report.version, delivery, at };
  return { topic, accessToken, payload } as Partial<Message>;
}

/** @throws OtaError where a report can't be sent with this service's topics and bodies at all */
export function checkReport(
  scheme: Scheme,
  report:
    | Pick<StepReport, 'kind' | 'accessToken' | 'module' | 'step' | 'desc'>
    | Pick<VersionReport, 'kind' | 'accessToken' | 'id' | 'module' | 'version'>,
): void {
  scheme.topic(report.kind, report.accessToken);
  if (report.kind === 'progress') scheme.write('progress', report.accessToken, report);
  else scheme.write('inform', report.accessToken, report);
}

function sharedOf(file: string): SharedReports {
  const known = shared.get(file) ?? new SharedReports(file);
  shared.set(file, known);
  return known;
}

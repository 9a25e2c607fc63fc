/**
 * The device side of ota-inform: reports a version, on a message and, where it is wanted, once when the flow starts.
 * A version lies on disk until the broker has it; lib/device owns that, and which upgrade it ends.
 */
import type { Node, NodeAPI } from 'node-red';
import {
  DEFAULT_MODULE,
  field,
  isObject,
  type JsonObject,
  OtaError,
  type Outcome,
  toOtaError,
} from '../lib/protocol';
import { ownToken, tokenToSend } from '../lib/red/device';
import { acknowledged, checkReport, joinReports } from '../lib/red/device-reports';
import { derive, type Message, onClose, onInput, type Send } from '../lib/red/input';
import { type ServiceUse, statusOf } from '../lib/red/service';
import { shownText, type Status } from '../lib/red/status';

export interface InformSettings {
  readonly serviceId: unknown;
  /** Blank: `default`. */
  readonly module: string;
  /** Blank: each message brings one. */
  readonly version: string;
  readonly atStart: boolean;
}

export function informSide(
  RED: NodeAPI,
  node: Node,
  service: ServiceUse,
  status: Status,
  settings: InformSettings,
): void {
  const own = ownToken(node, service);
  const { reports, leave } = joinReports(RED, node, service, settings.serviceId, (report, outcome) => {
    if (report.kind !== 'inform') return;
    try {
      told(report.version, outcome);
      node.send(acknowledged(service, report, outcome));
    } catch (error) {
      node.error(toOtaError(error), { accessToken: report.accessToken } as Partial<Message>);
    }
  });

  /** Shows what the broker said. @throws OtaError where it isn't through */
  const told = (version: string, { delivery, error }: Outcome): void => {
    if (error !== null && delivery !== 'offline') throw error;
    if (error === null) status.success(shownText(version));
    else status.failure('common.status.offline');
  };

  const sendReport = async (msg: Partial<Message>, out: Send): Promise<void> => {
    const accessToken = tokenToSend(msg, own, service.identity);
    const { version, module } = readInput(msg.payload, settings);
    const { scheme } = service.channel();
    const id = scheme.nextId(accessToken);
    status.going('common.status.sending');
    const given = { kind: 'inform', accessToken, id, module, version, node: node.id } as const;
    // What can't be sent at all is told now, not when there is a connection.
    checkReport(scheme, given);
    const outcome = await reports.submit(given);
    if (outcome === 'replaced' || outcome === 'kept') return;
    told(version, outcome);
    const sent = { ...given, key: '', at: '', upgrades: [] };
    out(derive(msg, acknowledged(service, sent, outcome)));
  };
  const send = async (msg: Partial<Message>, out: Send): Promise<void> => {
    try {
      await sendReport(msg, out);
    } catch (error) {
      status.failure(statusOf(toOtaError(error)));
      throw error;
    }
  };

  onInput(node, (msg, out) => send(msg, out));
  onClose(node, async (removed) => {
    leave();
    service.close(removed);
    status.close();
    await reports.settled();
  });
  if (settings.atStart && service.problem === null) {
    setImmediate(() => {
      send({}, (msg) => node.send(msg as Partial<Message>)).catch((error: unknown) => {
        node.error(toOtaError(error), {} as never);
      });
    });
  }
}

/** A version, `{version, module}`, or blank: what is absent comes from the node's settings. */
function readInput(
  payload: unknown,
  settings: { version: string; module: string },
): { version: string; module: string } {
  // A Buffer is no object with fields: a file node's output must not be taken for "use the settings".
  const given: JsonObject = isObject(payload) && !Buffer.isBuffer(payload) ? payload : { version: payload };
  // White space at an end is never meant: a file that holds the version ends in a line feed.
  const version = textField(field(given, 'version'), settings.version, 'version').trim();
  const module = textField(field(given, 'module'), settings.module, 'module') || DEFAULT_MODULE;
  if (version === '') {
    throw new OtaError(
      'OTA_BAD_INPUT',
      'No version to report: set msg.payload to it, or type it into the node.',
    );
  }
  return { version, module };
}

function textField(value: unknown, byDefault: string, name: string): string {
  if (value === undefined || value === null || (typeof value === 'string' && value.trim() === '')) {
    return byDefault;
  }
  // A number is refused on purpose: 1.10 would be reported as 1.1.
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_INPUT', `The ${name} to report must be text, not ${typeof value}.`);
  }
  return value;
}

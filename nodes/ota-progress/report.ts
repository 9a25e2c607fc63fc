/**
 * The device side of ota-progress: reports of steps, merged where they come too fast. 100 and failures lie on disk
 * until the broker has them; lib/device owns that, and which upgrade they end.
 */
import type { Node, NodeAPI } from 'node-red';
import {
  cutDesc,
  field,
  isObject,
  isoNow,
  moduleOrNull,
  OtaError,
  type Outcome,
  checkStep,
  STEP_SUCCEEDED,
  toOtaError,
} from '../lib/protocol';
import { ownToken, tokenToSend } from '../lib/red/device';
import { acknowledged, checkReport, joinReports } from '../lib/red/device-reports';
import { derive, type Message, onClose, onInput, type Send } from '../lib/red/input';
import { failureIn, type ServiceUse, statusOf } from '../lib/red/service';
import type { Status } from '../lib/red/status';
import { Pacer } from './pacer';
import { type Intervals, isFinal } from './pacing';
import { showStep } from './show-step';

export interface ReportSettings {
  readonly serviceId: unknown;
  /** Blank: none is named. */
  readonly module: string;
  readonly intervals: Intervals;
  /** Milliseconds: 100 or a failure that is older isn't sent. */
  readonly keepFinalMs: number;
}

interface Report {
  readonly step: number;
  readonly desc: string;
  readonly module: string | null;
}

const FLUSH_MS = 800;
/** A step waits so long for the end of an earlier upgrade to reach the broker. */
const BEHIND_FINAL_MS = 30_000;

export function reportSide(
  RED: NodeAPI,
  node: Node,
  service: ServiceUse,
  status: Status,
  settings: ReportSettings,
): void {
  const own = ownToken(node, service);
  const pacer = new Pacer(settings.intervals);
  let closing = false;
  const { reports, leave } = joinReports(RED, node, service, settings.serviceId, (report, outcome) => {
    if (report.kind !== 'progress') return;
    try {
      told(report.step, outcome);
      node.send(acknowledged(service, report, outcome));
    } catch (error) {
      node.error(toOtaError(error), { accessToken: report.accessToken } as Partial<Message>);
    }
  });

  /** Shows what the broker said. @throws OtaError where it isn't through */
  const told = (step: number, { delivery, error }: Outcome): void => {
    if (error !== null && delivery !== 'offline') {
      status.failure(statusOf(error));
      throw error;
    }
    if (error === null) showStep(status, step);
    else status.failure('common.status.offline');
  };

  /** 100 or a failure. Its message ends when the broker has it, or a newer one took its place. */
  const sendFinal = async (accessToken: string, report: Report, msg: Message, out: Send): Promise<void> => {
    const { module, step } = report;
    const desc = cutDesc(report.desc);
    const given = { kind: 'progress', accessToken, module, step, desc } as const;
    // What can't be sent at all is told now, not when there is a connection.
    checkReport(service.channel().scheme, given);
    if (!service.connected) status.going('ota-progress.status.kept');
    const outcome = await reports.submit({ ...given, node: node.id, keepMs: settings.keepFinalMs });
    if (outcome === 'replaced' || outcome === 'kept') return;
    told(step, outcome);
    const payload = { accessToken, module, step, desc, delivery: outcome.delivery, at: isoNow() };
    out(derive(msg, { topic: topicOf(service, accessToken), accessToken, payload } as Partial<Message>));
  };

  const sendStep = async (
    accessToken: string,
    report: Report,
    isLast: () => boolean,
    msg: Message,
    out: Send,
  ): Promise<void> => {
    const { step, desc, module } = report;
    reports.heard(accessToken, module);
    const free = reports.whenFree(accessToken);
    if (free !== null) {
      await inTime(free);
      // A later one went out while it waited: it is merged into that, or it would come behind an end.
      if (!isLast()) return;
    }
    const outcome = await service.sendAsync('progress', accessToken, { step, desc, module });
    told(step, outcome);
    const { delivery, topic } = outcome;
    const payload = { accessToken, module, step, desc: cutDesc(desc), delivery, at: isoNow() };
    out(derive(msg, { topic, accessToken, payload } as Partial<Message>));
  };

  onInput(
    node,
    async (msg, out) => {
      const accessToken = tokenToSend(msg, own, service.identity);
      const report = readInput(msg.payload, settings.module);
      service.channel();
      const { step, desc, module } = report;
      const final = isFinal(report);
      // A node that a deploy closed says "failed" of what goes on after it: only a success is believed now.
      if (closing && step !== STEP_SUCCEEDED) throw closed();
      await pacer.hand(JSON.stringify([accessToken, module]), { step, desc }, (isLast) =>
        final ? sendFinal(accessToken, report, msg, out) : sendStep(accessToken, report, isLast, msg, out),
      );
    },
    failureIn(status),
  );

  onClose(node, async (removed) => {
    closing = true;
    // What waits for its interval goes out now; a broker that doesn't answer can't hold the close up.
    await Promise.race([Promise.all([pacer.flush(), pacer.idle()]), after(FLUSH_MS)]);
    pacer.close();
    leave();
    service.close(removed);
    status.close();
    await reports.settled();
  });
}

function topicOf(service: ServiceUse, accessToken: string): string {
  return service.channel().scheme.topic('progress', accessToken);
}

/** A step, or `{step, desc, module}`; a step of 0 is sent as 1. @throws OtaError OTA_BAD_INPUT, OTA_BAD_STEP */
function readInput(payload: unknown, ownModule: string): Report {
  const given = isObject(payload) ? payload : { step: payload };
  const step = checkStep(field(given, 'step'));
  const desc = textField(field(given, 'desc'), 'desc');
  const named = textField(field(given, 'module'), 'module');
  return { step: step === 0 ? 1 : step, desc, module: moduleOrNull(named) ?? moduleOrNull(ownModule) };
}

function textField(value: unknown, name: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') {
    throw new OtaError('OTA_BAD_INPUT', `"${name}" must be text, not ${typeof value}.`);
  }
  return value;
}

/** @throws OtaError OTA_NOT_CONNECTED where it takes too long */
async function inTime(free: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(notConnected()), BEHIND_FINAL_MS);
    timer.unref();
  });
  await Promise.race([free, limit]).finally(() => clearTimeout(timer));
}

function notConnected(): OtaError {
  return new OtaError(
    'OTA_NOT_CONNECTED',
    'The end of an earlier upgrade waits for the broker; this step was not sent, because it would overtake it.',
  );
}

function closed(): OtaError {
  return new OtaError(
    'OTA_CLOSED',
    'The node is being stopped: this report was not sent. An upgrade in work is handed out again.',
  );
}

function after(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}

/**
 * The device side of ota-push: what comes from the wire and from messages, handed to lib/device, and what that
 * hands out. Owns no rule of an upgrade's life.
 */
import path from 'node:path';
import type { Node, NodeAPI } from 'node-red';
import type { Answered } from '../lib/link';
import {
  readEndedFile,
  readJournal,
  type ReceivedUpgrade,
  registerOwner,
  unregisterOwner,
  type UpgradeInWork,
  UpgradeWork,
  type WorkSettings,
} from '../lib/device';
import { isoNow, OtaError, STEP_UPGRADE_FAILED, toOtaError, type Upgrade } from '../lib/protocol';
import { ownToken, tokenToHear, tokenToSend } from '../lib/red/device';
import { onceAtDeploy, onDeploy } from '../lib/red/deploys';
import { joinReports } from '../lib/red/device-reports';
import { fileNameOf } from '../lib/red/file-names';
import { derive, type Message, onClose, onInput } from '../lib/red/input';
import { LimitedErrors } from '../lib/red/limited-errors';
import { failureIn, type ServiceUse } from '../lib/red/service';
import { StateFile } from '../lib/red/state-file';
import { shownText, type Status } from '../lib/red/status';
import { userFolder } from '../lib/red/user-directory';
import { reportRefused } from '../lib/red/wire-errors';
import { readCommand } from './commands';
import { workStatus } from './work-status';

/** A failure that nobody fetched for so long isn't sent any more. */
const KEEP_GAVE_UP_MS = 24 * 60 * 60_000;

export interface ReceiveSettings extends WorkSettings {
  /** Asks the platform for an upgrade once it is connected. */
  readonly askAtStart: boolean;
  readonly serviceId: unknown;
}

export function receiveSide(
  RED: NodeAPI,
  node: Node,
  service: ServiceUse,
  status: Status,
  settings: ReceiveSettings,
): void {
  const errors = new LimitedErrors(node);
  const own = ownToken(node, service);
  const accessToken = tokenToHear(own, service.identity);
  const tell = (error: OtaError, upgrade?: ReceivedUpgrade): void => {
    const about = upgrade === undefined ? {} : messageOf(upgrade, upgrade.payload);
    // Catch nodes of the same flow may not be there yet.
    setImmediate(() => node.error(error, about as Partial<Message>));
  };
  const { reports, leave } = joinReports(RED, node, service, settings.serviceId, (_report, { error }) => {
    if (error !== null && error.code !== 'OTA_OFFLINE') tell(error);
  });

  const file = new StateFile(fileOf(RED, node, 'held'), () => work.contents(), notKept);
  const ended = new StateFile(fileOf(RED, node, 'ended'), () => work.endedContents(), notKept);
  const saved = {
    ...file.load(readJournal, { waiting: [], inWork: [] }),
    ended: ended.load(readEndedFile, []),
  };
  const kept = {
    save: () => Promise.all([file.save(), ended.save()]).then(([written]) => written),
    settled: () => file.settled(),
  };
  const work: UpgradeWork = new UpgradeWork(settings, saved, reports.ending, kept, {
    handOut(upgrade, attempt, origin) {
      const again = attempt === null ? {} : { resumed: true, attempt };
      reports.handedOut(upgrade.payload.accessToken, upgrade.payload.module);
      // Of what is in work the status says since when.
      status.recovered();
      if (settings.keepInWork) service.setIdle(workStatus(RED, work, settings.hold));
      else status.success(shownText(upgrade.payload.version));
      // extData is copied: a flow may change what it got, and this one may go out again.
      const payload = { ...upgrade.payload, extData: structuredClone(upgrade.payload.extData), ...again };
      node.send(derive((origin ?? {}) as Partial<Message>, messageOf(upgrade, payload)));
    },
    gaveUp: (entry) => giveUp(entry),
    stuck(entry) {
      status.failure('ota-push.status.stuck');
      tell(stuckError(entry, settings.workTimeoutMs), entry.upgrade);
    },
    changed: () => service.setIdle(workStatus(RED, work, settings.hold)),
  });
  const joined = reports.addWork(node.id, work);
  registerOwner(node.id, work);

  function notKept(error: OtaError): void {
    const text = `${error.message} Upgrades go on, but after a restart one that isn't on disk is not resumed.`;
    tell(new OtaError(error.code, text, { cause: error }));
  }

  function giveUp({ key, attempt, upgrade }: UpgradeInWork): void {
    const { accessToken, module, version } = upgrade.payload;
    const desc = `given up after ${attempt} starts`;
    status.failure('ota-push.status.gaveUp');
    const text = `The upgrade to ${shownText(version)} was ${desc} of Node-RED without a final report: it isn't handed out again. Look for what ends Node-RED or the gateway while it is installed, then push it anew.`;
    tell(new OtaError('OTA_GAVE_UP', text), upgrade);
    const failure = { kind: 'progress', accessToken, module, step: STEP_UPGRADE_FAILED, desc } as const;
    reports
      .submit({ ...failure, node: node.id, keepMs: KEEP_GAVE_UP_MS, upgrades: [key] })
      .catch((error: unknown) => tell(toOtaError(error), upgrade));
  }

  // A disk that can't be written was told; the upgrade goes on in memory, so it is acknowledged all the same.
  const committer = { commit: () => file.settled().then(() => undefined) };
  service.listen<'upgrade'>(
    {
      kind: 'upgrade',
      accessToken,
      onMessage(received, batch) {
        const { topic, accessToken, message } = received;
        try {
          if (work.receive(toUpgrade(topic, accessToken, message))) batch.join(committer);
        } catch (error) {
          errors.report(toOtaError(error), { topic, accessToken, payload: message } as Partial<Message>);
        }
      },
      onRefused: (refused) => reportRefused(errors, refused, status),
    },
    workStatus(RED, work, settings.hold),
  );
  onInput(
    node,
    async (msg) => {
      const { action, module } = readCommand(msg.payload, settings.hold);
      if (action === 'release') return work.release(msg);
      const device = tokenToSend(msg, own, service.identity);
      if (action === 'ask') await ask(device, module);
      else await work.finish(action, device, module);
    },
    failureIn(status),
  );

  /** An upgrade that comes in answer is handed to the listener, like a push. */
  const ask = async (device: string, module: string | null): Promise<void> => {
    const { upgrade, error } = await new Promise<Answered>((resolve) => {
      service.channel().ask(device, module, resolve);
    });
    if (error !== null) throw error;
    if (upgrade === null) status.success('ota-push.status.nothing');
  };
  let asked = !settings.askAtStart;
  service.onConnection(() => {
    if (asked || !service.connected) return;
    asked = true;
    Promise.resolve()
      .then(() => ask(tokenToSend({}, own, service.identity), null))
      .catch((error: unknown) => tell(toOtaError(error)));
  });

  const ends = [
    onDeploy(RED, 'flows:started', () => work.start()),
    onDeploy(RED, 'flows:stopping', () => work.pause()),
    onDeploy(RED, 'over', () => work.goOn()),
  ];

  onClose(node, async (removed) => {
    // What is reported during a deploy is about these, too, until the successor has them.
    if (!removed) {
      onceAtDeploy(RED, 'over', joined.abandon);
      onceAtDeploy(RED, 'flows:started', joined.leave);
    }
    for (const end of ends) end();
    work.close();
    leave();
    if (removed) joined.leave();
    if (removed) unregisterOwner(node.id, work);
    service.close(removed);
    errors.close();
    status.close();
    await file.settled();
    file.close();
    ended.close();
  });
}

/** One file for each node. */
function fileOf(RED: NodeAPI, node: Node, folder: 'held' | 'ended'): string {
  return path.join(userFolder(RED, '', `ota/${folder}`), `${fileNameOf(node.id)}.json`);
}

function messageOf({ topic, payload }: ReceivedUpgrade, shown: object): Partial<Message> {
  return { topic, accessToken: payload.accessToken, payload: shown } as Partial<Message>;
}

function toUpgrade(topic: string, accessToken: string, upgrade: Upgrade): ReceivedUpgrade {
  const { id, code, module, version, size, url, signMethod, sign } = upgrade;
  const extData = structuredClone(upgrade.extData);
  const at = isoNow();
  return {
    topic,
    payload: { accessToken, id, code, module, version, size, url, signMethod, sign, extData, at },
  };
}

function stuckError({ upgrade, since }: UpgradeInWork, limitMs: number): OtaError {
  const version = shownText(upgrade.payload.version);
  const text = `The upgrade to ${version} has been in work since ${since}, ${Math.round(limitMs / 1000)} s of it without a report or a message: it is set aside. Let the flow report 100 or a failure at its end, or send an action "done".`;
  return new OtaError('OTA_STUCK', text);
}

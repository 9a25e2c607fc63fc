/**
 * ota-task without MQTT: pushes leave by the fourth output, devices report by the input. Owns what is special of it;
 * commands, changes and the status are those of ota-task.
 */
import type { Node } from 'node-red';
import { OtaError } from '../lib/protocol';
import type { TaskHost } from '../lib/platform';
import { type WirePush, WiresChannel } from '../lib/platform';
import type { Message } from '../lib/red/input';
import { isReport, readReport, type WireReport } from '../lib/tasks/commands';

/** The ways of this runtime's fleets, by store and fleet: nodes with the same ones share them. */
const CHANNELS = new Map<string, WiresChannel>();

export function wiresChannel(store: string, fleet: string): WiresChannel {
  const key = JSON.stringify([store, fleet]);
  const found = CHANNELS.get(key);
  if (found !== undefined) return found;
  const channel = new WiresChannel();
  CHANNELS.set(key, channel);
  return channel;
}

/** Sends pushes by the fourth output. Returns what ends that. */
export function sendPushes(node: Node, channel: WiresChannel): () => void {
  return channel.addSender((push: WirePush) => {
    const { accessToken } = push;
    node.send([null, null, null, { topic: accessToken, accessToken, payload: push } as Partial<Message>]);
  });
}

/**
 * Takes a message that reports; resolves after the commit. False for any other message, which sees all reports before
 * it. @throws OtaError
 */
export async function takeReport(host: TaskHost, channel: WiresChannel, payload: unknown): Promise<boolean> {
  if (!isReport(payload)) {
    await channel.committed();
    return false;
  }
  const report = readReport(payload);
  await channel.inOrder(async () => {
    // What a flow sends while it starts waits for the store.
    await host.started();
    if (report.kind === 'outcome') await takeOutcome(host, channel, report);
    else await channel.report(report);
  });
  return true;
}

async function takeOutcome(
  host: TaskHost,
  channel: WiresChannel,
  { id, outcome }: Extract<WireReport, { kind: 'outcome' }>,
): Promise<void> {
  const push = channel.pushOf(id);
  if (push === null) {
    throw new OtaError('OTA_BAD_INPUT', '"id" names no push that this node has sent since it started.');
  }
  await host.outcome(push, outcome);
}

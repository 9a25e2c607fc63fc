/**
 * Nodes in a flow, inside the test's process (node-red-node-test-helper). It loads no HTML, locales or icons
 * and stubs RED._: what a person sees is tested with a real Node-RED (node-red.ts).
 */
import type { Node, NodeInitializer, NodeMessage, NodeStatus } from 'node-red';
import helper from 'node-red-node-test-helper';
import type { DeployType, FlowNode } from './node-red';
import { requireNodeRed, resolveNodeRed } from './runtime';
import { noteSpoken, noteToken } from './secrets';
import { temporaryFolder } from './temporary-folder';
import { collect, type Collected, until } from './wait';

/** Node-RED's own MQTT nodes: `mqtt-broker`, `mqtt in`, `mqtt out`. */
export const coreMqtt = requireNodeRed('@node-red/nodes/core/network/10-mqtt.js') as NodeInitializer;

/** What a Catch node receives in `msg.error`. */
export interface CaughtError {
  readonly message: string;
  readonly code?: string;
  readonly source?: { readonly id: string; readonly type: string };
}

export interface LoadedFlow {
  /** A running node. @throws where there is none with that id */
  node(id: string): Node;
  /** Sends a message into a node, as a wire would. */
  send(id: string, message: NodeMessage): void;
  /** What reaches a helper node from now on. */
  messages(id: string): Collected<NodeMessage>;
  /** Every status of a node since the load, oldest first. */
  statuses(id: string): NodeStatus[];
  /** Resolves with the status of a node as soon as its text fits. */
  status(id: string, text: string | RegExp): Promise<NodeStatus>;
  /** Deploys other flows; credentials as with loadFlow. */
  deploy(flow: FlowNode[], type?: DeployType, credentials?: Credentials): Promise<void>;
  /** Unloads everything. */
  stop(): Promise<void>;
}

/** By node id. */
export type Credentials = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * Loads node types and starts a flow. One at a time: stop the last one first.
 * Put config nodes into the flow without x and y, all others with a `z` or not at all. A flow may hold one
 * Catch node at most. `settings` are Node-RED's, e.g. `{ userDir }`.
 */
export async function loadFlow(
  nodes: readonly NodeInitializer[],
  flow: readonly FlowNode[],
  credentials: Credentials = {},
  settings: Readonly<Record<string, unknown>> = {},
): Promise<LoadedFlow> {
  helper.init(resolveNodeRed('node-red'));
  // A user directory of its own, so that what one flow keeps on disk isn't another's.
  const folder = await temporaryFolder('ota-flow-');
  helper.settings({ logging: { console: { level: 'off' } }, userDir: folder.path, ...settings });
  const statuses = new Map<string, NodeStatus[]>();
  const onStatus = ({ id, status }: { id: string; status: NodeStatus }): void => {
    const list = statuses.get(id) ?? [];
    list.push(status);
    if (typeof status === 'object') noteSpoken(status.text ?? '', `the status of ${id}`);
    statuses.set(id, list);
  };
  helper._events.on('node-status', onStatus);
  // The runtime changes what it is given.
  for (const { accessToken } of Object.values(credentials)) noteToken(accessToken);
  listenToLog();
  await helper.load([...nodes], structuredClone(flow) as FlowNode[], structuredClone(credentials));
  const node = (id: string): Node => {
    const found = helper.getNode(id);
    if (!found) throw new Error(`No node "${id}" is running`);
    return found;
  };
  const statusesOf = (id: string): NodeStatus[] => statuses.get(id) ?? [];
  return {
    node,
    send(id, message) {
      noteToken((message as { accessToken?: unknown }).accessToken);
      node(id).receive(message);
    },
    messages: (id) => messages(node(id)),
    statuses: statusesOf,
    status: (id, text) =>
      until(
        () =>
          statusesOf(id).find((status) => {
            const shown = (typeof status === 'object' && status.text) || '';
            return typeof text === 'string' ? shown === text : text.test(shown);
          }),
        `the status "${String(text)}" of ${id} (it showed ${JSON.stringify(statusesOf(id))})`,
      ),
    deploy,
    async stop() {
      helper._events.off('node-status', onStatus);
      await helper.unload();
      await folder.stop();
    },
  };
}

let listening = false;

/** What nodes log: with the process, once for all flows. */
function listenToLog(): void {
  if (listening) return;
  listening = true;
  const { log } = requireNodeRed('@node-red/util') as {
    log: {
      addHandler(handler: { emit(event: string, entry: { msg?: unknown; type?: string }): void }): void;
    };
  };
  log.addHandler({
    emit(_event, { msg, type = '' }) {
      if (type.startsWith('ota-')) noteSpoken(msg instanceof Error ? (msg.stack ?? '') : String(msg), type);
    },
  });
}

/** Collects what reaches a helper node (or any node with an input) from now on. */
export function messages(node: Node): Collected<NodeMessage> {
  node.on('input', (message) => {
    const { error } = message as { error?: { message?: string } };
    if (error?.message !== undefined) noteSpoken(error.message, `an error at ${node.id}`);
  });
  return collect<NodeMessage>(node, 'input');
}

/** The helper's own setFlows gives up after 300 ms, which is less than closing may take. */
async function deploy(
  flow: FlowNode[],
  type: DeployType = 'full',
  credentials: Credentials = {},
): Promise<void> {
  const started = collect(helper._events, 'flows:started');
  try {
    await helper._redNodes.setFlows(structuredClone(flow), structuredClone(credentials), type);
    await started.atLeast(1, 20_000);
  } finally {
    started.stop();
  }
}

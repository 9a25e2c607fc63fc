/** The protocol nodes in a flow against a broker: what the tests of these nodes share. */
import type { NodeInitializer } from 'node-red';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { coreMqtt, type Credentials, loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { type Collected, until } from '../support/wait';

/* eslint-disable @typescript-eslint/no-require-imports -- a node's module is what Node-RED requires */
export const allNodes: readonly NodeInitializer[] = [
  coreMqtt,
  require('../../nodes/ota-service/ota-service') as NodeInitializer,
  require('../../nodes/ota-inform/ota-inform') as NodeInitializer,
  require('../../nodes/ota-push/ota-push') as NodeInitializer,
  require('../../nodes/ota-progress/ota-progress') as NodeInitializer,
];
/* eslint-enable */

export const TOPIC = '/ota/device';

/** One node with its service and broker, an output helper for each of its outputs, and a Catch node. */
export interface Bench {
  readonly broker: FlowNode;
  readonly service: FlowNode;
  readonly node: FlowNode;
  readonly outputs: number;
}

export interface BenchOptions {
  readonly service?: Readonly<Record<string, unknown>>;
  readonly broker?: Readonly<Record<string, unknown>>;
  readonly credentials?: Credentials;
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** The flow: `n1` is the node, `out0`, `out1` its outputs, `caught` what a Catch node gets. */
export function benchFlow(
  port: number,
  node: Readonly<Record<string, unknown>> & { type: string },
  outputs: number,
  options: BenchOptions = {},
): FlowNode[] {
  const outs = Array.from({ length: outputs }, (_, i) => `out${i}`);
  return [
    tabNode(),
    brokerNode('broker', port, options.broker),
    { id: 'service', type: 'ota-service', broker: 'broker', ...options.service },
    { id: 'n1', z: 'tab', x: 1, y: 1, service: 'service', wires: outs.map((id) => [id]), ...node },
    ...outs.map((id) => helperNode(id)),
    catchNode('catch', 'caught'),
    helperNode('caught'),
  ];
}

export function loadBench(
  port: number,
  node: Readonly<Record<string, unknown>> & { type: string },
  outputs: number,
  options: BenchOptions = {},
): Promise<LoadedFlow> {
  const flow = benchFlow(port, node, outputs, options);
  return loadFlow(allNodes, flow, options.credentials, options.settings);
}

export const GOOD_UPGRADE = {
  version: 'v1.1',
  url: 'https://packages.example.com/fw.bin',
  size: 1024,
  sign: 'a'.repeat(32),
  signMethod: 'MD5',
} as const;

/** A message as it reaches a helper node. */
export interface Out {
  readonly topic?: string;
  readonly accessToken?: unknown;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly error?: { readonly code?: string; readonly message: string };
  readonly [key: string]: unknown;
}

export function asOut(message: unknown): Out {
  return message as Out;
}

let asked = 0;

/**
 * Sends a command to a node, and gives the answer to that one.
 * @param answers the helper nodes at which it may come, e.g. one at the output and one at a Catch node
 */
export async function ask(
  flow: LoadedFlow,
  answers: readonly string[],
  payload: unknown,
  id = 'n1',
): Promise<Out> {
  asked += 1;
  const mine = asked;
  const lists: Collected<unknown>[] = answers.map((answer) => flow.messages(answer));
  flow.send(id, { payload, mine });
  try {
    return await until(
      () => lists.flatMap((list) => list.items.map(asOut)).find((out) => out['mine'] === mine),
      `an answer to ${JSON.stringify(payload).slice(0, 80)}`,
    );
  } finally {
    for (const list of lists) list.stop();
  }
}

/** A body of the wire, as the test expects it. */
export interface Body {
  readonly id?: unknown;
  readonly step?: string;
  readonly params: Readonly<Record<string, unknown>>;
}

export function bodyOf(received: { readonly text: string } | undefined): Body {
  return JSON.parse(received?.text ?? '') as Body;
}

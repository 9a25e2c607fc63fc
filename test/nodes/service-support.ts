/** A platform in a flow, all its nodes on one service: what the tests of ota-service and of faults share. */
import type { NodeInitializer } from 'node-red';
import { brokerNode, catchNode, helperNode, tabNode } from '../support/flow';
import { type Credentials, loadFlow, type LoadedFlow } from '../support/helper';
import type { FlowNode } from '../support/node-red';
import { requireNodeRed } from '../support/runtime';
import { allNodes } from './support';

const coreTls = requireNodeRed('@node-red/nodes/core/network/05-tls.js') as NodeInitializer;

export interface PlatformOptions {
  readonly service?: Readonly<Record<string, unknown>>;
  readonly broker?: Readonly<Record<string, unknown>>;
  readonly credentials?: Credentials;
  readonly more?: readonly FlowNode[];
}

/** `inform`, `progress` and `push` with what they send at `reports`, `steps`, `pushed`, `failed`; `caught`. */
export function platformFlow(port: number, options: PlatformOptions = {}): FlowNode[] {
  const node = (id: string, type: string, outs: readonly string[]): FlowNode => {
    return {
      id,
      type,
      z: 'tab',
      x: 1,
      y: 1,
      side: 'platform',
      service: 'service',
      wires: outs.map((out) => [out]),
    };
  };
  return [
    tabNode(),
    brokerNode('broker', port, options.broker),
    { id: 'service', type: 'ota-service', broker: 'broker', ...options.service },
    node('inform', 'ota-inform', ['reports']),
    node('progress', 'ota-progress', ['steps']),
    node('push', 'ota-push', ['pushed', 'failed']),
    ...['reports', 'steps', 'pushed', 'failed', 'caught'].map((id) => helperNode(id)),
    catchNode('catch', 'caught'),
    ...(options.more ?? []),
  ];
}

export function loadPlatform(port: number, options: PlatformOptions = {}): Promise<LoadedFlow> {
  return loadFlow([coreTls, ...allNodes], platformFlow(port, options), options.credentials);
}

/** A node's statuses as texts, oldest first. */
export function textsOf(flow: LoadedFlow, id: string): string[] {
  return flow.statuses(id).map((status) => (typeof status === 'object' && status.text) || '');
}

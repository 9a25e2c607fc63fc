/** Nodes that the flows of many tests have, with the settings that matter. */
import type { FlowNode } from './node-red';

/** A config node: the MQTT broker at 127.0.0.1. `more` overrides, e.g. `{ protocolVersion: '5' }`. */
export function brokerNode(id: string, port: number, more: Readonly<Record<string, unknown>> = {}): FlowNode {
  return {
    id,
    type: 'mqtt-broker',
    name: '',
    broker: '127.0.0.1',
    port: String(port),
    tls: '',
    clientid: '',
    autoConnect: true,
    usetls: false,
    protocolVersion: '4',
    keepalive: '60',
    cleansession: true,
    ...more,
  };
}

/** Collects messages: see messages() of helper.ts. The first node of a flow needs a tab: `z`. */
export function helperNode(id: string, z = 'tab'): FlowNode {
  return { id, type: 'helper', z, x: 1, y: 1, wires: [] };
}

/** Catches the errors of its tab and passes them on to a helper node. One a flow at most. */
export function catchNode(id: string, to: string, z = 'tab'): FlowNode {
  return { id, type: 'catch', z, x: 1, y: 1, scope: null, uncaught: false, wires: [[to]] };
}

export function tabNode(id = 'tab'): FlowNode {
  return { id, type: 'tab', label: id };
}

/** An ota-task of the nodes `service` and `store`, with nothing on its outputs. */
export function taskNode(id: string, more: Readonly<Record<string, unknown>> = {}): FlowNode {
  const at = { z: 'tab', x: 1, y: 1 };
  return { id, type: 'ota-task', ...at, service: 'service', store: 'store', wires: [[], [], []], ...more };
}

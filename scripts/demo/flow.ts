/** The demo's flow file: the examples as they ship, with the ports of this run. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { ROOT } from '../build/paths';

export type FlowNode = Record<string, unknown> & { id: string; type: string };

/** Where Node-RED and the broker listen on 127.0.0.1 in this run. */
export interface Ports {
  readonly http: number;
  readonly mqtt: number;
  /** As a broker node has it: 5, or 4 for MQTT 3.1.1. */
  readonly protocolVersion: '4' | '5';
}

/** One upgrade on one canvas. */
export const WHOLE_UPGRADE = 'examples/whole-upgrade.json';
/** The pages, and devices to try them with. */
export const CONSOLE = 'examples/console/console-and-simulator.json';

/** The pages alone. */
export const CONSOLE_ALONE = 'examples/console/console.json';

/** Examples in one flow, with the ports of this run. */
export async function exampleFlow(ports: Ports, files: readonly string[]): Promise<FlowNode[]> {
  const examples = await readExamples(files);
  return withPorts(examples, examples, ports);
}

/**
 * Brings a flow file that is there up to the ports of this run: another program may have taken those of last
 * time. What the user changed stays. False where there is none: the example is then to be deployed, because
 * Node-RED takes credentials from a deploy but not from a flow file.
 */
export async function updateFlowFile(file: string, ports: Ports, files: readonly string[]): Promise<boolean> {
  const flow = await readFlow(file);
  if (flow === null) return false;
  await fs.writeFile(file, JSON.stringify(withPorts(flow, await readExamples(files), ports), null, 4));
  return true;
}

/** The id of an inject node of the example, by the start of its name. */
export async function injectNode(name: string): Promise<string> {
  const example = await readExamples([WHOLE_UPGRADE]);
  const node = example.find((one) => one.type === 'inject' && String(one['name']).startsWith(name));
  if (node === undefined) throw new Error(`The example has no inject node "${name}…".`);
  return node.id;
}

function withPorts(flow: FlowNode[], example: FlowNode[], ports: Ports): FlowNode[] {
  const ours = new Set(example.map(({ id }) => id));
  for (const node of flow) {
    if (!ours.has(node.id)) continue;
    if (node.type === 'mqtt-broker') {
      Object.assign(node, { port: String(ports.mqtt), protocolVersion: ports.protocolVersion });
    }
    if (node.type !== 'tab') continue;
    for (const entry of (node['env'] ?? []) as { name: string; value: string }[]) {
      if (entry.name === 'BASE_URL') entry.value = `http://127.0.0.1:${ports.http}`;
    }
  }
  return flow;
}

async function readExamples(files: readonly string[]): Promise<FlowNode[]> {
  const texts = await Promise.all(files.map((file) => fs.readFile(path.join(ROOT, file), 'utf8')));
  return texts.flatMap((text) => JSON.parse(text) as FlowNode[]);
}

async function readFlow(file: string): Promise<FlowNode[] | null> {
  try {
    return JSON.parse(await fs.readFile(file, 'utf8')) as FlowNode[];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw new Error(`The demo's flow file ${file} can't be read; remove it to start over.`, { cause: error });
  }
}

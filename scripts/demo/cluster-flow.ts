/** The flow that each instance of `npm start -- --cluster` runs: one fleet in PostgreSQL, and commands over HTTP. */
import path from 'node:path';
import { CONSOLE_ALONE, exampleFlow, type FlowNode, type Ports } from './flow';
import { type DemoNodeRed, ONE_REQUEST } from './node-red';

/** What of a task's answer the demo reads. */
export interface Task {
  readonly taskId: string;
  readonly status: string;
  readonly counts: {
    readonly total: number;
    readonly pending: number;
    readonly pushed: number;
    readonly upgrading: number;
    readonly succeeded: number;
    readonly failed: number;
  };
}

const ANSWER_MS = 15_000;
const URL_PATH = '/demo/task';
const TAB = 'demo_cluster_tab';
/** What of the example any flow on it needs. */
const SHARED = ['mqtt-broker', 'ota-service', 'ota-store'];

const COMMANDS: readonly FlowNode[] = [
  { id: TAB, type: 'tab', label: 'Commands of the demo' },
  at('demo_cluster_in', 'http in', 1, { method: 'post', url: URL_PATH, wires: [['demo_cluster_task']] }),
  at('demo_cluster_task', 'ota-task', 2, {
    service: 'ota_service',
    store: 'ota_store',
    wires: [['demo_cluster_out'], [], []],
  }),
  at('demo_cluster_out', 'http response', 4, { wires: [] }),
  at('demo_cluster_catch', 'catch', 2, { scope: ['demo_cluster_task'], wires: [['demo_cluster_refused']] }),
  at('demo_cluster_refused', 'change', 3, {
    rules: [
      { t: 'set', p: 'statusCode', pt: 'msg', to: '400', tot: 'num' },
      { t: 'set', p: 'payload', pt: 'msg', to: 'error', tot: 'msg' },
      { t: 'delete', p: 'payload.source', pt: 'msg' },
    ],
    wires: [['demo_cluster_out']],
  }),
];

function at(id: string, type: string, column: number, rest: object): FlowNode {
  return {
    id,
    type,
    z: TAB,
    name: '',
    x: column * 200,
    y: type === 'catch' || type === 'change' ? 160 : 80,
    ...rest,
  };
}

/** The same for all instances but for their port; with `pages` the console too. */
export async function clusterFlow(options: {
  ports: Ports;
  /** The database's URL, with its password. */
  database: string;
  /** The folder that all instances share: the packages lie in it. */
  home: string;
  pages: boolean;
}): Promise<FlowNode[]> {
  const example = await exampleFlow(options.ports, [CONSOLE_ALONE]);
  const nodes = options.pages ? example : example.filter(({ type }) => SHARED.includes(type));
  for (const node of nodes) {
    if (node.type === 'ota-service') Object.assign(node, { shareGroup: 'ota-demo', fleet: 'demo' });
    if (node.type === 'ota-store') {
      Object.assign(node, { driver: 'postgres', schema: 'ota', credentials: { url: options.database } });
    }
    if (node.type === 'ota-package') node['directory'] = path.join(options.home, 'packages');
  }
  return [...nodes, ...COMMANDS];
}

/** A command's answer from one instance. @throws Error where it is refused, or doesn't come */
export async function command<T>({ url }: DemoNodeRed, payload: object): Promise<T> {
  const answer = await fetch(`${url}${URL_PATH}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...ONE_REQUEST },
    body: JSON.stringify(payload),
    signal: AbortSignal.timeout(ANSWER_MS),
  });
  if (!answer.ok) throw new Error(`ota-task refused the command: ${await answer.text()}`);
  return (await answer.json()) as T;
}

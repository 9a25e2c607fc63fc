/** The sides that serve a file: ota-package and core nodes, each in a Node-RED of its own. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { tabNode } from '../../support/flow';
import { type FlowNode, type NodeRed, startNodeRed } from '../../support/node-red';
import { freePort } from '../../support/ports';

const ROOT = path.join(__dirname, '../../..');
const AT = { z: 'tab', x: 1, y: 1 } as const;

export interface ServingRed {
  readonly url: string;
  /** MiB that it needs more, at its peak, than it has now, while `work` runs. */
  memory(work: () => Promise<unknown>): Promise<number>;
  stop(): Promise<void>;
}

/** A Node-RED in which ota-package took the file in; `url` is the package's. The file is moved. */
export async function startOurs(folder: string, file: string): Promise<ServingRed> {
  const port = await freePort();
  const add = `msg.filename = msg.payload.file; msg.payload = { action: 'add', version: '1' }; return msg;`;
  const flows: FlowNode[] = [
    tabNode(),
    { ...AT, id: 'in', type: 'http in', url: '/add', method: 'post', wires: [['add']] },
    { ...AT, id: 'add', type: 'function', func: add, outputs: 1, wires: [['package']] },
    {
      ...AT,
      id: 'package',
      type: 'ota-package',
      baseUrl: `http://127.0.0.1:${port}`,
      maxBytes: String(4 * 1024 ** 3),
      wires: [['out']],
    },
    { ...AT, id: 'out', type: 'http response', wires: [] },
  ];
  await fs.mkdir(folder, { recursive: true });
  const red = await startNodeRed({ userDir: folder, nodesDir: [ROOT], flows, port });
  const added = (await red.post('/add', { file })) as { url: string };
  return serving(red, added.url);
}

/** http in, file, http response: what a flow without us would be. */
export async function startCore(folder: string, file: string): Promise<ServingRed> {
  const flows: FlowNode[] = [
    tabNode(),
    { ...AT, id: 'in', type: 'http in', url: '/fw.bin', method: 'get', wires: [['file']] },
    {
      ...AT,
      id: 'file',
      type: 'file in',
      filename: file,
      filenameType: 'str',
      format: '',
      chunk: false,
      sendError: false,
      encoding: 'none',
      allProps: false,
      wires: [['out']],
    },
    { ...AT, id: 'out', type: 'http response', wires: [] },
  ];
  await fs.mkdir(folder, { recursive: true });
  const red = await startNodeRed({ userDir: folder, flows });
  return serving(red, `${red.url}/fw.bin`);
}

function serving(red: NodeRed, url: string): ServingRed {
  const status = `/proc/${red.pid}/status`;
  const mib = async (field: string): Promise<number> => {
    const text = await fs.readFile(status, 'utf8');
    return Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, 'm').exec(text)?.[1] ?? NaN) / 1024;
  };
  return {
    url,
    async memory(work) {
      // 5 sets the highest value back to the one of now.
      await fs.writeFile(`/proc/${red.pid}/clear_refs`, '5');
      const before = await mib('VmRSS');
      await work();
      return (await mib('VmHWM')) - before;
    },
    stop: () => red.stop(),
  };
}

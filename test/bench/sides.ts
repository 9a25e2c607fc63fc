/** The measured processes and the orders they get. Owns starting and ending them; measures nothing itself. */
import { type ChildProcess, fork } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { freePort } from '../support/ports';
import type { FlowNode } from '../support/node-red';
import type { Answer, Order } from './meter';

const ROOT = path.join(__dirname, '../..');

export interface Result {
  readonly hits: number;
  readonly cpuMs: number;
  readonly ms: number;
}

export interface Side {
  /** Sends an order without waiting for what it leads to. */
  order(order: Order): void;
  result(): Promise<Result>;
  heap(): Promise<number>;
  stop(): Promise<void>;
}

export interface RedSide extends Side {
  readonly url: string;
}

/** Starts a script of this folder in a process of its own. */
export async function startScript(
  name: string,
  args: readonly string[],
): Promise<Side & { process: ChildProcess }> {
  const child = fork(path.join(__dirname, name), args, {
    execArgv: ['--import=tsx', '--expose-gc'],
    cwd: ROOT,
  });
  await heard(child, 'ready');
  return { ...side(child), process: child };
}

/** A Node-RED with our nodes and the node that counts. */
export async function startRed(folder: string, flows: readonly FlowNode[]): Promise<RedSide> {
  const port = await freePort();
  const nodes = path.join(folder, 'bench-nodes');
  fs.mkdirSync(nodes, { recursive: true });
  for (const name of ['meter', 'bench-sink']) {
    const source = fs.readFileSync(path.join(__dirname, `${name}.ts`), 'utf8');
    const compilerOptions = { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022 };
    fs.writeFileSync(
      path.join(nodes, `${name}.js`),
      ts.transpileModule(source, { compilerOptions }).outputText,
    );
  }
  const type = `RED.nodes.registerType('bench-sink', { category: 'bench', defaults: {}, inputs: 1, outputs: 0 });`;
  fs.writeFileSync(path.join(nodes, 'bench-sink.html'), `<script type="text/javascript">${type}</script>`);
  const settings = {
    uiPort: port,
    uiHost: '127.0.0.1',
    userDir: folder,
    flowFile: 'flows.json',
    nodesDir: [ROOT, nodes],
    credentialSecret: 'bench',
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: 'error', metrics: false, audit: false } },
  };
  const settingsFile = path.join(folder, 'settings.bench.js');
  fs.writeFileSync(settingsFile, `module.exports = ${JSON.stringify(settings)};\n`);
  fs.writeFileSync(path.join(folder, 'flows.json'), JSON.stringify(flows));
  const red = path.join(path.dirname(require.resolve('node-red/package.json')), 'red.js');
  const child = fork(red, ['-u', folder, '-s', settingsFile], { execArgv: ['--expose-gc'], cwd: folder });
  await heard(child, 'ready');
  return { ...side(child), url: `http://127.0.0.1:${port}` };
}

function side(child: ChildProcess): Side {
  const order = (what: Order): void => void child.send(what);
  return {
    order,
    result: () => heard(child, 'result'),
    async heap() {
      const answer = heard(child, 'heap');
      order({ do: 'heap' });
      return (await answer).bytes;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      const hard = setTimeout(() => child.kill('SIGKILL'), 5000);
      await gone;
      clearTimeout(hard);
    },
  };
}

type Told<T extends Answer['told']> = Extract<Answer, { told: T }>;

function heard<T extends Answer['told']>(child: ChildProcess, told: T): Promise<Told<T>> {
  return new Promise((resolve, reject) => {
    const onExit = (code: number | null): void =>
      reject(new Error(`A measured process ended (${String(code)})`));
    const onMessage = (answer: Answer): void => {
      if (answer.told !== told) return;
      child.off('message', onMessage);
      child.off('exit', onExit);
      resolve(answer as Told<T>);
    };
    child.on('message', onMessage);
    child.on('exit', onExit);
  });
}

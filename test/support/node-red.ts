/** A real Node-RED in a process of its own, steered over its HTTP API. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { type Child, startChild } from './child';
import { freePort } from './ports';
import { redScript } from './runtime';
import { logReader, noteFlow } from './secrets';
import { until } from './wait';

export type DeployType = 'full' | 'nodes' | 'flows';

/** A node of a flow file, as the editor exports it; `credentials` may stand beside its settings. */
export interface FlowNode {
  readonly id: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

export interface NodeRedOptions {
  /** The user directory: flows, credentials, installed nodes. */
  readonly userDir: string;
  /** Folders with node packages beside those of the user directory. */
  readonly nodesDir?: readonly string[];
  /** Written to the flow file before the start; without them an existing flow file is kept. */
  readonly flows?: readonly FlowNode[];
  /** Default: a free one. */
  readonly port?: number;
  /** More settings (plain data). */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Code before the settings, and more settings in code, for what can't be data: `{ httpNodeAuth, … }`. */
  readonly settingsCode?: { readonly code: string; readonly settings: string };
  readonly env?: Readonly<Record<string, string>>;
  /** The Node.js to run it with. Default: this one. */
  readonly node?: string;
  /** How long its start may take, in milliseconds. Default: three minutes, for machines that do much else. */
  readonly startMs?: number;
  /** Another Node-RED's red.js. Default: the one that the tests run on (runtime.ts). */
  readonly redJs?: string;
}

export interface NodeRed {
  readonly url: string;
  readonly port: number;
  readonly userDir: string;
  readonly pid: number;
  /** Its log, oldest first. */
  readonly lines: readonly string[];
  readonly running: boolean;
  /** Deploys flows over HTTP and resolves when they have been started. */
  deploy(flows: readonly FlowNode[], type?: DeployType): Promise<void>;
  /** GET of a path: JSON where the answer is JSON, else text. @throws where the status isn't 2xx */
  get(path: string, accept?: string): Promise<unknown>;
  /** POST of JSON; the answer as with get. */
  post(path: string, body: unknown, headers?: Record<string, string>): Promise<unknown>;
  /** Waits for a line of the log, from line number `from` on. */
  logged(pattern: RegExp, from?: number): Promise<string>;
  /** Ends it in good order (SIGTERM) and waits. The user directory stays. */
  stop(): Promise<void>;
  kill(signal?: NodeJS.Signals): Promise<void>;
}

const STARTED = /Started (flows|modified flows|modified nodes)/;
const START_MS = 180_000;
const ANSWER_MS = 60_000;
const DEPLOY_MS = 180_000;
/**
 * A connection that is kept open can be closed by Node-RED (after 5 s of its clock, which some tests let go faster)
 * in the moment in which it is used again: the request fails then, and nobody knows whether it was heard.
 */
const ONE_REQUEST = { connection: 'close' };
const MISSING = /Waiting for missing types/;

/** Starts Node-RED on 127.0.0.1 and resolves when its flows run. @throws with its log where it doesn't start */
export async function startNodeRed(options: NodeRedOptions): Promise<NodeRed> {
  const port = options.port ?? (await freePort());
  const url = `http://127.0.0.1:${port}`;
  const settings = path.join(options.userDir, 'settings.test.js');
  const { code, settings: inCode } = options.settingsCode ?? { code: '', settings: '' };
  const data = JSON.stringify(settingsOf(options, port)).slice(0, -1);
  await fs.writeFile(settings, `${code}\nmodule.exports = ${data}, ${inCode} };\n`);
  const flowFile = path.join(options.userDir, 'flows.json');
  noteFlow(options.flows ?? []);
  if (options.flows) await fs.writeFile(flowFile, JSON.stringify(options.flows));
  const redJs = options.redJs ?? redScript();
  const child = startChild(options.node ?? process.execPath, [redJs, '-u', options.userDir, '-s', settings], {
    cwd: options.userDir,
    env: { ...process.env, NODE_OPTIONS: '', ...options.env },
    onLine: logReader(options.userDir),
  });
  const red = control(child, url, port, options.userDir);
  try {
    await until(
      () => !child.running || child.lines.some((line) => STARTED.test(line) || MISSING.test(line)),
      'Node-RED to start its flows',
      options.startMs ?? START_MS,
    );
    if (!child.running || child.lines.some((line) => MISSING.test(line))) throw new Error('it did not start');
    await until(() => red.get('/settings'), 'Node-RED to answer', options.startMs ?? START_MS);
  } catch (error) {
    await child.end('SIGKILL');
    throw new Error(`Node-RED: ${String(error)}\n${child.lines.join('\n')}`, { cause: error });
  }
  return red;
}

function settingsOf(options: NodeRedOptions, port: number): object {
  return {
    uiPort: port,
    uiHost: '127.0.0.1',
    userDir: options.userDir,
    flowFile: 'flows.json',
    credentialSecret: 'test',
    nodesDir: options.nodesDir ?? [],
    lang: 'en-US',
    telemetry: { enabled: false, updateNotification: false },
    logging: { console: { level: 'info', metrics: false, audit: false } },
    editorTheme: { tours: false },
    externalModules: { autoInstall: false, palette: { allowInstall: false, allowUpload: false } },
    ...options.settings,
  };
}

function control(child: Child, url: string, port: number, userDir: string): NodeRed {
  const request = async (
    target: string,
    init: { method?: string; body?: string; headers: Record<string, string> },
  ): Promise<unknown> => {
    const headers = { ...init.headers, ...ONE_REQUEST };
    const answer = await fetch(url + target, { ...init, headers, signal: AbortSignal.timeout(ANSWER_MS) });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${init.method ?? 'GET'} ${target}: ${answer.status} ${text}`);
    const isJson = (answer.headers.get('content-type') ?? '').includes('json');
    return isJson ? (JSON.parse(text) as unknown) : text;
  };
  const red: NodeRed = {
    url,
    port,
    userDir,
    lines: child.lines,
    get pid() {
      return child.process.pid ?? 0;
    },
    get running() {
      return child.running;
    },
    get: (target, accept = 'application/json') => request(target, { headers: { accept } }),
    post: (target, body, headers = {}) =>
      request(target, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify(body),
      }),
    async deploy(flows, type = 'full') {
      noteFlow(flows);
      const from = child.lines.length;
      await red.post('/flows', flows, { 'Node-RED-Deployment-Type': type });
      // The answer comes before the new flows run.
      const line = await until(
        () => child.lines.slice(from).find((text) => STARTED.test(text) || MISSING.test(text)),
        `the flows to start after a deploy (${type})`,
        DEPLOY_MS,
      );
      if (MISSING.test(line)) throw new Error(`Missing node types:\n${child.lines.slice(from).join('\n')}`);
    },
    logged: (pattern, from = 0) =>
      until(
        () => child.lines.slice(from).find((line) => pattern.test(line)),
        `the log line ${String(pattern)}`,
      ),
    stop: () => child.end('SIGTERM', 20_000),
    kill: (signal = 'SIGKILL') => child.end(signal),
  };
  return red;
}

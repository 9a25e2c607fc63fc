/** Node-RED as a child process with a user directory of its own: the demo never touches the user's. */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { ROOT } from '../build/paths';
import type { FlowNode } from './flow';
import { interrupted } from './interrupt';

export interface DemoNodeRed {
  readonly url: string;
  readonly pid: number;
  /** Resolves when the process has ended, with its exit code. */
  readonly ended: Promise<number | null>;
  /** The last lines of its log. */
  readonly log: readonly string[];
  /** Presses an inject node's button. */
  inject(id: string): Promise<void>;
  /** Deploys flows, credentials and all, and resolves when they run. */
  deploy(flow: readonly FlowNode[]): Promise<void>;
  stop(): Promise<void>;
  /** Ends it at once, as a crash would (SIGKILL). */
  kill(): Promise<void>;
}

const START_MS = 60_000;
/** Headers: a connection that is kept open may be closed in the moment in which it is used again. */
export const ONE_REQUEST = { connection: 'close' };
const KEPT_LINES = 200;

/** Starts Node-RED and resolves when its flows run. @throws Error with the end of its log */
export async function startNodeRed(options: {
  userDir: string;
  port: number;
  onLine?: (line: string) => void;
  /** Ends the start where it is aborted. */
  signal?: AbortSignal;
}): Promise<DemoNodeRed> {
  const { userDir, port } = options;
  const settings = path.join(userDir, 'settings.js');
  await fs.writeFile(settings, `module.exports = ${JSON.stringify(settingsOf(port), null, 2)};\n`);
  const red = path.join(path.dirname(require.resolve('node-red/package.json')), 'red.js');
  // Its own process group: Ctrl-C reaches this script only, which ends Node-RED before the broker.
  const child = spawn(process.execPath, [red, '-u', userDir, '-s', settings], {
    cwd: userDir,
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const log: string[] = [];
  const ended = new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('close', resolve);
  });
  let onStarted = (): void => undefined;
  const started = new Promise<void>((resolve) => {
    onStarted = resolve;
    for (const stream of [child.stdout, child.stderr]) {
      readline.createInterface({ input: stream }).on('line', (line) => {
        log.push(line);
        if (log.length > KEPT_LINES) log.shift();
        options.onLine?.(line);
        if (line.includes('Started flows')) onStarted();
      });
    }
  });
  const outcome = await Promise.race([
    ...(options.signal === undefined ? [] : [interrupted(options.signal).catch(() => 'it was interrupted')]),
    started.then(() => 'started'),
    ended.then(() => 'it ended'),
    sleep(START_MS, 'it took too long', { ref: false }),
  ]);
  if (outcome !== 'started') {
    await stop(child, ended);
    throw new Error(`Node-RED did not start: ${outcome}.\n${log.slice(-20).join('\n')}`);
  }
  const url = `http://127.0.0.1:${port}`;
  return {
    url,
    pid: child.pid ?? 0,
    ended,
    log,
    async inject(id) {
      const answer = await fetch(`${url}/inject/${id}`, { method: 'POST', headers: ONE_REQUEST });
      if (!answer.ok) throw new Error(`Node-RED answered ${answer.status} to a click on ${id}.`);
    },
    async deploy(flow) {
      const running = new Promise<void>((resolve) => (onStarted = resolve));
      const answer = await fetch(`${url}/flows`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'Node-RED-Deployment-Type': 'full', ...ONE_REQUEST },
        body: JSON.stringify(flow),
      });
      if (!answer.ok) throw new Error(`Node-RED answered ${answer.status} to the deploy.`);
      await running;
    },
    stop: () => stop(child, ended),
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

async function stop(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGTERM');
  const gone = await Promise.race([ended.then(() => true), sleep(10_000, false, { ref: false })]);
  if (!gone) child.kill('SIGKILL');
  await ended;
}

function settingsOf(port: number): object {
  return {
    uiHost: '127.0.0.1',
    uiPort: port,
    flowFile: 'flows.json',
    credentialSecret: 'a demo keeps no secrets',
    nodesDir: [ROOT],
    telemetry: { enabled: false, updateNotification: false },
    editorTheme: { tours: false },
    logging: { console: { level: 'info', metrics: false, audit: false } },
  };
}

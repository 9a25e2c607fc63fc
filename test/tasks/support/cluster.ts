/** Several instances as processes of their own, on one broker and one PostgreSQL. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { until } from '../../support/wait';

const SCRIPT = path.join(__dirname, 'instance.ts');

export interface Told {
  readonly kind: string;
  readonly value: unknown;
}

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class InstanceProcess {
  readonly told: Told[] = [];
  readonly lines: string[] = [];
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;
  #commands = 0;

  constructor(broker: string, url: string, protocolVersion: 4 | 5 = 5) {
    const args = ['--import', 'tsx', SCRIPT, broker, url, String(protocolVersion)];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child = child;
    alive.add(child);
    this.#gone = new Promise((resolve) =>
      child.once('close', () => {
        alive.delete(child);
        resolve();
      }),
    );
    for (const stream of [child.stdout, child.stderr]) {
      readline.createInterface(stream).on('line', (line) => this.#line(line));
    }
  }

  /** Connected, and subscribed. */
  async ready(): Promise<this> {
    await until(() => this.told.some(({ kind }) => kind === 'granted'), this.#describe('be subscribed'));
    return this;
  }

  /** A command's answer. */
  async ask(payload: object): Promise<Record<string, unknown>> {
    const n = (this.#commands += 1);
    this.#child.stdin?.write(`${JSON.stringify({ n, ...payload })}\n`);
    const answer = await until(
      () => this.told.find(({ kind, value }) => kind === 'answer' && (value as { n: number }).n === n),
      this.#describe('answer'),
    );
    return (answer.value as { answer: Record<string, unknown> }).answer;
  }

  /** Codes of what it complained of. */
  get faults(): string[] {
    return this.told
      .filter(({ kind }) => kind === 'fault')
      .map(({ value }) => (value as { code: string }).code);
  }

  /** Memory that it holds. */
  get residentMiB(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone;
  }

  stop(): Promise<void> {
    this.#child.kill('SIGCONT');
    return this.kill();
  }

  #line(line: string): void {
    this.lines.push(line);
    const space = line.indexOf(' ');
    if (space < 0 || !/^[a-z]+ [[{n"]/.test(line)) return;
    try {
      this.told.push({ kind: line.slice(0, space), value: JSON.parse(line.slice(space + 1)) });
    } catch {
      // A line of somebody else's.
    }
  }

  #describe(what: string): string {
    return `the instance to ${what}`;
  }
}

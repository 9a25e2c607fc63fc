/** Child processes of tests: their output as lines, and an end that is waited for. */
import { type ChildProcess, spawn } from 'node:child_process';
import readline from 'node:readline';

/** Lines beyond these are not kept: a test that looks for one then fails. */
const MAX_LINES = 100_000;

export interface Child {
  readonly process: ChildProcess;
  /** Lines of stdout and stderr, oldest first. */
  readonly lines: string[];
  readonly running: boolean;
  /** Sends the signal and waits until the process has gone. */
  end(signal: NodeJS.Signals, timeoutMs?: number): Promise<void>;
}

// A test that fails hard must not leave processes behind.
const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export function startChild(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv; onLine?: (line: string) => void } = {},
): Child {
  const { onLine, ...spawnOptions } = options;
  const child = spawn(command, args, { ...spawnOptions, stdio: ['ignore', 'pipe', 'pipe'] });
  const lines: string[] = [];
  const keep = (line: string): void => {
    if (lines.length < MAX_LINES) lines.push(line);
    onLine?.(line);
  };
  for (const stream of [child.stdout, child.stderr]) readline.createInterface(stream).on('line', keep);
  child.on('error', (error) => keep(`could not start ${command}: ${error.message}`));
  let running = true;
  alive.add(child);
  const gone = new Promise<void>((resolve) => {
    const end = (): void => {
      running = false;
      alive.delete(child);
      resolve();
    };
    child.once('close', end);
    child.once('error', end);
  });
  return {
    process: child,
    lines,
    get running() {
      return running;
    },
    async end(signal, timeoutMs = 10_000) {
      if (!running) return;
      child.kill(signal);
      const hard = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      await gone;
      clearTimeout(hard);
    },
  };
}
